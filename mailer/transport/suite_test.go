package transport_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"countersign/mailer/server"
	"countersign/mailer/server/servertest"
	"countersign/mailer/transport"
)

// rig is a pair of mail servers with the mailboxes of alice and bob.
type rig struct {
	smtp, imap [2]transport.Server // implicit TLS, STARTTLS
	alice, bob transport.Credential
	real       bool
}

func (r rig) dialer() transport.Dialer {
	return transport.Dialer{Connect: 10 * time.Second, Reply: 20 * time.Second, Final: 20 * time.Second}
}

func (r rig) submitter() transport.Submitter {
	return transport.Submitter{Dialer: r.dialer(), Door: open}
}

func open(io.Reader) error { return nil }

// text is a message as a Source.
type text string

func (s text) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(s))), nil }

func embedded(t *testing.T) rig {
	t.Helper()
	authority := servertest.NewAuthority(t)
	store := server.NewMemory()
	store.Add("alice@mail.test", "secret of alice")
	store.Add("bob@mail.test", "secret of bob")
	r := rig{
		alice: transport.Credential{User: "alice@mail.test", Password: "secret of alice"},
		bob:   transport.Credential{User: "bob@mail.test", Password: "secret of bob"},
	}
	for i, security := range []transport.Security{transport.Implicit, transport.StartTLS} {
		s, err := server.Listen(server.Options{Store: store, Certificate: authority.Localhost(t), StartTLS: i == 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		r.smtp[i] = transport.Server{Host: "localhost", Port: servertest.Port(s.SMTP.String()), Security: security, RootsPEM: authority.PEM}
		r.imap[i] = transport.Server{Host: "localhost", Port: servertest.Port(s.IMAP.String()), Security: security, RootsPEM: authority.PEM}
	}
	return r
}

func TestEmbeddedServers(t *testing.T) { suite(t, embedded(t)) }

func TestDovecotAndPostfixPeer(t *testing.T) {
	p := servertest.Start(t)
	at := func(address string, security transport.Security) transport.Server {
		return transport.Server{Host: p.Host, Port: servertest.Port(address), Security: security, RootsPEM: p.CAPEM}
	}
	r := rig{
		smtp:  [2]transport.Server{at(p.SMTPAddr, transport.Implicit), at(p.SMTPStartTLS, transport.StartTLS)},
		imap:  [2]transport.Server{at(p.IMAPAddr, transport.Implicit), at(p.IMAPStartTLS, transport.StartTLS)},
		alice: transport.Credential{User: "alice@mail.test", Password: transport.Secret(p.Users["alice@mail.test"])},
		bob:   transport.Credential{User: "bob@mail.test", Password: transport.Secret(p.Users["bob@mail.test"])},
		real:  true,
	}
	suite(t, r)
	if t.Failed() {
		t.Log(p.Logs())
	}
	t.Run("refused recipients", func(t *testing.T) { peerRefusals(t, r) })
	t.Run("password in the clear", func(t *testing.T) { clearText(t, p) })
	t.Run("leaves", func(t *testing.T) { peerLeaves(t, r, p) })
}

// suite is what every pair of servers must be able to do with us.
func suite(t *testing.T, r rig) {
	t.Run("sign in", r.signIn)
	t.Run("wrong password", r.wrongPassword)
	t.Run("certificates", r.certificates)
	t.Run("send and fetch", r.sendAndFetch)
	t.Run("resume", r.resume)
	t.Run("idle", r.idle)
	t.Run("seen", r.seen)
	t.Run("too large to fetch", r.tooLarge)
	t.Run("streaming", r.streaming)
	t.Run("door", r.door)
	t.Run("unknown recipient", r.unknownRecipient)
}

func kind(err error) transport.Kind {
	var e *transport.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func (r rig) signIn(t *testing.T) {
	for i := range 2 {
		if err := r.dialer().SignIn(t.Context(), r.smtp[i], r.alice); err != nil {
			t.Errorf("%s: %v", r.smtp[i].Security, err)
		}
		m, err := r.dialer().DialMailbox(t.Context(), r.imap[i], r.alice)
		if err != nil {
			t.Errorf("%s: %v", r.imap[i].Security, err)
			continue
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func (r rig) wrongPassword(t *testing.T) {
	wrong := transport.Credential{User: r.alice.User, Password: "not it"}
	err := r.dialer().SignIn(t.Context(), r.smtp[0], wrong)
	if kind(err) != transport.SignIn {
		t.Errorf("SMTP: %v", err)
	}
	_, err = r.dialer().DialMailbox(t.Context(), r.imap[0], wrong)
	if kind(err) != transport.SignIn {
		t.Errorf("IMAP: %v", err)
	}
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, wrong), "not it") {
		t.Errorf("the password is in the words: %v", err)
	}
}

func (r rig) certificates(t *testing.T) {
	for name, change := range map[string]func(*transport.Server){
		"unknown authority": func(s *transport.Server) { s.RootsPEM = "" },
		"another name":      func(s *transport.Server) { s.Host = "127.0.0.2" },
	} {
		for _, s := range []transport.Server{r.smtp[0], r.smtp[1], r.imap[0], r.imap[1]} {
			change(&s)
			d := r.dialer()
			d.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, _ := net.SplitHostPort(address)
				return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			}
			err := d.SignIn(t.Context(), s, r.alice)
			if s.Port == r.imap[0].Port || s.Port == r.imap[1].Port {
				_, err = d.DialMailbox(t.Context(), s, r.alice)
			}
			if kind(err) != transport.Certificate {
				t.Errorf("%s, %s: %v", name, s.Security, err)
			}
		}
	}
}

// fields are those that Postfix would add.
const fields = "From: alice@mail.test\r\nDate: Mon, 2 Mar 2026 09:00:00 +0000\r\nMessage-ID: <1@mail.test>\r\n"

// strip removes what a real server puts before a message on delivery, up to our
// first field.
func strip(raw []byte) []byte {
	if i := bytes.Index(raw, []byte("X-Test:")); i > 0 {
		return raw[i:]
	}
	return raw
}

type got struct {
	arrivals []transport.Arrival
	bodies   []string
}

func (g *got) take(a transport.Arrival, r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	g.arrivals = append(g.arrivals, a)
	g.bodies = append(g.bodies, string(strip(raw)))
	return nil
}

// inbox dials bob's mailbox and returns the position after all that is in it.
func (r rig) inbox(t *testing.T, i int) (*transport.Mailbox, transport.Position) {
	t.Helper()
	m, err := r.dialer().DialMailbox(t.Context(), r.imap[i], r.bob)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	f, err := m.Fetch(t.Context(), transport.Position{}, new(got).take)
	if err != nil {
		t.Fatal(err)
	}
	return m, f.Position
}

// fetch waits until n messages have come after the position: a real server
// delivers in its own time.
func fetch(t *testing.T, m *transport.Mailbox, after transport.Position, n int) (*got, transport.Fetched) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	g := new(got)
	for {
		f, err := m.Fetch(ctx, after, g.take)
		if err != nil {
			t.Fatal(err)
		}
		if after = f.Position; len(g.bodies) >= n {
			return g, f
		}
		if err := m.Wait(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
}

func (r rig) send(t *testing.T, i int, message string) transport.Result {
	t.Helper()
	result, err := r.submitter().Submit(t.Context(), r.smtp[i], r.alice, "alice@mail.test", []string{"bob@mail.test"}, text(message))
	if err != nil {
		t.Fatal(err)
	}
	if !result.Sent() || result.Words == "" {
		t.Fatalf("not sent: %+v", result)
	}
	return result
}

func (r rig) sendAndFetch(t *testing.T) {
	message := "X-Test: 1\r\n" + fields + "\r\n.\r\n..\r\n.a\r\n\r\nlast\r\n.\r\n" + strings.Repeat("x", 990) + "\r\n"
	for i := range 2 {
		m, before := r.inbox(t, i)
		r.send(t, i, message)
		g, f := fetch(t, m, before, 1)
		if g.bodies[0] != message {
			t.Errorf("came as %q", g.bodies[0])
		}
		a := g.arrivals[0]
		if f.New != 1 || a.Seen || a.Position != f.Position || a.Validity != before.Validity || a.UID <= before.UID || a.Size < int64(len(message)) {
			t.Errorf("before %+v, %+v, %+v", before, f, a)
		}
		f, err := m.Fetch(t.Context(), f.Position, g.take)
		if err != nil || f.New != 0 || len(g.bodies) != 1 {
			t.Errorf("fetched again: %+v, %v", f, err)
		}
	}
}

// resume: a caller that fails keeps what it accepted and goes on there; a mailbox
// numbered anew is read from its beginning.
func (r rig) resume(t *testing.T) {
	m, before := r.inbox(t, 0)
	for n := range 4 {
		r.send(t, 0, fmt.Sprintf("X-Test: resume %d\r\n\r\nbody\r\n", n))
	}
	fetch(t, m, before, 4)
	full := errors.New("the disk is full")
	g := new(got)
	f, err := m.Fetch(t.Context(), before, func(a transport.Arrival, body io.Reader) error {
		if len(g.bodies) == 2 {
			io.CopyN(io.Discard, body, 3)
			return full
		}
		return g.take(a, body)
	})
	if err != full || f.New != 2 || f.Position != g.arrivals[1].Position {
		t.Fatalf("%+v, %v", f, err)
	}
	f, err = m.Fetch(t.Context(), f.Position, g.take)
	if err != nil || f.New != 2 || f.Restarted {
		t.Fatalf("%+v, %v", f, err)
	}
	for n, body := range g.bodies {
		if want := fmt.Sprintf("X-Test: resume %d\r\n", n); !strings.HasPrefix(body, want) {
			t.Errorf("number %d is %q", n, body)
		}
	}
	other := transport.Position{Validity: before.Validity + 1, UID: 4_000_000_000}
	again := new(got)
	f, err = m.Fetch(t.Context(), other, again.take)
	if err != nil || !f.Restarted || f.New < 4 || f.Position.Validity != before.Validity {
		t.Errorf("numbered anew: %+v, %v", f, err)
	}
}

func (r rig) idle(t *testing.T) {
	m, before := r.inbox(t, 0)
	ended := make(chan error, 1)
	go func() { ended <- m.Wait(t.Context(), time.Minute) }()
	r.send(t, 0, "X-Test: idle\r\n\r\nbody\r\n")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	fetch(t, m, before, 1)

	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- m.Wait(ctx, time.Minute) }()
	cancel()
	if err := <-ended; kind(err) != transport.Stopped {
		t.Errorf("stopped waiting: %v", err)
	}
	if err := m.Wait(t.Context(), time.Millisecond); err != nil {
		t.Errorf("after the limit: %v", err)
	}
}

func (r rig) seen(t *testing.T) {
	m, before := r.inbox(t, 0)
	r.send(t, 0, "X-Test: seen\r\n\r\nbody\r\n")
	g, _ := fetch(t, m, before, 1)
	position := g.arrivals[0].Position
	stranger := transport.Position{Validity: position.Validity + 1, UID: position.UID}
	if err := m.MarkSeen(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	g, _ = fetch(t, m, before, 1)
	if g.arrivals[0].Seen {
		t.Error("fetching, or marking a message of another numbering, marked this one as read")
	}
	if err := m.MarkSeen(t.Context(), position); err != nil {
		t.Fatal(err)
	}
	g, _ = fetch(t, m, before, 1)
	if !g.arrivals[0].Seen {
		t.Error("not marked as read")
	}
}

func (r rig) tooLarge(t *testing.T) {
	whole, before := r.inbox(t, 0)
	r.send(t, 0, "X-Test: large\r\n\r\n"+strings.Repeat(strings.Repeat("x", 98)+"\r\n", 200))
	r.send(t, 0, "X-Test: small\r\n\r\nbody\r\n")
	fetch(t, whole, before, 2)
	d := r.dialer()
	d.MaxMessage = 10_000
	m, err := d.DialMailbox(t.Context(), r.imap[0], r.bob)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	g, f := fetch(t, m, before, 1)
	if len(g.bodies) != 1 || !strings.HasPrefix(g.bodies[0], "X-Test: small") {
		t.Errorf("came: %.40q", g.bodies)
	}
	if len(f.Left) != 1 || f.Left[0].Size < 20_000 || !strings.Contains(f.Left[0].Says, "limit") {
		t.Errorf("left: %+v", f.Left)
	}
}

// pattern is a message of any size that is not held in memory.
type pattern struct{ lines int }

func (p pattern) Open() (io.ReadCloser, error) {
	line := strings.Repeat("countersign ", 6) + "\r\n"
	return io.NopCloser(io.MultiReader(strings.NewReader("X-Test: pattern\r\n"+fields+"\r\n"), &repeat{line, p.lines, 0})), nil
}

type repeat struct {
	line string
	left int
	off  int
}

func (r *repeat) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) && r.left > 0 {
		c := copy(b[n:], r.line[r.off:])
		n += c
		if r.off += c; r.off == len(r.line) {
			r.off = 0
			r.left--
		}
	}
	if n == 0 && r.left == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r rig) streaming(t *testing.T) {
	m, before := r.inbox(t, 0)
	src := pattern{lines: 100_000} // 7.4 MB
	result, err := r.submitter().Submit(t.Context(), r.smtp[0], r.alice, "alice@mail.test", []string{"bob@mail.test"}, src)
	if err != nil || !result.Sent() {
		t.Fatalf("%+v, %v", result, err)
	}
	want := sha256.New()
	whole, _ := src.Open()
	io.Copy(want, whole)
	g, _ := fetch(t, m, before, 1)
	if sha256.Sum256([]byte(g.bodies[0])) != [32]byte(want.Sum(nil)) {
		t.Errorf("%d bytes came otherwise", len(g.bodies[0]))
	}
}

func (r rig) door(t *testing.T) {
	m, before := r.inbox(t, 0)
	to := []string{"bob@mail.test"}
	const message = "X-Test: door\r\n\r\nbody\r\n"
	var seen bytes.Buffer
	doors := map[string]func(io.Reader) error{
		"none":    nil,
		"refuses": func(r io.Reader) error { io.Copy(&seen, r); return errors.New("not protected") },
	}
	for name, door := range doors {
		s := r.submitter()
		s.Door = door
		result, err := s.Submit(t.Context(), r.smtp[0], r.alice, "alice@mail.test", to, text(message))
		if kind(err) != transport.Misused || result.Sent() {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	if seen.String() != message {
		t.Errorf("the door saw %q", seen.String())
	}
	for name, bad := range map[string]transport.Source{
		"bare LF":   text("X-Test: door\n\nbody\n"),
		"bare CR":   text("X-Test: door\r\n\r\nbo\rdy\r\n"),
		"no end":    text("X-Test: door\r\n\r\nbody"),
		"NUL":       text("X-Test: door\r\n\r\nbo\x00dy\r\n"),
		"long line": text("X-Test: door\r\n\r\n" + strings.Repeat("x", 999) + "\r\n"),
		"changing":  &changing{},
	} {
		result, err := r.submitter().Submit(t.Context(), r.smtp[0], r.alice, "alice@mail.test", to, bad)
		if kind(err) != transport.Misused || result.Recipients[0].State != transport.Failed {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	r.send(t, 0, "X-Test: after\r\n\r\nbody\r\n")
	g, _ := fetch(t, m, before, 1)
	if len(g.bodies) != 1 || !strings.HasPrefix(g.bodies[0], "X-Test: after") {
		t.Errorf("came: %q", g.bodies)
	}
}

// changing gives other bytes every time it is opened.
type changing struct{ n int }

func (c *changing) Open() (io.ReadCloser, error) {
	c.n++
	return io.NopCloser(strings.NewReader(fmt.Sprintf("X-Test: door\r\n\r\nbody %d\r\n", c.n))), nil
}

func (r rig) unknownRecipient(t *testing.T) {
	m, before := r.inbox(t, 0)
	to := []string{"nobody@mail.test", "bob@mail.test"}
	result, err := r.submitter().Submit(t.Context(), r.smtp[0], r.alice, "alice@mail.test", to, text("X-Test: partly\r\n\r\nbody\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	nobody, bob := result.Recipients[0], result.Recipients[1]
	if nobody.State != transport.Failed || nobody.Code != 550 || !strings.HasPrefix(nobody.Says, "There is no such address, says localhost.") {
		t.Errorf("nobody: %+v", nobody)
	}
	if bob.State != transport.Sent || bob.Says != "" {
		t.Errorf("bob: %+v", bob)
	}
	fetch(t, m, before, 1)
	result, err = r.submitter().Submit(t.Context(), r.smtp[0], r.alice, "alice@mail.test", to[:1], text("X-Test: no one\r\n\r\nbody\r\n"))
	if err != nil || result.Recipients[0].State != transport.Failed {
		t.Errorf("%+v, %v", result, err)
	}
}
