package resolver

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"countersign/platform/resolver/dnssec"
)

// Type is a type of record that can be looked up.
type Type uint16

// The types, and what [All] finds in their answers.
const (
	TypeA      = Type(dns.TypeA)      // Address
	TypeAAAA   = Type(dns.TypeAAAA)   // Address
	TypeMX     = Type(dns.TypeMX)     // Exchanger
	TypeSRV    = Type(dns.TypeSRV)    // Service
	TypeCERT   = Type(dns.TypeCERT)   // Certificate
	TypeTLSA   = Type(dns.TypeTLSA)   // Association
	TypeSMIMEA = Type(dns.TypeSMIMEA) // Association
)

func (t Type) known() bool {
	switch t {
	case TypeA, TypeAAAA, TypeMX, TypeSRV, TypeCERT, TypeTLSA, TypeSMIMEA:
		return true
	}
	return false
}

// Record is an Address, Exchanger, Service, Certificate or Association.
type Record interface{ record() }

// Address is an A or AAAA record.
type Address struct{ IP netip.Addr }

// Exchanger is an MX record (RFC 5321, section 5.1). A host of "." says that the
// domain takes no mail (RFC 7505).
type Exchanger struct {
	Preference uint16
	Host       string
}

// Service is an SRV record (RFC 2782). A host of "." says that the service is not
// offered.
type Service struct {
	Priority, Weight, Port uint16
	Host                   string
}

// Certificate is a CERT record (RFC 4398, section 2) of type PKIX, with DER of at
// most 64 KiB, or IPKIX, with a URL; the other is empty. Other types are left out.
type Certificate struct {
	DER []byte
	URL string // printable ASCII, at most 2,048 characters; nothing else of it is checked
}

// Association is a TLSA or SMIMEA record (RFC 6698, section 2.1; RFC 8162,
// section 2).
type Association struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

func (Address) record()     {}
func (Exchanger) record()   {}
func (Service) record()     {}
func (Certificate) record() {}
func (Association) record() {}

// All returns the records of one kind in an answer, in the order to try them.
func All[R Record](a Answer) []R {
	var found []R
	for _, r := range a.Records {
		if r, ok := r.(R); ok {
			found = append(found, r)
		}
	}
	return found
}

const maxURL = 2048

// records translates a set. What is ill-formed within it is left out.
func records(set []dns.RR) []Record {
	set = slices.Clone(set) // others hold it too
	slices.SortStableFunc(set, preferred)
	var out []Record
	for _, rr := range set {
		if r := translate(rr); r != nil {
			out = append(out, r)
		}
	}
	return out
}

// preferred puts the lesser preference or priority first, then the greater weight.
func preferred(a, b dns.RR) int {
	switch a := a.(type) {
	case *dns.MX:
		if b, ok := b.(*dns.MX); ok {
			return cmp.Compare(a.Preference, b.Preference)
		}
	case *dns.SRV:
		if b, ok := b.(*dns.SRV); ok {
			return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight))
		}
	}
	return 0
}

func translate(rr dns.RR) Record {
	switch rr := rr.(type) {
	case *dns.A:
		return address(rr.A)
	case *dns.AAAA:
		return address(rr.AAAA)
	case *dns.MX:
		return Exchanger{rr.Preference, dns.CanonicalName(rr.Mx)}
	case *dns.SRV:
		return Service{rr.Priority, rr.Weight, rr.Port, dns.CanonicalName(rr.Target)}
	case *dns.CERT:
		return certificate(rr)
	case *dns.TLSA:
		return association(rr.Usage, rr.Selector, rr.MatchingType, rr.Certificate)
	case *dns.SMIMEA:
		return association(rr.Usage, rr.Selector, rr.MatchingType, rr.Certificate)
	}
	return nil
}

func address(octets []byte) Record {
	ip, ok := netip.AddrFromSlice(octets)
	if !ok {
		return nil
	}
	return Address{ip.Unmap()}
}

func certificate(rr *dns.CERT) Record {
	data, err := base64.StdEncoding.DecodeString(rr.Certificate)
	switch {
	case err != nil || len(data) == 0:
		return nil
	case rr.Type == dns.CertPKIX:
		return Certificate{DER: data}
	case rr.Type == dns.CertIPIX && len(data) <= maxURL && !slices.ContainsFunc(data, func(c byte) bool { return c <= ' ' || c > '~' }):
		return Certificate{URL: string(data)}
	}
	return nil
}

func association(usage, selector, matching uint8, text string) Record {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) == 0 {
		return nil
	}
	return Association{usage, selector, matching, data}
}

// CertificateName is where the CERT record of a mail address lies: the address
// with a dot for the @, its own dots left as they are, as the Direct Project has it
// (not as RFC 4398, section 3.1, which would escape them). The domain is in A-labels.
func CertificateName(local, domain string) (string, error) {
	return name(escape(local) + "." + domain)
}

// SMIMEAName is where the SMIMEA record of a mail address lies (RFC 8162,
// section 3). The local part is without quotes and in Unicode form NFC; it is taken
// as it is, capitals too.
func SMIMEAName(local, domain string) (string, error) {
	sum := sha256.Sum256([]byte(local))
	return name(hex.EncodeToString(sum[:28]) + "._smimecert." + domain)
}

// ServiceName is where the SRV records of a service lie: ldap, tcp.
func ServiceName(service, protocol, domain string) (string, error) {
	return name("_" + service + "._" + protocol + "." + domain)
}

// TLSAName is where the TLSA records of a TCP port lie (RFC 6698, section 3).
func TLSAName(port uint16, host string) (string, error) {
	return name(fmt.Sprintf("_%d._tcp.%s", port, host))
}

func name(text string) (string, error) {
	n, err := dnssec.Canonical(text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrName, err)
	}
	return n, nil
}

// escape keeps what is special in presentation form, but for dots, from being so.
func escape(local string) string {
	var b strings.Builder
	for _, c := range []byte(local) {
		if c == '.' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "\\%03d", c)
		}
	}
	return b.String()
}
