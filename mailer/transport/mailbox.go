package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

const (
	imapBudget    = 1 << 20 // what a server may say to one command, messages apart
	listMessages  = 1000    // messages described by one command
	batchMessages = 64      // messages fetched by one command
	batchBytes    = 4 << 20 // and about how large together
)

// Position marks how far a mailbox has been read. The zero value is before
// everything.
type Position struct {
	Validity uint32 // UIDVALIDITY (RFC 9051, section 2.3.1.1)
	UID      uint32 // the highest that was had
}

// Arrival is one message on the server.
type Arrival struct {
	Position       // where it stands
	Size     int64 // bytes, exactly those that its reader gives
	Seen     bool  // read already, perhaps with another program
}

// Fetched is what a Fetch brought.
type Fetched struct {
	Position  Position // to go on from: every message up to here was accepted, is gone, or was Left
	New       int      // how many were accepted
	Left      []Left   // left on the server
	Restarted bool     // UIDVALIDITY changed: the mailbox was read from its beginning
}

// Left is a message that was not fetched.
type Left struct {
	Position
	Size int64
	Says string // why, one sentence
}

// Mailbox is the INBOX of one account on its IMAP server. It is used from one
// goroutine at a time and connects anew by itself where that helps.
type Mailbox struct {
	d       Dialer
	server  Server
	as      Credential
	arrived chan struct{} // the number of messages changed

	conn     *gate // nil where not connected
	client   *imapclient.Client
	validity uint32
}

// DialMailbox connects, signs in and selects INBOX. Errors are of type [*Error].
func (d Dialer) DialMailbox(ctx context.Context, server Server, as Credential) (*Mailbox, error) {
	m := &Mailbox{d: d, server: server, as: as, arrived: make(chan struct{}, 1)}
	if err := m.during(ctx, func() error { return nil }); err != nil {
		return nil, err
	}
	return m, nil
}

// Close leaves the server. The Mailbox connects anew if it is used again.
func (m *Mailbox) Close() error {
	if m.conn == nil {
		return nil
	}
	m.hurry(m.conn)()
	m.client.Logout().Wait()
	m.drop()
	return nil
}

// during connects if need be and runs one piece of work, which ctx can end by
// cutting the line. Errors come back as [*Error], but those of the caller's own
// callback as they are.
func (m *Mailbox) during(ctx context.Context, work func() error) error {
	if ctx.Err() != nil {
		return stopped(ctx, m.server.Host)
	}
	if m.conn == nil {
		if err := m.connect(ctx); err != nil {
			return broken(ctx, m.server.Host, err)
		}
	}
	release := context.AfterFunc(ctx, m.conn.cut)
	err := work()
	cut := !release()
	if m.conn != nil {
		m.conn.expect(0, imapBudget) // nothing is owed until the next command
	}
	var own callback
	var said *imap.Error
	switch {
	case errors.As(err, &own):
		return own.error
	case err == nil && !cut:
		return nil
	case errors.As(err, &said) && !cut: // the server said no: the connection is as good as before
		return fail(Refused, err, "%s refused.%s", m.server.Host, quote(said.Text))
	}
	err = m.broken(ctx, err)
	m.drop()
	return err
}

// callback is an error of the caller's, on its way back to the caller.
type callback struct{ error }

func (m *Mailbox) connect(ctx context.Context) error {
	c, err := m.d.dial(ctx, m.server, imapProtocol)
	if err != nil {
		return err
	}
	release := context.AfterFunc(ctx, c.cut)
	defer release()
	c.expect(m.reply(), imapBudget)
	m.conn = newGate(c, or(m.d.MaxMessage, defaultMaxMessage))
	m.client = imapclient.New(m.conn, &imapclient.Options{
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: m.notice},
	})
	if err := m.enter(ctx); err != nil {
		m.drop()
		return err
	}
	return nil
}

func (m *Mailbox) reply() time.Duration { return or(m.d.Reply, defaultIMAPReply) }

func (m *Mailbox) expect() { m.conn.expect(m.reply(), imapBudget) }

// notice is called by the library's reader for every EXISTS outside SELECT.
func (m *Mailbox) notice(data *imapclient.UnilateralDataMailbox) {
	if data.NumMessages != nil {
		select {
		case m.arrived <- struct{}{}:
		default:
		}
	}
}

// enter signs in and selects.
func (m *Mailbox) enter(ctx context.Context) error {
	host := m.server.Host
	if err := m.client.WaitGreeting(); err != nil {
		var said *imap.Error
		if errors.As(err, &said) {
			return fail(Refused, err, "%s does not want to talk now.%s", host, quote(said.Text))
		}
		return m.broken(ctx, err)
	}
	m.expect()
	offers, err := m.client.Capability().Wait()
	if err != nil {
		return m.broken(ctx, err)
	}
	if m.client.State() == imap.ConnStateNotAuthenticated {
		if err := m.signIn(ctx, offers); err != nil {
			return err
		}
	}
	m.expect()
	selected, err := m.client.Select("INBOX", nil).Wait()
	var said *imap.Error
	switch {
	case errors.As(err, &said):
		return fail(Refused, err, "%s does not open the inbox.%s", host, quote(said.Text))
	case err != nil:
		return m.broken(ctx, err)
	case selected.UIDValidity == 0:
		return fail(NotUnderstood, nil, "%s does not number its messages, so new ones cannot be told from old.", host)
	}
	m.validity = selected.UIDValidity
	return nil
}

func (m *Mailbox) signIn(ctx context.Context, offers imap.CapSet) error {
	host := m.server.Host
	if !secured(m.conn.conn) {
		return fail(NoTLS, nil, "The connection to %s is not protected, so no password was sent.", host)
	}
	m.expect()
	user, password := m.as.User, string(m.as.Password)
	err := m.as.check()
	switch {
	case err != nil:
		return err
	case offers.Has("AUTH=PLAIN"):
		err = m.client.Authenticate(sasl.NewPlainClient("", user, password))
	case offers.Has("AUTH=LOGIN"):
		err = m.client.Authenticate(&loginClient{user: user, password: password})
	case !offers.Has(imap.CapLoginDisabled):
		err = m.client.Login(user, password).Wait()
	default:
		return fail(NoSignIn, nil, "%s offers no way of signing in with a password.", host)
	}
	var said *imap.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &said):
		return m.broken(ctx, err)
	case said.Code == imap.ResponseCodeUnavailable, said.Code == imap.ResponseCodeInUse, said.Code == imap.ResponseCodeLimit:
		return fail(Refused, err, "%s does not accept sign-in now.%s", host, quote(said.Text))
	}
	return fail(SignIn, err, "%s did not accept the user name or password.%s", host, quote(said.Text))
}

// broken asks the connection why the library gave up, since the library's own
// errors drop their cause.
func (m *Mailbox) broken(ctx context.Context, err error) error {
	switch {
	case m.conn != nil && m.conn.cause() != nil:
		err = m.conn.cause()
	case errors.Is(err, net.ErrClosed): // by the library, which had read what it could not understand
		err = errDialect
	}
	return broken(ctx, m.server.Host, err)
}

// drop ends the connection at once. The library's reader may be waiting for a
// literal to be taken; whoever took it must have let go before.
func (m *Mailbox) drop() {
	if m.conn == nil {
		return
	}
	m.conn.cut()
	m.client.Close()
	m.conn, m.client = nil, nil
}

// MarkSeen marks messages as read on the server. Messages of another UIDVALIDITY
// are not there any more and are left alone.
func (m *Mailbox) MarkSeen(ctx context.Context, messages ...Position) error {
	mark := func() error {
		var set imap.UIDSet
		for _, p := range messages {
			if p.Validity == m.validity && p.UID != 0 {
				set.AddNum(imap.UID(p.UID))
			}
		}
		if len(set) == 0 {
			return nil
		}
		m.expect()
		return m.client.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close()
	}
	err := m.during(ctx, mark)
	var failure *Error
	if errors.As(err, &failure) && failure.Kind == Interrupted { // the connection may have been dead before
		err = m.during(ctx, mark)
	}
	return err
}

// Wait returns nil when something new may have arrived, or after limit, whichever
// is first. It uses IDLE where the server has it and otherwise only waits. When ctx ends it
// returns an error of kind [Stopped], and the Mailbox stays connected. A line
// that broke unnoticed is found out at the limit at the latest, so that should be
// minutes rather than hours (25 at most).
func (m *Mailbox) Wait(ctx context.Context, limit time.Duration) error {
	const restart = 25 * time.Minute // the library would begin anew at 28
	timer := time.NewTimer(min(limit, restart))
	defer timer.Stop()
	if err := m.during(ctx, func() error { return nil }); err != nil { // connected
		return err
	}
	return m.during(context.WithoutCancel(ctx), func() error {
		release := context.AfterFunc(ctx, m.hurry(m.conn))
		defer release()
		if !m.client.Caps().Has(imap.CapIdle) {
			return m.await(ctx, timer.C)
		}
		m.expect()
		idle, err := m.client.Idle()
		if err != nil {
			return err
		}
		m.conn.expect(0, imapBudget)
		ended := m.await(ctx, timer.C)
		m.expect()
		if ctx.Err() != nil {
			m.hurry(m.conn)()
		}
		if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
			return err
		}
		return ended
	})
}

// hurry gives the server little time for what is under way.
func (m *Mailbox) hurry(c *gate) func() {
	return func() { c.expect(or(m.d.Connect, defaultConnect)/10, imapBudget) }
}

func (m *Mailbox) await(ctx context.Context, over <-chan time.Time) error {
	select {
	case <-over:
	case <-m.arrived:
	case <-m.client.Closed():
		return io.ErrUnexpectedEOF
	case <-ctx.Done():
		return callback{stopped(ctx, m.server.Host)}
	}
	return nil
}

// loginClient is the LOGIN mechanism without an initial response, which all
// servers that have it understand. What they ask in words differs, the order
// does not.
type loginClient struct {
	user, password string
	asked          int
}

func (*loginClient) Start() (string, []byte, error) { return sasl.Login, nil, nil }

func (c *loginClient) Next([]byte) ([]byte, error) {
	switch c.asked++; c.asked {
	case 1:
		return []byte(c.user), nil
	case 2:
		return []byte(c.password), nil
	}
	return nil, sasl.ErrUnexpectedServerChallenge
}
