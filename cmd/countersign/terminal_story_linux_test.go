package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server/servertest"
	"countersign/platform/pinprompt/pinprompttest"
)

// TestPeerTerminal runs the story of somebody with a card who has no screen: a real pinentry
// asks for the PIN at the terminal of the command line.
func TestPeerTerminal(t *testing.T) {
	long(t)
	for _, program := range []string{"softhsm2-util", "pkcs11-tool", "/usr/bin/pinentry-curses"} {
		if _, err := exec.LookPath(program); err != nil {
			servertest.Absent(t, program+" is not installed: make setup installs it")
		}
	}
	p := stories(openEmbeddedOffice)
	p.Dir = "testdata/terminal"
	p.Cmds["types"] = types
	testscript.Run(t, p)
}

// types PIN [<FILE] NAME ARGUMENTS... runs a person's command line at a terminal of its own,
// where they enter their PIN ("right") or another when they are asked, press Ctrl-C
// ("interrupt") or Ctrl-Z ("suspend"), or are not asked ("nothing"). With ! it has to fail. A file is standard
// input. Afterwards the terminal must be as it was, and stdout is what it showed.
func types(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: types PIN [<FILE] NAME ARGUMENTS...")
	}
	path, person, err := pinprompttest.Terminal()
	ts.Check(err)
	defer person.Close()
	terminal, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
	ts.Check(err)
	defer terminal.Close()
	before, err := pinprompttest.State(terminal)
	ts.Check(err)

	answer, input, args := args[0], terminal, args[1:]
	if file, ok := strings.CutPrefix(args[0], "<"); ok {
		input, err = os.Open(ts.MkAbs(file))
		ts.Check(err)
		defer input.Close()
		args = args[1:]
	}
	program, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(program, args[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"TERM=xterm"}
	for _, name := range []string{"PATH", "HOME", "WORK"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}
	ts.Check(cmd.Start())
	var shown []byte
	if answer != "nothing" {
		shown, err = pinprompttest.See(person, "PIN:")
		ts.Check(err)
		_, err = person.WriteString(map[string]string{"right": cardPIN + "\r", "interrupt": "\x03", "suspend": "\x1a"}[answer])
		ts.Check(err)
	}
	failed := cmd.Wait()
	after, err := pinprompttest.State(terminal)
	ts.Check(err)
	terminal.Close() // so that there is an end to what it shows
	rest, _ := pinprompttest.See(person, "\x00")
	shown = append(shown, rest...)
	ts.Logf("%q", shown)
	switch _, left, drawn := bytes.Cut(shown, []byte("\x1b[?1049h")); {
	case (failed != nil) != neg:
		ts.Fatalf("%v", failed)
	case after != before:
		ts.Fatalf("the terminal is left as %v, not %v", after, before)
	case drawn != (answer != "nothing"), drawn && !bytes.Contains(left, []byte("\x1b[?1049l")):
		ts.Fatalf("the dialog is not taken away")
	case bytes.Contains(shown, []byte(cardPIN)):
		ts.Fatalf("the PIN is shown")
	}
	ts.Check(os.WriteFile(ts.MkAbs("shown"), shown, 0o600))
}
