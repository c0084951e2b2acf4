package dnssec

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Question is a canonical name and a type of record.
type Question struct {
	Name string
	Type uint16
}

// Kind is what a reply says to a question.
type Kind int

// The kinds of answer.
const (
	NoName Kind = iota // the name does not exist
	NoData             // it exists without such records
	Alias              // it stands for another name
	Found              // here they are
)

// Link is one step of an answer.
type Link struct {
	Kind    Kind
	Records []dns.RR // Found
	Target  string   // Alias: the name to ask for next
	OptOut  bool     // proved for signed names only
	Expires time.Time
}

// Signer returns the zone whose keys a reply asks to be judged by; ok is false
// where what answers the question is not signed. It is a hint, nothing more.
func Signer(q Question, reply *dns.Msg) (zone string, ok bool) {
	s, kind := pick(q, reply)
	if kind == NoName {
		for _, rr := range reply.Ns {
			if sig, ok := rr.(*dns.RRSIG); ok && (sig.TypeCovered == dns.TypeNSEC || sig.TypeCovered == dns.TypeNSEC3) {
				s.sigs = append(s.sigs, sig)
			}
		}
		zone = s.signer(q.Name)
		return zone, zone != ""
	}
	zone = s.signer(s.records[0].Header().Name)
	return zone, zone != ""
}

// pick finds what answers a question: the records, else the DNAME above it, else
// its CNAME, else NoName for "nothing" of either kind.
func pick(q Question, reply *dns.Msg) (set, Kind) {
	if s := gather(reply.Answer, q.Name, q.Type); len(s.records) > 0 {
		return s, Found
	}
	for _, rr := range reply.Answer {
		if _, ok := rr.(*dns.DNAME); ok && rr.Header().Name != q.Name && Within(q.Name, rr.Header().Name) {
			return gather(reply.Answer, rr.Header().Name, dns.TypeDNAME), Alias
		}
	}
	if s := gather(reply.Answer, q.Name, dns.TypeCNAME); len(s.records) > 0 {
		return s, Alias
	}
	return set{}, NoName
}

// Unsigned reads a reply of a zone that signs nothing, as it stands.
func Unsigned(q Question, reply *dns.Msg, at time.Time) (Link, error) {
	s, kind := pick(q, reply)
	if kind != NoName {
		return s.link(q, kind, s.expires(at))
	}
	l := Link{Kind: NoData, Expires: at}
	if reply.Rcode == dns.RcodeNameError {
		l.Kind = NoName
	}
	for _, rr := range reply.Ns { // RFC 2308, section 5
		if soa, ok := rr.(*dns.SOA); ok && Within(q.Name, soa.Hdr.Name) {
			l.Expires = at.Add(time.Duration(min(soa.Minttl, soa.Hdr.Ttl, 1<<31-1)) * time.Second)
		}
	}
	return l, nil
}

// Judge proves what a reply of this zone says to a question.
func (z *Zone) Judge(q Question, reply *dns.Msg, at time.Time, effort *Effort) (Link, error) {
	asked, err := parseName(q.Name)
	if err != nil {
		return Link{}, err
	}
	if !asked.under(z.name) {
		return Link{}, fmt.Errorf("%s is not within %s", q.Name, z.Name)
	}
	s, kind := pick(q, reply)
	if kind == NoName {
		return z.judgeNothing(q, asked, reply, at, effort)
	}
	h := s.records[0].Header()
	owner, err := parseName(h.Name)
	if err != nil {
		return Link{}, err
	}
	p, err := z.verify(s, owner, at, effort)
	if err != nil {
		return Link{}, fmt.Errorf("the %s of %s: %w", typeName(h.Rrtype), h.Name, err)
	}
	l, err := s.link(q, kind, p.expires)
	if err != nil || !p.expanded {
		return l, err
	}
	if h.Rrtype == dns.TypeDNAME {
		return Link{}, fmt.Errorf("the DNAME of %s is from a wildcard", h.Name)
	}
	d, until, err := z.denials(reply, at, effort)
	if err != nil {
		return Link{}, fmt.Errorf("that nothing nearer than a wildcard is %s: %w", q.Name, err)
	}
	var ok bool
	if l.OptOut, ok = d.absent(owner[:len(p.closest)+1]); !ok {
		return Link{}, fmt.Errorf("a wildcard answers for %s without proof that it may", q.Name)
	}
	l.Expires = earlier(l.Expires, until)
	return l, nil
}

func (z *Zone) judgeNothing(q Question, asked name, reply *dns.Msg, at time.Time, effort *Effort) (Link, error) {
	d, until, err := z.denials(reply, at, effort)
	if err != nil {
		return Link{}, fmt.Errorf("that there is no %s of %s: %w", typeName(q.Type), q.Name, err)
	}
	l := Link{Kind: NoData, Expires: until}
	if reply.Rcode == dns.RcodeNameError {
		l.Kind = NoName
	}
	if l.OptOut, err = deny(d, asked, q.Type, l.Kind == NoName); err != nil {
		return Link{}, fmt.Errorf("that there is no %s of %s: %w", typeName(q.Type), q.Name, err)
	}
	return l, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// link makes a link of a set that answers a question.
func (s set) link(q Question, kind Kind, expires time.Time) (Link, error) {
	l := Link{Kind: kind, Expires: expires}
	if kind == Found {
		l.Records = dns.Dedup(s.records, nil) // RFC 2181, section 5
		return l, nil
	}
	for _, rr := range s.records[1:] {
		if !dns.IsDuplicate(rr, s.records[0]) {
			return Link{}, fmt.Errorf("%s has several aliases", q.Name)
		}
	}
	switch rr := s.records[0].(type) {
	case *dns.CNAME:
		l.Target = rr.Target
	case *dns.DNAME: // RFC 6672, section 2.2
		l.Target = strings.TrimSuffix(q.Name, rr.Hdr.Name)
		if rr.Hdr.Name == "." {
			l.Target = q.Name
		}
		l.Target += strings.TrimPrefix(rr.Target, ".")
	default:
		return Link{}, errors.New("an alias of another type")
	}
	var err error
	l.Target, err = Canonical(l.Target)
	return l, err
}
