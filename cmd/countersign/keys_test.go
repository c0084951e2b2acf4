package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/cmd/countersign/start"
	"countersign/platform"
	"countersign/tray/control"
)

func TestPasswords(t *testing.T) {
	p12 := write(t, "ada.p12", "the file")
	secret := write(t, "secret", "  a password \r\nmore\n")
	tests := []struct {
		name   string
		args   []string
		person *person
		stdin  string
		want   string
		code   int
	}{
		{"from a file, its first line", []string{"--password-file", secret}, nil, "", "  a password ", done},
		{"from standard input", []string{"--password-file", "-"}, nil, "piped\n", "piped", done},
		{"asked for", nil, &person{answers: []string{"typed"}}, "", "typed", done},
		{"nobody to ask", nil, nil, "", "", wrongUsage},
		{"they leave", nil, &person{}, "", "", failed},
		{"no such file", []string{"--password-file", secret + "2"}, nil, "", "", failed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{}
			r := runWith(t, f, test.person, test.stdin, append([]string{"identity", "import", p12}, test.args...)...)
			if r.code != test.code {
				t.Fatalf("ended with %d: %s", r.code, r.err)
			}
			if test.code != done {
				return
			}
			if got := f.queries("Identities.ImportPKCS12")[0]; got != (control.PKCS12Order{Password: test.want}) || f.uploads[0] != "the file" {
				t.Errorf("imported %+v, %q", got, f.uploads)
			}
		})
	}
}

// No flag takes a secret: other users can read an argument list.
func TestNoFlagTakesASecret(t *testing.T) {
	f := &fake{}
	for _, line := range []string{"identity import x --password y", "account add a --imap i --smtp s --password y", "status --passphrase y"} {
		if r := run(t, f, nil, strings.Fields(line)...); r.code != wrongUsage {
			t.Errorf("%s: %d", line, r.code)
		}
	}
}

func TestAnchorAdd(t *testing.T) {
	file := write(t, "root.pem", "certificates")
	found := []control.Anchor{{Fingerprint: "3f0c99aa01020304", Name: "Clinic Root"}, {Fingerprint: "aabbccdd00112233", Name: "Another"}}
	tests := []struct {
		name   string
		args   []string
		person *person
		want   []string
		code   int
	}{
		{"all", []string{"--yes"}, nil, []string{"3f0c99aa01020304", "aabbccdd00112233"}, done},
		{"one that was compared", []string{"--confirm", "aabbccdd00112233"}, nil, []string{"aabbccdd00112233"}, done},
		{"asked", nil, &person{answers: []string{"y", "n"}}, []string{"3f0c99aa01020304"}, done},
		{"asked, none", nil, &person{answers: []string{"", "no"}}, nil, done},
		{"nobody to ask", nil, nil, nil, wrongUsage},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{answers: map[string]any{"Anchors.Preview": found}}
			r := run(t, f, test.person, append([]string{"anchor", "add", file}, test.args...)...)
			if r.code != test.code {
				t.Fatalf("ended with %d: %s", r.code, r.err)
			}
			if test.code != done {
				return
			}
			if got := f.queries("Anchors.Add")[0].(control.AnchorOrder).Confirm; !slices.Equal(got, test.want) || !slices.Equal(f.uploads, []string{"certificates", "certificates"}) {
				t.Errorf("confirmed %q of %q", got, f.uploads)
			}
			if test.person != nil && !strings.Contains(r.err, "SHA-256 3f0c 99aa 0102 0304") {
				t.Errorf("shows %s", r.err)
			}
		})
	}
}

func TestAnchorRemove(t *testing.T) {
	f := &fake{answers: map[string]any{"Anchors.List": []control.Anchor{{Fingerprint: "3f0c99aa01020304"}, {Fingerprint: "3f0c99aaff020304"}}}}
	for given, want := range map[string]string{
		"3F0C 99AA 0102": "3f0c99aa01020304", // one begins so
		"3f0c99aa":       "3f0c99aa",         // two do
		"3f0c":           "3f0c",             // too short to mean one
	} {
		run(t, f, nil, "anchor", "remove", given)
		if got := f.queries("Anchors.Remove"); got[len(got)-1] != (control.AnchorQuery{Fingerprint: want}) {
			t.Errorf("%s removes %v", given, got[len(got)-1])
		}
	}
}

func TestAccountAdd(t *testing.T) {
	secret, roots := write(t, "secret", "pw\n"), write(t, "roots.pem", "PEM")
	line := []string{"account", "add", "ada@x.example", "--imap", "imap.x.example:143", "--smtp", "smtp.x.example", "--password-file", secret}
	want := control.NewAccount{
		Account: control.Account{
			Address: "ada@x.example", IMAP: control.Server{Host: "imap.x.example", Port: 143, TLS: "starttls"}, SMTP: control.Server{Host: "smtp.x.example", Port: 465, TLS: "implicit"},
		},
		User: "ada@x.example", Password: "pw",
	}
	f := &fake{}
	check := func(name string, change func(*control.NewAccount), person *person, more ...string) {
		t.Helper()
		want := want
		change(&want)
		if r := run(t, f, person, append(slices.Clone(line), more...)...); r.code != done {
			t.Fatalf("%s: %d %s", name, r.code, r.err)
		}
		all := f.queries("Accounts.Add")
		if got := all[len(all)-1]; got != want {
			t.Errorf("%s: asked %+v", name, got)
		}
	}
	check("nobody to ask", func(*control.NewAccount) {}, nil)
	check("yes", func(n *control.NewAccount) { n.Confirmed, n.RootsPEM, n.User = true, "PEM", "ada" }, nil, "--yes", "--roots", roots, "--user", "ada")
	check("asked: yes", func(n *control.NewAccount) { n.Confirmed = true }, &person{answers: []string{"y"}})
	check("asked: no", func(*control.NewAccount) {}, &person{answers: []string{""}})
}

func TestParseServer(t *testing.T) {
	for in, want := range map[string]control.Server{
		"a.example":      {Host: "a.example", Port: 993, TLS: "implicit"},
		"a.example:993":  {Host: "a.example", Port: 993, TLS: "implicit"},
		"a.example:143":  {Host: "a.example", Port: 143, TLS: "starttls"},
		"a.example:25":   {Host: "a.example", Port: 25, TLS: "starttls"},
		"localhost:4000": {Host: "localhost", Port: 4000, TLS: "implicit"},
		"[::1]:993":      {Host: "::1", Port: 993, TLS: "implicit"},
	} {
		if got, err := parseServer(in, 993, 143); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", ":993", "a:b", "a:0", "a:70000"} {
		if got, err := parseServer(in, 993, 143); err == nil {
			t.Errorf("%s: %+v", in, got)
		}
	}
}

func TestContactAdd(t *testing.T) {
	pem := write(t, "bea.pem", "PEM")
	f := &fake{}
	run(t, f, nil, "contact", "add", "bea@x.example", "--name", "Dr Bea", "--team", "--certificate", pem)
	want := control.NewContact{Address: "bea@x.example", Name: "Dr Bea", Team: true, Certificates: []byte("PEM")}
	if got := f.queries("Contacts.Add")[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("asked %+v", got)
	}
	large := write(t, "large.pem", strings.Repeat("x", maxCertificates+1))
	if r := run(t, f, nil, "contact", "add", "bea@x.example", "--certificate", large); r.code != failed {
		t.Errorf("a large file: %d", r.code)
	}
}

func TestContactCheck(t *testing.T) {
	f := &fake{answers: map[string]any{"Mail.Check": []control.RecipientState{
		{Address: "a@x.example", Name: "A", OK: true, Label: "Confirmed by telephone"},
		{Address: "bea@clinic.example", Name: "Dr Bea Brandt", Label: "Not confirmed yet", Refusal: &aRefusal},
	}}}
	want := `✓ A <a@x.example>  Confirmed by telephone
✗ Dr Bea Brandt <bea@clinic.example>  Not confirmed yet
    Dr Bea Brandt is not confirmed yet. Send a test message, then call.
    countersign verify start bea@clinic.example
`
	if r := run(t, f, nil, "contact", "check", "a@x.example", "bea@clinic.example"); r.code != refused || r.out != want {
		t.Errorf("ended with %d:\n%s", r.code, r.out)
	}
	f.answers["Mail.Check"] = []control.RecipientState{{OK: true}}
	if r := run(t, f, nil, "contact", "check", "a@x.example"); r.code != done {
		t.Errorf("ended with %d", r.code)
	}
}

func TestSettingsSet(t *testing.T) {
	before := control.Preferences{FetchMinutes: 5, GraceHours: 24, KeepSummaries: true}
	f := &fake{answers: map[string]any{"Settings.Get": before}}
	r := run(t, f, nil, "settings", "set", "fetch-minutes=10", "keep-summaries=no", "allow-private=YES", "directories=ldaps://a.example ldap://b.example")
	want := control.Preferences{FetchMinutes: 10, GraceHours: 24, AllowPrivate: true, Directories: "ldaps://a.example ldap://b.example"}
	if got := f.queries("Settings.Set"); r.code != done || got[0] != want {
		t.Errorf("ended with %d, set %+v", r.code, got)
	}
	for _, wrong := range []string{"fetch-minutes", "fetch-minutes=often", "keep-summaries=2", "colour=red", "=1"} {
		f := &fake{answers: map[string]any{"Settings.Get": before}}
		if r := run(t, f, nil, "settings", "set", wrong); r.code != wrongUsage || len(f.queries("Settings.Set")) > 0 {
			t.Errorf("%s: %d", wrong, r.code)
		}
	}
}

func TestRecovery(t *testing.T) {
	words := strings.Fields("one two three four five six seven eight")
	f := &fake{answers: map[string]any{
		"Identities.MakeRecovery": control.RecoveryFile{Name: "countersign.recovery", Bytes: []byte("sealed"), Words: words, Ask: []int{3, 7}},
		"Identities.Recovery":     control.Recovery{State: "unconfirmed", Ask: []int{3, 7}},
	}}
	path := filepath.Join(t.TempDir(), "r")
	r := run(t, f, nil, "recovery", "make", "--json", "--out", path)
	var got map[string]any
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || len(got["words"].([]any)) != 8 || got["bytes"] != nil || got["name"] != path {
		t.Errorf("%s %v", r.out, err)
	}
	data, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if err != nil || string(data) != "sealed" || exposed(info) {
		t.Errorf("wrote %q %v %v", data, info.Mode(), err)
	}
	if r := run(t, f, nil, "recovery", "make", "--out", path); r.code != failed {
		t.Error("a recovery file was written over")
	}
	p := &person{answers: []string{"three", "seven"}}
	run(t, f, p, "recovery", "confirm")
	run(t, f, nil, "recovery", "confirm", "three", "seven")
	for _, q := range f.queries("Identities.ConfirmRecovery") {
		if !reflect.DeepEqual(q, control.RecoveryCheck{Words: []string{"three", "seven"}}) {
			t.Errorf("typed back %v", q)
		}
	}
	if !slices.Equal(p.asked, []string{"Word 3: ", "Word 7: "}) {
		t.Errorf("asked %q", p.asked)
	}
	for _, args := range [][]string{{"recovery", "confirm"}, {"recovery", "confirm", "three"}} {
		if r := run(t, f, nil, args...); r.code != wrongUsage {
			t.Errorf("%q: %d", args, r.code)
		}
	}
}

func TestInspect(t *testing.T) {
	file := write(t, "m.eml", "a message")
	f := &fake{}
	run(t, f, nil, "inspect", file)
	run(t, f, nil, "inspect", file, "--at", "2026-03-01T09:00:00Z")
	runWith(t, f, nil, "piped", "inspect", "-", "--at", "2026-03-01")
	want := []any{
		control.InspectQuery{},
		control.InspectQuery{At: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)},
		control.InspectQuery{At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.Local)},
	}
	for i, q := range f.queries("Mail.Inspect") {
		if !q.(control.InspectQuery).At.Equal(want[i].(control.InspectQuery).At) {
			t.Errorf("as of %v", q)
		}
	}
	if !slices.Equal(f.uploads, []string{"a message", "a message", "piped"}) {
		t.Errorf("inspected %q", f.uploads)
	}
	// The names that programs rely on.
	r := run(t, hostileFake(), nil, "inspect", file, "--json")
	var got struct {
		Layers  []map[string]any
		Verdict map[string]any
		Subject *string
		Text    *string
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || got.Subject == nil || got.Text == nil || len(got.Layers) == 0 {
		t.Fatalf("%v: %s", err, r.out)
	}
	for _, name := range []string{"protection", "signature", "signer", "chain", "from", "contact", "label", "reasons"} {
		if got.Verdict[name] == nil {
			t.Errorf("the verdict has no %s", name)
		}
	}
	if got.Layers[0]["algorithms"] == nil {
		t.Error("a layer has no algorithms")
	}
}

func TestJournalVerify(t *testing.T) {
	f := &fake{answers: map[string]any{"Journal.Verify": control.JournalProof{OK: true, Entries: 3, Says: "Nothing was changed."}}}
	if r := run(t, f, nil, "journal", "verify"); r.code != done || r.out != "✓ Nothing was changed.\nEntries  3\n" {
		t.Errorf("%d %q", r.code, r.out)
	}
	f.answers["Journal.Verify"] = control.JournalProof{Says: "Entry 2 was changed."}
	if r := run(t, f, nil, "journal", "verify"); r.code != failed {
		t.Errorf("a changed journal: %d", r.code)
	}
}

func TestEvents(t *testing.T) {
	f := &fake{events: []control.Event{{Cursor: 4, Kind: "mail", Says: "New mail."}, {Cursor: 5, Kind: "outbox"}, {Cursor: 6}}}
	r := run(t, f, nil, "events", "--after", "3", "--count", "2", "--json")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	var first control.Event
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 2 || first.Cursor != 4 || r.code != done {
		t.Errorf("%d %s %v", r.code, r.out, err)
	}
	if got := f.queries("Events.Watch")[0]; got != control.Cursor(3) {
		t.Errorf("watched after %v", got)
	}
}

func TestPagePrints(t *testing.T) {
	f := &fake{answers: map[string]any{"Settings.PageAddress": control.PageAddress{URL: "http://x.localhost:1/s"}}}
	if r := run(t, f, nil, "page", "--print"); r.code != done || r.out != "http://x.localhost:1/s\n" {
		t.Errorf("%d %q", r.code, r.out)
	}
	if runtime.GOOS == "windows" {
		t.Skip("the rest is of systems that may have no desktop")
	}
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r := run(t, f, nil, "page", "--home", home); r.code != done || r.out != "http://x.localhost:1/s\n" || !strings.Contains(r.err, "no desktop") {
		t.Errorf("without a desktop: %d %q %q", r.code, r.out, r.err)
	}
}

func TestStopOfNothing(t *testing.T) {
	if r := run(t, &fake{}, nil, "stop", "--home", t.TempDir()); r.code != done || !strings.Contains(r.err, "not running") {
		t.Errorf("%d %q", r.code, r.err)
	}
}

// The agent is started with our home and keychain; a passphrase never stands
// in its argument list.
func TestAgentFor(t *testing.T) {
	secret := write(t, "passphrase", "correct horse\n")
	tests := []struct {
		name   string
		cli    cli
		there  bool
		person *person
		args   []string
		input  string
		wrong  bool
	}{
		{name: "plain", args: nil},
		{name: "system", cli: cli{keychain: "system"}, args: []string{"--keychain", "system"}},
		{name: "file, passphrase from a file", cli: cli{keychain: "file", passphraseFile: secret}, args: []string{"--keychain", "file", "--passphrase-file", "-"}, input: "correct horse\n"},
		{name: "a profile that has a file", there: true, person: &person{answers: []string{"typed"}}, args: []string{"--keychain", "file", "--passphrase-file", "-"}, input: "typed\n"},
		{name: "a new file, typed twice", cli: cli{keychain: "file"}, person: &person{answers: []string{"a", "b", "c", "c"}}, args: []string{"--keychain", "file", "--passphrase-file", "-"}, input: "c\n"},
		{name: "nobody to ask", cli: cli{keychain: "file"}, wrong: true},
		{name: "another keychain", cli: cli{keychain: "paper"}, wrong: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dirs := platform.Dirs{Data: t.TempDir()}
			if test.there {
				if err := os.WriteFile(filepath.Join(dirs.Data, "keychain.age"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := &test.cli
			c.err = os.Stderr
			if test.person != nil {
				c.ask = test.person
			}
			c.err = &strings.Builder{}
			p, err := c.profile().Program(dirs)
			if test.wrong {
				if err == nil {
					t.Errorf("starts %q", p.Args)
				}
				return
			}
			unseen := "--headless"
			if platform.HasDesktop() {
				unseen = "--no-page"
			}
			want := append([]string{unseen, "--home", dirs.Data}, test.args...)
			if err != nil || !slices.Equal(p.Args, want) || string(p.Input) != test.input {
				t.Errorf("starts %q with %q, %v", p.Args, p.Input, err)
			}
			if strings.Contains(strings.Join(p.Args, " "), "correct") {
				t.Error("the passphrase is in the argument list")
			}
		})
	}
}

func TestAgentThatIsMissing(t *testing.T) {
	t.Chdir(t.TempDir())
	c := &cli{home: "home", err: &strings.Builder{}}
	s, err := start.Agent(c.profile())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Settings.Status(t.Context(), control.None{}); err == nil || !strings.Contains(err.Error(), "none to start") {
		t.Errorf("got %v", err)
	}
}
