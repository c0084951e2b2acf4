package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"countersign/tray/control"
)

// keepsDrafts makes SaveDraft answer with what it was given.
func keepsDrafts(f *fake) *fake {
	f.do = map[string]func(any) (any, error){"Mail.SaveDraft": func(q any) (any, error) { return q, nil }}
	return f
}

func TestSend(t *testing.T) {
	scan, text := write(t, "scan.pdf", "a scan"), write(t, "letter.txt", "Dear Bea,\n")
	f := keepsDrafts(&fake{answers: map[string]any{"Mail.Send": control.Sent{To: []string{"a@x.example", "b@x.example"}}}})
	r := run(t, f, nil, "send", "--to", "a@x.example,b@x.example", "--cc", "c@x.example", "--bcc", "d@x.example",
		"--subject", "Results", "--text", text, "--attach", scan, "--reply", "m1")
	if r.code != done || r.out != "✓ Accepted, signed and encrypted, for a@x.example, b@x.example.\n" {
		t.Fatalf("ended with %d: %s%s", r.code, r.out, r.err)
	}
	draft := f.queries("Mail.SaveDraft")[0].(control.Draft)
	want := control.Draft{
		ID: draft.ID, To: []string{"a@x.example", "b@x.example"}, Cc: []string{"c@x.example"}, Bcc: []string{"d@x.example"},
		Subject: "Results", Text: "Dear Bea,\n", InReplyTo: "m1",
	}
	if !reflect.DeepEqual(draft, want) || len(draft.ID) != 26 {
		t.Errorf("kept %+v", draft)
	}
	if got := f.queries("Mail.Attach")[0]; got != (control.AttachOrder{Draft: draft.ID, Name: "scan.pdf", Type: "application/pdf"}) || f.uploads[0] != "a scan" {
		t.Errorf("attached %+v, %q", got, f.uploads)
	}
	if got := f.queries("Mail.Send")[0]; got != (control.DraftQuery{ID: draft.ID}) {
		t.Errorf("sent %+v", got)
	}
}

func TestSendFromStandardInput(t *testing.T) {
	f := keepsDrafts(&fake{})
	if r := runWith(t, f, nil, "Hello.\n", "send", "--to", "a@x.example"); r.code != done {
		t.Fatal(r.err)
	}
	if got := f.queries("Mail.SaveDraft")[0].(control.Draft).Text; got != "Hello.\n" {
		t.Errorf("text %q", got)
	}
	if r := runWith(t, f, nil, strings.Repeat("x", maxText+1), "send", "--to", "a@x.example"); r.code != failed {
		t.Errorf("a text too long: %d", r.code)
	}
	if r := runWith(t, f, nil, "Hello.\n", "send"); r.code != wrongUsage {
		t.Errorf("to nobody: %d", r.code)
	}
}

func TestLetterThatDoesNotGoStaysADraft(t *testing.T) {
	for code, err := range map[int]error{
		refused: &control.Refused{Refusals: []control.Refusal{aRefusal}},
		failed:  &control.Error{Code: "token", Says: "The card was disturbed."},
	} {
		f := keepsDrafts(&fake{errors: map[string]error{"Mail.Send": err}})
		r := runWith(t, f, nil, "Hello.\n", "send", "--to", "bea@clinic.example")
		id := f.queries("Mail.SaveDraft")[0].(control.Draft).ID
		if r.code != code || !strings.HasSuffix(r.err, "\nIt stays as a draft. When that is settled: countersign draft send "+id+"\n") {
			t.Errorf("ended with %d: %s", r.code, r.err)
		}
		if len(f.queries("Mail.DiscardDraft")) > 0 {
			t.Error("it was thrown away")
		}
	}
}

func TestLetterWithAMissingFileLeavesNothing(t *testing.T) {
	f := keepsDrafts(&fake{})
	r := runWith(t, f, nil, "Hello.\n", "send", "--to", "a@x.example", "--attach", filepath.Join(t.TempDir(), "missing"))
	if r.code != failed || len(f.queries("Mail.Send")) > 0 || len(f.queries("Mail.DiscardDraft")) != 1 {
		t.Errorf("ended with %d: %v", r.code, f.asked)
	}
}

// exposed tells whether others may read a file. On Windows it is as its folder is.
func exposed(info os.FileInfo) bool { return runtime.GOOS != "windows" && info.Mode() != 0o600 }

func TestMailSave(t *testing.T) {
	folder := t.TempDir()
	f := &fake{
		answers: map[string]any{
			"Mail.Show":       control.Message{Files: []control.Attachment{{Part: "2"}, {Part: "3"}}},
			"Mail.Attachment": control.Attachment{Name: "scan.pdf"},
		},
		files: map[string]string{"Mail.Attachment": "content"},
	}
	r := run(t, f, nil, "mail", "save", "m1", "--to", folder)
	if r.code != done || r.out != "Saved "+filepath.Join(folder, "scan.pdf")+"\nSaved "+filepath.Join(folder, "scan (2).pdf")+"\n" {
		t.Errorf("ended with %d: %s%s", r.code, r.out, r.err)
	}
	for _, name := range []string{"scan.pdf", "scan (2).pdf"} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		info, _ := os.Stat(filepath.Join(folder, name))
		if err != nil || string(data) != "content" || exposed(info) {
			t.Errorf("%s: %q %v %v", name, data, info.Mode(), err)
		}
	}
	if got := f.queries("Mail.Attachment"); !reflect.DeepEqual(got, []any{control.AttachmentQuery{ID: "m1", Part: "2"}, control.AttachmentQuery{ID: "m1", Part: "3"}}) {
		t.Errorf("asked for %v", got)
	}
	f.failing = errors.New("changed while it was read")
	if r := run(t, f, nil, "mail", "save", "m1", "2", "--to", folder); r.code != failed {
		t.Errorf("half a file: %d", r.code)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 2 {
		t.Errorf("half a file was left: %v", entries)
	}
}

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{
		"scan.pdf": "scan.pdf", "../../.ssh/authorized_keys": "authorized_keys", "/etc/passwd": "passwd", "": "attachment",
		".": "attachment", "..": "attachment", "/": "attachment", ".bashrc": "bashrc", `C:\x`: "attachment", "a:b": "attachment",
		"a\x1b[2J.txt": "a\ufffd[2J.txt", "fdp\u202e.exe": "fdp\ufffd.exe", "a\nb.txt": "a b.txt", "a. .": "a",
		"NUL": "attachment", "con .pdf": "attachment", "Com1.tar.gz": "attachment", "console.pdf": "console.pdf", `is it "benign"?.pdf`: "is it _benign__.pdf",
	} {
		if got := fileName(in); got != want {
			t.Errorf("%q is saved as %q, not %q", in, got, want)
		}
	}
}

func TestMailRaw(t *testing.T) {
	raw := "From: a\r\n\x1b[2J\xff\r\n"
	f := &fake{files: map[string]string{"Mail.Raw": raw}}
	if r := run(t, f, nil, "mail", "raw", "m1"); r.code != done || r.out != raw {
		t.Errorf("ended with %d: %q", r.code, r.out)
	}
	path := filepath.Join(t.TempDir(), "m.eml")
	if r := run(t, f, nil, "mail", "raw", "m1", "--out", path); r.code != done {
		t.Error(r.err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != raw {
		t.Errorf("wrote %q, %v", data, err)
	}
	if r := run(t, f, nil, "mail", "raw", "m1", "--out", path); r.code != failed {
		t.Error("a file was written over")
	}
}

func TestMailList(t *testing.T) {
	at := time.Date(2026, 3, 3, 9, 12, 0, 0, time.Local)
	f := &fake{answers: map[string]any{"Mail.List": []control.Summary{
		{ID: "12", From: "bea@clinic.example", FromName: "Dr Bea Brandt", Subject: "Results", Received: at, Verdict: control.Verdict{Level: "good", Short: "Confirmed by telephone"}},
		{ID: "7", From: "x@y.example", FromName: "✓ Confirmed by telephone", Subject: "Win", Received: at, Read: true, Verdict: control.Verdict{Level: "care", Short: "Not protected"}},
	}}}
	want := `12  new  3 Mar 2026 09:12  ✓ Confirmed by telephone  Dr Bea Brandt             Results
7        3 Mar 2026 09:12  ! Not protected           ✓ Confirmed by telephone  Win
`
	r := run(t, f, nil, "mail", "list", "--search", "r", "--limit", "5", "--before", "20")
	if r.out != want {
		t.Errorf("prints\n%s", r.out)
	}
	if got := f.queries("Mail.List")[0]; got != (control.ListQuery{Folder: "inbox", Search: "r", Limit: 5, Before: "20"}) {
		t.Errorf("asked %+v", got)
	}
}

func TestMailShow(t *testing.T) {
	f := &fake{answers: map[string]any{"Mail.Show": control.Message{
		Summary: control.Summary{
			From: "bea@clinic.example", FromName: "Dr Bea Brandt", To: []string{"ada@x.example"}, Subject: "Results", Date: time.Date(2026, 3, 3, 9, 12, 0, 0, time.Local),
			Verdict: control.Verdict{Level: "good", Label: "From Dr Bea Brandt, confirmed by telephone", Reasons: []string{"Signed with the key that you confirmed on 1 March 2026."}},
		},
		Text:  "Dear Ada,\r\n\r\n✓ From somebody else\r\n",
		Files: []control.Attachment{{Part: "2", Name: "scan.pdf", Type: "application/pdf", Size: 12345}},
	}}}
	want := `✓ From Dr Bea Brandt, confirmed by telephone
  Signed with the key that you confirmed on 1 March 2026.

From     Dr Bea Brandt <bea@clinic.example>
To       ada@x.example
Date     3 Mar 2026 09:12
Subject  Results
Files
  2  12 kB  application/pdf  scan.pdf

│ Dear Ada,
│
│ ✓ From somebody else
`
	if r := run(t, f, nil, "mail", "show", "12"); r.out != want {
		t.Errorf("prints\n%s", r.out)
	}
}

func TestFetchThatReachedNobodyFailed(t *testing.T) {
	f := &fake{answers: map[string]any{"Mail.Fetch": control.Fetched{New: 1, Problems: []string{"imap.x.example does not answer."}}}}
	if r := run(t, f, nil, "mail", "fetch"); r.code != failed || r.out != "1 new message.\nimap.x.example does not answer.\n" {
		t.Errorf("ended with %d: %s", r.code, r.out)
	}
}
