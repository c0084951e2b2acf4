// Package directorytest gives tests an LDAP directory of their own: entries, and a
// server on loopback that knows bind, search by equality or presence, and unbind
// (RFC 4511). It is written from the server's side and shares nothing with what
// asks it.
package directorytest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Entry is one entry. The values of mail are found without regard to case.
type Entry struct {
	DN         string
	Attributes map[string][]string // with options: userCertificate;binary
}

// Server answers from its entries. Its fields are set before it is started.
type Server struct {
	Contexts []string // namingContexts; none: the server does not say
	Entries  []Entry
	Bind     byte        // the result code of a bind; 0: anybody may
	Refer    string      // an LDAP URL that it answers every search below the root with
	Answer   []byte      // what it sends instead of an answer to any search
	Silent   bool        // it takes questions and never answers
	TLS      *tls.Config // ldaps
	StartTLS *tls.Config // for those who ask; nil: refused
	Most     int         // entries of one answer, unless they are asked for by the page; 0: all

	mu      sync.Mutex
	asked   []string
	binds   []string
	secured int
}

// Asked lists the searches so far: base, a space, attribute=value.
func (s *Server) Asked() []string { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.asked) }

// Binds lists the names and passwords that were sent, with a slash between.
func (s *Server) Binds() []string { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.binds) }

// Secured counts the connections that were encrypted by StartTLS.
func (s *Server) Secured() int { s.mu.Lock(); defer s.mu.Unlock(); return s.secured }

// Start serves until the test ends and returns host:port.
func (s *Server) Start(t testing.TB) string {
	t.Helper()
	return s.StartAt(t, "127.0.0.1:0")
}

// StartAt is Start at an address.
func (s *Server) StartAt(t testing.TB, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	address = l.Addr().String()
	if s.TLS != nil {
		l = tls.NewListener(l, s.TLS)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return address
}

func (s *Server) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		message, err := read(in)
		if err != nil {
			return
		}
		var whole, op cryptobyte.String
		var id int64
		var tag asn1.Tag
		m := cryptobyte.String(message)
		if !m.ReadASN1(&whole, asn1.SEQUENCE) || !whole.ReadASN1Integer(&id) || !whole.ReadAnyASN1(&op, &tag) {
			return
		}
		if s.Silent {
			continue
		}
		if tag == extended && s.StartTLS != nil {
			if _, err := conn.Write(result(id, extendedResponse, 0, "")); err != nil {
				return
			}
			conn = tls.Server(conn, s.StartTLS)
			in = bufio.NewReader(conn)
			s.mu.Lock()
			s.secured++
			s.mu.Unlock()
			continue
		}
		for _, answer := range s.answer(id, tag, op, whole) {
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}
}

// read reads one message, as our own side writes them.
func read(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	size := 2 + int(head[1])
	if more := int(head[1]) - 0x80; more > 0 {
		if head, err = in.Peek(2 + more); err != nil {
			return nil, err
		}
		size = 0
		for _, o := range head[2:] {
			size = size<<8 | int(o)
		}
		size += 2 + more
	}
	message := make([]byte, size)
	_, err = io.ReadFull(in, message)
	return message, err
}

const (
	bindRequest   = asn1.Tag(0x60)
	bindResponse  = asn1.Tag(0x61)
	searchRequest = asn1.Tag(0x63)
	searchEntry   = asn1.Tag(0x64)
	searchDone    = asn1.Tag(0x65)
	searchRefer   = asn1.Tag(0x73)

	extended         = asn1.Tag(0x77)
	extendedResponse = asn1.Tag(0x78)
)

func (s *Server) answer(id int64, tag asn1.Tag, op, controls cryptobyte.String) [][]byte {
	switch tag {
	case bindRequest:
		var version int64
		var name, password cryptobyte.String
		if !op.ReadASN1Integer(&version) || !op.ReadASN1(&name, asn1.OCTET_STRING) || !op.ReadASN1(&password, asn1.Tag(0).ContextSpecific()) {
			return nil
		}
		s.mu.Lock()
		s.binds = append(s.binds, string(name)+"/"+string(password))
		s.mu.Unlock()
		return [][]byte{result(id, bindResponse, s.Bind, "")}
	case searchRequest:
		return s.search(id, op, controls)
	case extended:
		return [][]byte{result(id, extendedResponse, 2, "")} // protocolError: it knows none
	}
	return nil
}

func (s *Server) search(id int64, op, controls cryptobyte.String) (answers [][]byte) {
	var base, filter, attribute, value cryptobyte.String
	var scope, deref int
	var size, patience int64
	var typesOnly bool
	var kind asn1.Tag
	if !op.ReadASN1(&base, asn1.OCTET_STRING) || !op.ReadASN1Enum(&scope) || !op.ReadASN1Enum(&deref) || !op.ReadASN1Integer(&size) ||
		!op.ReadASN1Integer(&patience) || !op.ReadASN1Boolean(&typesOnly) || !op.ReadAnyASN1(&filter, &kind) {
		return nil
	}
	switch kind {
	case 0x87:
		attribute, value = filter, nil // present
	case 0xa3:
		if !filter.ReadASN1(&attribute, asn1.OCTET_STRING) || !filter.ReadASN1(&value, asn1.OCTET_STRING) {
			return nil
		}
	}
	s.mu.Lock()
	s.asked = append(s.asked, string(base)+" "+string(attribute)+"="+string(value))
	s.mu.Unlock()
	switch {
	case len(base) == 0 && scope == 0:
		root := Entry{Attributes: map[string][]string{}}
		if len(s.Contexts) > 0 {
			root.Attributes["namingContexts"] = s.Contexts
		}
		return [][]byte{entry(id, root), result(id, searchDone, 0, "")}
	case s.Answer != nil:
		return [][]byte{s.Answer}
	case s.Refer != "":
		return [][]byte{refer(id, s.Refer), result(id, searchDone, 10, s.Refer)}
	}
	for _, e := range s.Entries {
		below := strings.HasSuffix(strings.ToLower(e.DN), strings.ToLower(string(base)))
		if scope == 0 {
			below = strings.EqualFold(e.DN, string(base))
		}
		if below && (kind == 0x87 || e.has(string(attribute), string(value))) {
			answers = append(answers, entry(id, e))
		}
	}
	if s.Most > 0 && len(answers) > s.Most {
		return s.some(id, answers, controls)
	}
	return append(answers, result(id, searchDone, 0, ""))
}

// some is a page of answers, or as many as there may be (RFC 2696).
func (s *Server) some(id int64, answers [][]byte, controls cryptobyte.String) [][]byte {
	var all, control, kind, value, page, cookie cryptobyte.String
	var size int
	if !controls.ReadASN1(&all, asn1.Tag(0).ContextSpecific().Constructed()) || !all.ReadASN1(&control, asn1.SEQUENCE) ||
		!control.ReadASN1(&kind, asn1.OCTET_STRING) || control.PeekASN1Tag(asn1.BOOLEAN) && !control.SkipASN1(asn1.BOOLEAN) ||
		!control.ReadASN1(&value, asn1.OCTET_STRING) || !value.ReadASN1(&page, asn1.SEQUENCE) || !page.ReadASN1Integer(&size) || !page.ReadASN1(&cookie, asn1.OCTET_STRING) {
		return append(answers[:s.Most:s.Most], result(id, searchDone, 4, ""))
	}
	from := 0
	if len(cookie) > 0 {
		from = int(cookie[0])
	}
	to, next := min(from+min(size, s.Most), len(answers)), ""
	if to < len(answers) {
		next = string([]byte{byte(to)})
	}
	done := message(id, func(b *cryptobyte.Builder) {
		b.AddASN1(searchDone, func(b *cryptobyte.Builder) {
			b.AddASN1Enum(0)
			text(b, "")
			text(b, "")
		})
		b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				text(b, string(kind))
				b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(0)
						text(b, next)
					})
				})
			})
		})
	})
	return append(answers[from:to:to], done)
}

func (e Entry) has(attribute, value string) bool {
	for _, v := range e.Attributes[attribute] {
		if strings.EqualFold(v, value) {
			return true
		}
	}
	return false
}

// message frames an operation.
func message(id int64, op func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(id)
		op(b)
	})
	return bytes.Clone(b.BytesOrPanic())
}

func text(b *cryptobyte.Builder, s string) {
	b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
}

func result(id int64, tag asn1.Tag, code byte, referral string) []byte {
	return message(id, func(b *cryptobyte.Builder) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			b.AddASN1Enum(int64(code))
			text(b, "")
			text(b, "")
			if referral != "" {
				b.AddASN1(asn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { text(b, referral) })
			}
		})
	})
}

func refer(id int64, to string) []byte {
	return message(id, func(b *cryptobyte.Builder) {
		b.AddASN1(searchRefer, func(b *cryptobyte.Builder) { text(b, to) })
	})
}

func entry(id int64, e Entry) []byte {
	return message(id, func(b *cryptobyte.Builder) {
		b.AddASN1(searchEntry, func(b *cryptobyte.Builder) {
			text(b, e.DN)
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for name, values := range e.Attributes {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						text(b, name)
						b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
							for _, v := range values {
								text(b, v)
							}
						})
					})
				}
			})
		})
	})
}
