package transport_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"countersign/mailer/transport"
)

const offers = "SASL-IR AUTH=PLAIN IDLE"

// read fetches everything from a fake inbox.
func read(t *testing.T, talk func(*line), d transport.Dialer) (*got, transport.Fetched, error) {
	t.Helper()
	f := serve(t, false, talk)
	g := new(got)
	m, err := d.DialMailbox(t.Context(), f.Server, me)
	if err != nil {
		return g, transport.Fetched{}, err
	}
	defer m.Close()
	fetched, err := m.Fetch(t.Context(), transport.Position{}, g.take)
	return g, fetched, err
}

func three() []string {
	return []string{"X-Test: a\r\n\r\none\r\n", "X-Test: b\r\n\r\ntwo\r\n", "X-Test: c\r\n\r\nthree\r\n"}
}

// TestImapSignIn: what is offered decides what is said, and a password is only said
// where it is asked for.
func TestImapSignIn(t *testing.T) {
	for name, c := range map[string]struct {
		caps  string
		talk  func(l *line, tag, command string) bool
		kind  transport.Kind
		heard string
	}{
		"PLAIN":                   {"AUTH=PLAIN SASL-IR", nil, "", "AUTHENTICATE PLAIN AGFsaWNl"},
		"PLAIN, asked first":      {"AUTH=PLAIN", nil, "", "AGFsaWNl"},
		"PLAIN despite":           {"LOGINDISABLED AUTH=PLAIN", nil, "", "AGFsaWNl"},
		"LOGIN command":           {"", nil, "", `LOGIN "alice@mail.test" "secret of alice"`},
		"nothing":                 {"LOGINDISABLED", nil, transport.NoSignIn, ""},
		"nothing that we know of": {"LOGINDISABLED AUTH=GSSAPI", nil, transport.NoSignIn, ""},
		"AUTH=LOGIN": {"LOGINDISABLED AUTH=LOGIN", func(l *line, tag, command string) bool {
			if command != "AUTHENTICATE LOGIN" {
				return false
			}
			l.say("+ VXNlciBOYW1lAA==")
			l.hear()
			l.say("+ UGFzc3dvcmQA")
			l.hear()
			l.say("%s OK", tag)
			return true
		}, "", "c2VjcmV0IG9mIGFsaWNl"},
		"refused": {"AUTH=PLAIN SASL-IR", func(l *line, tag, command string) bool {
			if strings.HasPrefix(command, "AUTH") {
				l.say("%s NO [AUTHENTICATIONFAILED] no", tag)
				return true
			}
			return false
		}, transport.SignIn, "AGFsaWNl"},
		"busy": {"AUTH=PLAIN SASL-IR", func(l *line, tag, command string) bool {
			if strings.HasPrefix(command, "AUTH") {
				l.say("%s NO [UNAVAILABLE] directory is down", tag)
				return true
			}
			return false
		}, transport.Refused, "AGFsaWNl"},
		"asks for ever": {"AUTH=PLAIN SASL-IR", func(l *line, tag, command string) bool {
			if strings.HasPrefix(command, "AUTH") {
				l.say("+ bW9yZQ==")
				l.hear()
				return true
			}
			return false
		}, transport.NotUnderstood, "AGFsaWNl"},
		"no inbox": {offers, func(l *line, tag, command string) bool {
			if strings.HasPrefix(command, "SELECT") {
				l.say("%s NO no such mailbox", tag)
				return true
			}
			return false
		}, transport.Refused, ""},
		"no numbering": {offers, func(l *line, tag, command string) bool {
			if strings.HasPrefix(command, "SELECT") {
				l.say("* 0 EXISTS\r\n%s OK", tag)
				return true
			}
			return false
		}, transport.NotUnderstood, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, false, imapTalk(c.caps, c.talk))
			m, err := quick().DialMailbox(t.Context(), f.Server, me)
			if kind(err) != c.kind {
				t.Errorf("%v, want kind %q", err, c.kind)
			}
			if err == nil {
				m.Close()
			}
			if c.heard != "" && !f.heard(c.heard) {
				t.Errorf("heard %q", f.said)
			}
			if c.kind == transport.NoSignIn && (f.heard("LOGIN") || f.heard("alice")) {
				t.Errorf("a name or password was said: %q", f.said)
			}
		})
	}
}

// TestOddServers: a server that does as it likes costs neither a message nor a byte.
func TestOddServers(t *testing.T) {
	ones := three()
	once := func(odd func(l *line) bool) func(l *line, uid int, body string) bool {
		return func(l *line, uid int, body string) bool {
			if uid == 2 && l.n == 0 && !odd(l) {
				return false
			}
			l.give(uid, body)
			return true
		}
	}
	for name, s := range map[string]letters{
		"unknown answers": {bodies: ones, give: func(l *line, uid int, body string) bool {
			l.say("* VANISHED 41,43:116\r\n* XYZZY\r\n* LIST () \"/\" {5}\r\n* OK\n {3}\r\nabc (\r\n* 1 FETCH (X-GM-MSGID 1278455344230334865)")
			l.give(uid, body)
			return true
		}},
		"nested": {bodies: ones, give: func(l *line, uid int, body string) bool {
			l.say("* 1 FETCH (UID 1 BODYSTRUCTURE %s", strings.Repeat("(", 10_000))
			l.give(uid, body)
			return true
		}},
		"capabilities": {bodies: ones, give: func(l *line, uid int, body string) bool {
			l.say("* CAPABILITY(\r\n* CAPABILITY IMAP4rev1 (\r\n* 5 CAPABILITY (")
			l.give(uid, body)
			return true
		}},
		"hangs up": {bodies: ones, give: once(func(l *line) bool { l.Conn.Close(); return false })},
		"hangs up within a message": {bodies: ones, give: once(func(l *line) bool {
			l.say("* 2 FETCH (UID 2 BODY[] {20}\r\nX-Test: b\r\n")
			l.Conn.Close() // with TLS's own farewell: to the library it looks complete
			return false
		})},
		"goodbye": {bodies: ones, give: once(func(l *line) bool { l.say("* BYE going down"); l.Conn.Close(); return false })},
		"describes twice": {bodies: ones, list: func(l *line, uid, size int) {
			l.say("* %d FETCH (UID %d FLAGS () RFC822.SIZE %d)\r\n* 3 EXISTS", uid, uid, size)
			l.say("* %d FETCH (UID %d FLAGS () RFC822.SIZE %d)", uid, uid, size)
		}},
		"wrong sizes": {bodies: ones, list: func(l *line, uid, size int) { l.say("* %d FETCH (UID %d RFC822.SIZE %d)", uid, uid, 7*uid) }},
		"other capital": {bodies: ones, give: func(l *line, uid int, body string) bool {
			l.say("* %d fetch (uid %d body[] {%d}\r\n%s)", uid, uid, len(body), body)
			return true
		}},
		"quoted": {bodies: []string{"X-Test: a", "X-Test: b", "X-Test: c"}, give: func(l *line, uid int, body string) bool {
			l.say("* 1 FETCH (UID %d BODY[] %q)", uid, body)
			return true
		}},
		"twice":             {bodies: ones, give: func(l *line, uid int, body string) bool { l.give(uid, body); l.give(uid, body); return true }},
		"one nobody wanted": {bodies: ones, give: func(l *line, uid int, body string) bool { l.give(uid, body); l.give(uid+100, body); return true }},
		"odd end": {bodies: ones, give: func(l *line, uid int, body string) bool {
			l.say("* 1 FETCH (UID %d BODY[] {%d}\r\n%s ENVELOPE (((", uid, len(body), body)
			return true
		}},
		"messages without end": {bodies: ones, give: func(l *line, uid int, body string) bool {
			for range 100 {
				l.give(uid, body)
			}
			return true
		}},
		"flags in between": {bodies: ones, give: func(l *line, uid int, body string) bool {
			l.say("* 1 FETCH (FLAGS (\\Seen $Junk odd}))\r\n* FLAGS (\\Seen) \n* 3 EXISTS \r\n* OK\r\n* NO warning: {5}")
			l.give(uid, body)
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g, f, err := read(t, imapTalk(offers, s.talk), quick().Dialer)
			if err != nil {
				t.Fatal(err)
			}
			if f.New != 3 || f.Position != (transport.Position{Validity: 7, UID: 3}) || len(f.Left) != 0 {
				t.Errorf("%+v", f)
			}
			if strings.Join(g.bodies, "|") != strings.Join(s.bodies, "|") {
				t.Errorf("came: %q", g.bodies)
			}
		})
	}
}

func TestMessagesThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		letters
		bodies string
		new    int
		left   int
	}{
		"empty":     {letters{bodies: []string{"", "X-Test: b\r\n\r\n"}}, "|X-Test: b\r\n\r\n", 2, 0},
		"NIL":       {letters{bodies: three(), give: func(l *line, uid int, _ string) bool { l.say("* 1 FETCH (UID %d BODY[] NIL)", uid); return true }}, "", 0, 3},
		"not given": {letters{bodies: three(), give: func(*line, int, string) bool { return true }}, "", 0, 3},
		"deleted meanwhile": {letters{bodies: three(), give: func(*line, int, string) bool { return true }, list: func(l *line, uid, size int) {
			if !l.f.heard("BODY.PEEK") {
				l.say("* %d FETCH (UID %d RFC822.SIZE %d)", uid, uid, size)
			}
		}}, "", 0, 0},
		"the last there can be": {letters{bodies: three(), list: func(l *line, uid, size int) {
			if uid == 1 {
				l.say("* 1 FETCH (UID 4294967295 RFC822.SIZE 3)")
			}
		}}, "", 0, 0},
		"larger than it said": {letters{bodies: []string{strings.Repeat("x", 5000), "X-Test: b\r\n\r\n"},
			list: func(l *line, uid, _ int) { l.say("* %d FETCH (UID %d RFC822.SIZE 10)", uid, uid) }}, "X-Test: b\r\n\r\n", 1, 1},
		"says it is enormous": {letters{bodies: []string{"X-Test: b\r\n\r\n"}, give: func(l *line, uid int, _ string) bool {
			l.say("* 1 FETCH (UID 1 BODY[] {9223372036854775807}")
			io.Copy(l.Conn, &repeat{line: "x\r\n", left: 1 << 40})
			return false
		}}, "", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := quick().Dialer
			d.MaxMessage = 4000
			g, f, err := read(t, imapTalk(offers, c.talk), d)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(g.bodies, "|"); got != c.bodies || f.New != c.new || len(f.Left) != c.left {
				t.Errorf("came %q, %+v", got, f)
			}
		})
	}
}

// TestHopelessServers: what cannot be mended by connecting anew comes back as a
// plain error, with the messages that did arrive accepted.
func TestHopelessServers(t *testing.T) {
	s := quick().Dialer
	s.Reply = 200 * time.Millisecond
	flood := func(l *line) bool {
		_, err := io.Copy(l.Conn, &repeat{line: "* OK and another thing\r\n", left: 1 << 40})
		return err == nil
	}
	for name, c := range map[string]struct {
		give func(l *line, uid int, body string) bool
		kind transport.Kind
	}{
		"always hangs up": {func(l *line, _ int, _ string) bool { l.Conn.Close(); return false }, transport.Interrupted},
		"never finishes": {func(l *line, _ int, _ string) bool {
			l.say("* 2 FETCH (UID 2 BODY[] {200}\r\n...")
			io.Copy(io.Discard, l.Reader)
			return false
		}, transport.Interrupted},
		"a stray word":     {func(l *line, _ int, _ string) bool { l.say("XYZZY"); return true }, transport.NotUnderstood},
		"odd capabilities": {func(l *line, _ int, _ string) bool { l.say("* OK [CAPABILITY IMAP4rev1 (AUTH=PLAIN)] hm"); return true }, transport.NotUnderstood},
		"floods":           {func(l *line, _ int, _ string) bool { return flood(l) }, transport.NotUnderstood},
		"an endless word":  {func(l *line, _ int, _ string) bool { io.Copy(l.Conn, &repeat{line: "x", left: 1 << 40}); return false }, transport.NotUnderstood},
		"deep brackets": {func(l *line, _ int, _ string) bool {
			l.say("* 2 FETCH (UID 2 BODYSTRUCTURE %s", strings.Repeat("(", 100_000))
			return true
		}, transport.NotUnderstood},
		"refuses": {func(l *line, _ int, _ string) bool { l.say("T9 NO"); return true }, transport.NotUnderstood},
	} {
		t.Run(name, func(t *testing.T) {
			odd := letters{bodies: three(), give: func(l *line, uid int, body string) bool {
				if uid > 1 {
					return c.give(l, uid, body)
				}
				l.give(uid, body)
				return true
			}}
			g, f, err := read(t, imapTalk(offers, odd.talk), s)
			if kind(err) != c.kind {
				t.Errorf("%v, want kind %s", err, c.kind)
			}
			if f.New != 1 || f.Position.UID != 1 || len(g.bodies) != 1 {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestAnyOrder: where a server answers out of order, the position does not pass a
// message that is still to come.
func TestAnyOrder(t *testing.T) {
	ones := three()
	talk := func(l *line, tag, command string) bool {
		if !strings.Contains(command, "BODY.PEEK[]") {
			return letters{bodies: ones}.talk(l, tag, command)
		}
		for _, uid := range []int{3, 1, 2} {
			if asked(command, uid) {
				l.give(uid, ones[uid-1])
			}
		}
		l.say("%s OK", tag)
		return true
	}
	f := serve(t, false, imapTalk(offers, talk))
	m, err := quick().DialMailbox(t.Context(), f.Server, me)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	full := errors.New("the disk is full")
	var order []uint32
	fetched, err := m.Fetch(t.Context(), transport.Position{}, func(a transport.Arrival, _ io.Reader) error {
		order = append(order, a.UID)
		if a.UID == 2 {
			return full
		}
		return nil
	})
	if err != full || fmt.Sprint(order) != "[3 1 2]" || fetched.Position.UID != 1 {
		t.Errorf("%v, %+v, %v", order, fetched, err)
	}
}

// TestConstantMemory reads a message of 100 MB from a server that makes it up as it
// goes.
func TestConstantMemory(t *testing.T) {
	const lines = 1_400_000
	one := "countersign countersign countersign countersign countersign countersign  \r\n"
	size := lines * len(one)
	talk := func(l *line, tag, command string) bool {
		switch {
		case strings.HasPrefix(command, "SELECT"):
			l.say("* 1 EXISTS\r\n* OK [UIDVALIDITY 7] fine")
		case strings.Contains(command, "RFC822.SIZE"):
			l.say("* 1 FETCH (UID 1 FLAGS () RFC822.SIZE %d)", size)
		case strings.Contains(command, "BODY.PEEK[]"):
			fmt.Fprintf(l.Conn, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", size)
			io.Copy(l.Conn, &repeat{line: one, left: lines})
			l.say(")")
		default:
			return false
		}
		l.say("%s OK", tag)
		return true
	}
	f := serve(t, false, imapTalk(offers, talk))
	m, err := quick().DialMailbox(t.Context(), f.Server, me)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	before, largest := heap(), uint64(0)
	var n int64
	fetched, err := m.Fetch(t.Context(), transport.Position{}, func(a transport.Arrival, r io.Reader) error {
		for {
			c, err := io.CopyN(io.Discard, r, 10<<20)
			n += c
			largest = max(largest, heap())
			if err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
	if err != nil || fetched.New != 1 || n != int64(size) {
		t.Fatalf("%d bytes of %d: %+v, %v", n, size, fetched, err)
	}
	if grown := int64(largest) - int64(before); grown > 8<<20 {
		t.Errorf("held %d MB", grown>>20)
	}
}

func TestWaitWithoutIdle(t *testing.T) {
	f := serve(t, false, imapTalk("AUTH=PLAIN SASL-IR", letters{bodies: three()}.talk))
	m, err := quick().DialMailbox(t.Context(), f.Server, me)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Wait(t.Context(), time.Millisecond); err != nil {
		t.Error(err)
	}
	if f.heard("IDLE") {
		t.Error("IDLE was not offered")
	}
	if fetched, err := m.Fetch(t.Context(), transport.Position{}, new(got).take); err != nil || fetched.New != 3 {
		t.Errorf("%+v, %v", fetched, err)
	}
}

// TestWaitOnABrokenLine: a line that breaks while waiting is an error, so that the
// caller takes a rest; the next Fetch connects anew.
func TestWaitOnABrokenLine(t *testing.T) {
	f := serve(t, false, imapTalk(offers, func(l *line, tag, command string) bool {
		if command == "IDLE" {
			l.say("+ idling")
			l.Conn.Close()
			return true
		}
		return letters{bodies: three()}.talk(l, tag, command)
	}))
	m, err := quick().DialMailbox(t.Context(), f.Server, me)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Wait(t.Context(), time.Minute); kind(err) != transport.Interrupted {
		t.Error(err)
	}
	if fetched, err := m.Fetch(t.Context(), transport.Position{}, new(got).take); err != nil || fetched.New != 3 {
		t.Errorf("%+v, %v", fetched, err)
	}
}

// TestDeadConnection: a connection that died while nobody looked costs nothing.
func TestDeadConnection(t *testing.T) {
	for name, use := range map[string]func(*transport.Mailbox) error{
		"fetch": func(m *transport.Mailbox) error {
			f, err := m.Fetch(t.Context(), transport.Position{}, new(got).take)
			if f.New != 3 && err == nil {
				err = fmt.Errorf("%d came", f.New)
			}
			return err
		},
		"seen": func(m *transport.Mailbox) error {
			return m.MarkSeen(t.Context(), transport.Position{Validity: 7, UID: 1})
		},
	} {
		dead := make(chan struct{})
		f := serve(t, false, imapTalk(offers, func(l *line, tag, command string) bool {
			done := letters{bodies: three()}.talk(l, tag, command)
			if l.n == 0 && strings.HasPrefix(command, "SELECT") {
				l.Conn.Close()
				close(dead)
			}
			return done
		}))
		m, err := quick().DialMailbox(t.Context(), f.Server, me)
		if err != nil {
			t.Fatal(err)
		}
		<-dead
		if err := use(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		m.Close()
	}
}

// FuzzMailbox lets a server answer each line with anything.
func FuzzMailbox(f *testing.F) {
	f.Add("* OK hi\x00* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nT1 OK\x00T2 OK\r\n* CAPABILITY IMAP4rev1\r\n\x00T3 OK")
	f.Add("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\x00* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR IDLE\r\nT1 OK\x00T2 OK [CAPABILITY IMAP4rev1] in\x00" +
		"* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nT3 OK\x00T4 OK\x00* 1 FETCH (UID 1 FLAGS (\\Seen) RFC822.SIZE 3)\r\n* 2 FETCH (UID 2 RFC822.SIZE 0)\r\nT5 OK\x00" +
		"* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\nT6 OK\x00T7 OK")
	f.Add("* PREAUTH hi\x00* BYE\r\n\x00+ what\x00* 1 FETCH (BODYSTRUCTURE ((((((((((\x00* OK [CLOSED]")
	f.Fuzz(func(t *testing.T, script string) {
		answers := strings.Split(script, "\x00")
		server := serve(t, false, func(l *line) {
			for _, a := range answers {
				l.say("%s", a)
				if l.hear() == gone {
					return
				}
			}
		})
		d := transport.Dialer{Connect: time.Second, Reply: 30 * time.Millisecond, MaxMessage: 1 << 20}
		m, err := d.DialMailbox(t.Context(), server.Server, me)
		if err != nil {
			if kind(err) == "" {
				t.Errorf("not an *Error: %v", err)
			}
			return
		}
		defer m.Close()
		n := 0
		f, err := m.Fetch(t.Context(), transport.Position{}, func(a transport.Arrival, r io.Reader) error {
			raw, err := io.ReadAll(r)
			if err == nil && int64(len(raw)) != a.Size {
				t.Errorf("%d bytes of %d", len(raw), a.Size)
			}
			n++
			return err
		})
		if err != nil && kind(err) == "" || f.New > n {
			t.Errorf("%+v, %v", f, err)
		}
	})
}
