// Package resolver looks names up in DNS and proves the answers itself (DNSSEC,
// RFC 4033 to 4035): for the discovery of certificates and for transport.
//
//	r := &resolver.Resolver{}
//	a, err := r.Lookup(ctx, "_smimecert.example.com", resolver.TypeSMIMEA)
//	if err == nil && a.Status == resolver.Secure {
//		for _, s := range resolver.All[resolver.Association](a) { ... }
//	}
//
// # Answers
//
// An [Answer] is a value also where there is nothing: NoName and NoData are
// proved like data. Its Status is one of RFC 4035, section 4.3:
//
//   - Secure: signed, from an anchor down, every alias on the way too.
//   - Insecure: a signed proof says that the zone, or one above it, is not signed,
//     or not by methods that count, or that a denial speaks of signed names only
//     (opt-out). It is what plain DNS would give.
//   - Bogus: it should be signed and is not, or not well. No records are given.
//   - Indeterminate: what is needed to judge cannot be had: the server passes on no
//     signatures, or no anchor is above the name. No records are given either: who
//     can take signatures away can put lies in.
//
// An error is a failure to ask: no server answered, the context ended, the name
// is none. Bogus and Indeterminate answers are not kept: the next look-up asks again.
//
// # Names
//
// Names are A-labels and absolute: international names are converted by the
// caller (RFC 5891), no search list is used, and case is nothing.
// [CertificateName], [SMIMEAName], [ServiceName] and [TLSAName] build what is asked
// for. At most 8 aliases (CNAME, DNAME) are followed; a loop ends there as Bogus.
//
// # Servers
//
// Resolver.Servers are asked in order, else the system's own: /etc/resolv.conf,
// read anew each time, or what Windows configured on its interfaces. The one that
// last answered well comes first. Loopback and private addresses are fine. A
// server whose answers are Bogus or Indeterminate is passed over for the next, and
// the last verdict stands if none is better.
//
// A question is a random number from a fresh port that the system chooses, by UDP of at most
// 1,232 octets (EDNS, with DO and CD), tried twice for two seconds, then by TCP for
// five; by TCP at once where the answer is truncated or where a
// flood of wrong ones shows that somebody is guessing. Only what comes from the
// server's address with the number and the question sent is read. The AD bit of an answer
// is ignored, with one exception: where Resolver.Validating is set and every one of
// Servers is a loopback address, the administrator's validating resolver is
// believed, and asked with AD instead of CD (RFC 6840, section 5.7); its refusal
// with a DNSSEC code (RFC 8914) is Bogus.
//
// # Keeping
//
// Proved links and zones are kept in memory for their TTLs, 24 hours at most,
// denials one hour, in 4 MiB together. Look-ups of one question at one time are one.
// One look-up asks a server for 20 seconds at most, and about as many questions as it
// may check signatures (64): a deeper chain is Bogus.
//
// Validation itself, its bounds and its decisions: platform/resolver/dnssec.
//
// # How far
//
// It runs on Linux, against BIND and unbound in the tests. On Windows and macOS it is
// compiled only. A resolver that strips signatures (some home routers do) gives
// Indeterminate for everything: the administrator then names another server.
//
// # Standards
//
// RFC 1035, 6891 (messages, EDNS), 2308 (negative answers), 6672 (DNAME), 4033 to
// 4035, 5155, 6840, 9276 (DNSSEC), 4398 (CERT: PKIX and IPKIX), 8162 (SMIMEA), 6698
// (TLSA), 2782 (SRV: by priority, then the greater weight first, not at random).
package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"countersign/platform/resolver/dnssec"
)

const (
	maxAliases  = 8
	serverTime  = 20 * time.Second // for one look-up, chain and all
	maxTTL      = 24 * time.Hour
	maxNegative = time.Hour
)

// Errors that callers tell apart.
var (
	ErrName     = errors.New("resolver: not a domain name")
	ErrType     = errors.New("resolver: not a type of record that is looked up")
	ErrNoServer = errors.New("resolver: no DNS server is configured")
)

// Anchor is the digest of the key of a zone that is believed from the start.
type Anchor = dnssec.Anchor

// RootAnchors returns the two keys of the root zone that are used where
// [Resolver.Anchors] is empty.
func RootAnchors() []Anchor { return dnssec.RootAnchors() }

// ParseAnchor reads an anchor from a DS record as zone files have it.
func ParseAnchor(text string) (Anchor, error) { return dnssec.ParseAnchor(text) }

// Resolver looks up and keeps. The zero Resolver is ready: the system's servers,
// the anchors of the root. It may be used from several goroutines; its fields are
// not to be changed then.
type Resolver struct {
	// Servers are IP addresses with or without a port.
	Servers []string
	// Anchors replace those of the root; see [ParseAnchor]. The nearest above a name is used.
	Anchors []Anchor
	// Validating says that Servers, all on loopback, validate for us.
	Validating bool
	// Clock is time.Now where it is nil.
	Clock func() time.Time
	// Dial connects by "udp" or "tcp"; where it is nil, a net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	best   netip.AddrPort // that last answered well
	links  cache[dnssec.Question, proved]
	cuts   cache[string, cut]
	flying map[dnssec.Question]chan struct{} // closed when the look-up that runs is done
}

// Status is how far an answer is proved. The zero Status is Indeterminate.
type Status int

// The statuses; see the package comment.
const (
	Indeterminate Status = iota
	Bogus
	Insecure
	Secure
)

func (s Status) String() string {
	return [...]string{"indeterminate", "bogus", "insecure", "secure"}[s]
}

// Kind is what an answer says. The zero Kind says nothing.
type Kind int

// The kinds of answer.
const (
	Unknown Kind = iota // Bogus or Indeterminate
	NoName              // the name does not exist
	NoData              // it has no records of that type
	Found
)

// Answer is what DNS says, and how far that is proved.
type Answer struct {
	Name    string   // where the aliases led, absolute and in lower case
	Kind    Kind     // what it says
	Records []Record // of [Found], as they are to be tried
	Status  Status
	Reason  string    // why it is not Secure, for a log
	Expires time.Time // when to ask again
}

// verdict is an error that is an answer: Bogus or Indeterminate.
type verdict struct {
	status Status
	reason string
}

func (v *verdict) Error() string { return v.status.String() + ": " + v.reason }

func bogus(err error) error { return &verdict{Bogus, err.Error()} }

// Lookup finds the records of one type of a name, through aliases.
func (r *Resolver) Lookup(ctx context.Context, domain string, t Type) (Answer, error) {
	if !t.known() {
		return Answer{}, fmt.Errorf("looking up %s: %w: %d", domain, ErrType, t)
	}
	canonical, err := dnssec.Canonical(domain)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrName, err)
	}
	servers, err := r.servers()
	if err != nil {
		return Answer{}, fmt.Errorf("looking up %s: %w", canonical, err)
	}
	var last *Answer
	var failed []error
	for _, server := range servers {
		a, err := r.search(ctx, server, canonical, t)
		switch {
		case err == nil && a.Status >= Insecure:
			r.prefer(server)
			return a, nil
		case err == nil:
			last = &a
		default:
			failed = append(failed, fmt.Errorf("%s: %w", server, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if last != nil {
		return *last, nil
	}
	return Answer{}, fmt.Errorf("looking up %s: %w", canonical, errors.Join(failed...))
}

// search asks one server.
func (r *Resolver) search(ctx context.Context, server netip.AddrPort, canonical string, t Type) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	s := &search{r: r, server: server, at: r.now(), believe: r.believed()}
	return s.follow(ctx, canonical, t)
}

// Host looks up the IPv6 and IPv4 addresses of a host; the lesser Status counts.
// Where one of the two is Bogus or Indeterminate, all is.
func (r *Resolver) Host(ctx context.Context, host string) (Answer, error) {
	six, err := r.Lookup(ctx, host, TypeAAAA)
	if err != nil {
		return Answer{}, err
	}
	four, err := r.Lookup(ctx, host, TypeA)
	if err != nil {
		return Answer{}, err
	}
	both := four
	if six.Status < four.Status {
		both = six
	}
	both.Records = nil
	if both.Status >= Insecure {
		both.Kind = max(six.Kind, four.Kind)
		both.Records = slices.Concat(six.Records, four.Records)
	}
	if six.Expires.Before(four.Expires) {
		both.Expires = six.Expires
	} else {
		both.Expires = four.Expires
	}
	return both, nil
}

func (r *Resolver) now() time.Time {
	if r.Clock == nil {
		return time.Now()
	}
	return r.Clock()
}

func (r *Resolver) anchors() []Anchor {
	if len(r.Anchors) == 0 {
		return RootAnchors()
	}
	return r.Anchors
}

// servers returns whom to ask, the one that last answered well first.
func (r *Resolver) servers() ([]netip.AddrPort, error) {
	texts := r.Servers
	if len(texts) == 0 {
		var err error
		if texts, err = systemServers(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
		}
	}
	var servers []netip.AddrPort
	for _, text := range texts {
		s, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	if len(servers) == 0 {
		return nil, ErrNoServer
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(servers, func(a, b netip.AddrPort) int {
		return cmp.Compare(rank(a == r.best), rank(b == r.best))
	})
	return servers, nil
}

func rank(best bool) int {
	if best {
		return 0
	}
	return 1
}

func parseServer(text string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	s, err := netip.ParseAddrPort(text)
	if err != nil {
		return s, fmt.Errorf("resolver: a DNS server is an IP address: %w", err)
	}
	return s, nil
}

// believed reports whether the AD bit counts.
func (r *Resolver) believed() bool {
	return r.Validating && len(r.Servers) > 0 && !slices.ContainsFunc(r.Servers, func(text string) bool {
		s, err := parseServer(text)
		return err != nil || !s.Addr().IsLoopback()
	})
}

func (r *Resolver) prefer(server netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.best = server
}
