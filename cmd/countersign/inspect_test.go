package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server/servertest"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
)

// TestPeerInspection runs testdata/inspect/*.txtar: what `countersign inspect --json`
// says of messages that other programs make while the test runs, one story a program.
func TestPeerInspection(t *testing.T) {
	long(t)
	for _, peer := range []string{"openssl", "gpgsm", "cmsutil"} {
		t.Run(peer, func(t *testing.T) {
			for _, tool := range []string{peer, "openssl"} {
				if _, err := exec.LookPath(tool); err != nil {
					servertest.Absent(t, tool+" is not installed: make setup installs it")
				}
			}
			p := stories(func(ca *authority.Authority) (office, error) { return openEmbedded(ca) })
			p.Files, p.Cmds["says"] = []string{filepath.Join("testdata", "inspect", peer+".txtar")}, says
			setUp := p.Setup
			p.Setup = func(env *testscript.Env) error {
				shared, err := os.ReadFile(filepath.Join("testdata", "inspect", "make.sh"))
				if err == nil {
					err = os.WriteFile(filepath.Join(env.WorkDir, "make.sh"), shared, 0o600)
				}
				if err != nil {
					return err
				}
				return setUp(env)
			}
			testscript.Run(t, p)
		})
	}
}

// says FILE [--at TIME] NAME=VALUE... has ada inspect a file. A list must hold all the
// values, which commas part, and none after a hyphen; text, label and problem must hold
// the words, and be empty if there are none.
func says(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: says FILE [--at TIME] NAME=VALUE...")
	}
	command, wants := []string{"inspect", args[0], "--json"}, args[1:]
	if wants[0] == "--at" {
		command, wants = append(command, wants[:2]...), wants[2:]
	}
	ts.Check(ts.Exec("ada", command...))
	var i control.Inspection
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &i))
	for _, want := range wants {
		name, value, ok := strings.Cut(want, "=")
		if !ok {
			ts.Fatalf("%s is no NAME=VALUE", want)
		}
		if got, ok := compare(i, name, value); !ok {
			ts.Fatalf("%s: %s is %q, not %q", args[0], name, got, value)
		}
	}
}

// compare looks up what an inspection says by a short name.
func compare(i control.Inspection, name, want string) (got string, ok bool) {
	var layers, signers []string
	var cipher, key string
	recipients := 0
	for _, l := range i.Layers {
		layers = append(layers, l.Kind+":"+l.Form)
		cipher, key, recipients = cipher+l.Cipher, key+l.KeyCipher, recipients+len(l.Recipients)
		for _, s := range l.Signers {
			signers = append(signers, s.Method+" "+s.Digest)
		}
	}
	exact := map[string]string{
		"layers": strings.Join(layers, "+"), "protection": i.Verdict.Protection, "signature": i.Verdict.Signature,
		"chain": i.Verdict.Chain, "from": i.Verdict.From, "code": i.Code, "subject": i.Subject,
		"signer": strings.Join(signers, ", "), "cipher": cipher, "key": key, "recipients": fmt.Sprint(recipients),
	}
	words := map[string]string{"text": i.Text, "label": i.Verdict.Label, "problem": i.Problem}
	lists := map[string][]string{"findings": i.Findings, "protected": i.Protected, "confidential": i.Confidential}
	if got, ok := exact[name]; ok {
		return got, got == want
	}
	if got, ok := words[name]; ok {
		return got, strings.Contains(got, want) && (got == "") == (want == "")
	}
	list, known := lists[name]
	for _, value := range strings.Split(want, ",") {
		value, absent := strings.CutPrefix(value, "-")
		known = known && slices.Contains(list, value) != absent
	}
	return strings.Join(list, ","), known
}
