package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const (
	maxReferred = 2       // servers of one referral that are asked
	maxPages    = 4       // of one search
	maxStart    = 4 << 10 // octets of an answer to StartTLS
)

// startRequest is the extended operation 1.3.6.1.4.1.1466.20037 as message 1.
var startRequest = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

// startTLS asks for encryption and returns the line to go on with: the same where the
// server has none. It is done before the library has the line, so that what comes through
// TLS is checked for shape as everything is.
func startTLS(ctx context.Context, line net.Conn) (net.Conn, error) {
	if _, err := line.Write([]byte(startRequest)); err != nil {
		return nil, err
	}
	answer, err := readMessage(line, maxStart)
	if err != nil {
		return nil, err
	}
	in := cryptobyte.String(answer)
	var whole, op cryptobyte.String
	var id, result int
	if !in.ReadASN1(&whole, asn1.SEQUENCE) || !whole.ReadASN1Integer(&id) || id != 1 ||
		!whole.ReadASN1(&op, asn1.Tag(24|0x60)) || !op.ReadASN1Enum(&result) {
		return nil, errMessage
	}
	if result != 0 {
		return line, nil
	}
	secure := tls.Client(line, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // nobody is believed for it
	return secure, secure.HandshakeContext(ctx)
}

// elsewhere is ErrElsewhere with the URLs of where.
type elsewhere struct{ urls []string }

func (e *elsewhere) Error() string { return ErrElsewhere.Error() }
func (e *elsewhere) Unwrap() error { return ErrElsewhere }

// referrals are the URLs in a result that is one (RFC 4511, section 4.1.10).
func referrals(err error) (urls []string) {
	var e *ldap.Error
	if !errors.As(err, &e) || e.Packet == nil || len(e.Packet.Children) < 2 {
		return nil
	}
	for _, field := range e.Packet.Children[1].Children {
		if field.Tag != 3 {
			continue
		}
		for _, u := range field.Children {
			urls = append(urls, string(u.ByteValue))
		}
	}
	return urls
}

// ask searches, and where it is sent elsewhere searches there, once.
func (c Client) ask(ctx context.Context, conn *ldap.Conn, limit int, q query) ([]*ldap.Entry, error) {
	entries, err := search(conn, q)
	var there *elsewhere
	if !errors.As(err, &there) {
		return entries, err
	}
	for _, raw := range there.urls[:min(len(there.urls), maxReferred)] {
		if entries, err := c.askAt(ctx, raw, limit, q); err == nil {
			return entries, nil
		}
	}
	return nil, ErrElsewhere
}

// askAt asks the server of a referral, for the entry that it names if it names one.
func (c Client) askAt(ctx context.Context, raw string, limit int, q query) ([]*ldap.Entry, error) {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL {
		return nil, ErrURL
	}
	s, err := serverOf(u)
	if err != nil {
		return nil, err
	}
	if base := strings.TrimPrefix(u.Path, "/"); base != "" {
		q.base = base
	}
	conn, done, err := c.open(ctx, s, limit)
	if err != nil {
		return nil, err
	}
	defer done()
	return search(conn, q)
}

// pages searches a page at a time.
func pages(conn *ldap.Conn, r *ldap.SearchRequest) (entries []*ldap.Entry, err error) {
	paging := ldap.NewControlPaging(maxEntries / 4)
	r.Controls, r.SizeLimit = []ldap.Control{paging}, 0
	for range maxPages {
		got, err := conn.Search(r)
		if err != nil {
			return nil, err
		}
		entries = append(entries, got.Entries...)
		next, ok := ldap.FindControl(got.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(next.Cookie) == 0 || len(entries) >= maxEntries {
			break
		}
		paging.SetCookie(next.Cookie)
	}
	return entries[:min(len(entries), maxEntries)], nil
}
