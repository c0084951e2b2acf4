package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server/servertest"
	"countersign/pkcs11/installed"
	"countersign/platform/pinprompt"
	"countersign/tray/agent/tokens"
)

// softHSM is the library of the cards in the stories.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// cardPIN is the PIN of every card. A percent sign shows that none is lost on the way.
const cardPIN = "12%34 56"

// TestPeerCards runs the stories of people who carry their keys on a card. A pinentry of
// our own stands in for them: the test binary, reached by a link that only tests set.
func TestPeerCards(t *testing.T) {
	long(t)
	needCards(t)
	p := stories(openEmbeddedOffice)
	p.Dir = "testdata/cards"
	testscript.Run(t, p)
}

// needCards skips where cards cannot be made.
func needCards(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(softHSM); err != nil {
		servertest.Absent(t, softHSM+" is not there: make setup installs it")
	}
	for _, program := range []string{"softhsm2-util", "pkcs11-tool"} {
		if _, err := exec.LookPath(program); err != nil {
			servertest.Absent(t, program+" is not installed: make setup installs it")
		}
	}
}

// storyCards is the card software of a person who has a card: none of this machine's.
func storyCards() *tokens.World {
	w := &tokens.World{Find: func() []installed.Library { return nil }}
	if conf := os.Getenv("SOFTHSM2_CONF"); conf != "" {
		w.Find = func() []installed.Library { return []installed.Library{{Path: softHSM}} }
		w.Prompt = pinprompt.New(pinprompt.Config{Programs: []string{filepath.Join(filepath.Dir(conf), "pinentry")}})
		pivCards(filepath.Dir(conf), w)
	}
	return w
}

// cardOf is the folder of a person's card.
func cardOf(work, name string) string { return filepath.Join(work, name+".card") }

// withCard makes the programs of somebody who has a card use it.
func withCard(work, name string) {
	conf := filepath.Join(cardOf(work, name), "softhsm2.conf")
	if _, err := os.Stat(cardOf(work, name)); err == nil {
		os.Setenv("SOFTHSM2_CONF", conf)
	}
}

// pinentry is somebody at the desktop: it answers what stands in the file "pin" of its
// folder, and writes what it shows into "asked".
func pinentry() {
	dir := filepath.Dir(os.Args[0])
	log, err := os.OpenFile(filepath.Join(dir, "asked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		os.Exit(1)
	}
	defer log.Close()
	fmt.Println("OK Pleased to meet you")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		name, argument, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "SETDESC", "SETERROR":
			text, err := url.PathUnescape(argument)
			if err != nil {
				text = argument
			}
			fmt.Fprintf(log, "%s %q\n", name, text)
		case "GETPIN":
			pin, err := os.ReadFile(filepath.Join(dir, "pin"))
			if err != nil || string(pin) == "cancel" {
				fmt.Println("ERR 83886179 Operation cancelled <Pinentry>")
				continue
			}
			fmt.Println("D " + strings.ReplaceAll(string(pin), "%", "%25"))
		case "BYE":
			fmt.Println("OK closing connection")
			return
		}
		fmt.Println("OK")
	}
}

// card NAME puts a person's key and certificate on a card, and the authority's; the key is
// nowhere else. ! card NAME gives them an empty card. card NAME LABEL gives them one more, with a
// new key and its certificate.
func card(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 && (neg || len(args) != 2) {
		ts.Fatalf("usage: card NAME [LABEL]")
	}
	dir := cardOf(ts.MkAbs("."), args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	conf := filepath.Join(dir, "softhsm2.conf")
	ts.Check(os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n"), 0o600))
	do := func(program string, args ...string) {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+conf)
		if out, err := cmd.CombinedOutput(); err != nil {
			ts.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
	name, label := args[0], strings.ToUpper(args[0][:1])+args[0][1:]+"'s card"
	w := theWorld(ts)
	who := w.people[name]
	if len(args) == 2 {
		label = args[1]
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		ts.Check(err)
		who, err = w.ca.Certify(who.Name, who.Address, key, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment)
		ts.Check(err)
		who.Key = key
		ts.Check(os.WriteFile(ts.MkAbs(name+".key"), who.KeyPEM(), 0o600))
	} else {
		sitAtDesk(ts, dir)
	}
	do("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", cardPIN)
	if neg {
		return
	}
	do("softhsm2-util", "--import", ts.MkAbs(name+".key"), "--token", label, "--label", "mail", "--id", "01", "--pin", cardPIN, "--no-public-key")
	for i, der := range [][]byte{who.Certificate.Raw, w.ca.Issuing.Raw} {
		file := filepath.Join(dir, "cert"+strconv.Itoa(i)+".der")
		ts.Check(os.WriteFile(file, der, 0o600))
		do("pkcs11-tool", "--module", softHSM, "--token-label", label, "--login", "--pin", cardPIN, "--write-object", file, "--type", "cert", "--id", "0"+strconv.Itoa(i+1), "--label", "mail")
	}
	ts.Check(os.Remove(ts.MkAbs(name + ".key")))
	ts.Check(os.RemoveAll(ts.MkAbs(name + ".p12")))
}

// sitAtDesk has somebody answer with the PIN of the card in that folder.
func sitAtDesk(ts *testscript.TestScript, dir string) {
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "pin"), []byte(cardPIN), 0o600))
	self, err := os.Executable()
	ts.Check(err)
	ts.Check(os.Symlink(self, filepath.Join(dir, "pinentry")))
}

// carded NAME [OPTION...] does the first set-up of somebody whose keys are on a card: the
// certificate listed first, or what the options of identity use say.
func carded(ts *testscript.TestScript, neg bool, args []string) {
	name, which := args[0], args[1:]
	if len(which) == 0 {
		which = []string{"1"}
	}
	w := theWorld(ts)
	ts.Check(furnishWith(runs(ts), w.mail, name, w.people[name].Address, append([]string{"identity", "use", "--only-copy"}, which...)))
}

// pin NAME ANSWER has a person answer from now on so when they are asked: with their
// PIN ("right"), another, or "cancel".
func pin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pin NAME right|cancel|PIN")
	}
	answer := args[1]
	if answer == "right" {
		answer = cardPIN
	}
	ts.Check(os.WriteFile(filepath.Join(cardOf(ts.MkAbs("."), args[0]), "pin"), []byte(answer), 0o600))
}

// asked NAME N [TEXT] wants a person to have been asked N times for their PIN since the
// last look, the last time with that text on the screen.
func askedPIN(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: asked NAME N [TEXT]")
	}
	file := filepath.Join(cardOf(ts.MkAbs("."), args[0]), "asked")
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		ts.Check(err)
	}
	if n := bytes.Count(text, []byte("SETDESC ")); strconv.Itoa(n) != args[1] {
		ts.Fatalf("asked %d times:\n%s", n, text)
	}
	if last := text[max(0, bytes.LastIndex(text, []byte("SETDESC "))):]; len(args) > 2 && !bytes.Contains(last, []byte(args[2])) {
		ts.Fatalf("asked with %s", last)
	}
	if err == nil {
		ts.Check(os.Remove(file))
	}
}

// cardOut NAME takes a person's card out of its reader; with ! it is put back. SoftHSM
// looks when it is started anew, which locking does.
func cardOut(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: cardout NAME")
	}
	reader := cardOf(ts.MkAbs("."), args[0])
	from, to := reader, filepath.Join(ts.MkAbs("."), args[0]+".pocket")
	ts.Check(os.MkdirAll(to, 0o700))
	if neg {
		from, to = to, from
	}
	found, err := filepath.Glob(filepath.Join(from, "*-*-*-*"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d cards", len(found))
	}
	ts.Check(os.Rename(found[0], filepath.Join(to, filepath.Base(found[0]))))
}
