package demo

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/platform"
	"countersign/platform/keychain"
	"countersign/tray/agent"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
	"countersign/tray/web/webtest"
)

// newcomer is somebody with an empty profile, an identity file and its password on
// paper, an authority's certificate, and a mailbox.
type newcomer struct {
	*webtest.Person
	post              post
	identity, root    string // files
	rootPEM, password string
	svc               *control.Service
}

func startNewcomer(t *testing.T) *newcomer {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is not started in a short run")
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	ca, err := authority.New(ctx, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{wire: newWire(), now: time.Now, ada: &actor{}, bea: &actor{}}
	for _, who := range []struct {
		*actor
		name, address string
	}{{s.ada, "Dr Ada Osei", "ada.osei@harbour.example"}, {s.bea, "Dr Bea Brandt", bea}} {
		if who.Person, err = ca.Admit(who.name, who.address); err != nil {
			t.Fatal(err)
		}
	}
	n := &newcomer{rootPEM: string(ca.RootPEM()), password: authority.Password}
	if n.post, err = s.startMail(ctx, ca); err != nil {
		t.Fatal(err)
	}
	n.identity, n.root = filepath.Join(t.TempDir(), "ada.p12"), filepath.Join(t.TempDir(), "root.pem")
	for name, data := range map[string][]byte{n.identity: s.ada.PKCS12, n.root: ca.RootPEM()} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	home, err := os.MkdirTemp("", "new-") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	dirs, err := platform.FindDirs(home)
	if err == nil {
		err = dirs.Make()
	}
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keychain.OpenFile(filepath.Join(dirs.Data, "keychain.age"), []byte("a passphrase"), keychainWork)
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.Open(ctx, agent.Options{Dirs: dirs, Keychain: keys, Work: keychainWork, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	n.svc = a.Service()
	page, err := n.svc.Settings.PageAddress(ctx, control.None{})
	if err != nil {
		t.Fatal(err)
	}
	n.Person = webtest.Open(t, page.URL)
	return n
}

// TestPeerPageSetUp is the first day: from an empty profile to one that can send,
// with the slips that people make on the way.
func TestPeerPageSetUp(t *testing.T) {
	n := startNewcomer(t)
	n.Sees("Four things, once.")
	n.Shoot("setup-1-empty")

	n.Fill("#p12-password", "wrong")
	n.Upload("#p12", n.identity)
	n.Press("Put it in the keychain")
	n.Until(`document.querySelector("#note .stop")`)
	n.Shoot("setup-2-wrong-password")
	n.Upload("#p12", n.root)
	n.Press("Put it in the keychain")
	n.Until(`document.querySelector("#note .stop")`)
	n.Shoot("setup-3-not-an-identity")
	n.Fill("#p12-password", n.password)
	n.Upload("#p12", n.identity)
	n.Press("Put it in the keychain")
	n.Sees("Your identity is in the keychain.")
	n.Shoot("setup-4-identity")

	n.Upload("#anchor-file", n.identity)
	n.Press("Show its fingerprint")
	n.Until(`document.querySelector("#note .stop")`)
	n.Shoot("setup-5-not-an-authority")
	n.Upload("#anchor-file", n.root)
	n.Press("Show its fingerprint")
	n.Sees("Compare each fingerprint")
	n.Shoot("setup-6-fingerprint")
	n.Until(`document.querySelector("input[name=confirm]").click() || true`)
	n.Press("Trust what I have compared")
	n.Sees("Certificates of this authority")
	n.Shoot("setup-7-authority")

	n.account("not the password")
	n.Until(`document.querySelector("#note .stop")`)
	n.Shoot("setup-8-wrong-sign-in")
	n.account(n.post.password)
	n.Sees("Both servers answered.")
	n.Shoot("setup-9-mailbox")

	n.Press("Make the recovery file")
	n.Sees("The eight words of your recovery file")
	n.Shoot("setup-10-words")
	words := webtest.Of[[]string](n.Person, `[...document.querySelectorAll("#eight ~ ol li")].map((n) => n.textContent)`)
	file := n.Save("Save the recovery file")
	if b, err := os.ReadFile(file); err != nil || len(b) == 0 {
		t.Errorf("the recovery file: %d bytes, %v", len(b), err)
	}
	n.typeBack("zebra", "zebra")
	n.Until(`document.querySelector("#note .stop, #note .care")`)
	n.Shoot("setup-11-wrong-words")
	var back []string
	for _, i := range n.asked() {
		back = append(back, words[i-1])
	}
	n.typeBack(back...)
	n.Sees("All four are done.")
	n.Shoot("setup-12-done")
	n.Press("Inbox")
	n.Sees("No mail yet.")
	n.SeesNot("Before mail can go")
}

func (n *newcomer) account(password string) {
	for selector, text := range map[string]string{
		"#a-address": "ada.osei@harbour.example", "#a-user": "ada.osei@harbour.example", "#a-password": password,
		"#imap-host": "localhost", "#imap-port": strconv.Itoa(n.post.imap), "#smtp-host": "localhost", "#smtp-port": strconv.Itoa(n.post.smtp),
	} {
		webtest.Of[bool](n.Person, `(document.querySelector("`+selector+`").value = "") || true`)
		n.Fill(selector, text)
	}
	n.Choose("#a-roots", n.rootPEM)
	n.Until(`document.querySelector("input[name=confirmed]").checked = true`)
	n.Press("Sign in")
}

// asked is which words the page asks for.
func (n *newcomer) asked() []int {
	return webtest.Of[[]int](n.Person, `[...document.querySelectorAll(".ask input[name=word]")].map((n) => +n.getAttribute("aria-label").replace("Word ", ""))`)
}

func (n *newcomer) typeBack(words ...string) {
	n.Until(`document.readyState === "complete" && (document.querySelector(".ask input[name=word]").focus() || true)`)
	n.Type(strings.Join(words, " ") + " ")
	n.Press("Test the file")
}
