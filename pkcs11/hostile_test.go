package pkcs11

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/wire"
)

// hostile is a helper whose answers are ours. Its process only waits for the end of its input.
func hostile(t *testing.T) (h *helper, answers io.Writer) {
	t.Helper()
	out, answers := io.Pipe()
	h = &helper{cmd: exec.Command("cat"), out: out, waiting: map[uint32]*call{}, dead: make(chan struct{})}
	h.cmd.Stderr = &h.words
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Skip("there is no cat: ", err)
	}
	go h.listen()
	t.Cleanup(h.end)
	return h, answers
}

// TestHostileReplies: an answer to nothing, or to something else, ends the helper, and
// whoever waits is told.
func TestHostileReplies(t *testing.T) {
	for name, reply := range map[string]*wire.Reply{
		"to nothing":     {ID: 99, Op: wire.Tokens},
		"another's kind": {ID: 1, Op: wire.Login},
	} {
		h, answers := hostile(t)
		result := make(chan error, 1)
		c, err := h.send(&wire.Request{Op: wire.Tokens}, forever)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-c.done
			_, err := h.result(c)
			result <- err
		}()
		if err := wire.Write(answers, reply); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !is(err, Crashed) {
			t.Errorf("%s: %v", name, err)
		}
		<-h.dead
		if _, err := h.send(&wire.Request{Op: wire.Tokens}, forever); !is(err, Crashed) {
			t.Errorf("%s: asked again: %v", name, err)
		}
	}
}

// scripted is a library whose helper is a function, and ends with end.
func scripted(t *testing.T, answer func(*wire.Request, *wire.Reply)) (l *Library, end func()) {
	t.Helper()
	asked, requests := io.Pipe()
	replies, answers := io.Pipe()
	h := &helper{in: requests, out: replies, waiting: map[uint32]*call{}, dead: make(chan struct{})}
	none, err := os.FindProcess(os.Getpid())
	if err != nil || none.Release() != nil {
		t.Fatal("no process that cannot be ended: ", err)
	}
	h.cmd = &exec.Cmd{Process: none}
	l = Open(Config{})
	l.helper = h
	go h.listen()
	go func() {
		defer answers.Close()
		for {
			r, err := wire.ReadRequest(asked)
			if err != nil {
				return
			}
			reply := &wire.Reply{ID: r.ID, Op: r.Op}
			answer(r, reply)
			if wire.Write(answers, reply) != nil {
				return
			}
		}
	}()
	return l, func() {
		requests.Close()
		<-h.dead
	}
}

// TestInsatiable: a PIN is asked for twice at most, whatever a library makes of it, and not
// again where a refusal leaves one try.
func TestInsatiable(t *testing.T) {
	for name, c := range map[string]struct {
		failure wire.Failure // of a signature with a PIN
		tries   Tries
		want    Failure
		prompts int
	}{
		"always another":     {wire.AsksAlways, TriesUntold, Lost, 2},
		"lost each time":     {wire.Lost, TriesUntold, Lost, 2},
		"never logged in":    {wire.NotLoggedIn, TriesUntold, Lost, 2},
		"wrong each time":    {wire.WrongPIN, TriesFewer, WrongPIN, 2},
		"wrong, one is left": {wire.WrongPIN, TriesLast, WrongPIN, 1},
	} {
		l, end := scripted(t, func(r *wire.Request, reply *wire.Reply) {
			switch {
			case r.Op == wire.Tokens:
				reply.Tokens = []wire.Token{{Name: wire.Name{Serial: "1"}, Offers: wire.Set(0).With(wire.ECDSA)}}
			case r.Op == wire.Sign && r.Entry == wire.NoPIN:
				reply.Failure = wire.AsksAlways
			case r.Op == wire.Sign:
				reply.Failure, reply.Tries = c.failure, c.tries
			}
		})
		user := &person{}
		key, err := l.Use(URI{Token: Name{Serial: "1"}, ID: []byte{1}}, mustKey(t).Public())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.Signer(with(t, user)).Sign(nil, make([]byte, 32), crypto.SHA256); !is(err, c.want) || user.asked() != c.prompts {
			t.Errorf("%s: %d PINs asked for, %v", name, user.asked(), err)
		}
		end()
	}
}

// TestPINForBoth: the PIN that was just typed for the login does for the key as well, and on
// the last try the user types it once more.
func TestPINForBoth(t *testing.T) {
	private := mustKey(t)
	for last, prompts := range map[bool]int{false: 1, true: 2} {
		in := false
		l, end := scripted(t, func(r *wire.Request, reply *wire.Reply) {
			switch {
			case r.Op == wire.Tokens:
				reply.Tokens = []wire.Token{{Name: wire.Name{Serial: "1"}, Offers: wire.Set(0).With(wire.ECDSA)}}
			case r.Op == wire.Login:
				in = true
			case !in:
				reply.Failure = wire.NotLoggedIn
			case r.Entry == wire.NoPIN:
				reply.Failure = wire.AsksAlways
			case r.Entry == wire.Kept && last:
				reply.Failure, reply.Tries = wire.LastTry, wire.TriesLast
			default:
				a, b, err := ecdsa.Sign(rand.Reader, private, r.Data)
				if err != nil {
					reply.Failure = wire.Confused
					return
				}
				reply.Data = append(a.FillBytes(make([]byte, r.Size/2)), b.FillBytes(make([]byte, r.Size/2))...)
			}
		})
		user := &person{}
		key, err := l.Use(URI{Token: Name{Serial: "1"}, ID: []byte{1}}, private.Public())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.Signer(with(t, user)).Sign(nil, make([]byte, 32), crypto.SHA256); err != nil || user.asked() != prompts {
			t.Errorf("on the last try %v: %d PINs asked for, %v", last, user.asked(), err)
		}
		for _, p := range user.prompts {
			if p.Again != FirstTime {
				t.Errorf("on the last try %v: asked as %d", last, p.Again)
			}
		}
		end()
	}
}

// TestCancelledOnPad: who waited while another was sent to the PIN pad, and cancelled there, is
// not sent there too.
func TestCancelledOnPad(t *testing.T) {
	for _, atLogin := range []bool{true, false} {
		token := Token{Name: wire.Name{Serial: "1"}, Pad: true, Offers: wire.Set(0).With(wire.ECDSA)}
		l, end := scripted(t, func(r *wire.Request, reply *wire.Reply) {
			switch {
			case r.Op == wire.Tokens:
				reply.Tokens = []wire.Token{token}
			case r.Entry == wire.OnPad:
				reply.Failure = wire.Cancelled
			case atLogin:
				reply.Failure = wire.NotLoggedIn
			default:
				reply.Failure = wire.AsksAlways
			}
		})
		key, err := l.Use(URI{Token: token.Name, ID: []byte{1}}, mustKey(t).Public())
		if err != nil {
			t.Fatal(err)
		}
		line := l.line(token.Name)
		waited := &request{library: l, line: line, declined: line.declined.Load()}
		if _, err := key.Signer(with(t, &person{})).Sign(nil, make([]byte, 32), crypto.SHA256); !is(err, Cancelled) {
			t.Error(err)
		}
		user := &person{}
		if err := waited.obtain(with(t, user), token); !is(err, Cancelled) || user.pads != 0 {
			t.Errorf("at login %v: sent to the pad %d times more, %v", atLogin, user.pads, err)
		}
		end()
	}
}

// TestWatchedByHostile: a helper that tells of changes without end is asked once a period.
func TestWatchedByHostile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		l, end := scripted(t, func(r *wire.Request, reply *wire.Reply) {
			if r.Op == wire.Tokens {
				looks++
				reply.Tokens = []wire.Token{{Name: wire.Name{Serial: strconv.Itoa(looks)}}}
			}
		})
		told := 0
		ctx, stop := context.WithTimeout(t.Context(), time.Minute+time.Second/2)
		defer stop()
		err := l.Watch(ctx, time.Second, func(Event) {
			if told++; told > 1000 {
				stop()
			}
		})
		if !errors.Is(err, context.DeadlineExceeded) || looks != 61 || told != 2*looks-1 {
			t.Errorf("%d looks in a minute, %d events, %v", looks, told, err)
		}
		end()
	})
}

// TestUnkillable: those who wait for a helper are told of its end before its process is
// gone: one that hangs in a driver stays for long.
func TestUnkillable(t *testing.T) {
	h := &helper{cmd: exec.Command("cat"), waiting: map[uint32]*call{}, dead: make(chan struct{})}
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, _ := io.Pipe() // which the process's end does not close
	h.out = out
	if err := h.cmd.Start(); err != nil {
		t.Skip("there is no cat: ", err)
	}
	c, err := h.send(&wire.Request{Op: wire.Tokens}, forever)
	if err != nil {
		t.Fatal(err)
	}
	go h.listen()
	h.kill(wire.Hung)
	<-c.done
	if _, err := h.result(c); !is(err, Hung) {
		t.Error(err)
	}
	<-h.dead
}

// TestSecretsWithheld: what a helper printed is not handed on once it was told a secret.
func TestSecretsWithheld(t *testing.T) {
	for secret, request := range map[bool]*wire.Request{
		false: {Op: wire.Tokens}, true: {Op: wire.Login, Token: Name{Label: "x"}, Entry: wire.Typed, PIN: []byte("4711")},
	} {
		h, _ := hostile(t)
		c, err := h.send(request, forever)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = h.words.Write([]byte("debug: PIN=4711"))
		h.end()
		<-c.done
		if _, err := h.result(c); err == nil || strings.Contains(err.Error(), "4711") == secret {
			t.Errorf("secret %v: %v", secret, err)
		}
	}
}

// TestKeptPINCounts: a kept PIN that is wrong now, and two typed ones, would be three.
func TestKeptPINCounts(t *testing.T) {
	b := prepare(t, pkcs11test.Fake, time.Hour)
	b.must(t)
	b.restart(t)
	b.line(b.key.token).keep([]byte("000000"), time.Hour)
	b.user.prompts, b.user.answers = nil, []string{"000001", "000002"}
	b.fails(t, with(t, b.user), WrongPIN)
	if b.user.asked() != 1 {
		t.Errorf("%d PINs were typed after a kept one was refused", b.user.asked())
	}
}
