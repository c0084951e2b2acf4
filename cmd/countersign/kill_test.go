package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/platform"
	"countersign/platform/localsock"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
)

// TestKillWhileSending kills the agent at random moments of writing, attaching,
// sending and submitting. What was accepted arrives; what was saved and not
// accepted is still a draft; nothing is shown twice, and a repeat on the wire is the
// same bytes. A hundred times with COUNTERSIGN_SOAK=1, else ten.
func TestKillWhileSending(t *testing.T) {
	long(t)
	rounds := 10
	if os.Getenv("COUNTERSIGN_SOAK") != "" {
		rounds = 100
	}
	w := newWorkshop(t, "ada", "bea")
	if err := verify(w.run, "ada", "bea", w.address("ada"), w.address("bea")); err != nil {
		t.Fatal(err)
	}
	w.must("ada", "stop")
	if err := ended(filepath.Join(w.dir, "ada")); err != nil {
		t.Fatal(err) // it answers for a moment, and would be taken for the next
	}
	whole := w.undisturbed(t)

	saved, accepted := map[string]bool{}, map[string]bool{}
	for i := range rounds {
		subject := fmt.Sprintf("Letter %d of %d", i+1, rounds)
		kill := rand.N(whole)
		s, a := w.interrupted(t, subject, kill)
		saved[subject], accepted[subject] = s, a
	}
	cut := 0
	for subject := range accepted {
		if !accepted[subject] {
			cut++
		}
	}
	t.Logf("%d of %d kills fell before a letter was accepted, within the %v that one takes from draft to server", cut, rounds, whole)
	if rounds >= 100 && (cut == 0 || cut == rounds) {
		t.Error("all kills fell on one side of the acceptance: the test shows little")
	}

	svc, end := w.agent(t, "ada")
	defer end()
	w.drained(t, svc)
	drafts, err := svc.Mail.Drafts(t.Context(), control.None{})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for _, d := range drafts {
		kept[d.Subject] = true
	}
	w.must("bea", "mail", "fetch")
	shown := map[string]int{}
	var list []control.Summary
	if err := json.Unmarshal([]byte(w.must("bea", "mail", "list", "--limit", "500", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		shown[m.Subject]++
	}
	for subject := range saved {
		switch n := shown[subject]; {
		case n > 1:
			t.Errorf("%q is shown %d times", subject, n)
		case accepted[subject] && n == 0:
			t.Errorf("%q was accepted and is lost", subject)
		case saved[subject] && n == 0 && !kept[subject]:
			t.Errorf("%q was saved and is neither a draft nor sent", subject)
		case n == 1 && kept[subject]:
			t.Errorf("%q was sent and is still a draft", subject)
		}
	}
	w.sameBytes(t)
}

// workshop is a world outside of a story: people with homes, and their programs.
type workshop struct {
	t      *testing.T
	dir    string
	mail   *embedded
	people map[string]*authority.Person
}

func newWorkshop(t *testing.T, names ...string) *workshop {
	t.Helper()
	ca, err := authority.New(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{t: t, dir: t.TempDir(), people: map[string]*authority.Person{}}
	if w.mail, err = openEmbedded(ca); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.mail.close)
	w.link(filepath.Join(w.dir, "bin", "countersign-agent"))
	w.file("passphrase", []byte(passphrase+"\n"))
	w.file("root.pem", ca.RootPEM())
	w.file("mail.pem", ca.RootPEM())
	w.file("p12password", []byte(authority.Password+"\n"))
	for _, name := range names {
		who := people[name]
		if w.people[name], err = ca.Admit(who.name, who.local+"@"+who.domain); err != nil {
			t.Fatal(err)
		}
		w.file(name+".p12", w.people[name].PKCS12)
		w.file(name+".pem", w.people[name].PEM())
		w.file(name+".password", []byte(mailPassword+"\n"))
		w.link(filepath.Join(w.dir, "bin", name))
		if err := home(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := furnish(w.run, w.mail, name, w.address(name)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = w.run(name, "stop") })
	}
	return w
}

func (w *workshop) address(name string) string { return w.people[name].Address }

func (w *workshop) file(name string, data []byte) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// run runs one person's command line.
func (w *workshop) run(name string, args ...string) (string, error) {
	cmd := w.program(name, args...)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, failed.String())
	}
	return string(out), err
}

// program is a command of this test binary, by name: a link of that name, since the
// command line looks for the agent beside itself.
func (w *workshop) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(w.dir, "bin", name), args...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), "WORK="+w.dir)
	return cmd
}

func (w *workshop) link(path string) {
	w.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if os.Link(exe, path) == nil {
		return
	}
	data, err := os.ReadFile(exe) // another file system
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o700); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workshop) must(name string, args ...string) string {
	w.t.Helper()
	out, err := w.run(name, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// agent starts a person's agent as a process of ours and returns how to ask it and
// how to kill it.
func (w *workshop) agent(t *testing.T, name string) (*control.Service, func()) {
	t.Helper()
	cmd := w.program("countersign-agent", "--headless", "--home", filepath.Join(w.dir, name), "--keychain", "file", "--passphrase-file", filepath.Join(w.dir, "passphrase"))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	dirs, err := platform.FindDirs(filepath.Join(w.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := localsock.Dial(t.Context(), dirs.Run)
		if err == nil {
			conn.Close()
			return control.At(dirs.Run), kill
		}
		if !errors.Is(err, localsock.ErrNobody) || time.Now().After(deadline) {
			kill()
			t.Fatalf("the agent does not answer: %v: %s", err, said.String())
		}
	}
}

// letter writes and sends one letter, and tells how far it came.
func (w *workshop) letter(ctx context.Context, svc *control.Service, subject string) (saved, accepted bool) {
	d := control.Draft{ID: control.NewID(), To: []string{w.address("bea")}, Subject: subject, Text: "Dear Bea"}
	if _, err := svc.Mail.SaveDraft(ctx, d); err != nil {
		return false, false
	}
	file := control.AttachOrder{Draft: d.ID, Name: "scan.bin", Type: "application/octet-stream"}
	if _, err := svc.Mail.Attach(ctx, file, bytes.NewReader(make([]byte, 300_000))); err != nil {
		return true, false
	}
	_, err := svc.Mail.Send(ctx, control.DraftQuery{ID: d.ID})
	return true, err == nil
}

// undisturbed sends one letter and returns how long it took from the first word of the
// draft until the server had it and the agent had noted it.
func (w *workshop) undisturbed(t *testing.T) time.Duration {
	t.Helper()
	svc, end := w.agent(t, "ada")
	defer end()
	begun := time.Now()
	if _, accepted := w.letter(t.Context(), svc, "Undisturbed"); !accepted {
		t.Fatal("a letter was not accepted, though nothing was killed")
	}
	w.drained(t, svc)
	return time.Since(begun)
}

// interrupted writes and sends one letter while the agent is killed after the time
// given, wherever it is by then, and tells whether the draft was saved and whether it
// was accepted.
func (w *workshop) interrupted(t *testing.T, subject string, after time.Duration) (saved, accepted bool) {
	svc, kill := w.agent(t, "ada")
	killed := make(chan struct{})
	time.AfterFunc(after, func() { kill(); close(killed) })
	defer func() { <-killed }()
	return w.letter(t.Context(), svc, subject)
}

// drained waits until the outbox has nothing left to do.
func (w *workshop) drained(t *testing.T, svc *control.Service) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		st, err := svc.Settings.Status(t.Context(), control.None{})
		if err != nil {
			t.Fatal(err)
		}
		if st.Outbox == 0 {
			return
		}
	}
	out, err := svc.Mail.Outbox(context.Background(), control.None{})
	t.Fatalf("the outbox does not empty: %+v, %v", out, err)
}

var messageID = regexp.MustCompile(`(?mi)^Message-ID: (\S+)`)

// sameBytes checks that what went over the wire twice was the same.
func (w *workshop) sameBytes(t *testing.T) {
	t.Helper()
	w.mail.mu.Lock()
	defer w.mail.mu.Unlock()
	first := map[string][]byte{}
	for _, raw := range w.mail.parcel {
		id := string(messageID.Find(raw))
		if before, again := first[id]; again && !bytes.Equal(before, raw) {
			t.Errorf("%s went out twice, with other bytes", id)
		}
		first[id] = raw
	}
}
