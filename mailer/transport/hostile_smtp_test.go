package transport_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"countersign/mailer/transport"
)

var me = transport.Credential{User: "alice@mail.test", Password: "secret of alice"}

const note = "Subject: a note\r\n\r\nbody\r\n"

func quick() transport.Submitter {
	return transport.Submitter{Door: open, Dialer: transport.Dialer{Connect: 5 * time.Second, Reply: 5 * time.Second, Final: 5 * time.Second}}
}

func submit(t *testing.T, s transport.Submitter, f *fake, to ...string) (transport.Result, *transport.Error) {
	t.Helper()
	result, err := s.Submit(t.Context(), f.Server, me, "alice@mail.test", to, text(note))
	if len(result.Recipients) != len(to) {
		t.Fatalf("%d recipients of %d: %+v", len(result.Recipients), len(to), result)
	}
	var failure *transport.Error
	if err != nil && !errors.As(err, &failure) {
		t.Fatalf("not an *Error: %v", err)
	}
	return result, failure
}

// TestSubmissionAnswers: what a server can answer, and what becomes of it.
func TestSubmissionAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answers map[string]string
		kind    transport.Kind // of the error, "" for none
		state   transport.State
		says    string
	}{
		"taken":            {nil, "", transport.Sent, ""},
		"too busy":         {map[string]string{"": "421 4.3.2 come back later"}, transport.Refused, transport.Waiting, "localhost does not want to talk now. It said: “come back later”."},
		"no service":       {map[string]string{"": "554 no service here"}, transport.Refused, transport.Waiting, "localhost does not want to talk now."},
		"no sign-in":       {map[string]string{"EHLO": "250 here"}, transport.NoSignIn, transport.Waiting, "no way of signing in"},
		"foreign sign-in":  {map[string]string{"EHLO": "250-here\r\n250 AUTH GSSAPI XOAUTH2"}, transport.NoSignIn, transport.Waiting, "no way of signing in"},
		"wrong password":   {map[string]string{"AUTH": "535 5.7.8 no"}, transport.SignIn, transport.Waiting, "did not accept the user name or password"},
		"sign-in later":    {map[string]string{"AUTH": "454 4.7.0 try later"}, transport.Refused, transport.Waiting, "does not accept sign-in now"},
		"not signed in":    {map[string]string{"MAIL": "530 5.7.0 sign in first"}, transport.SignIn, transport.Waiting, "user name or password"},
		"not your address": {map[string]string{"MAIL": "553 5.7.1 not yours"}, transport.Refused, transport.Failed, "does not let you send this message"},
		"quota of sender":  {map[string]string{"MAIL": "452 4.3.1 disk full"}, transport.Refused, transport.Waiting, "cannot take the message now"},
		"no such person":   {map[string]string{"RCPT": "550 5.1.1 who?"}, "", transport.Failed, "There is no such address, says localhost. It said: “who?”."},
		"full":             {map[string]string{"RCPT": "452 4.2.2 mailbox full"}, "", transport.Waiting, "is full"},
		"closed":           {map[string]string{"RCPT": "550 5.2.1 disabled"}, "", transport.Failed, "takes no mail"},
		"relay":            {map[string]string{"RCPT": "554 5.7.1 relay access denied"}, "", transport.Failed, "does not let you send to this address"},
		"bare code":        {map[string]string{"RCPT": "550 "}, "", transport.Failed, "localhost refused this address for good."},
		"greylisted":       {map[string]string{"RCPT": "450 4.7.1 again in a while"}, "", transport.Waiting, "cannot take mail for this address now"},
		"too many":         {map[string]string{"RCPT": "552 too many recipients"}, "", transport.Waiting, "cannot take mail for this address now"},
		"too much for one": {map[string]string{"RCPT": "552 5.2.2 quota exceeded"}, "", transport.Failed, "is full"},
		"going down":       {map[string]string{"RCPT": "421 4.3.2 going down"}, transport.Refused, transport.Waiting, "had to stop"},
		"no data":          {map[string]string{"DATA": "451 4.3.0 oh"}, transport.Refused, transport.Waiting, "cannot take the message now"},
		"spam":             {map[string]string{".": "550 5.7.1 looks like spam"}, transport.Refused, transport.Failed, "does not let you send this message. It said: “looks like spam”."},
		"large after all":  {map[string]string{".": "552 too much"}, transport.TooLarge, transport.Failed, "too large for localhost"},
		"not stored":       {map[string]string{".": "452 4.3.1 disk full"}, transport.Refused, transport.Waiting, "cannot take the message now"},
		"stated limit":     {map[string]string{"EHLO": "250-here\r\n250-SIZE 10\r\n250 AUTH PLAIN"}, transport.TooLarge, transport.Failed, "takes at most 1 KB"},
		"nonsense":         {map[string]string{"MAIL": "what?"}, transport.NotUnderstood, transport.Waiting, "cannot be understood"},
		"ugly words":       {map[string]string{"RCPT": "550 5.1.1 no\x1b[31m red\u202e\x07 " + strings.Repeat("x", 1500)}, "", transport.Failed, "It said: “no [31m red " + strings.Repeat("x", 148) + " …”."},
		"gone at MAIL":     {map[string]string{"MAIL": ""}, transport.Interrupted, transport.Waiting, "The connection to localhost broke off."},
		"gone at DATA":     {map[string]string{"DATA": ""}, transport.Interrupted, transport.Waiting, "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, false, smtpTalk(c.answers))
			result, failure := submit(t, quick(), f, "bob@mail.test")
			r := result.Recipients[0]
			if failure == nil != (c.kind == "") || failure != nil && failure.Kind != c.kind {
				t.Errorf("error %+v, want kind %q", failure, c.kind)
			}
			if r.State != c.state || !strings.Contains(r.Says, c.says) || (r.State == transport.Sent) != (r.Says == "") {
				t.Errorf("%s: %q, want %s: %q", r.State, r.Says, c.state, c.says)
			}
			if result.Uncertain {
				t.Error("nothing was handed over, yet it is uncertain")
			}
			if failure != nil && failure.Permanent != (c.state == transport.Failed) {
				t.Errorf("permanent %t beside %s", failure.Permanent, c.state)
			}
		})
	}
}

// TestAnswerLost: a message whose end was said, but not answered, may have gone.
func TestAnswerLost(t *testing.T) {
	for name, answer := range map[string]string{"cut": "", "silence": "-", "nonsense": "what?"} {
		s := quick()
		s.Final = 100 * time.Millisecond
		f := serve(t, false, smtpTalk(map[string]string{".": answer}))
		result, failure := submit(t, s, f, "bob@mail.test")
		if failure == nil || !failure.Uncertain || failure.Permanent || !result.Uncertain || result.Recipients[0].State != transport.Waiting {
			t.Errorf("%s: %+v, %+v", name, result, failure)
		}
		if !f.heard("body") {
			t.Errorf("%s: the message was not handed over", name)
		}
	}
}

// TestStoppedWithinMessage: however a submission ends within the message, the server
// is never told that the message is complete.
func TestStoppedWithinMessage(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	for name, src := range map[string]transport.Source{
		"stopped": &tripping{trip: func() error { cancel(); <-ctx.Done(); return nil }},
		"failed":  &tripping{trip: func() error { return errors.New("the disk died") }},
	} {
		ended := make(chan struct{})
		talk := smtpTalk(nil)
		f := serve(t, false, func(l *line) { talk(l); close(ended) })
		result, err := quick().Submit(ctx, f.Server, me, "alice@mail.test", []string{"bob@mail.test"}, src)
		if err == nil || result.Recipients[0].State != transport.Waiting || result.Uncertain {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		<-ended
		if !f.heard("DATA") || hasLine(f, ".") {
			t.Errorf("%s: the server heard %q", name, f.said)
		}
		ctx, cancel = context.WithCancel(t.Context())
	}
	cancel()
}

func hasLine(f *fake, text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.said {
		if s == text {
			return true
		}
	}
	return false
}

// tripping is a large message; the second time it is read, something happens in its
// middle.
type tripping struct {
	opened int
	trip   func() error
}

func (s *tripping) Open() (io.ReadCloser, error) {
	s.opened++
	half := strings.Repeat(strings.Repeat("y", 76)+"\r\n", 2000)
	readers := []io.Reader{strings.NewReader(note + half), strings.NewReader(half)}
	if s.opened > 1 {
		readers = []io.Reader{readers[0], readerFunc(s.trip), readers[1]}
	}
	return io.NopCloser(io.MultiReader(readers...)), nil
}

type readerFunc func() error

func (f readerFunc) Read([]byte) (int, error) {
	if err := f(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// TestServerGoesAway: a server that closes in the middle of a message has not taken it.
func TestServerGoesAway(t *testing.T) {
	f := serve(t, false, func(l *line) {
		for _, s := range []string{"220 here", "250-here\r\n250 AUTH PLAIN", "235 fine", "250 fine", "250 fine", "354 go on", ""} {
			l.say("%s", s)
			l.hear()
		}
	})
	result, err := quick().Submit(t.Context(), f.Server, me, "alice@mail.test", []string{"bob@mail.test"}, pattern{lines: 1_000_000})
	if kind(err) != transport.Interrupted || result.Uncertain || result.Recipients[0].State != transport.Waiting {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestNothingInTheClear: where STARTTLS is not offered, refused or followed by words
// from somebody else, no password is sent and the reason is said.
func TestNothingInTheClear(t *testing.T) {
	smtp := func(lines ...string) func(*line) {
		return func(l *line) {
			for _, s := range lines {
				l.say("%s", s)
				l.hear()
			}
			io.Copy(io.Discard, l.Reader)
		}
	}
	imap := smtp
	for name, c := range map[string]struct {
		imap bool
		talk func(*line)
		kind transport.Kind
	}{
		"SMTP does not offer":   {false, smtp("220 here", "250-here\r\n250 AUTH PLAIN"), transport.NoTLS},
		"SMTP nearly offers":    {false, smtp("220 here", "250-here\r\n250 XSTARTTLS"), transport.NoTLS},
		"SMTP refuses":          {false, smtp("220 here", "250-here\r\n250 STARTTLS", "502 no"), transport.NoTLS},
		"SMTP not now":          {false, smtp("220 here", "250-here\r\n250 STARTTLS", "454 not now"), transport.Refused},
		"SMTP injects":          {false, smtp("220 here", "250-here\r\n250 STARTTLS", "220 go\r\n250-here\r\n250 AUTH PLAIN"), transport.NoTLS},
		"SMTP babbles":          {false, smtp(strings.Repeat("220-x\r\n", 5000) + "220 here"), transport.NotUnderstood},
		"SMTP endless line":     {false, smtp("220 " + strings.Repeat("x", 1<<20)), transport.NotUnderstood},
		"SMTP is something":     {false, smtp("HTTP/1.1 400 Bad Request"), transport.NotUnderstood},
		"IMAP is signed in":     {true, imap("* PREAUTH welcome"), transport.NoTLS},
		"IMAP refuses":          {true, imap("* OK here", "S NO no"), transport.NoTLS},
		"IMAP does not know it": {true, imap("* OK here", "* CAPABILITY IMAP4rev1\r\nS BAD what?"), transport.NoTLS},
		"IMAP says goodbye":     {true, imap("* BYE come back later"), transport.Refused},
		"IMAP injects":          {true, imap("* OK here", "S OK go\r\n* PREAUTH welcome"), transport.NoTLS},
		"IMAP is something":     {true, imap("+OK POP3"), transport.NotUnderstood},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, true, c.talk)
			err := quick().SignIn(t.Context(), f.Server, me)
			if c.imap {
				_, err = quick().DialMailbox(t.Context(), f.Server, me)
			}
			if kind(err) != c.kind {
				t.Errorf("%v, want kind %s", err, c.kind)
			}
			for _, secret := range []string{"alice", "secret", "AUTH", "LOGIN", "YWxpY2U"} {
				if f.heard(secret) {
					t.Errorf("the server heard %q", f.said)
				}
			}
		})
	}
	t.Run("no TLS where it should be", func(t *testing.T) {
		f := serve(t, true, smtp("220 here"))
		f.Security = transport.Implicit
		if err := quick().SignIn(t.Context(), f.Server, me); kind(err) != transport.NoTLS {
			t.Error(err)
		}
	})
}

// TestPatience: neither silence, nor a trickle, nor a flood holds us.
func TestPatience(t *testing.T) {
	s := quick()
	s.Reply = 100 * time.Millisecond
	for name, c := range map[string]struct {
		talk func(*line)
		kind transport.Kind
	}{
		"silence": {smtpTalk(map[string]string{"": "-"}), transport.Interrupted},
		"trickle": {func(l *line) {
			l.say("220-here")
			for {
				if _, err := l.Conn.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}, transport.Interrupted},
		"flood": {func(l *line) {
			for {
				if _, err := l.Conn.Write([]byte("220-and another thing\r\n")); err != nil {
					return
				}
			}
		}, transport.NotUnderstood},
		"a line without end": {func(l *line) {
			for {
				if _, err := l.Conn.Write([]byte("220 and another thing and ")); err != nil {
					return
				}
			}
		}, transport.NotUnderstood},
	} {
		f := serve(t, false, c.talk)
		if err := s.SignIn(t.Context(), f.Server, me); kind(err) != c.kind {
			t.Errorf("%s: %v, want kind %s", name, err, c.kind)
		}
	}
	s.Connect = 100 * time.Millisecond
	f := serve(t, true, func(l *line) { io.Copy(io.Discard, l.Reader) })
	for _, security := range []transport.Security{transport.Implicit, transport.StartTLS} {
		f.Security = security
		if err := s.SignIn(t.Context(), f.Server, me); kind(err) != transport.Unreachable {
			t.Errorf("%s, silence: %v", security, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := quick().SignIn(ctx, f.Server, me); kind(err) != transport.Stopped || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time is over: %v", err)
	}
}

func TestUnsendablePassword(t *testing.T) {
	smtp, imap := serve(t, false, smtpTalk(nil)), serve(t, false, imapTalk(offers, nil))
	for _, as := range []transport.Credential{{User: "a\x00b", Password: "x"}, {User: "a", Password: "x\r\ny"}} {
		_, err := quick().DialMailbox(t.Context(), imap.Server, as)
		for _, err := range []error{err, quick().SignIn(t.Context(), smtp.Server, as)} {
			if kind(err) != transport.SignIn || smtp.heard("AUTH") || imap.heard("AUTH") {
				t.Errorf("%v", err)
			}
		}
	}
}

func TestSignInByLogin(t *testing.T) {
	f := serve(t, false, func(l *line) {
		l.say("220 here")
		l.hear()
		l.say("250-here\r\n250 AUTH LOGIN")
		l.hear()
		l.say("334 VXNlcm5hbWU6")
		l.hear()
		l.say("334 UGFzc3dvcmQ6")
		l.hear()
		l.say("235 fine")
		l.hear()
		l.say("221 bye")
	})
	if err := quick().SignIn(t.Context(), f.Server, me); err != nil {
		t.Fatal(err)
	}
	if !f.heard("YWxpY2VAbWFpbC50ZXN0") || !f.heard("c2VjcmV0IG9mIGFsaWNl") {
		t.Errorf("heard %q", f.said)
	}
}

func TestAddressesCannotCarryCommands(t *testing.T) {
	f := serve(t, false, smtpTalk(nil))
	for _, address := range []string{
		"", "bob", "@mail.test", "bob@", "bob@mail.test> SIZE=1", "bob@mail.test\r\nDATA", "b ob@mail.test", "<bob@mail.test>",
		"bob@mail.test\x00", strings.Repeat("b", 400) + "@mail.test", "b\xff@mail.test",
	} {
		result, failure := submit(t, quick(), f, "carol@mail.test", address)
		if failure == nil || failure.Kind != transport.Misused || result.Recipients[1].State != transport.Failed {
			t.Errorf("%q: %+v", address, result)
		}
		result, err := quick().Submit(t.Context(), f.Server, me, address, []string{"bob@mail.test"}, text(note))
		if kind(err) != transport.Misused || result.Sent() {
			t.Errorf("from %q: %+v", address, result)
		}
	}
	if f.heard("MAIL") {
		t.Error("a message was begun")
	}
	_, failure := submit(t, quick(), f, "børge@mail.test")
	if failure == nil || failure.Kind != transport.Refused || !failure.Permanent {
		t.Errorf("an address beyond ASCII at a server without SMTPUTF8: %+v", failure)
	}
	if _, failure := submit(t, quick(), f); failure == nil {
		t.Error("sent to nobody")
	}
}
