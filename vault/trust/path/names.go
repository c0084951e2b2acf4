package path

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/net/idna"

	"countersign/vault/trust/der"
)

// maxComparisons bounds names times constraints in one path.
const maxComparisons = 100_000

var (
	oidConstraints  = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSmtpUTF8     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}
	oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// constraints are the subtrees of every authority so far: a name has to be in one
// permitted subtree of its kind of each authority that has any, and in no
// excluded one.
type constraints struct {
	permitted [][]subtree
	excluded  []subtree
	compared  int
}

type subtree struct {
	tag  uint8
	text string   // folded, for names that are text
	rdns []string // for directory names
	ip   []byte
}

// add takes the nameConstraints of an authority (RFC 5280, section 4.2.1.10).
func (n *constraints) add(c *x509.Certificate) bool {
	value, ok := der.Extension(c, oidConstraints)
	if !ok {
		return true
	}
	var seq, permitted, excluded cryptobyte.String
	var hasPermitted, hasExcluded bool
	if !value.ReadASN1(&seq, cbasn1.SEQUENCE) || !value.Empty() ||
		!seq.ReadOptionalASN1(&permitted, &hasPermitted, der.Context(0).Constructed()) ||
		!seq.ReadOptionalASN1(&excluded, &hasExcluded, der.Context(1).Constructed()) || !seq.Empty() || !hasPermitted && !hasExcluded {
		return false
	}
	if hasPermitted {
		trees, ok := readSubtrees(permitted)
		if !ok {
			return false
		}
		n.permitted = append(n.permitted, trees)
	}
	if hasExcluded {
		trees, ok := readSubtrees(excluded)
		if !ok {
			return false
		}
		n.excluded = append(n.excluded, trees...)
	}
	return true
}

// readSubtrees reads the inside of GeneralSubtrees; minimum and maximum are not
// used (section 4.2.1.10).
func readSubtrees(in cryptobyte.String) (trees []subtree, ok bool) {
	for !in.Empty() {
		var one cryptobyte.String
		if !in.ReadASN1(&one, cbasn1.SEQUENCE) {
			return nil, false
		}
		name, ok := der.ReadGeneralName(&one)
		if !ok || !one.Empty() {
			return nil, false
		}
		t := subtree{tag: name.Tag, text: der.Fold(string(name.Value)), ip: name.Value}
		if name.Tag == der.DirectoryName {
			if t.rdns, ok = der.RDNs(name.Value); !ok {
				return nil, false
			}
		}
		trees = append(trees, t)
	}
	return trees, len(trees) > 0
}

// named is a name that a certificate bears.
type named struct {
	tag     uint8
	text    string // folded
	rdns    []string
	ip      []byte
	unicode bool // an SmtpUTF8Mailbox, which a constraint to one mailbox does not meet
}

// allow says that every name of a certificate is within the constraints.
func (n *constraints) allow(c *x509.Certificate) bool {
	if len(n.permitted)+len(n.excluded) == 0 {
		return true
	}
	names, ok := namesOf(c)
	if !ok {
		return false
	}
	for _, name := range names {
		for _, trees := range n.permitted {
			of := func(t subtree) bool { return t.tag == name.tag }
			if slices.ContainsFunc(trees, of) && !slices.ContainsFunc(trees, func(t subtree) bool { return of(t) && n.meets(name, t, false) }) {
				return false
			}
		}
		if slices.ContainsFunc(n.excluded, func(t subtree) bool { return t.tag == name.tag && n.meets(name, t, true) }) {
			return false
		}
	}
	return n.compared <= maxComparisons
}

// namesOf lists what a certificate is called.
func namesOf(c *x509.Certificate) (names []named, ok bool) {
	mailbox := false
	if value, has := der.Extension(c, oidAltName); has {
		var inner cryptobyte.String
		if !value.ReadASN1(&inner, cbasn1.SEQUENCE) || !value.Empty() {
			return nil, false
		}
		all, ok := der.ReadGeneralNames(inner)
		if !ok {
			return nil, false
		}
		for _, g := range all {
			name := named{tag: g.Tag, text: der.Fold(string(g.Value)), ip: g.Value}
			if g.Tag == der.DirectoryName {
				name.rdns, _ = der.RDNs(g.Value)
			}
			mailbox = mailbox || g.Tag == der.RFC822Name
			names = append(names, name)
			if address, is := UTF8Mailbox(g); is {
				mailbox = true
				names = append(names, named{tag: der.RFC822Name, text: der.Fold(address), unicode: true})
			}
		}
	}
	if rdns, ok := der.RDNs(c.RawSubject); !ok {
		return nil, false
	} else if len(rdns) > 0 {
		names = append(names, named{tag: der.DirectoryName, rdns: rdns})
	}
	if mailbox {
		return names, true
	}
	for _, a := range c.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(oidEmailAddress) {
			names = append(names, named{tag: der.RFC822Name, text: der.Fold(s)})
		}
	}
	return names, true
}

// longestDomain is in bytes of UTF-8: to find A-labels takes the square of a length,
// and a certificate may hold a domain as long as itself.
const longestDomain = 4 * 255

// UTF8Mailbox reads an otherName of type SmtpUTF8Mailbox (RFC 9598, section 3). The
// part before the @ is as it stands, and has to hold something that is not ASCII: an
// address of ASCII alone has to be an rfc822Name. The domain is given as A-labels in
// lower case; RFC 8398 had it as U-labels. Nothing else is mapped to anything (section 4).
func UTF8Mailbox(g der.GeneralName) (address string, ok bool) {
	in := cryptobyte.String(g.Value)
	var id asn1.ObjectIdentifier
	var explicit, text cryptobyte.String
	if g.Tag != der.OtherName || !in.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidSmtpUTF8) ||
		!in.ReadASN1(&explicit, der.Context(0).Constructed()) || !in.Empty() ||
		!explicit.ReadASN1(&text, cbasn1.UTF8String) || !explicit.Empty() {
		return "", false
	}
	at := bytes.LastIndexByte(text, '@')
	if at < 1 || len(text)-at > longestDomain || !utf8.Valid(text) || bytes.HasPrefix(text, []byte("\ufeff")) ||
		bytes.IndexFunc(text[:at], func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return "", false
	}
	domain, err := idna.Registration.ToASCII(der.Fold(string(text[at+1:])))
	return string(text[:at+1]) + domain, err == nil && domain != ""
}

// UTF8Mailboxes lists a certificate's SmtpUTF8Mailbox names.
func UTF8Mailboxes(c *x509.Certificate) (addresses []string) {
	value, ok := der.Extension(c, oidAltName)
	var inner cryptobyte.String
	if !ok || !value.ReadASN1(&inner, cbasn1.SEQUENCE) {
		return nil
	}
	names, _ := der.ReadGeneralNames(inner)
	for _, g := range names {
		if address, ok := UTF8Mailbox(g); ok {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// meets says that a name is in a subtree of its kind. Of what cannot be compared,
// an excluded subtree is taken to hold it, and a permitted one not.
func (n *constraints) meets(name named, t subtree, excluded bool) bool {
	if n.compared++; n.compared > maxComparisons {
		return excluded
	}
	switch t.tag {
	case der.RFC822Name:
		at := strings.LastIndexByte(name.text, '@')
		switch {
		case at < 0:
			return excluded
		case strings.Contains(t.text, "@"):
			return !name.unicode && name.text == t.text
		}
		return t.text == "" || below(name.text[at+1:], t.text)
	case der.DNSName:
		tree := strings.TrimPrefix(t.text, ".")
		return t.text == "" || name.text == tree || strings.HasSuffix(name.text, "."+tree)
	case der.URI:
		u, err := url.Parse(name.text)
		if err != nil || u.Hostname() == "" {
			return excluded
		}
		if _, err := netip.ParseAddr(u.Hostname()); err == nil {
			return excluded // section 4.2.1.10: constraints are for names of hosts
		}
		return below(u.Hostname(), t.text)
	case der.DirectoryName:
		return len(name.rdns) >= len(t.rdns) && slices.Equal(name.rdns[:len(t.rdns)], t.rdns)
	case der.IPAddress:
		return inNet(name.ip, t.ip, excluded)
	}
	return excluded
}

// below says that a host is the one named or, where that begins with a dot, any
// below it.
func below(host, tree string) bool {
	if strings.HasPrefix(tree, ".") {
		return strings.HasSuffix(host, tree)
	}
	return host == tree
}

func inNet(ip, tree []byte, excluded bool) bool {
	if len(tree) != 8 && len(tree) != 32 {
		return excluded
	}
	if 2*len(ip) != len(tree) {
		return false
	}
	for i := range ip {
		if ip[i]&tree[len(ip)+i] != tree[i]&tree[len(ip)+i] {
			return false
		}
	}
	return true
}
