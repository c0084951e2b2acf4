package discover

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/platform/resolver"
	"countersign/vault/discover/directory"
	"countersign/vault/trust"
)

const (
	maxServers   = 4        // of one domain, and addresses of one server
	maxAddresses = 4        // URLs of IPKIX records
	maxSilent    = 2        // questions that DNS does not answer, and then no more are asked
	maxPersonal  = 16 << 10 // bytes of one certificate: no candidate is larger
)

// harvest is what a place said.
type harvest struct {
	certs   []*x509.Certificate
	says    string
	expires time.Time // by the place's own word; zero: it gave none
	failed  bool      // it could not be asked, so it said nothing to be kept
	until   time.Time
}

// add takes a certificate, or a CMS message that holds some.
func (h *harvest) add(der []byte) {
	certs, err := Certificates(der)
	if err != nil {
		h.says = "There is something that cannot be read as a certificate."
	}
	for _, c := range certs {
		switch {
		case len(h.certs) >= maxFound:
		case len(c.Raw) > maxPersonal:
			h.says = "There is a certificate larger than any honest one."
		default:
			h.certs = append(h.certs, c)
		}
	}
}

func failed(says string) harvest { return harvest{says: says, failed: true} }

// What is said of DNS when it does not help.
const (
	saysNoDNS    = "DNS could not be asked."
	saysBogus    = "The answer is not signed as it should be, so somebody may have changed it. It was not used."
	saysStripped = "The DNS server of this network leaves signatures out, so what it says was not used."
)

// lookup asks DNS. A harvest comes back where there are no records to use.
func (f *search) lookup(ctx context.Context, name string, err error, t resolver.Type) (resolver.Answer, *harvest) {
	if err != nil {
		return resolver.Answer{}, &harvest{says: "DNS has no names for such addresses."}
	}
	if f.silent >= maxSilent {
		h := failed(saysNoDNS)
		return resolver.Answer{}, &h
	}
	a, err := f.DNS.Lookup(ctx, name, t)
	if f.silent++; err == nil {
		f.silent = 0
	}
	h := harvest{says: "There is none.", expires: a.Expires}
	switch {
	case err != nil:
		h = failed(saysNoDNS)
	case a.Status == resolver.Bogus:
		h = failed(saysBogus)
	case a.Status == resolver.Indeterminate:
		h = failed(saysStripped)
	case a.Kind == resolver.Found:
		return a, nil
	}
	return a, &h
}

func (f *search) dnsAddress(ctx context.Context, who person) harvest {
	name, err := resolver.CertificateName(who.local, who.domain)
	return f.inDNS(ctx, name, err)
}

func (f *search) dnsDomain(ctx context.Context, who person) harvest {
	return f.inDNS(ctx, who.domain, nil)
}

// inDNS looks for CERT records (RFC 4398).
func (f *search) inDNS(ctx context.Context, name string, err error) harvest {
	a, nothing := f.lookup(ctx, name, err, resolver.TypeCERT)
	if nothing != nil {
		return *nothing
	}
	h := harvest{expires: a.Expires}
	urls := 0
	for _, c := range resolver.All[resolver.Certificate](a) {
		switch {
		case c.URL == "":
			h.add(c.DER)
		case urls < maxAddresses:
			urls++
			certs, err := f.at(ctx, c.URL)
			if err != nil {
				h.failed, h.says = true, "The certificate lies at an address on the web from which it could not be fetched."
			}
			for _, c := range certs {
				h.add(c.Raw)
			}
		}
	}
	return h
}

// at fetches certificates by a URL: the user asked for them (I1).
func (f *search) at(ctx context.Context, url string) ([]*x509.Certificate, error) {
	body, err := fetch(ctx, trust.Need{URL: url, Kind: trust.NeedIssuer}, guard(f.Private))
	if err != nil {
		return nil, err
	}
	return Certificates(unwrap(trust.NeedIssuer, body))
}

func (f *search) ldapAddress(ctx context.Context, who person) harvest {
	h := f.bySRV(ctx, who.domain, who.address)
	if h.failed {
		f.unasked = &h
	}
	return h
}

// ldapDomain asks nobody who could not be asked a moment ago.
func (f *search) ldapDomain(ctx context.Context, who person) harvest {
	if f.unasked != nil {
		return *f.unasked
	}
	return f.bySRV(ctx, who.domain, who.domain)
}

// bySRV asks the directories of a domain (RFC 2782), the next where one cannot be
// asked.
func (f *search) bySRV(ctx context.Context, domain, mail string) harvest {
	name, err := resolver.ServiceName("ldap", "tcp", domain)
	a, nothing := f.lookup(ctx, name, err, resolver.TypeSRV)
	if nothing != nil {
		if !nothing.failed {
			nothing.says = "They have no directory."
		}
		return *nothing
	}
	last := harvest{says: "They have no directory.", expires: a.Expires}
	for i, s := range resolver.All[resolver.Service](a) {
		if s.Host == "." || i >= maxServers {
			continue
		}
		server := directory.Server{Address: net.JoinHostPort(strings.TrimSuffix(s.Host, "."), strconv.Itoa(int(s.Port)))}
		once, cancel := context.WithTimeout(ctx, cmp.Or(f.patience, serverTime))
		last = inDirectory(once, directory.Client{Dial: f.dial, Roots: f.Roots}, server, mail)
		if cancel(); !last.failed {
			return last
		}
	}
	return last
}

// dial connects to a host that DNS named, at an address that DNS names.
func (f *search) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	a, err := f.DNS.Host(ctx, host)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	last := fmt.Errorf("discover: %s has no address", host)
	for i, at := range resolver.All[resolver.Address](a) {
		if i >= maxServers {
			break
		}
		conn, err := newDialer(guard(f.Private)).DialContext(ctx, network, netip.AddrPortFrom(at.IP, uint16(number)).String())
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

// configured asks a directory that was named to us: for the address, and then for the
// domain. The administrator's may be anywhere.
func (f *search) configured(url string, allowed func(netip.Addr) bool) func(context.Context, person) harvest {
	return func(ctx context.Context, who person) harvest {
		server, err := directory.ParseServer(url)
		if err != nil {
			return failed("Its address is not one of a directory.")
		}
		client := directory.Client{Dial: newDialer(allowed).DialContext, Roots: f.Roots}
		h := inDirectory(ctx, client, server, who.address)
		if h.failed || len(h.certs) > 0 {
			return h
		}
		return inDirectory(ctx, client, server, who.domain)
	}
}

func inDirectory(ctx context.Context, c directory.Client, s directory.Server, mail string) (h harvest) {
	found, err := c.Find(ctx, s, mail)
	switch {
	case errors.Is(err, ErrAddress):
		return failed("The directory is at a private address. Such are asked only where the settings allow it.")
	case errors.Is(err, directory.ErrClosed):
		return failed("The directory answers only people who sign in.")
	case errors.Is(err, directory.ErrElsewhere):
		return failed("The directory refers to another one, which could not be asked.")
	case err != nil:
		return failed("The directory could not be asked.")
	}
	for _, der := range found {
		h.add(der)
	}
	return h
}

// smimea looks for SMIMEA records (RFC 8162). One may carry the certificate itself; of
// others a digest is to be compared with what later places have. Without a proof by
// DNSSEC it is anybody's word.
func (f *search) smimea(ctx context.Context, who person) harvest {
	name, err := resolver.SMIMEAName(who.local, who.domain)
	a, nothing := f.lookup(ctx, name, err, resolver.TypeSMIMEA)
	switch {
	case nothing != nil:
		return *nothing
	case a.Status != resolver.Secure:
		return harvest{says: "There is one, but nothing proves that it is theirs. It was not used.", expires: a.Expires}
	}
	h := harvest{expires: a.Expires}
	for _, r := range resolver.All[resolver.Association](a) {
		switch {
		case r.Usage > 3 || r.Selector > 1 || r.Matching > 2:
			h.says = "There is one of a kind that is not known here."
			continue
		case r.Selector == 0 && r.Matching == 0:
			h.add(r.Data)
		case h.says == "":
			h.says = "There is one that does not carry the certificate itself. What is found elsewhere has to fit it."
		}
		f.named = append(f.named, r)
	}
	if len(f.named) > 0 {
		h.expires = f.Checker.clock() // it is asked again, to be compared with
	}
	return h
}

// fits says that a proved SMIMEA record, where there are any, is about a certificate with
// this path (RFC 6698, section 2.1.1): about itself, or about an authority above it.
func (f *search) fits(c *x509.Certificate, path []*x509.Certificate) bool {
	return len(f.named) == 0 || slices.ContainsFunc(f.named, func(r resolver.Association) bool {
		if r.Usage == 1 || r.Usage == 3 {
			return about(r, c)
		}
		return len(path) > 1 && slices.ContainsFunc(path[1:], func(up *x509.Certificate) bool { return about(r, up) })
	})
}

// about compares a certificate with a record (RFC 6698, sections 2.1.2 and 2.1.3).
func about(r resolver.Association, c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, r.Data)
}
