package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is what went wrong, for a program to choose by.
type Kind string

const (
	Unreachable   Kind = "unreachable"    // no such host, refused, or no answer
	NoTLS         Kind = "no-tls"         // the server does not offer a protected connection
	Certificate   Kind = "certificate"    // not valid for the name, expired, or from an unknown authority
	SignIn        Kind = "sign-in"        // user name or password not accepted
	NoSignIn      Kind = "no-sign-in"     // no way of signing in with a password is offered
	Refused       Kind = "refused"        // the server said no, or not now
	TooLarge      Kind = "too-large"      // the message is larger than the server takes
	Interrupted   Kind = "interrupted"    // the connection broke or went silent
	NotUnderstood Kind = "not-understood" // the server broke the protocol, or flooded
	Stopped       Kind = "stopped"        // the caller's context ended
	Misused       Kind = "misused"        // the order itself is wrong: a bad address, no Door, other bytes
)

// Error is why a conversation with a mail server came to nothing.
type Error struct {
	Kind      Kind
	Permanent bool   // this message can never go this way; trying again is useless
	Uncertain bool   // the message was handed over, and the server's answer was lost: it may have gone
	Code      int    // the SMTP reply code, if there was one
	Says      string // one plain sentence or two, for a person
	Err       error  // the cause, for a log; never shown
}

// Error returns the sentence and its cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return "transport: " + e.Says
	}
	return "transport: " + e.Says + " (" + printable(e.Err.Error(), 300) + ")"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// errFlood ends a conversation in which the server says more than was asked.
var errFlood = errors.New("transport: the server sent more than it was asked for")

func fail(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Err: cause, Says: fmt.Sprintf(format, args...)}
}

// broken names the failure of a connection that had been open. A cause that is
// already an *Error is returned as it is.
func broken(ctx context.Context, host string, cause error) *Error {
	var known *Error
	switch {
	case errors.As(cause, &known):
		return known
	case ctx.Err() != nil:
		return stopped(ctx, host)
	case errors.Is(cause, errFlood):
		return fail(NotUnderstood, cause, "%s sent more than it was asked for, so the connection was closed.", host)
	case errors.Is(cause, os.ErrDeadlineExceeded):
		return fail(Interrupted, cause, "%s stopped answering.", host)
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF), errors.Is(cause, net.ErrClosed), isNet(cause):
		return fail(Interrupted, cause, "The connection to %s broke off.", host)
	}
	return fail(NotUnderstood, cause, "%s answered something that cannot be understood.", host)
}

func stopped(ctx context.Context, host string) *Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fail(Stopped, ctx.Err(), "There was not enough time to finish with %s.", host)
	}
	return fail(Stopped, ctx.Err(), "The work with %s was stopped.", host)
}

func isNet(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}

// unreached names the failure to connect.
func unreached(ctx context.Context, s Server, cause error) *Error {
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil:
		return stopped(ctx, s.Host)
	case errors.As(cause, &dns) && dns.IsNotFound:
		return fail(Unreachable, cause, "There is no server by the name %s.", s.Host)
	case errors.As(cause, &dns):
		return fail(Unreachable, cause, "The name %s could not be looked up. Is this computer connected to the network?", s.Host)
	case isTimeout(cause):
		return fail(Unreachable, cause, "%s did not answer on port %d.", s.Host, s.Port)
	}
	return fail(Unreachable, cause, "%s cannot be reached on port %d.", s.Host, s.Port)
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// untrusted names the failure to agree on TLS.
func untrusted(ctx context.Context, s Server, cause error) *Error {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		roots   x509.SystemRootsError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case ctx.Err() != nil:
		return stopped(ctx, s.Host)
	case errors.As(cause, &name):
		return fail(Certificate, cause, "The certificate of the server is not valid for the name %s.", s.Host)
	case errors.As(cause, &unknown), errors.As(cause, &roots):
		return fail(Certificate, cause, "The certificate of %s was issued by an authority that this computer does not know.", s.Host)
	case errors.As(cause, &invalid) && invalid.Reason == x509.Expired:
		return fail(Certificate, cause, "The certificate of %s is expired or not yet valid.", s.Host)
	case errors.As(cause, &invalid):
		return fail(Certificate, cause, "The certificate of %s is not valid.", s.Host)
	case errors.As(cause, &record):
		return fail(NoTLS, cause, "%s does not begin with a protected connection on port %d.", s.Host, s.Port)
	case isTimeout(cause):
		return fail(Interrupted, cause, "%s stopped answering.", s.Host)
	case errors.As(cause, &alert), strings.Contains(cause.Error(), "tls: "):
		return fail(NoTLS, cause, "%s and this computer could not agree on a protected connection.", s.Host)
	}
	return fail(Interrupted, cause, "The connection to %s broke off.", s.Host)
}

const quoteRunes = 160

// quote returns a server's own words as a sentence to set after ours, or
// nothing.
func quote(words string) string {
	if words = printable(words, quoteRunes); words == "" {
		return ""
	}
	return " It said: “" + words + "”."
}

// printable bounds hostile text to n runes of one line: no control characters, no
// invisible or direction-changing ones, no quotation marks of ours, single spaces.
func printable(s string, n int) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs):
			continue
		case r == '“' || r == '”':
			r = '"'
		}
		if space {
			b.WriteByte(' ')
			space = false
			n--
		}
		if n--; n < 0 {
			b.WriteString(" …")
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), ".")
}
