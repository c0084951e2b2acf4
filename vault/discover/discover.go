// Package discover fetches what vault/trust needs to judge a certificate
// ([Checker]): revocation lists, answers of OCSP responders, and certificates of
// authorities that did not come along. It keeps them in the sealed database until
// they run out. And it looks for the certificates of people ([Finder]).
//
// # What a certificate needs
//
// A certificate is a stranger's paper, and every URL in it is a request to tell
// the stranger that it was read. Rule I1 decides what is fetched ([Rules]):
//
//   - Nothing, for a certificate from inside an envelope that anybody may have
//     changed.
//   - By itself, only what a certificate names whose signature chains to an
//     anchor, and what lies at a host that such a certificate named before or
//     that policy allows.
//   - All, for a certificate that the user chose to verify.
//
// What was not fetched stays in Verdict.Needs, for a button.
//
// A responder that is asked about a certificate learns that somebody here writes
// to its owner, and so does whoever listens on the way: OCSP is plain HTTP. A list
// tells them nothing. So where a certificate names both, the list is fetched and
// the responder asked only if that settles nothing; Rules.OCSPFirst turns this
// round. A nonce (Rules.Nonce) makes sure that an answer is new; most responders
// answer from stock and leave it out, which is tolerated. Another nonce is not.
//
// Fetching is plain HTTP, or an LDAP search (RFC 5280, sections 4.2.1.13 and
// 4.2.2.1; vault/discover/directory), with nothing
// in the request but the host: no cookies, no User-Agent, no referrer, no
// conditions by which a server could know us again, no proxy from the
// environment. The address is checked when the connection is made, after every
// redirection as well: loopback, private and link-local ones are refused unless
// the clinic's own authority lives there (Rules.AllowPrivate). Lists are at most
// 16 MiB (out of a directory 4), certificates and answers 64 KiB, redirections three, one fetch 15
// seconds and one check 30. What failed is not tried again for five minutes.
//
// # People
//
// [Finder.Find] looks in the order of the Direct Project, and the first place with a
// certificate that does ends the search: DNS CERT records (RFC 4398) under the
// address with a dot for the @, then under the domain; the directories that the domain's
// SRV records name (RFC 2782), for the address, then for the domain. After those come
// a record by SMIMEA (RFC 8162), the directories that the administrator named, and the user's.
// Does: for encryption, and good by trust, which looks at the chain to an anchor, the
// dates, withdrawal, and that the certificate names the address or its domain.
//
// None of these places is believed. DNS need not be signed for CERT and SRV, since an
// authority vouches for the certificate; an answer that should be signed and is not, is
// not used; SMIMEA counts only with the proof of DNSSEC, and the certificate needs an
// anchor all the same. A record with a digest alone, or one about an authority (usages 0 and
// 2), finds nothing, but what a later place has must fit it. What is found is a candidate, to be verified by a test and a
// call like any other.
//
// To look is to tell: the DNS servers on the way, the domain's directory, the
// administrator's, and the authority of what is found learn that somebody here asks
// for this address. So nobody is looked for without the user's asking.
//
// One place has 8 seconds, what it had 20 to be judged, all together have 60. At most 8
// certificates of a place, 4 servers of a domain and 4 URLs (IPKIX) are looked at;
// servers at private addresses as above, but those that the administrator named
// wherever they are. What a place said is kept for an hour, that it had nothing for ten
// minutes, neither for longer than DNS allows; that it could not be asked is not kept,
// but within one search a DNS that left two questions without an answer, and a domain's
// directories that could not be asked, are asked no more.
package discover

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/vault/sealed"
	"countersign/vault/trust"
	"countersign/vault/trust/ocsp"
)

const (
	maxRounds  = 16 // of asking trust again; most are answered from the cache
	maxFetches = 12 // in one check
	checkTime  = 30 * time.Second
	// pause is how long what failed is left alone, and pauseChosen the same when
	// the user is waiting for it.
	pause       = 5 * time.Minute
	pauseChosen = 15 * time.Second
)

// Rules say what may be fetched for one question.
type Rules struct {
	Nothing      bool     // ask no network: the cache only
	Chosen       bool     // the user chose to verify this certificate
	AllowPrivate bool     // servers at private and loopback addresses
	Hosts        []string // that policy allows whoever names them
	OCSPFirst    bool     // ask responders before fetching lists
	Nonce        bool     // put a nonce into questions to responders
}

// Checker judges certificates with what it can find. It may be used from several
// goroutines.
type Checker struct {
	db    *sealed.DB
	clock func() time.Time
	seen  *trust.Memory // of signatures

	mu     sync.Mutex
	memory map[key]*document     // parsed, so that a large list is read once
	tried  map[key]time.Time     // when a fetch last brought nothing good
	flying map[key]chan struct{} // closed when the fetch that runs is done
}

// key names one document: a URL may stand for a list here and for a certificate
// there, and a responder's for many answers.
type key struct {
	url  string
	kind trust.NeedKind
}

func keyOf(n trust.Need) key {
	if n.Kind == trust.NeedOCSP {
		return key{n.URL + "\n" + base64.StdEncoding.EncodeToString([]byte(n.Request)), n.Kind}
	}
	return key{n.URL, n.Kind}
}

// need is what keyOf made a key of.
func (k key) need(anchored bool) trust.Need {
	url, request, _ := strings.Cut(k.url, "\n")
	raw, _ := base64.StdEncoding.DecodeString(request) // of our own making
	return trust.Need{URL: url, Kind: k.kind, Anchored: anchored, Request: string(raw)}
}

// Open prepares the cache in db. A nil clock is time.Now.
func Open(db *sealed.DB, clock func() time.Time) (*Checker, error) {
	if clock == nil {
		clock = time.Now
	}
	if err := db.Migrate("discover", schema, foundSchema); err != nil {
		return nil, fmt.Errorf("opening the cache of revocation lists: %w", err)
	}
	return &Checker{
		db: db, clock: clock, seen: trust.NewMemory(),
		memory: make(map[key]*document), tried: make(map[key]time.Time), flying: make(map[key]chan struct{}),
	}, nil
}

// Check judges a certificate: it asks trust, looks in the cache for what trust
// needs, fetches what the rules allow, and asks again. It never fails: what
// could not be had shows in the verdict.
func (c *Checker) Check(ctx context.Context, q trust.Question, r Rules) trust.Verdict {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if q.Memory == nil {
		q.Memory = c.seen
	}
	given := make(map[key]*document) // what the cache had, or nothing
	asked := make(map[key]bool)      // what the network was asked for
	budget := maxFetches
	for range maxRounds {
		v := trust.Check(q)
		var found []*document
		var wanted []trust.Need
		for _, n := range v.Needs {
			k := keyOf(n)
			if _, looked := given[k]; !looked {
				d := c.recall(ctx, k)
				given[k] = d
				if d != nil {
					found = append(found, d)
				}
				if d.fresh(c.clock()) {
					continue // if it does not help, the network is asked in the next round
				}
			}
			named := func(w trust.Need) bool { return keyOf(w) == k } // by two certificates of a path
			if !asked[k] && !slices.ContainsFunc(wanted, named) && c.may(ctx, n, r) {
				wanted = append(wanted, n)
			}
		}
		if len(found) == 0 { // the cache has nothing more
			wanted = r.first(wanted)
			wanted = wanted[:min(len(wanted), budget)]
			budget -= len(wanted)
			for _, n := range wanted {
				asked[keyOf(n)] = true
			}
			if len(wanted) == 0 {
				return v
			}
			found = c.getAll(ctx, wanted, given, r)
		}
		for _, d := range found {
			q.Evidence.Certificates = slices.Concat(q.Evidence.Certificates, d.certs)
			if d.list != nil {
				q.Evidence.CRLs = slices.Concat(q.Evidence.CRLs, []*trust.CRL{d.list})
			}
			if d.answer != nil {
				q.Evidence.OCSP = slices.Concat(q.Evidence.OCSP, []*trust.OCSP{d.answer})
			}
		}
	}
	return trust.Check(q)
}

// first leaves of what is wanted what should be tried first: lists before
// responders, or the other way round.
func (r Rules) first(wanted []trust.Need) []trust.Need {
	later := trust.NeedOCSP
	if r.OCSPFirst {
		later = trust.NeedCRL
	}
	at := func(n trust.Need) bool { return n.Kind == later }
	if rest := slices.DeleteFunc(slices.Clone(wanted), at); len(rest) > 0 {
		return rest
	}
	return wanted
}

// getAll fetches several documents at once.
func (c *Checker) getAll(ctx context.Context, wanted []trust.Need, given map[key]*document, r Rules) (found []*document) {
	var fetching sync.WaitGroup
	var mu sync.Mutex
	for _, n := range wanted {
		fetching.Go(func() {
			if d, _ := c.get(ctx, n, given[keyOf(n)], r); d != nil { // kept or not, it can be used
				mu.Lock()
				defer mu.Unlock()
				found = append(found, d)
			}
		})
	}
	fetching.Wait()
	return found
}

// may is rule I1.
func (c *Checker) may(ctx context.Context, n trust.Need, r Rules) bool {
	u, err := url.Parse(n.URL)
	if r.Nothing || err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if !r.Chosen && !n.Anchored && !slices.Contains(r.Hosts, host) && !c.vouched(ctx, host) {
		return false
	}
	rest := pause
	if r.Chosen {
		rest = pauseChosen
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, tried := c.tried[keyOf(n)]
	return !tried || c.clock().Sub(last) >= rest
}

// Retry forgets what failed, so that it is tried again at once: a setting changed, or
// the network did.
func (c *Checker) Retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tried)
}

// get fetches one document and stores it. Who asks for one that is on its way
// waits for that, and who asks when it has just come, in place of the one that
// they had, gets it.
func (c *Checker) get(ctx context.Context, n trust.Need, had *document, r Rules) (d *document, err error) {
	k := keyOf(n)
	c.mu.Lock()
	if now := c.memory[k]; now != had && now.fresh(c.clock()) {
		c.mu.Unlock()
		return now, nil
	}
	if running, ok := c.flying[k]; ok {
		c.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
		}
		if d := c.recall(ctx, k); d != nil {
			return d, nil
		}
		return nil, errNothing
	}
	done := make(chan struct{})
	c.flying[k] = done
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flying, k)
		if delete(c.tried, k); !d.fresh(c.clock()) {
			c.tried[k] = c.clock()
		}
		close(done)
	}()
	asking, nonce := n, []byte(nil)
	if r.Nonce && n.Kind == trust.NeedOCSP {
		if asking, nonce, err = withNonce(n); err != nil {
			return nil, err
		}
	}
	body, err := fetch(ctx, asking, guard(r.AllowPrivate))
	if err != nil {
		return nil, err
	}
	body = unwrap(n.Kind, body)
	if d, err = parse(n.Kind, bytes.NewReader(body), c.clock()); err != nil {
		return nil, err
	}
	if nonce != nil && d.answer.Nonce != nil && !bytes.Equal(nonce, d.answer.Nonce) {
		return nil, errNonce
	}
	if old := c.recall(ctx, k); d.older(old, c.clock()) {
		return d, nil
	}
	c.remember(k, d)
	return d, c.store(ctx, n, body, d)
}

// withNonce puts 16 random bytes into a question.
func withNonce(n trust.Need) (with trust.Need, nonce []byte, err error) {
	nonce = make([]byte, 16)
	rand.Read(nonce) // never fails
	request, err := ocsp.WithNonce([]byte(n.Request), nonce)
	n.Request = string(request)
	return n, nonce, err
}

var (
	errNothing = errors.New("discover: nothing was brought")
	errNonce   = errors.New("discover: the answer is to another question")
)

// Prefetch brings up to date what was used or fetched in the last month: lists and
// answers that are twelve hours old or run out within two, so that sending never waits,
// not even to somebody who was not written to for long. It is for the background: it
// fetches only what was fetched before, and what fails for a month is given up.
func (c *Checker) Prefetch(ctx context.Context, r Rules) error {
	if r.Nothing {
		return nil
	}
	due, err := c.due(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, n := range due {
		once, cancel := context.WithTimeout(ctx, checkTime)
		if _, err := c.get(once, n, c.recall(once, keyOf(n)), r); err != nil {
			problems = append(problems, err)
		}
		cancel()
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(problems...)
}
