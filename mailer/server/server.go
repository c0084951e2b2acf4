// Package server answers SMTP and IMAP over a [Store]: the mail server of the demo
// and of tests, on loopback.
//
// SMTP takes mail by submission only: TLS, then sign-in, then from the user's own
// addresses to addresses that the store takes (RFC 6409). IMAP is IMAP4rev1 with
// the extensions that mail programs ask for: UIDPLUS, MOVE, IDLE, NAMESPACE,
// SPECIAL-USE, LIST-EXTENDED, LIST-STATUS, ESEARCH, STATUS=SIZE. The wire is
// go-smtp's and go-imap's; the sessions are ours, because the ones that come with
// go-imap lose messages whose header it cannot parse, lose flags and special uses,
// and hold locks while they write.
//
// What it promises:
//
//   - A message is given as it came: FETCH BODY[] streams the exact bytes, and
//     every section is cut from them by offset, never written anew.
//   - No message can bring it down. Structure comes from mailer/message, within its
//     limits; a message beyond them is one opaque piece.
//   - Bounded: connections, message size, commands (50 KB, go-imap's bound), flags,
//     and in [Memory] messages and bytes.
//   - No password is asked for, or taken, outside TLS.
//
// The folders of a mailbox are the store's: CREATE, DELETE and RENAME are refused.
// Not here: CONDSTORE, BINARY, SEARCH in decoded text, delivery from elsewhere.
package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-smtp"
)

const (
	defaultMaxMessage = 128 << 20
	maxConnections    = 64 // for each of SMTP and IMAP
	maxRecipients     = 100
	maxLine           = 4000 // bytes; RFC 5321 asks for 1,000
	firstWord         = 30 * time.Second
	smtpSilence       = 5 * time.Minute
)

// Options is what a server stands on.
type Options struct {
	Store       Store
	Certificate tls.Certificate
	StartTLS    bool         // TLS by STARTTLS instead of from the first byte
	MaxMessage  int64        // bytes of one message; 0 means 128 MiB
	Log         *slog.Logger // nil: silent. It hears of faults, never of content.
}

// Server is a running pair of an SMTP and an IMAP server.
type Server struct {
	SMTP, IMAP net.Addr // on 127.0.0.1

	smtp    *smtp.Server
	imap    *imapserver.Server
	running sync.WaitGroup
}

// Listen starts both servers on free ports of 127.0.0.1.
func Listen(o Options) (*Server, error) {
	if o.MaxMessage <= 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	config := &tls.Config{Certificates: []tls.Certificate{o.Certificate}, MinVersion: tls.VersionTLS12}
	lines := [2]net.Listener{}
	for i := range lines {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			if i > 0 {
				lines[0].Close()
			}
			return nil, fmt.Errorf("listening for mail programs: %w", err)
		}
		lines[i] = &listener{Listener: l, places: make(chan struct{}, maxConnections)}
	}
	s := &Server{SMTP: lines[0].Addr(), IMAP: lines[1].Addr(), smtp: o.smtpServer(config), imap: o.imapServer(config)}
	if !o.StartTLS {
		lines[0], lines[1] = tls.NewListener(lines[0], config), tls.NewListener(lines[1], config)
	}
	s.running.Go(func() { s.smtp.Serve(lines[0]) })
	s.running.Go(func() { s.imap.Serve(lines[1]) })
	return s, nil
}

// Close ends both servers and cuts every connection.
func (s *Server) Close() error {
	err := errors.Join(s.smtp.Close(), s.imap.Close())
	s.running.Wait()
	return err
}

func (o Options) smtpServer(config *tls.Config) *smtp.Server {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &submission{store: o.Store}, nil
	}))
	s.Domain = "localhost"
	s.TLSConfig = config
	s.MaxMessageBytes = o.MaxMessage
	s.MaxRecipients = maxRecipients
	s.MaxLineLength = maxLine
	s.ReadTimeout, s.WriteTimeout = smtpSilence, smtpSilence
	s.EnableSMTPUTF8 = true
	s.ErrorLog = faults{o.Log}
	return s
}

func (o Options) imapServer(config *tls.Config) *imapserver.Server {
	caps := imap.CapSet{}
	for _, c := range []imap.Cap{
		imap.CapIMAP4rev1, imap.CapNamespace, imap.CapUIDPlus, imap.CapMove, imap.CapSpecialUse,
		imap.CapListExtended, imap.CapListStatus, imap.CapESearch, imap.CapStatusSize, imap.CapChildren,
	} {
		caps[c] = struct{}{}
	}
	return imapserver.New(&imapserver.Options{
		NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &session{store: o.Store, conn: c, limit: o.MaxMessage}, nil, nil
		},
		Caps:      caps,
		Logger:    faults{o.Log},
		TLSConfig: config,
	})
}

// listener bounds the number of connections, and the time until the first word on
// each: the libraries begin to count only after the TLS handshake.
type listener struct {
	net.Listener
	places chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			c.SetDeadline(time.Now().Add(firstWord))
			return &placed{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			c.Close()
		}
	}
}

type placed struct {
	net.Conn
	leave func()
}

func (c *placed) Close() error {
	c.leave()
	return c.Conn.Close()
}

// faults is a log as the libraries want it.
type faults struct{ log *slog.Logger }

func (f faults) Printf(format string, v ...any) {
	f.log.Warn("mail server: " + fmt.Sprintf(format, v...))
}
func (f faults) Println(v ...any) { f.log.Warn("mail server: " + fmt.Sprint(v...)) }
