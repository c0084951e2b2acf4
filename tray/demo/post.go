package demo

import (
	"bytes"
	"context"
	"net"

	"countersign/mailer/server"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
)

// post is the mail server between the two.
type post struct {
	smtp, imap int // ports on loopback
	password   string
	roots      []byte
}

// startMail starts the server, with a mailbox for each, until ctx ends.
func (s *stage) startMail(ctx context.Context, ca *authority.Authority) (post, error) {
	certificate, err := ca.Server()
	if err != nil {
		return post{}, err
	}
	p := post{password: control.NewID(), roots: ca.RootPEM()}
	store := server.NewMemory()
	store.Observe = s.wire.observe
	store.Add(s.ada.Address, p.password)
	store.Add(s.bea.Address, p.password)
	s.deliver = func(from string, to []string, raw []byte) error {
		return store.Deliver(from, to, bytes.NewReader(raw))
	}
	srv, err := server.Listen(server.Options{Store: store, Certificate: certificate})
	if err != nil {
		return post{}, err
	}
	context.AfterFunc(ctx, func() { srv.Close() })
	p.smtp, p.imap = srv.SMTP.(*net.TCPAddr).Port, srv.IMAP.(*net.TCPAddr).Port
	return p, nil
}

// account is the mailbox of one address there.
func (p post) account(address string) control.NewAccount {
	return control.NewAccount{
		Account: control.Account{
			Address: address,
			IMAP:    control.Server{Host: "localhost", Port: p.imap, TLS: "implicit"},
			SMTP:    control.Server{Host: "localhost", Port: p.smtp, TLS: "implicit"},
		},
		User: address, Password: p.password, Confirmed: true, RootsPEM: string(p.roots),
	}
}
