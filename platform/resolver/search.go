package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"countersign/platform/resolver/dnssec"
)

// search is one look-up with one server.
type search struct {
	r       *Resolver
	server  netip.AddrPort
	at      time.Time
	believe bool // the server's AD bit
	effort  dnssec.Effort
}

// proved is a link with what is known of it; only Secure and Insecure ones are made.
type proved struct {
	link   dnssec.Link
	status Status
	reason string
}

// cut is what is known of one name on the way down: what lies there, and the
// zone if it is Secure.
type cut struct {
	what   dnssec.Cut
	zone   *dnssec.Zone
	reason string
}

// follow walks the links of an answer from name on.
func (s *search) follow(ctx context.Context, name string, t Type) (Answer, error) {
	a := Answer{Name: name, Status: Secure, Expires: s.at.Add(maxTTL)}
	for range maxAliases + 1 {
		p, err := s.link(ctx, dnssec.Question{Name: a.Name, Type: uint16(t)})
		var v *verdict
		switch {
		case errors.As(err, &v):
			return Answer{Name: a.Name, Status: v.status, Reason: v.reason, Expires: s.at}, nil
		case err != nil:
			return Answer{}, err
		}
		if p.status < a.Status {
			a.Status, a.Reason = p.status, p.reason
		}
		if p.link.Expires.Before(a.Expires) {
			a.Expires = p.link.Expires
		}
		switch p.link.Kind {
		case dnssec.Alias:
			a.Name = p.link.Target
			continue
		case dnssec.Found:
			a.Kind, a.Records = Found, records(p.link.Records)
		case dnssec.NoData:
			a.Kind = NoData
		case dnssec.NoName:
			a.Kind = NoName
		}
		return a, nil
	}
	return Answer{Name: a.Name, Status: Bogus, Reason: fmt.Sprintf("over %d aliases", maxAliases), Expires: s.at}, nil
}

// link proves one link, from memory if it is there. Others who ask the same at
// the same time wait and then look there.
func (s *search) link(ctx context.Context, q dnssec.Question) (proved, error) {
	for {
		p, other := s.r.begin(q, s.at)
		switch {
		case p != nil:
			return *p, nil
		case other == nil:
			defer s.r.end(q)
			return s.proveAndKeep(ctx, q)
		}
		select {
		case <-other:
		case <-ctx.Done():
			return proved{}, ctx.Err()
		}
	}
}

// begin returns what is kept, or the look-up that runs; neither if the caller is to look up.
func (r *Resolver) begin(q dnssec.Question, at time.Time) (*proved, chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.links.get(q, at); ok {
		return &p, nil
	}
	if other, ok := r.flying[q]; ok {
		return nil, other
	}
	if r.flying == nil {
		r.flying = map[dnssec.Question]chan struct{}{}
	}
	r.flying[q] = make(chan struct{})
	return nil, nil
}

func (r *Resolver) end(q dnssec.Question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.flying[q])
	delete(r.flying, q)
}

func (s *search) proveAndKeep(ctx context.Context, q dnssec.Question) (proved, error) {
	reply, err := s.r.exchange(ctx, s.server, q, s.believe)
	if err != nil {
		return proved{}, err
	}
	p, err := s.prove(ctx, q, reply)
	if err != nil {
		return proved{}, err
	}
	longest := maxTTL
	if p.link.Kind == dnssec.NoName || p.link.Kind == dnssec.NoData {
		longest = maxNegative
	}
	if end := s.at.Add(longest); end.Before(p.link.Expires) {
		p.link.Expires = end
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.links.put(q, p, item{size: reply.Len(), until: p.link.Expires, at: s.at})
	return p, nil
}

// prove judges a reply by the keys of the zone that it claims to be from.
func (s *search) prove(ctx context.Context, q dnssec.Question, reply *dns.Msg) (proved, error) {
	if s.believe {
		l, err := dnssec.Unsigned(q, reply, s.at)
		if err != nil {
			return proved{}, bogus(err)
		}
		if reply.AuthenticatedData {
			return proved{link: l, status: Secure}, nil
		}
		return proved{l, Insecure, "the administrator's resolver does not vouch for it"}, nil
	}
	claimed, signed := dnssec.Signer(q, reply)
	target := q.Name
	if signed {
		target = claimed
	}
	zone, insecure, err := s.descend(ctx, target)
	switch {
	case err != nil:
		return proved{}, err
	case insecure != "":
		l, err := dnssec.Unsigned(q, reply, s.at)
		if err != nil {
			return proved{}, bogus(err)
		}
		return proved{l, Insecure, insecure}, nil
	case !signed:
		return proved{}, bogus(fmt.Errorf("%s is within the signed zone %s, and the answer is not signed", q.Name, zone.Name))
	case zone.Name != claimed:
		return proved{}, bogus(fmt.Errorf("the answer for %s is signed by %s, which is no zone", q.Name, claimed))
	}
	l, err := zone.Judge(q, reply, s.at, &s.effort)
	switch {
	case err != nil:
		return proved{}, bogus(err)
	case l.OptOut:
		return proved{l, Insecure, zone.Name + " vouches for signed names only"}, nil
	}
	return proved{link: l, status: Secure}, nil
}

// descend walks from the nearest anchor down to target, and returns the zone that
// target lies in, or why it is insecure.
func (s *search) descend(ctx context.Context, target string) (zone *dnssec.Zone, insecure string, err error) {
	top, ok := s.r.anchored(target)
	if !ok {
		return nil, "", &verdict{Indeterminate, "no anchor is above " + target}
	}
	c, err := s.cut(ctx, nil, top)
	if err != nil {
		return nil, "", err
	}
	zone = c.zone
	for _, name := range between(top, target) {
		if c, err = s.cut(ctx, zone, name); err != nil {
			return nil, "", err
		}
		switch c.what {
		case dnssec.Insecure:
			return nil, c.reason, nil
		case dnssec.Nothing:
			return zone, "", nil
		case dnssec.Secure:
			zone = c.zone
		}
	}
	return zone, "", nil
}

// anchored is the deepest zone with an anchor that name lies in.
func (r *Resolver) anchored(name string) (top string, ok bool) {
	for _, a := range r.anchors() {
		if dnssec.Within(name, a.Zone) && len(a.Zone) > len(top) {
			top = a.Zone
		}
	}
	return top, top != ""
}

// between lists the names from below top down to name.
func between(top, name string) []string {
	var names []string
	for off, end := 0, false; !end && name[off:] != top; off, end = dns.NextLabel(name, off) {
		names = append([]string{name[off:]}, names...)
	}
	return names
}

// cut says what lies at name within parent; without a parent, name is an
// anchor's zone.
func (s *search) cut(ctx context.Context, parent *dnssec.Zone, name string) (cut, error) {
	s.r.mu.Lock()
	c, ok := s.r.cuts.get(name, s.at)
	s.r.mu.Unlock()
	if ok {
		return c, nil
	}
	d := dnssec.Delegation{Cut: dnssec.Secure, Anchors: s.r.anchors(), Expires: s.at.Add(maxTTL)}
	if parent != nil {
		reply, err := s.askChain(ctx, dnssec.Question{Name: name, Type: dns.TypeDS})
		if err != nil {
			return cut{}, err
		}
		if d, err = parent.Cut(name, reply, s.at, &s.effort); err != nil {
			return cut{}, bogus(err)
		}
	}
	c = cut{what: d.Cut, reason: d.Reason}
	longest := maxNegative
	if d.Cut == dnssec.Secure {
		reply, err := s.askChain(ctx, dnssec.Question{Name: name, Type: dns.TypeDNSKEY})
		if err != nil {
			return cut{}, err
		}
		if parent == nil && !anySignature(reply) {
			return cut{}, &verdict{Indeterminate, fmt.Sprintf("the DNS server %s passes on no signatures", s.server)}
		}
		if c.zone, err = dnssec.Open(name, d.Anchors, reply, s.at, &s.effort); err != nil {
			return cut{}, bogus(err)
		}
		d.Expires, longest = sooner(d.Expires, c.zone.Expires), maxTTL
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.cuts.put(name, c, item{size: cutSize, until: sooner(d.Expires, s.at.Add(longest)), at: s.at})
	return c, nil
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func anySignature(reply *dns.Msg) bool {
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == dns.TypeRRSIG {
			return true
		}
	}
	return false
}

// askChain asks for what the proof needs; not getting it is Indeterminate, unless
// the caller's time is up.
func (s *search) askChain(ctx context.Context, q dnssec.Question) (*dns.Msg, error) {
	reply, err := s.r.exchange(ctx, s.server, q, s.believe)
	var v *verdict
	if err == nil || errors.As(err, &v) || ctx.Err() != nil {
		return reply, err
	}
	return nil, &verdict{Indeterminate, fmt.Sprintf("the %s of %s cannot be had: %s", dns.TypeToString[q.Type], q.Name, err)}
}
