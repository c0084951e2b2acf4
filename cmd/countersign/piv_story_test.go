package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/pkcs11/installed"
	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/pkcs11test/piv"
	"countersign/tray/agent/tokens"
)

// openSC is the library of the PIV cards in the stories.
const openSC = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"

// TestPeerPIV runs the stories of somebody with a PIV card, whose key for signing asks each
// time: OpenSC, the system's card service, and a card that counts what reaches it.
func TestPeerPIV(t *testing.T) {
	long(t)
	p := stories(openEmbeddedOffice)
	p.Dir = "testdata/piv"
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Values[pivKey{}] = &pivDesk{t: env.T().(testing.TB)}
		return setup(env)
	}
	p.Cmds["piv"], p.Cmds["pull"], p.Cmds["service"], p.Cmds["kills"], p.Cmds["counted"] = pivCard, pull, cardService, kills, counted
	testscript.Run(t, p)
}

// pivDesk is a reader and the card of one person.
type pivDesk struct {
	t      testing.TB
	reader *pkcs11test.Reader
	card   *piv.Card
	before piv.Counts
}

type pivKey struct{}

func theDesk(ts *testscript.TestScript) *pivDesk { return ts.Value(pivKey{}).(*pivDesk) }

// pivCards is the card software of a person with a PIV card, if the folder is theirs.
func pivCards(dir string, w *tokens.World) {
	if _, err := os.Stat(filepath.Join(dir, "helper")); err != nil {
		return
	}
	w.Helper = filepath.Join(dir, "helper")
	w.Find = func() []installed.Library { return []installed.Library{{Path: openSC}} }
}

// piv NAME gives a person a PIV card with a key for signing and one for mail that comes in,
// and puts it into a reader. NAME.pem are both certificates and the authority's.
func pivCard(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: piv NAME")
	}
	d, w, name := theDesk(ts), theWorld(ts), args[0]
	d.reader = pkcs11test.NewReader(d.t)
	who := w.people[name]
	token, card := d.reader.Card(d.t, who.Name, "rsa")
	both := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.ca.Issuing.Raw})
	for _, one := range []struct {
		slot piv.Slot
		uses x509.KeyUsage
	}{{piv.Signature, x509.KeyUsageDigitalSignature}, {piv.KeyManagement, x509.KeyUsageKeyEncipherment}} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		ts.Check(err)
		p, err := w.ca.CertifyUntil(who.Name, who.Address, key.Public(), one.uses, time.Now().AddDate(1, 0, 0))
		ts.Check(err)
		ts.Check(card.Put(one.slot, key, p.Certificate.Raw))
		both = append(both, p.PEM()...)
	}
	d.card = card
	d.reader.Insert(d.t, card)
	dir := cardOf(ts.MkAbs("."), name)
	sitAtDesk(ts, dir)
	ts.Check(os.WriteFile(ts.MkAbs(name+".pem"), both, 0o600))

	// The agent starts the helper in the reader's place.
	program, env := token.Command()
	script := "#!/bin/sh\n"
	for _, one := range env[len(os.Environ()):] {
		variable, value, _ := strings.Cut(one, "=")
		script += "export " + variable + "='" + value + "'\n"
	}
	ts.Check(os.WriteFile(filepath.Join(dir, "helper"), []byte(script+"exec '"+program+"'\n"), 0o700))
}

// pull takes the card out; with ! it is put back. pull next takes it out in the midst of
// the next operation of a key.
func pull(ts *testscript.TestScript, neg bool, args []string) {
	d := theDesk(ts)
	switch {
	case neg:
		d.reader.Insert(d.t, d.card)
	case len(args) == 1 && args[0] == "next":
		d.card.PullAtNext()
	default:
		d.reader.Remove(d.t)
	}
}

// service ends the system's card service as a crash does; with ! it starts again, and the
// card is put in.
func cardService(ts *testscript.TestScript, neg bool, _ []string) {
	d := theDesk(ts)
	if !neg {
		d.reader.Kill(d.t)
		return
	}
	d.reader.Start(d.t)
	d.reader.Insert(d.t, d.card)
}

// kills NAME ends the helper of a person's agent as a crash does.
func kills(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: kills NAME")
	}
	mark, ended := []byte("OPENSC_CONF="), 0
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	ts.Check(err)
	for _, file := range found {
		env, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(env), string(mark)) || !strings.Contains(string(env), "SOFTHSM2_CONF="+cardOf(ts.MkAbs("."), args[0])) {
			continue // it has ended, or is another's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		ts.Check(err)
		if p, err := os.FindProcess(pid); err == nil && p.Kill() == nil {
			ended++
		}
	}
	if ended != 1 {
		ts.Fatalf("%d helpers ended", ended)
	}
}

// counted OPERATIONS WRONG wants the card to have done so many operations and been shown so
// many wrong PINs since the last look.
func counted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: counted OPERATIONS WRONG")
	}
	d := theDesk(ts)
	now := d.card.Counts()
	is := fmt.Sprint(now.Operations-d.before.Operations, " ", now.Wrong-d.before.Wrong)
	if is != strings.Join(args, " ") || now.Barred != 0 {
		ts.Fatalf("counted %s, and %d barred", is, now.Barred)
	}
	d.before = now
}
