package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server"
	"countersign/mailer/server/servertest"
	"countersign/tray/demo/authority"
)

// office is the mail server of one story.
type office interface {
	smtp() int // ports on localhost
	imap() int
	roots() []byte
	domain(wanted string) string // the domain that it has for an address
	password(address string) string
	deliver(from string, to []string, raw []byte) error
	// taken is the nth message that went through, from 0; counted back if negative.
	taken(n int) ([]byte, error)
	// full makes the server take nothing for now, or take mail again.
	full(bool) error
	close()
}

// embedded is our own server.
type embedded struct {
	ca    *authority.Authority
	store *server.Memory
	srv   *server.Server
	shut  atomic.Bool

	mu     sync.Mutex
	parcel [][]byte
}

const mailPassword = "only-for-the-stories"

func openEmbedded(ca *authority.Authority) (*embedded, error) {
	certificate, err := ca.Server()
	if err != nil {
		return nil, err
	}
	o := &embedded{ca: ca, store: server.NewMemory()}
	o.store.Observe = func(_ string, _ []string, raw []byte) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.parcel = append(o.parcel, bytes.Clone(raw))
	}
	for _, who := range people {
		o.store.Add(who.local+"@"+who.domain, mailPassword)
	}
	o.srv, err = server.Listen(server.Options{Store: shutter{o.store, &o.shut}, Certificate: certificate})
	return o, err
}

// shutter is a store that can be full for a while.
type shutter struct {
	server.Store
	shut *atomic.Bool
}

func (s shutter) Deliver(from string, to []string, r io.Reader) error {
	if s.shut.Load() {
		return server.ErrFull
	}
	return s.Store.Deliver(from, to, r)
}

func (o *embedded) full(shut bool) error { o.shut.Store(shut); return nil }

func (o *embedded) smtp() int                   { return o.srv.SMTP.(*net.TCPAddr).Port }
func (o *embedded) imap() int                   { return o.srv.IMAP.(*net.TCPAddr).Port }
func (o *embedded) roots() []byte               { return o.ca.RootPEM() }
func (o *embedded) domain(wanted string) string { return wanted }
func (o *embedded) password(string) string      { return mailPassword }
func (o *embedded) close()                      { o.srv.Close() }

func (o *embedded) deliver(from string, to []string, raw []byte) error {
	return o.store.Deliver(from, to, bytes.NewReader(raw))
}

// seen is how many messages of an inbox the server knows as read.
func (o *embedded) seen(address string) (n int, err error) {
	box, err := o.store.SignIn(address, mailPassword)
	if err != nil {
		return 0, err
	}
	v, err := box.View("INBOX")
	for _, m := range v.Messages {
		if slices.Contains(m.Flags, `\Seen`) {
			n++
		}
	}
	return n, err
}

func (o *embedded) taken(n int) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n < 0 {
		n += len(o.parcel)
	}
	if n < 0 || n >= len(o.parcel) {
		return nil, fmt.Errorf("only %d messages went over the wire", len(o.parcel))
	}
	return o.parcel[n], nil
}

// pair is Dovecot and Postfix, which have one domain.
type pair struct{ *servertest.Pair }

func openPair(t *testing.T) pair {
	var addresses []string
	for _, name := range []string{"ada", "bea", "imran"} {
		addresses = append(addresses, people[name].local+"@mail.test")
	}
	return pair{servertest.Start(t, addresses...)}
}

func (p pair) smtp() int                      { return servertest.Port(p.SMTPAddr) }
func (p pair) imap() int                      { return servertest.Port(p.IMAPAddr) }
func (p pair) roots() []byte                  { return []byte(p.CAPEM) }
func (p pair) domain(string) string           { return p.Domain }
func (p pair) password(address string) string { return p.Users[address] }
func (p pair) full(bool) error                { return errors.New("postfix is never full here") }
func (p pair) close()                         {} // with the test

func (p pair) deliver(from string, to []string, raw []byte) error {
	c, err := smtp.Dial(p.MXAddr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, address := range to {
		if err := c.Rcpt(address); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.Quit())
}

func (p pair) taken(int) ([]byte, error) {
	return nil, fmt.Errorf("what goes through Postfix is not watched: use mail raw")
}

func compile(ts *testscript.TestScript, expr string) *regexp.Regexp {
	re, err := regexp.Compile("(?s)" + expr)
	ts.Check(err)
	return re
}
