package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"countersign/tray/control"
)

// titles is the eight steps of the main path, as printed.
var titles = []string{
	"Writing to somebody who is not verified",
	"A test message goes out, and is answered",
	"The call",
	"She verifies Ada in turn, by a call of her own",
	"A letter with an attachment",
	"Her answer",
	"An unsecured message arrives",
	"Somebody else, with a valid certificate for her address",
}

func TestDemoOnce(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Once: true, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	rest := out.String()
	for i, title := range titles {
		_, after, found := strings.Cut(rest, fmt.Sprintf("\n%d. %s\n", i+1, title))
		if !found {
			t.Fatalf("step %d, %q, is not in the transcript:\n%s", i+1, title, out.String())
		}
		rest = after
	}
	for _, words := range []string{
		"Subject: [...]", "AES-256-CBC", "| [echo-2026-11-20.txt, 85 bytes]",
		"Not secured", "NOT the key you verified for Dr Bea Brandt", "\nEvery step held.\n",
	} {
		if !strings.Contains(rest+out.String(), words) {
			t.Errorf("the transcript does not say %q:\n%s", words, out.String())
		}
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v (%v)", left, err)
	}
}

// TestDemoFails breaks the delivery of mail from outside: the play ends at the
// step that needs it.
func TestDemoFails(t *testing.T) {
	broken := errors.New("the mail server is broken")
	ctx, cancel := context.WithCancelCause(t.Context())
	s, wait, err := raise(ctx, cancel, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.deliver = func(string, []string, []byte) error { return broken }
	var out bytes.Buffer
	err = (&script{stage: s, out: &out}).play(ctx)
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "step 7, an unsecured message arrives: ") {
		t.Errorf("the play ended with %v", err)
	}
	if strings.Contains(out.String(), "Every step held") {
		t.Error("the transcript says that every step held")
	}
	cancel(nil)
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// TestAnotherAddress presses Enter: the first address may have run out.
func TestAnotherAddress(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Run(ctx, Options{Headless: true, In: strings.NewReader("\n"), Out: w})
		w.CloseWithError(io.EOF)
		done <- err
	}()
	var addresses []string
	for lines := bufio.NewScanner(r); len(addresses) < 2 && lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http://") {
			addresses = append(addresses, line)
		}
	}
	go io.Copy(io.Discard, r)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(addresses) != 2 || addresses[0] == addresses[1] {
		t.Errorf("the addresses are %q", addresses)
	}
}

// TestStoppedFromThePage ends the play when the user's agent is stopped.
func TestStoppedFromThePage(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	s, wait, err := raise(ctx, cancel, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.ada.svc.Contacts.Find(ctx, control.ContactQuery{Address: "somebody@elsewhere.example"})
	if err != nil || got.Found || got.Looked[1].Says != "DNS could not be asked." {
		t.Errorf("somebody outside was asked: %+v, %v", got, err)
	}
	if _, err := s.ada.svc.Settings.Stop(ctx, control.None{}); err != nil {
		t.Fatal(err)
	}
	if err := s.open(ctx, Options{Headless: true, Out: io.Discard}); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
}
