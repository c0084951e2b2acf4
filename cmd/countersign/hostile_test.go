package main

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

// hostile is what an attacker may put wherever text goes: sequences that a
// terminal obeys, marks that turn writing round, line breaks.
const hostile = "x\x1b[2J\x1b]0;title\a\u009b31m\x7f\u202egnp\u2066\u200e\u2028\r\nfake ✓ Confirmed\n\ttab"

// filled returns a value with hostile text in every string.
func filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(0x1b)
	case reflect.Pointer:
		v.Set(filled(t.Elem()).Addr())
	case reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem())))
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return reflect.ValueOf(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
		}
		for i := range t.NumField() {
			v.Field(i).Set(filled(t.Field(i).Type))
		}
	}
	addressable := reflect.New(t).Elem()
	addressable.Set(v)
	return addressable
}

// hostileFake answers every question with hostile values, and every download
// with a hostile name.
func hostileFake() *fake {
	f := &fake{answers: map[string]any{}, files: map[string]string{}, events: []control.Event{filled(reflect.TypeFor[control.Event]()).Interface().(control.Event)}}
	s := reflect.TypeFor[control.Service]()
	for i := range s.NumField() {
		part := s.Field(i)
		for j := range part.Type.NumMethod() {
			m := part.Type.Method(j)
			if out := m.Type.Out(0); out.Kind() != reflect.Interface {
				f.answers[part.Name+"."+m.Name] = filled(out).Interface()
			}
		}
	}
	return f
}

// everyCommand is a command line for each command that prints an answer.
func everyCommand(t *testing.T) map[string][]string {
	file := write(t, "file", "content")
	lines := map[string]string{
		"identity list": "", "identity import": file + " --password-file " + file,
		"anchor list": "", "anchor add": file + " --yes", "anchor followed": "", "anchor refresh": "",
		"anchor follow": "https://x.example --signer ab", "anchor accept": "https://x.example --confirm ab",
		"account list": "", "account add": "a@x.example --imap i --smtp s --yes --password-file " + file,
		"contact list": "", "contact add": "a@x.example", "contact show": "a@x.example", "contact invite": "a@x.example",
		"contact suspend": "a@x.example", "contact check": "a@x.example", "contact profile": "a@x.example direct",
		"verify start": "a@x.example", "verify answer": "a@x.example", "verify misheard": "a@x.example", "verify words": "",
		"verify status": "a@x.example", "verify call": "a@x.example --wrong",
		"send": "--to a@x.example --text " + file, "draft add": "--to a@x.example --text " + file + " --attach " + file,
		"draft list": "", "draft show": "1", "draft send": "1",
		"mail fetch": "", "mail list": "", "mail show": "1", "mail save": "1 --to " + t.TempDir(),
		"outbox list": "", "inspect": file, "journal list": "", "journal verify": "",
		"recovery status": "", "recovery confirm": "a b", "recovery make": "--out " + filepath.Join(t.TempDir(), "r"),
		"settings": "", "settings show": "", "settings set": "grace-hours=1", "status": "", "page": "--print", "events": "",
		"token list": "", "token unlock": "", "token lock": "", "identity use": "pkcs11:id=%01",
		"demo stage": "", "demo call": "1", "version": "",
	}
	all := map[string][]string{}
	for name, args := range lines {
		all[name] = append(strings.Fields(name), strings.Fields(args)...)
	}
	return all
}

func TestHostileTextReachesNoTerminal(t *testing.T) {
	for name, args := range everyCommand(t) {
		r := run(t, hostileFake(), nil, args...)
		if r.code == wrongUsage {
			t.Errorf("%s: %s", name, r.err)
		}
		for _, out := range []string{r.out, r.err} {
			for _, bad := range out {
				if bad != '\n' && bad != '\t' && terminal.Line(string(bad)) != string(bad) {
					t.Errorf("%s prints %U in %q", name, bad, out)
					break
				}
			}
			for l := range strings.SplitSeq(out, "\n") {
				if strings.HasPrefix(l, "fake") {
					t.Errorf("%s: a line of its own for %q", name, l)
				}
			}
		}
	}
}

func TestHostileRefusalAndFailure(t *testing.T) {
	refusal := filled(reflect.TypeFor[control.Refused]()).Addr().Interface().(*control.Refused)
	failure := filled(reflect.TypeFor[control.Error]()).Addr().Interface().(*control.Error)
	for _, err := range []error{refusal, failure} {
		r := run(t, &fake{errors: map[string]error{"Mail.Outbox": err}}, nil, "outbox", "list")
		for _, bad := range r.err {
			if bad != '\n' && terminal.Line(string(bad)) != string(bad) {
				t.Errorf("%T prints %U in %q", err, bad, r.err)
			}
		}
	}
}

// JSON is escaped, not changed: what a program reads is what was there.
func TestHostileJSON(t *testing.T) {
	for name, args := range everyCommand(t) {
		f := hostileFake()
		r := run(t, f, nil, append(args, "--json")...)
		var v any
		if err := json.Unmarshal([]byte(r.out), &v); err != nil {
			t.Errorf("%s: %v in %s", name, err, r.out)
		}
		for _, bad := range r.out {
			if bad != '\n' && terminal.Line(string(bad)) != string(bad) {
				t.Errorf("%s prints %U", name, bad)
				break
			}
		}
	}
	var got control.Message
	want := hostileFake().answers["Mail.Show"]
	r := run(t, hostileFake(), nil, "mail", "show", "1", "--json")
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	for _, line := range []string{"identity list", "anchor list", "account list", "contact list", "draft list", "mail list", "outbox list", "journal list", "verify status", "mail save 1"} {
		if r := run(t, &fake{}, nil, append(strings.Fields(line), "--json")...); r.code != 0 || r.out != "[]\n" {
			t.Errorf("%s: %d %q %s", line, r.code, r.out, r.err)
		}
	}
}
