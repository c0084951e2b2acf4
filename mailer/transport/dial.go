package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// protocol is the little that SMTP and IMAP differ in before TLS.
type protocol struct {
	name     string
	startTLS func(plain) error
	greeting string // what the library waits for, and a server does not say again after STARTTLS
}

// clientName is how we introduce ourselves: an address literal, since a server of
// submission has no use for this machine's name, and neither has anyone else.
const clientName = "[127.0.0.1]"

var (
	smtpProtocol = protocol{"smtp", smtpStartTLS, "220 -\r\n"}
	imapProtocol = protocol{"imap", imapStartTLS, "* OK -\r\n"}
)

// dial connects and agrees on TLS. On success the peer's certificate is valid for
// the server's name and nothing but TLS records passes the line.
func (d Dialer) dial(ctx context.Context, s Server, p protocol) (*conn, error) {
	config, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, or(d.Connect, defaultConnect), errSlow)
	defer cancel()
	connect := d.DialContext
	if connect == nil {
		connect = (&net.Dialer{}).DialContext
	}
	raw, err := connect(ctx, "tcp", s.Address())
	if err != nil {
		return nil, slow(ctx, s, unreached(ctx, s, err))
	}
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	c, err := secure(ctx, raw, s, p, config)
	if err == nil && !stop() {
		err = stopped(ctx, s.Host)
	}
	if err != nil {
		stop()
		raw.Close()
		return nil, slow(ctx, s, broken(ctx, s.Host, err))
	}
	return c, nil
}

// errSlow tells our own time-out from the caller's.
var errSlow = errors.New("transport: the time to connect is over")

func slow(ctx context.Context, s Server, err *Error) error {
	if context.Cause(ctx) == errSlow {
		return fail(Unreachable, errSlow, "%s did not answer on port %d.", s.Host, s.Port)
	}
	return err
}

// secure puts TLS on a fresh connection, after STARTTLS where that is the way.
func secure(ctx context.Context, raw net.Conn, s Server, p protocol, config *tls.Config) (*conn, error) {
	c := &conn{}
	if s.Security == StartTLS {
		if err := p.startTLS(plain{raw, s.Host}); err != nil {
			return nil, err
		}
		c.greeting = []byte(p.greeting)
	}
	t := tls.Client(raw, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, untrusted(ctx, s, err)
	}
	c.Conn = t
	return c, nil
}

func (s Server) tlsConfig() (*tls.Config, error) {
	switch {
	case s.Host == "" || strings.ContainsFunc(s.Host, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, fail(Misused, nil, "The server has no usable name.")
	case s.Port < 1 || s.Port > 65535:
		return nil, fail(Misused, nil, "%d is not a port number.", s.Port)
	case s.Security != "" && s.Security != Implicit && s.Security != StartTLS:
		return nil, fail(Misused, nil, "%q is not a way to begin a protected connection.", s.Security)
	}
	config := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if s.RootsPEM == "" {
		return config, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a system without authorities of its own
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM([]byte(s.RootsPEM)) {
		return nil, fail(Misused, nil, "The authority given for %s is not a certificate.", s.Host)
	}
	config.RootCAs = roots
	return config, nil
}

// plain is a connection before TLS. It reads a byte at a time and so never
// beyond the reply that ends the dialogue: what a server, or somebody between,
// says in the clear after that reply reaches the TLS handshake and fails there.
type plain struct {
	net.Conn
	host string
}

const (
	plainLine  = 2000
	plainLines = 100
)

func (p plain) line() (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < plainLine; {
		if _, err := io.ReadFull(p, b); err != nil {
			if isTimeout(err) {
				return "", err
			}
			return "", fail(Interrupted, err, "The connection to %s broke off.", p.host)
		}
		if b[0] == '\n' {
			return strings.TrimRight(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
	return "", p.odd(string(line))
}

func (p plain) odd(line string) error {
	return fail(NotUnderstood, nil, "%s answered something that cannot be understood.%s", p.host, quote(line))
}

func (p plain) none(line string) error {
	return fail(NoTLS, nil, "%s does not offer a protected connection, so nothing was said to it.%s", p.host, quote(line))
}

// smtpStartTLS is RFC 3207 up to the handshake.
func smtpStartTLS(p plain) error {
	code, words, err := p.smtp("")
	if err == nil && code == "220" {
		code, words, err = p.smtp("EHLO " + clientName)
	}
	switch {
	case err != nil:
		return err
	case code != "250":
		return fail(Refused, nil, "%s does not want to talk now.%s", p.host, quote(words))
	case !strings.Contains(strings.ToUpper(words)+"\n", "\nSTARTTLS\n"):
		return p.none("")
	}
	code, words, err = p.smtp("STARTTLS")
	switch {
	case err != nil:
		return err
	case code[0] == '4':
		return fail(Refused, nil, "%s cannot begin a protected connection now.%s", p.host, quote(words))
	case code != "220":
		return p.none(words)
	}
	return nil
}

// smtp says a command, if there is one, and returns the code and the lines of the
// reply.
func (p plain) smtp(command string) (code, words string, err error) {
	if command != "" {
		if _, err := io.WriteString(p, command+"\r\n"); err != nil {
			return "", "", err
		}
	}
	for range plainLines {
		line, err := p.line()
		if err != nil {
			return "", "", err
		}
		if len(line) == 3 {
			line += " "
		}
		if len(line) < 4 || line[0] < '2' || line[0] > '5' || line[3] != ' ' && line[3] != '-' {
			return "", "", p.odd(line)
		}
		words += strings.TrimRight(line[4:], " ")
		if line[3] == ' ' {
			return line[:3], words, nil
		}
		words += "\n"
	}
	return "", "", p.odd("")
}

// imapStartTLS is RFC 9051, section 6.2.1. A server that says PREAUTH would leave no
// place for STARTTLS, so it is refused (RFC 9051, section 7.1.4).
func imapStartTLS(p plain) error {
	line, err := p.line()
	if err != nil {
		return err
	}
	switch upper := strings.ToUpper(line); {
	case strings.HasPrefix(upper, "* BYE"):
		return fail(Refused, nil, "%s does not want to talk now.%s", p.host, quote(line[5:]))
	case strings.HasPrefix(upper, "* PREAUTH"):
		return p.none("")
	case !strings.HasPrefix(upper, "* OK"):
		return p.odd(line)
	}
	if _, err := io.WriteString(p, "S STARTTLS\r\n"); err != nil {
		return err
	}
	for range plainLines {
		line, err := p.line()
		if err != nil {
			return err
		}
		switch upper := strings.ToUpper(line); {
		case strings.HasPrefix(line, "* "):
		case strings.HasPrefix(upper, "S OK"):
			return nil
		case strings.HasPrefix(upper, "S NO"), strings.HasPrefix(upper, "S BAD"):
			_, words, _ := strings.Cut(line[2:], " ")
			return p.none(words)
		default:
			return p.odd(line)
		}
	}
	return p.odd("")
}
