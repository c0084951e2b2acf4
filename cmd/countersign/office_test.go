package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server"
	"countersign/tray/demo/authority"
)

const mailPassword = "only-for-the-stories"

// office is the mail server of one story, and what went through it.
type office struct {
	smtp, imap int
	store      *server.Memory
	srv        *server.Server

	mu     sync.Mutex
	parcel [][]byte
}

func openOffice(_ context.Context, ca *authority.Authority) (*office, error) {
	certificate, err := ca.Server()
	if err != nil {
		return nil, err
	}
	o := &office{store: server.NewMemory()}
	o.store.Observe = func(_ string, _ []string, raw []byte) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.parcel = append(o.parcel, bytes.Clone(raw))
	}
	for _, who := range people {
		o.store.Add(who.address, mailPassword)
	}
	if o.srv, err = server.Listen(server.Options{Store: o.store, Certificate: certificate}); err != nil {
		return nil, err
	}
	o.smtp, o.imap = o.srv.SMTP.(*net.TCPAddr).Port, o.srv.IMAP.(*net.TCPAddr).Port
	return o, nil
}

func (o *office) close() { o.srv.Close() }

func (o *office) deliver(from string, to []string, raw []byte) error {
	return o.store.Deliver(from, to, bytes.NewReader(raw))
}

// taken is the nth message that went through, from 0; counted back if negative.
func (o *office) taken(n int) ([]byte, error) {
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

func compile(ts *testscript.TestScript, expr string) *regexp.Regexp {
	re, err := regexp.Compile("(?s)" + expr)
	ts.Check(err)
	return re
}
