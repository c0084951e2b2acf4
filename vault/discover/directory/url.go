package directory

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// maxURL bounds a URL, in octets.
const maxURL = 2048

// asked is what a URL wants.
type asked struct {
	server     Server
	query      query
	attributes []string // without options
}

// wanted are the attributes that a URL may name (RFC 4523, section 4).
var wanted = []string{"userCertificate", "cACertificate", "crossCertificatePair", "certificateRevocationList", "authorityRevocationList", "deltaRevocationList"}

// Fetch returns the values that an LDAP URL names, each at most limit octets. Of a pair
// of cross-certificates it returns both. None is no error.
func (c Client) Fetch(ctx context.Context, rawURL string, limit int) ([][]byte, error) {
	want, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	conn, done, err := c.open(ctx, want.server, limit+overhead)
	if err != nil {
		return nil, err
	}
	defer done()
	entries, err := c.ask(ctx, conn, limit+overhead, want.query)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, name := range want.attributes {
		for _, v := range values(entries, name) {
			switch {
			case len(v) > limit:
			case name == "crossCertificatePair":
				all = append(all, pair(v)...)
			default:
				all = append(all, v)
			}
		}
	}
	return all[:min(len(all), maxValues)], nil
}

// parseURL reads an LDAP URL (RFC 4516, section 2) with a host, an entry and
// attributes that hold certificates or lists.
func parseURL(raw string) (a asked, err error) {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL {
		return a, ErrURL
	}
	if a.server, err = serverOf(u); err != nil {
		return a, err
	}
	a.query = query{base: strings.TrimPrefix(u.Path, "/"), filter: "(objectClass=*)", scope: ldap.ScopeBaseObject}
	parts := append(strings.Split(u.RawQuery, "?"), "", "", "")
	for i := range parts {
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return a, ErrURL
		}
	}
	if a.query.base == "" || strings.Contains(parts[3], "!") {
		return a, fmt.Errorf("%w: no entry, or an extension", ErrURL)
	}
	for described := range strings.SplitSeq(parts[0], ",") {
		name, _, _ := strings.Cut(described, ";")
		i := slices.IndexFunc(wanted, func(w string) bool { return strings.EqualFold(w, name) })
		if i < 0 {
			return a, fmt.Errorf("%w: it wants %q", ErrURL, name)
		}
		if !slices.Contains(a.attributes, wanted[i]) {
			a.attributes = append(a.attributes, wanted[i])
			a.query.attributes = append(a.query.attributes, wanted[i]+";binary", wanted[i])
		}
	}
	switch strings.ToLower(parts[1]) {
	case "", "base":
	case "one":
		a.query.scope = ldap.ScopeSingleLevel
	case "sub":
		a.query.scope = ldap.ScopeWholeSubtree
	default:
		return a, fmt.Errorf("%w: scope %q", ErrURL, parts[1])
	}
	if f := parts[2]; f != "" {
		if !strings.HasPrefix(f, "(") {
			f = "(" + f + ")"
		}
		if _, err := ldap.CompileFilter(f); err != nil {
			return a, fmt.Errorf("%w: its filter", ErrURL)
		}
		a.query.filter = f
	}
	return a, nil
}

// pair takes the certificates out of a CertificatePair (X.509, section 11.2.3),
// either of which may be missing.
func pair(der []byte) (certs [][]byte) {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil
	}
	for tag := range uint8(2) {
		var one cryptobyte.String
		var there bool
		if !seq.ReadOptionalASN1(&one, &there, asn1.Tag(tag).ContextSpecific().Constructed()) {
			return nil
		}
		if there && len(one) > 0 {
			certs = append(certs, one)
		}
	}
	if !seq.Empty() {
		return nil
	}
	return certs
}

// ParseServer reads the address of a directory: ldaps://host or ldap://host, with or
// without a port, and nothing else.
func ParseServer(raw string) (Server, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery {
		return Server{}, ErrURL
	}
	return serverOf(u)
}

func serverOf(u *url.URL) (Server, error) {
	port := map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	if port == "" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return Server{}, fmt.Errorf("%w: not ldap or ldaps with a host", ErrURL)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return Server{Address: net.JoinHostPort(u.Hostname(), port), Name: u.Hostname(), TLS: u.Scheme == "ldaps"}, nil
}
