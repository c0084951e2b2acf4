package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

// result is how a command line ended.
type result struct {
	code     int
	out, err string
}

// run runs a command line against a service. The person at the terminal, if
// any, answers with the words given.
func run(t *testing.T, f *fake, person *person, args ...string) result {
	t.Helper()
	return runWith(t, f, person, "", args...)
}

func runWith(t *testing.T, f *fake, person *person, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	c := &cli{in: strings.NewReader(stdin), out: &out, err: &errs, now: time.Now}
	if person != nil {
		person.t = t
		c.ask = person
	}
	c.service = func() (*control.Service, error) { return f.service(), nil }
	code := c.run(t.Context(), args)
	return result{code, out.String(), errs.String()}
}

// person sits at the terminal and answers what is asked, in order.
type person struct {
	t       *testing.T
	answers []string
	asked   []string
}

func (p *person) Line(prompt string) (string, error) {
	p.asked = append(p.asked, prompt)
	if len(p.answers) == 0 {
		return "", terminal.ErrLeft
	}
	answer := p.answers[0]
	p.answers = p.answers[1:]
	return answer, nil
}

func (p *person) Secret(prompt string) ([]byte, error) {
	answer, err := p.Line(prompt)
	return []byte(answer), err
}

// write writes a file and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var aRefusal = control.Refusal{
	Person: "Dr Bea Brandt", Address: "bea@clinic.example", Code: "not-verified",
	Reason: "Dr Bea Brandt is not confirmed yet.", Next: "Send a test message, then call.",
	Command: "countersign verify start bea@clinic.example",
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		name string
		line string
		err  error
		code int
		says string
	}{
		{"done", "outbox list", nil, 0, ""},
		{"help", "--help", nil, 0, ""},
		{"no command", "", nil, 0, ""},
		{"failed", "outbox list", &control.Error{Says: "The disc is full."}, 1, "The disc is full."},
		{"failed in another way", "outbox list", errors.New("reading: broken"), 1, "reading: broken"},
		{"the agent has gone", "outbox list", control.ErrNotRunning, 1, "the agent has gone"},
		{"interrupted", "outbox list", context.Canceled, 1, "Stopped."},
		{"refused", "outbox list", &control.Refused{Refusals: []control.Refusal{aRefusal}}, 3, "Refused."},
		{"no such command", "out", nil, 2, `unknown command "out"`},
		{"no such command in a group", "outbox lost", nil, 2, `no command "lost"`},
		{"a group alone", "outbox", nil, 2, "needs one of these"},
		{"no such flag", "outbox list --all", nil, 2, "unknown flag: --all"},
		{"too many arguments", "outbox list all", nil, 2, "unknown command"},
		{"too few arguments", "outbox withdraw", nil, 2, "accepts 1 arg"},
		{"a flag that is needed", "account add a@x.example", nil, 2, `"imap", "smtp" not set`},
		{"flags against each other", "anchor add x --yes --confirm y", nil, 2, "[confirm yes]"},
		{"an argument of no sense", "inspect x --at noon", nil, 2, "no time"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, &fake{errors: map[string]error{"Mail.Outbox": test.err}}, nil, strings.Fields(test.line)...)
			if r.code != test.code || !strings.Contains(r.err, test.says) {
				t.Errorf("ended with %d: %s", r.code, r.err)
			}
			if test.code == wrongUsage && r.out != "" {
				t.Errorf("standard output has %q", r.out)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	own := control.Refusal{Person: "you", Code: "recovery", Reason: "There is no recovery file yet.", Next: "Make one."}
	f := &fake{errors: map[string]error{"Mail.Send": &control.Refused{Refusals: []control.Refusal{aRefusal, own}}}}
	r := run(t, f, nil, "draft", "send", "abc")
	want := `Refused. Nothing was sent or changed.

Dr Bea Brandt <bea@clinic.example>
  Dr Bea Brandt is not confirmed yet.
  Send a test message, then call.
    countersign verify start bea@clinic.example

you
  There is no recovery file yet.
  Make one.
`
	if diff := cmp.Diff(want, r.err); diff != "" || r.code != refused || r.out != "" {
		t.Errorf("code %d, output %q, errors (-want +got):\n%s", r.code, r.out, diff)
	}
	r = run(t, f, nil, "draft", "send", "abc", "--json")
	var got control.Refused
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || !reflect.DeepEqual(got.Refusals, []control.Refusal{aRefusal, own}) || r.code != refused {
		t.Errorf("JSON: %d %s %v", r.code, r.out, err)
	}
}

func TestFailure(t *testing.T) {
	e := &control.Error{Code: "sign-in", Says: "The server does not know this password.", Next: "Type it once more."}
	f := &fake{errors: map[string]error{"Mail.Outbox": e}}
	if r := run(t, f, nil, "outbox", "list"); r.err != "countersign: The server does not know this password.\n  Type it once more.\n" {
		t.Errorf("says %q", r.err)
	}
	r := run(t, f, nil, "outbox", "list", "--json")
	var got control.Error
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || got != *e || r.code != failed {
		t.Errorf("JSON: %d %s %v", r.code, r.out, err)
	}
}

// Every command's shell completion and help work without an agent.
func TestHelpAndCompletion(t *testing.T) {
	c := &cli{}
	var lines [][]string
	for _, g := range c.root().Commands() {
		lines = append(lines, []string{g.Name(), "--help"})
		for _, sub := range g.Commands() {
			lines = append(lines, []string{g.Name(), sub.Name(), "--help"})
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		lines = append(lines, []string{"completion", shell})
	}
	lines = append(lines, []string{"__complete", "verify", "call", "a@x.example", "--source", ""})
	for _, line := range lines {
		f := &fake{}
		if r := run(t, f, nil, line...); r.code != 0 || r.out == "" || len(f.asked) > 0 {
			t.Errorf("%q: %d %s", line, r.code, r.err)
		}
	}
	r := run(t, &fake{}, nil, "__complete", "verify", "call", "a@x.example", "--source", "")
	if !strings.Contains(r.out, "letterhead\n") {
		t.Errorf("sources completed: %q", r.out)
	}
}

func TestVersion(t *testing.T) {
	r := run(t, &fake{}, nil, "version", "--json")
	var v version
	if err := json.Unmarshal([]byte(r.out), &v); err != nil || v.Go == "" || v.Version == "" {
		t.Errorf("%s %v", r.out, err)
	}
}
