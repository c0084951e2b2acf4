// Package directory asks LDAP directories for certificates and revocation lists
// (RFC 4511), and for nothing else.
//
//	c := directory.Client{Dial: dial}
//	certs, err := c.Find(ctx, directory.Server{Address: "ldap.clinic.example:389"}, "ada@clinic.example")
//	values, err := c.Fetch(ctx, "ldap://ca.example/cn=CA?cACertificate;binary", 64<<10)
//
// [Client.Find] does what the Direct Project asks for: it signs in as nobody, learns
// the server's naming contexts, and looks in each of them for entries whose mail
// is the address or domain, for their userCertificate, and after it for their
// userSMIMECertificate. [Client.Fetch] follows an
// LDAP URL (RFC 4516) as certificates hold them (RFC 5280, sections 4.2.1.13 and
// 4.2.2.1).
//
// A directory is a stranger. No name and no password is ever sent; there is no
// place in this package to put one. A referral is followed once, to the first two
// servers that it names, by the same rules. What is sought is
// escaped (RFC 4515, section 3). Of ldaps the certificate is checked, against the
// host's name. Over ldap, StartTLS is asked for (RFC 4511, section 4.14) and taken with any
// certificate, which keeps out who only listens; whoever can change what is on the line can do
// without, so nothing found here counts for being found. Which addresses may be
// connected to is the caller's to say ([Client.Dial]).
//
// Whatever comes is checked for shape and counted before the library sees it: at most 256
// KiB for Find and the caller's limit for Fetch, on the whole connection, 4,000
// elements, nested 12 deep. At most 8 naming contexts, 16 entries and 16 values
// are looked at; a server that gives fewer at once is asked for more pages (RFC 2696), 4 at most. The time is the context's.
package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	maxAnswer   = 256 << 10 // octets of all answers to Find
	maxContexts = 8
	maxEntries  = 16
	maxValues   = 16
	overhead    = 16 << 10 // what may stand around the values that Fetch wants
)

// Errors that callers tell apart.
var (
	// ErrClosed says that the directory does not answer people who do not sign in.
	ErrClosed = errors.New("directory: it does not answer without a password")
	// ErrElsewhere says that the directory names another one, which is not asked.
	ErrElsewhere = errors.New("directory: it refers to another directory")
	// ErrURL says that a URL is not one that is followed.
	ErrURL = errors.New("directory: not an LDAP URL that is followed")
)

// Client asks directories. It may be used from several goroutines.
type Client struct {
	// Dial connects to host:port, or refuses to.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are whose certificates count for ldaps; nil: those of the system.
	Roots *x509.CertPool
}

// Server is one directory.
type Server struct {
	Address string // host:port
	Name    string // of the host, that its certificate must have; with TLS
	TLS     bool   // ldaps
}

// Find returns the certificates of all entries whose mail is the text, an address
// or a domain, as the directory has them: each a certificate, or a CMS message that
// holds some (userSMIMECertificate, RFC 2798, section 2.8). None is no error.
func (c Client) Find(ctx context.Context, s Server, mail string) ([][]byte, error) {
	conn, done, err := c.open(ctx, s, maxAnswer)
	if err != nil {
		return nil, err
	}
	defer done()
	contexts, err := namingContexts(conn)
	if err != nil {
		return nil, err
	}
	var found [][]byte
	var last error
	for _, base := range contexts {
		entries, err := c.ask(ctx, conn, maxAnswer, query{base: base, scope: ldap.ScopeWholeSubtree,
			filter: "(mail=" + ldap.EscapeFilter(mail) + ")", attributes: []string{"userCertificate;binary", "userCertificate", "userSMIMECertificate;binary", "userSMIMECertificate"}})
		if err != nil {
			last = err // another context may be open to us
			continue
		}
		found = append(found, values(entries, "userCertificate")...)
		found = append(found, values(entries, "userSMIMECertificate")...)
	}
	if len(found) == 0 && last != nil {
		return nil, last
	}
	return found[:min(len(found), maxValues)], nil
}

// open connects and signs in as nobody. done must be called.
func (c Client) open(ctx context.Context, s Server, limit int) (conn *ldap.Conn, done func(), err error) {
	raw, err := c.Dial(ctx, "tcp", s.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to the directory: %w", err)
	}
	if end, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(end); err != nil {
			return nil, nil, errors.Join(err, raw.Close())
		}
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	var line net.Conn
	if s.TLS {
		secure := tls.Client(raw, &tls.Config{ServerName: s.Name, RootCAs: c.Roots, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			stop()
			return nil, nil, errors.Join(fmt.Errorf("connecting to the directory: %w", err), raw.Close())
		}
		line = secure
	} else if line, err = startTLS(ctx, raw); err != nil {
		stop()
		return nil, nil, errors.Join(fmt.Errorf("connecting to the directory: %w", err), raw.Close())
	}
	conn = ldap.NewConn(&checked{Conn: line, left: limit}, line != raw)
	if end, ok := ctx.Deadline(); ok {
		conn.SetTimeout(time.Until(end))
	}
	conn.Start()
	done = func() {
		stop()
		raw.Close() // first, so that nothing waits for an answer
		conn.Close()
	}
	if err := conn.UnauthenticatedBind(""); err != nil {
		done()
		return nil, nil, reason(err)
	}
	return conn, done, nil
}

// namingContexts are the tops of what a server holds (RFC 4512, section 5.1).
func namingContexts(conn *ldap.Conn) ([]string, error) {
	root, err := search(conn, query{scope: ldap.ScopeBaseObject, filter: "(objectClass=*)", attributes: []string{"namingContexts"}})
	if err != nil {
		return nil, err
	}
	var bases []string
	for _, v := range values(root, "namingContexts") {
		bases = append(bases, string(v))
	}
	if len(bases) == 0 {
		bases = []string{""} // it does not say, so all of it
	}
	return bases[:min(len(bases), maxContexts)], nil
}

// query is one search.
type query struct {
	base, filter string
	scope        int
	attributes   []string
}

func search(conn *ldap.Conn, q query) ([]*ldap.Entry, error) {
	r := ldap.NewSearchRequest(q.base, q.scope, ldap.NeverDerefAliases, maxEntries, 0, false, q.filter, q.attributes, nil)
	r.EnforceSizeLimit = true
	got, err := conn.Search(r)
	if got != nil && len(got.Entries) < maxEntries && ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded) {
		if entries, err := pages(conn, r); err == nil {
			return entries, nil
		}
	}
	switch {
	case err == nil && len(got.Entries) == 0 && len(got.Referrals) > 0:
		return nil, &elsewhere{got.Referrals}
	case err == nil:
		return got.Entries, nil
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject):
		return nil, nil
	case got != nil && len(got.Entries) > 0 && (ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || errors.Is(err, ldap.ErrSizeLimitExceeded)):
		return got.Entries, nil // what came is enough
	}
	return nil, reason(err)
}

// reason tells apart what callers do.
func reason(err error) error {
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultOperationsError):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
		return &elsewhere{referrals(err)}
	}
	return fmt.Errorf("asking the directory: %w", err)
}

// values are those of an attribute, with ;binary (RFC 4522) before without.
func values(entries []*ldap.Entry, attribute string) (all [][]byte) {
	var plain [][]byte
	for _, e := range entries {
		for _, a := range e.Attributes {
			name, option, _ := strings.Cut(a.Name, ";")
			switch {
			case !strings.EqualFold(name, attribute):
			case strings.EqualFold(option, "binary"):
				all = append(all, a.ByteValues...)
			default:
				plain = append(plain, a.ByteValues...)
			}
		}
	}
	all = slices.DeleteFunc(append(all, plain...), func(v []byte) bool { return len(v) == 0 })
	return all[:min(len(all), maxValues)]
}
