package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// smtpBudget is how much a submission server may say to one command.
const smtpBudget = 64 << 10

// Submitter hands messages to a submission server.
type Submitter struct {
	Dialer

	// Door is the last door. It reads the message as it is about to be sent and
	// returns an error to refuse it; it need not read to the end. Without a Door
	// everything is refused.
	Door func(io.Reader) error
}

// State is where a recipient of a submission stands.
type State string

const (
	Waiting State = "waiting" // not taken; trying again may help
	Sent    State = "sent"    // taken by the server, which is not yet delivered
	Failed  State = "failed"  // refused for good
)

// Recipient is what became of one recipient.
type Recipient struct {
	Address string
	State   State
	Code    int    // the reply code, if the server spoke of this recipient
	Says    string // why it is not Sent, one plain sentence or two
}

// Result is what became of a submission. It names every recipient, in the order
// given, whether or not there was an error.
type Result struct {
	Recipients []Recipient
	Uncertain  bool   // the recipients that wait may have been sent to: the answer was lost
	Words      string // what the server said on taking the message (often its queue's identifier), bounded
}

// Sent reports whether every recipient was sent to.
func (r Result) Sent() bool {
	for _, each := range r.Recipients {
		if each.State != Sent {
			return false
		}
	}
	return len(r.Recipients) > 0
}

// Submit hands one message to the server for the recipients named, in one
// transaction. Those whom the server refuses are told in the Result; the others
// are sent to. The error is an [*Error] and is set only where nobody was sent to
// for a reason that is not a recipient's own; then the recipients wait, or
// failed if it is Permanent.
//
// The message must be lines of at most 998 bytes ended by CRLF (RFC 5321, section
// 4.5.3.1.6), since only such bytes arrive as they were signed.
func (s Submitter) Submit(ctx context.Context, server Server, as Credential, from string, to []string, src Source) (Result, error) {
	result := Result{Recipients: make([]Recipient, len(to))}
	for i, address := range to {
		result.Recipients[i] = Recipient{Address: address, State: Waiting}
	}
	err := s.submit(ctx, server, as, from, &result, src)
	if err == nil {
		return result, nil
	}
	failure := broken(ctx, server.Host, err)
	result.Uncertain = failure.Uncertain
	for i := range result.Recipients {
		r := &result.Recipients[i]
		if r.State == Waiting && r.Says == "" {
			r.Says = failure.Says
			if failure.Permanent {
				r.State = Failed
			}
		}
	}
	return result, failure
}

func (s Submitter) submit(ctx context.Context, server Server, as Credential, from string, result *Result, src Source) error {
	if s.Door == nil {
		return fail(Misused, nil, "Nothing can be sent: no check of outgoing messages is set.")
	}
	if len(result.Recipients) == 0 {
		return fail(Misused, nil, "The message has no recipient.")
	}
	utf8Needed := !ascii(from)
	for _, r := range append([]Recipient{{Address: from}}, result.Recipients...) {
		if !usable(r.Address) {
			failure := fail(Misused, nil, "%s is not an address that mail can be sent to.", printable(r.Address, 100))
			failure.Permanent = true
			return failure
		}
		utf8Needed = utf8Needed || !ascii(r.Address)
	}

	session, err := s.open(ctx, server, as)
	if err != nil {
		return err
	}
	defer session.close()

	letter, err := s.examine(src)
	if err != nil {
		return err
	}
	return session.transact(from, result, letter, utf8Needed)
}

// usable reports whether an address can stand in MAIL or RCPT without changing
// the command. Quoted local parts that hold spaces or angle brackets are refused
// with the rest: nobody has one, and an injected parameter looks like that.
func usable(address string) bool {
	at := strings.LastIndexByte(address, '@')
	return at > 0 && at < len(address)-1 && len(address) <= 320 && utf8.ValidString(address) &&
		!strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' })
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e })
}

// SignIn connects to a submission server, signs in and leaves again.
func (d Dialer) SignIn(ctx context.Context, server Server, as Credential) error {
	session, err := d.open(ctx, server, as)
	if err != nil {
		return broken(ctx, server.Host, err)
	}
	session.close()
	return nil
}

// submission is a session at a submission server that we are signed in to.
type submission struct {
	ctx    context.Context
	d      Dialer
	host   string
	conn   *conn
	client *smtp.Client
	stop   func() bool
	open   bool // within DATA: a QUIT would end the message, and it would be taken
}

func (d Dialer) open(ctx context.Context, server Server, as Credential) (*submission, error) {
	c, err := d.dial(ctx, server, smtpProtocol)
	if err != nil {
		return nil, err
	}
	s := &submission{ctx: ctx, d: d, host: server.Host, conn: c, client: smtp.NewClient(c)}
	// The library's own time-outs are deadlines on conn, which ignores them.
	s.stop = context.AfterFunc(ctx, c.cut)
	s.expect()
	if err := s.client.Hello(clientName); err != nil {
		defer s.close()
		return nil, s.refused(err, "%s does not want to talk now.")
	}
	if err := s.signIn(as); err != nil {
		defer s.close()
		return nil, err
	}
	return s, nil
}

func (s *submission) expect() { s.conn.expect(or(s.d.Reply, defaultSMTPReply), smtpBudget) }

func (s *submission) close() {
	if s.stop() && !s.open { // still whole: take leave, but not for long
		s.conn.expect(or(s.d.Connect, defaultConnect)/10, smtpBudget)
		s.client.Quit()
	}
	s.conn.cut()
}

func (s *submission) signIn(as Credential) error {
	if !secured(s.conn) {
		return fail(NoTLS, nil, "The connection to %s is not protected, so no password was sent.", s.host)
	}
	if err := as.check(); err != nil {
		return err
	}
	var mechanism sasl.Client
	switch {
	case s.client.SupportsAuth(sasl.Plain):
		mechanism = sasl.NewPlainClient("", as.User, string(as.Password))
	case s.client.SupportsAuth(sasl.Login):
		mechanism = &loginClient{user: as.User, password: string(as.Password)}
	default:
		return fail(NoSignIn, nil, "%s offers no way of signing in with a password.", s.host)
	}
	s.expect()
	err := s.client.Auth(mechanism)
	var said *smtp.SMTPError
	if errors.As(err, &said) && said.Code/100 == 5 {
		failure := fail(SignIn, err, "%s did not accept the user name or password.%s", s.host, quote(said.Message))
		failure.Code = said.Code
		return failure
	}
	return s.refused(err, "%s does not accept sign-in now.")
}

// refused turns an error of the library into one of ours: the server's answer by
// its words (format takes the host), anything else as a broken conversation.
func (s *submission) refused(err error, format string) error {
	if err == nil {
		return nil
	}
	var said *smtp.SMTPError
	if !errors.As(err, &said) {
		return broken(s.ctx, s.host, err)
	}
	failure := fail(Refused, err, format+"%s", s.host, quote(said.Message))
	failure.Code = said.Code
	return failure
}

func (s *submission) transact(from string, result *Result, l *letter, utf8Needed bool) error {
	if limit, ok := s.client.MaxMessageSize(); ok && limit > 0 && l.size > int64(limit) {
		failure := fail(TooLarge, nil, "The message is too large: %s takes at most %s.", s.host, megabytes(int64(limit)))
		failure.Permanent = true
		return failure
	}
	if ok, _ := s.client.Extension("SMTPUTF8"); utf8Needed && !ok {
		failure := fail(Refused, nil, "%s cannot send to an address with letters beyond A to Z.", s.host)
		failure.Permanent = true
		return failure
	}
	s.expect()
	if err := s.client.Mail(from, &smtp.MailOptions{Size: l.size, UTF8: utf8Needed}); err != nil {
		return s.verdict(err)
	}
	var taken []*Recipient
	for i := range result.Recipients {
		r := &result.Recipients[i]
		s.expect()
		err := s.client.Rcpt(r.Address, nil)
		var said *smtp.SMTPError
		switch {
		case err == nil:
			taken = append(taken, r)
		case errors.As(err, &said) && said.Code != 421:
			r.State, r.Code, r.Says = stateOf(said), said.Code, aboutRecipient(s.host, said)
		default:
			return s.refused(err, "%s had to stop.")
		}
	}
	if len(taken) == 0 {
		return nil
	}
	words, err := s.data(l)
	if err != nil {
		return err
	}
	result.Words = printable(words, quoteRunes)
	for _, r := range taken {
		r.State = Sent
	}
	return nil
}

// data streams the message. Its end is said only if these were the bytes that
// the door saw.
func (s *submission) data(l *letter) (words string, err error) {
	s.expect()
	w, err := s.client.Data()
	if err != nil {
		return "", s.verdict(err)
	}
	s.open = true
	if err := l.send(w); err != nil {
		return "", err
	}
	if s.ctx.Err() != nil { // the last moment at which nothing has been sent
		return "", stopped(s.ctx, s.host)
	}
	s.conn.expect(or(s.d.Final, defaultFinal), smtpBudget)
	response, err := w.CloseWithResponse()
	s.open = false
	if err == nil {
		return response.StatusText, nil
	}
	failure := broken(s.ctx, s.host, s.verdict(err))
	var said *smtp.SMTPError
	if !errors.As(err, &said) {
		failure.Uncertain = true
		failure.Says = fmt.Sprintf("The message was handed to %s, but the connection was lost before it answered. It may have been sent.", s.host)
	}
	return "", failure
}

// verdict names a refusal of the message as a whole. It is permanent where the
// server says so of this message; what it says of the sender's standing with it
// (sign-in, its own state) is not.
func (s *submission) verdict(err error) error {
	var said *smtp.SMTPError
	if !errors.As(err, &said) {
		return broken(s.ctx, s.host, err)
	}
	failure := fail(Refused, err, "%s%s", aboutMessage(s.host, said), quote(said.Message))
	failure.Code = said.Code
	failure.Permanent = said.Code/100 == 5
	switch said.Code {
	case 530, 534, 535, 538:
		failure.Kind, failure.Permanent = SignIn, false
	case 552:
		failure.Kind = TooLarge
	}
	return failure
}

// stateOf reads a refusal of RCPT. A bare 552 means too many recipients at once, and
// is not meant for good (RFC 5321, section 4.5.3.1.10).
func stateOf(said *smtp.SMTPError) State {
	tooMany := said.Code == 552 && (said.EnhancedCode[0] == 0 || said.EnhancedCode == smtp.EnhancedCode{5, 5, 3})
	if said.Code/100 == 5 && !tooMany {
		return Failed
	}
	return Waiting
}

func secured(c *conn) bool {
	t, ok := c.Conn.(*tls.Conn)
	return ok && t.ConnectionState().HandshakeComplete
}

func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KB", max(1, n>>10))
	}
	return fmt.Sprintf("%d MB", n>>20)
}
