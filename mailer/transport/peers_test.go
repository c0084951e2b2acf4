package transport_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"countersign/mailer/server/servertest"
	"countersign/mailer/transport"
)

// peerRefusals are answers of a real Postfix.
func peerRefusals(t *testing.T, r rig) {
	to := []string{"full@mail.test", "later@mail.test", "bob@mail.test"}
	result, err := r.submitter().Submit(t.Context(), r.smtp[1], r.alice, "alice@mail.test", to, text("X-Test: partly\r\n\r\nbody\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []transport.Recipient{
		{State: transport.Failed, Code: 552, Says: "The mailbox of this address is full, says localhost. It said: “"},
		{State: transport.Waiting, Code: 450, Says: "localhost cannot take mail for this address now. It said: “"},
		{State: transport.Sent},
	} {
		if got := result.Recipients[i]; got.State != want.State || got.Code != want.Code || !strings.HasPrefix(got.Says, want.Says) {
			t.Errorf("%s: %+v", to[i], got)
		}
	}
	result, err = r.submitter().Submit(t.Context(), r.smtp[0], r.alice, "alice@mail.test", to[2:], pattern{lines: 3_000_000})
	if kind(err) != transport.TooLarge || result.Recipients[0].State != transport.Failed {
		t.Errorf("222 MB: %+v, %v", result, err)
	}
}

// peerLeaves is last: the servers are stopped in the middle of their work.
func peerLeaves(t *testing.T, r rig, p *servertest.Pair) {
	src := &tripping{trip: func() error { p.StopSMTP(); return nil }}
	result, err := r.submitter().Submit(t.Context(), r.smtp[0], r.alice, "alice@mail.test", []string{"bob@mail.test"}, src)
	if result.Sent() || result.Recipients[0].State != transport.Waiting || err == nil {
		t.Errorf("stopped within the message: %+v, %v", result, err)
	}
	if err := r.dialer().SignIn(t.Context(), r.smtp[0], r.alice); kind(err) != transport.Unreachable {
		t.Errorf("stopped: %v", err)
	}
	m, before := r.inbox(t, 0)
	ended := make(chan error, 1)
	go func() { ended <- m.Wait(t.Context(), time.Minute) }()
	p.StopIMAP()
	if err := <-ended; kind(err) != transport.Interrupted {
		t.Errorf("stopped while waiting: %v", err)
	}
	if _, err := m.Fetch(t.Context(), before, new(got).take); kind(err) != transport.Unreachable {
		t.Errorf("stopped: %v", err)
	}
}

// clearText makes sure that the set-up would notice a password in the clear: these
// servers refuse one, so what our client sends them was sent inside TLS.
func clearText(t *testing.T, p *servertest.Pair) {
	say := func(address, command, want string) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}} // see servertest/conf.go
		c, err := d.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "%s\r\n", command)
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Errorf("%s never said %q", address, want)
	}
	say(p.IMAPStartTLS, `a LOGIN alice@mail.test "secret of alice"`, "a NO [PRIVACYREQUIRED]")
	say(p.SMTPStartTLS, "EHLO me\r\nAUTH PLAIN AGEAYg==", "530 5.7.0")
}
