package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server/servertest"
	"countersign/tray/demo/authority"
)

// storyClock is ahead of the time by what a story says in STORY_LATER, as agents that
// start then see it; nil where it says nothing.
func storyClock() func() time.Time {
	later := os.Getenv("STORY_LATER")
	if later == "" {
		return nil
	}
	ahead, err := time.ParseDuration(later)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return time.Now().Add(ahead) }
}

// TestRevocationStories runs testdata/revocation/*.txtar: certificates that are
// withdrawn, and authorities that cannot be asked whether they are.
func TestRevocationStories(t *testing.T) {
	long(t)
	p := stories(func(ca *authority.Authority) (office, error) { return openEmbedded(ca) })
	p.Dir = "testdata/revocation"
	p.Cmds["unplug"] = unplug
	testscript.Run(t, p)
}

// unplug keeps the authority's lists from everybody; ! unplug brings them back.
func unplug(ts *testscript.TestScript, neg bool, _ []string) { theWorld(ts).ca.Unplug(!neg) }

// relist HOURS has the authority make its lists anew, so many hours from now; they are
// good for seven days.
func relist(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: relist HOURS")
	}
	hours, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(theWorld(ts).ca.Publish(time.Now().Add(time.Duration(hours) * time.Hour)))
}

// TestPeerResponderStory runs testdata/peers/responder.txtar: people whose certificates
// name nothing but a responder, for which OpenSSL speaks.
func TestPeerResponderStory(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	r := responder{dir: t.TempDir()}
	web := httptest.NewServer(http.HandlerFunc(r.answer))
	t.Cleanup(web.Close)
	p := stories(func(ca *authority.Authority) (office, error) {
		key, err := ca.Delegate(web.URL)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(r.dir, "ca.pem"), append(key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Issuing.Raw})...), 0o600); err != nil {
			return nil, err
		}
		return openEmbedded(ca)
	})
	around := p.Setup
	p.Setup = func(env *testscript.Env) error {
		if err := around(env); err != nil {
			return err
		}
		return r.know(env.Values[worldKey{}].(*world), "")
	}
	p.Cmds["revoke"] = func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(r.know(theWorld(ts), args[0])) }
	p.Files = []string{"testdata/peers/responder.txtar"}
	testscript.Run(t, p)
}

// responder is OpenSSL's, run once for each question.
type responder struct{ dir string }

// know writes down everybody's certificate, and one as withdrawn an hour ago.
func (r responder) know(w *world, withdrawn string) error {
	var index bytes.Buffer
	stamp := func(at time.Time) string { return at.UTC().Format("060102150405Z") }
	for name, p := range w.people {
		state, since := "V", ""
		if name == withdrawn {
			state, since = "R", stamp(time.Now().Add(-time.Hour))+",keyCompromise"
		}
		fmt.Fprintf(&index, "%s\t%s\t%s\t%X\tunknown\t/CN=%s\n", state, stamp(p.Certificate.NotAfter), since, p.Certificate.SerialNumber.Bytes(), name)
	}
	return os.WriteFile(filepath.Join(r.dir, "index"), index.Bytes(), 0o600)
}

// answer answers a question by GET (RFC 6960, appendix A.1), for an hour.
func (r responder) answer(w http.ResponseWriter, req *http.Request) {
	question, err := base64.StdEncoding.DecodeString(req.URL.Path[1:])
	dir, err2 := os.MkdirTemp(r.dir, "")
	if err != nil || err2 != nil || os.WriteFile(filepath.Join(dir, "question"), question, 0o600) != nil {
		http.Error(w, "no question", http.StatusBadRequest)
		return
	}
	id := path.Base(dir)
	cmd := exec.CommandContext(req.Context(), "openssl", "ocsp", "-index", "index", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.pem",
		"-rmd", "sha256", "-nmin", "60", "-reqin", id+"/question", "-respout", id+"/answer")
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	answer, err2 := os.ReadFile(filepath.Join(dir, "answer"))
	if err != nil || err2 != nil {
		http.Error(w, string(out), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Write(answer)
}
