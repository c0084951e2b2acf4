package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server/servertest"
	"countersign/pkcs11/module"
	"countersign/pkcs11/pkcs11test"
	"countersign/platform"
	"countersign/platform/keychain"
	"countersign/tray/agent"
	"countersign/tray/demo"
	"countersign/tray/demo/authority"
	"countersign/tray/icon"
)

// The people of the stories. Each name is a command: the command line with that
// person's own home, keychain and agent.
var people = map[string]struct{ name, local, domain string }{
	"ada":     {"Dr Ada Osei", "ada.osei", "harbour.example"},
	"bea":     {"Dr Bea Brandt", "bea.brandt", "northclinic.example"},
	"imran":   {"Dr Imran Shah", "imran.shah", "northclinic.example"},
	"mallory": {"Dr Bea Brandt", "bea.brandt", "northclinic.example"}, // a valid certificate for her address, and her mailbox
}

// passphrase opens everybody's file keychain; its work factor is the tests' own.
const (
	passphrase   = "only-for-the-stories"
	keychainWork = 10
)

func TestMain(m *testing.M) {
	pkcs11test.Helper(module.Main)
	if filepath.Base(os.Args[0]) == "pinentry" {
		pinentry() // which has to know by what path it was called
		return
	}
	commands := map[string]func(){
		"countersign":       func() { os.Exit(Main()) },
		"countersign-agent": agentMain,
		// Beside the agent, where it looks for it.
		"countersign-pkcs11": func() { os.Exit(module.Main()) },
		"countersign-tray":   func() { os.Exit(icon.Main()) },
	}
	for name := range people {
		commands[name] = func() { as(name) }
	}
	testscript.Main(m, commands)
}

func agentMain() {
	for _, arg := range os.Args[1:] {
		if arg == "--demo" {
			os.Exit(demo.Main())
		}
	}
	os.Exit(agent.Main(agent.Options{Work: keychainWork, DNS: storyDNS(), Clock: storyClock(), Cards: storyCards()}))
}

// as is the command line of one person.
func as(name string) {
	work := os.Getenv("WORK")
	withCard(work, name)
	os.Args = append([]string{"countersign",
		"--home", filepath.Join(work, name), "--keychain", "file", "--passphrase-file", filepath.Join(work, "passphrase"),
	}, os.Args[1:]...)
	os.Exit(Main())
}

// TestStories runs testdata/*.txtar: what people do, with real agents, our own
// mail server on loopback and a real authority.
func TestStories(t *testing.T) {
	long(t)
	p := stories(openEmbeddedOffice)
	p.Dir = "testdata"
	testscript.Run(t, p)
}

func openEmbeddedOffice(ca *authority.Authority) (office, error) { return openEmbedded(ca) }

// TestPeerStories runs the main path over Dovecot and Postfix, and a story that
// asks OpenSSL for its opinion.
func TestPeerStories(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	p := stories(func(*authority.Authority) (office, error) { return openPair(t), nil })
	p.Files = []string{"testdata/main-path.txtar", "testdata/unsecured.txtar", "testdata/peers/openssl.txtar"}
	testscript.Run(t, p)
}

// long skips what the race detector makes minutes of; tray/demo plays the same main
// path under it, in one process.
func long(t *testing.T) {
	if testing.Short() {
		t.Skip("stories with programs of their own are run without -short")
	}
}

func stories(open func(*authority.Authority) (office, error)) testscript.Params {
	return testscript.Params{
		Setup:              func(env *testscript.Env) error { return raise(env, open) },
		RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ends": ends, "await": await, "pick": pick, "post": post, "wire": wire, "revoke": revoke,
			"ready": ready, "relist": relist, "verified": verified, "newcode": newCode, "absent": absent, "gone": gone, "words": recoveryWords, "full": full, "seen": seen, "issue": issue, "announce": announce,
			"card": card, "carded": carded, "pin": pin, "asked": askedPIN, "cardout": cardOut,
			"sit": sit, "press": pressButton, "sees": sees, "fill": fill, "looks": looks, "saves": saves,
		},
	}
}

type worldKey struct{}

// world is what stands around the people of one story.
type world struct {
	ca     *authority.Authority
	people map[string]*authority.Person
	mail   office
	t      testing.TB
}

func raise(env *testscript.Env, open func(*authority.Authority) (office, error)) error {
	ctx, cancel := context.WithCancel(context.Background())
	env.Defer(cancel)
	ca, err := authority.New(ctx, time.Now())
	if err != nil {
		return err
	}
	w := &world{ca: ca, people: map[string]*authority.Person{}, t: env.T().(testing.TB)}
	env.Values[worldKey{}], env.Values[browsingKey{}] = w, &browsing{}
	if w.mail, err = open(ca); err != nil {
		return err
	}
	env.Defer(w.mail.close)
	files := map[string][]byte{"passphrase": []byte(passphrase + "\n"), "root.pem": ca.RootPEM(), "mail.pem": w.mail.roots(), "issuing.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Issuing.Raw}), "p12password": []byte(authority.Password + "\n")}
	for name, who := range people {
		address := who.local + "@" + w.mail.domain(who.domain)
		p, err := ca.Admit(who.name, address)
		if err != nil {
			return err
		}
		w.people[name] = p
		files[name+".p12"], files[name+".pem"], files[name+".key"] = p.PKCS12, p.PEM(), p.KeyPEM()
		files[name+".password"] = []byte(w.mail.password(address) + "\n")
		env.Vars = append(env.Vars, strings.ToUpper(name)+"="+address)
		if err := home(filepath.Join(env.WorkDir, name)); err != nil {
			return err
		}
		env.Defer(func() { stop(env, name) })
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o600); err != nil {
			return err
		}
	}
	env.Vars = append(env.Vars, "IMAP=localhost:"+strconv.Itoa(w.mail.imap()), "SMTP=localhost:"+strconv.Itoa(w.mail.smtp()))
	return nil
}

// home makes a home with a file keychain that is quick to open.
func home(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	store, err := keychain.OpenFile(filepath.Join(dir, "keychain.age"), []byte(passphrase), keychainWork)
	if err != nil {
		return err
	}
	return store.Set(context.Background(), "made-for", []byte("a story"))
}

// stop ends a person's agent, if there is one.
func stop(env *testscript.Env, name string) {
	if _, err := os.Stat(filepath.Join(env.WorkDir, name, "run")); err != nil {
		return
	}
	exe, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.Command(exe, "stop")
	cmd.Args[0], cmd.Env = name, append(os.Environ(), "WORK="+env.WorkDir)
	if out, err := cmd.CombinedOutput(); err != nil {
		env.T().Log(name, "could not be stopped:", err, string(out))
	}
}

func theWorld(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// ends CODE PROGRAM ARG... runs a program that must end with the exit code.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ends CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCode(ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("it ended with %d, not %d", got, want)
	}
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// await REGEXP PROGRAM ARG... runs a program again and again, until what it
// prints matches or twenty seconds have passed.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await REGEXP PROGRAM ARG...")
	}
	want := compile(ts, args[0])
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && want.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain for %s", args[0])
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// pick NAME PATH takes a value out of the JSON last printed and puts it into a
// variable; the path is made of member names and list positions, and a list of
// words is joined by spaces.
func pick(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pick NAME PATH")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for _, step := range strings.Split(args[1], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at) {
				ts.Fatalf("there is no %s in the list", step)
			}
			v = at[i]
		}
	}
	if list, ok := v.([]any); ok {
		v = strings.TrimSpace(fmt.Sprintln(list...))
	}
	if v == nil {
		ts.Fatalf("there is nothing at %s", args[1])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// post FILE FROM TO puts a message into somebody's mailbox as it stands.
func post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: post FILE FROM TO")
	}
	raw := []byte(ts.ReadFile(args[0]))
	if !bytes.Contains(raw, []byte("\r\n")) {
		raw = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
	}
	ts.Check(theWorld(ts).mail.deliver(args[1], []string{args[2]}, raw))
}

// wire N FILE writes the Nth message that went over the wire (from 0; counted back
// if negative) to a file. With ! there must be no such message.
func wire(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: wire N FILE")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	raw, err := theWorld(ts).mail.taken(n)
	if neg && err == nil {
		ts.Fatalf("something went over the wire")
	}
	if neg {
		return
	}
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), raw, 0o600))
}

// revoke NAME puts a person's certificate on the authority's list, an hour ago,
// with no reason given.
func revoke(ts *testscript.TestScript, neg bool, args []string) {
	w := theWorld(ts)
	ts.Check(w.ca.Revoke(w.people[args[0]].Certificate, time.Now().Add(-time.Hour), 0))
}

// ready NAME... does the first set-up of each, by the command line.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	w := theWorld(ts)
	for _, name := range args {
		ts.Check(furnish(runs(ts), w.mail, name, w.people[name].Address))
	}
}

// verified NAME OTHER has NAME verify OTHER, by a test and a call.
func verified(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: verified NAME OTHER")
	}
	w := theWorld(ts)
	ts.Check(verify(runs(ts), args[0], args[1], w.people[args[0]].Address, w.people[args[1]].Address))
}

// newcode OLD PROGRAM ARG... waits until the incoming test that the program prints has
// another code than OLD, and puts it into CODE and, typed carelessly, into FORGIVING.
func newCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: newcode OLD PROGRAM ARG...")
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		pick(ts, false, []string{"CODE", "incoming.words"})
		if ts.Getenv("CODE") != args[0] {
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no new test arrived")
		}
	}
	var typed []string
	for _, word := range strings.Fields(ts.Getenv("CODE")) {
		typed = append(typed, strings.ToUpper(word[:min(4, len(word))]))
	}
	ts.Setenv("FORGIVING", strings.Join(typed, " "))
}

// full makes the mail server take nothing; ! full makes it take mail again.
func full(ts *testscript.TestScript, neg bool, _ []string) {
	ts.Check(theWorld(ts).mail.full(!neg))
}

// seen NAME N waits until the embedded mail server knows N messages of a person as read.
func seen(ts *testscript.TestScript, neg bool, args []string) {
	w := theWorld(ts)
	server, ok := w.mail.(*embedded)
	if neg || !ok || len(args) != 2 {
		ts.Fatalf("usage, in stories with our own server: seen NAME N")
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		n, err := server.seen(w.people[args[0]].Address)
		ts.Check(err)
		if strconv.Itoa(n) == args[1] {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server knows %d messages as read", n)
		}
	}
}

// gone NAME waits until a person's agent has ended.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ended(ts.MkAbs(args[0])))
}

// ended waits until the agent of a home has ended.
func ended(home string) error {
	dirs, err := platform.FindDirs(home)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		lock, err := platform.Lock(dirs.Run)
		if err == nil {
			return lock.Close()
		}
		if !errors.Is(err, platform.ErrRunning) || time.Now().After(deadline) {
			return fmt.Errorf("the agent of %s does not end: %w", home, err)
		}
	}
}

// words LIST A B puts the Ath and Bth word of a list into WORD1 and WORD2, and the
// whole list into recovery.txt.
func recoveryWords(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: words LIST A B")
	}
	list := strings.Fields(args[0])
	for i, n := range args[1:] {
		at, err := strconv.Atoi(n)
		ts.Check(err)
		ts.Setenv("WORD"+strconv.Itoa(i+1), list[at-1])
	}
	ts.Check(os.WriteFile(ts.MkAbs("recovery.txt"), []byte(args[0]+"\n"), 0o600))
}

// absent TEXT FOLDER... fails if the text stands in any file below the folders.
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: absent TEXT FOLDER...")
	}
	for _, dir := range args[1:] {
		err := os.ErrNotExist
		for n := 0; n < 20 && errors.Is(err, os.ErrNotExist); n++ { // a file that goes away meanwhile leaves what it held to another
			err = without(args[0], ts.MkAbs(dir))
		}
		ts.Check(err)
	}
}

// without fails if a file below a folder holds the text.
func without(text, dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(text)) {
			return fmt.Errorf("%s holds %q", path, text)
		}
		return err
	})
}
