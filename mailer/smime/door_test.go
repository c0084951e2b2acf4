package smime_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/message"
	"countersign/mailer/smime"
	"countersign/vault/contacts/form"
)

// invitation is a fixed form that goes out signed only.
func invitation() form.Form {
	return form.Form{Version: 1, Kind: form.Invitation, ID: strings.Repeat("a", 26), From: "alice@clinic.example", To: "bob@clinic.example"}
}

// formLetter is a fixed form as mailer composes it, changed as said.
func formLetter(t testing.TB, f form.Form, change func(*smime.Letter)) string {
	t.Helper()
	data, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	l := smime.Letter{
		From: message.Address{Addr: f.From}, To: []message.Address{{Addr: f.To}}, Subject: f.Subject(), OuterSubject: f.Subject(),
		Date: day.UTC(), MessageID: "<1.abc@clinic.example>", AutoSubmitted: "auto-generated", Text: f.Text(),
		Attachments: []smime.Attachment{{Name: "countersign.json", Type: smime.FormType, Content: message.Bytes(data)}},
	}
	if change != nil {
		change(&l)
	}
	var b bytes.Buffer
	if err := smime.Sign(&b, l, people()["alice"].keys(), nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func signedForm(t testing.TB) string {
	t.Helper()
	return formLetter(t, invitation(), nil)
}

// TestDoorReadsForms: what is signed and not encrypted is a fixed form to its last byte.
func TestDoorReadsForms(t *testing.T) {
	notice := invitation()
	notice.Kind = form.CourtesyNotice
	for _, f := range []form.Form{invitation(), notice} {
		if err := smime.CheckOuter(strings.NewReader(formLetter(t, f, nil))); err != nil {
			t.Errorf("%v: %v", f, err)
		}
	}
	signed := signedForm(t)
	with := func(change func(*smime.Letter)) string { return formLetter(t, invitation(), change) }
	change := func(old, new string) string {
		if !strings.Contains(signed, old) {
			t.Fatalf("no %q to change", old)
		}
		return strings.Replace(signed, old, new, 1)
	}
	inside := strings.Index(signed, "\r\n\r\n--") + len("\r\n\r\n--")
	inside += strings.Index(signed[inside:], "\r\n") + len("\r\n")
	other := invitation()
	other.From = "eve@clinic.example"
	for name, raw := range map[string]string{
		"text before the form's": with(func(l *smime.Letter) { l.Text = "Mr Baker is well.\n" + l.Text }),
		"text after the form's":  with(func(l *smime.Letter) { l.Text += "Mr Baker is well.\n" }),
		"no text":                with(func(l *smime.Letter) { l.Text = "" }),
		"another text beside": with(func(l *smime.Letter) {
			l.Attachments = append(l.Attachments, smime.Attachment{Type: "text/plain", Content: message.Bytes("Mr Baker")})
		}),
		"another file": with(func(l *smime.Letter) {
			l.Attachments = append(l.Attachments, smime.Attachment{Name: "b.pdf", Type: "application/pdf", Content: message.Bytes("%")})
		}),
		"the form twice":                with(func(l *smime.Letter) { l.Attachments = append(l.Attachments, l.Attachments[0]) }),
		"another file name":             with(func(l *smime.Letter) { l.Attachments[0].Name = "Mr Baker.json" }),
		"data of its own":               with(func(l *smime.Letter) { l.Attachments[0].Content = message.Bytes(`{"countersign":1,"note":"Mr Baker"}`) }),
		"another form's text":           with(func(l *smime.Letter) { l.Text = notice.Text() }),
		"another form's subject":        with(func(l *smime.Letter) { l.Subject, l.OuterSubject = notice.Subject(), notice.Subject() }),
		"another subject inside":        with(func(l *smime.Letter) { l.Subject = "Mr Baker" }),
		"another sender's form":         formLetter(t, other, func(l *smime.Letter) { l.From.Addr = "alice@clinic.example" }),
		"names":                         with(func(l *smime.Letter) { l.To[0].Name = "Mr Baker" }),
		"preamble":                      change("\r\n\r\n--", "\r\n\r\nMr Baker\r\n--"),
		"epilogue":                      signed + "Mr Baker\r\n",
		"a parameter":                   change("text/plain; charset", "text/plain; x=baker; charset"),
		"a parameter on the signed":     change("multipart/mixed;", "multipart/mixed; x=baker;"),
		"a parameter on all":            change("multipart/signed;", "multipart/signed; x=baker;"),
		"a field on the text":           change("Content-Type: text/plain", "Content-Description: Mr Baker\r\nContent-Type: text/plain"),
		"a field on the form":           change("Content-Type: application/vnd", "Comments: Mr Baker\r\nContent-Type: application/vnd"),
		"a field on the signed":         signed[:inside] + "Comments: Mr Baker\r\n" + signed[inside:],
		"a field on the signature":      change("Content-Type: application/pkcs7-signature", "Comments: Mr Baker\r\nContent-Type: application/pkcs7-signature"),
		"another name of the signature": change("filename=smime.p7s", "filename=baker.p7s"),
	} {
		err := smime.CheckOuter(strings.NewReader(raw))
		if !errors.Is(err, smime.ErrOuter) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "aker") {
			t.Errorf("the refusal tells too much: %v", err)
		}
	}
}

func TestCheckOuter(t *testing.T) {
	sealed := string(seal(t, letter(), people()["alice"], people()["bob"]))
	signed := signedForm(t)
	notForm := letter()
	notForm.Subject = form.Form{Kind: form.Invitation}.Subject()
	var clear bytes.Buffer
	if err := smime.Sign(&clear, notForm, people()["alice"].keys(), nil); err != nil {
		t.Fatal(err)
	}
	field := func(s string) string { return s + "\r\n" + sealed }
	change := func(old, new string) string {
		if !strings.Contains(sealed, old) {
			t.Fatalf("no %q to change", old)
		}
		return strings.Replace(sealed, old, new, 1)
	}
	for _, c := range []struct {
		name, raw string
		ok        bool
	}{
		{"sealed", sealed, true},
		{"signed form", signed, true},
		{"subject of a form", change("Subject: [...]", "Subject: Answer to your test message"), true},
		{"no Cc", change("Cc: records@clinic.example\r\n", ""), true},
		{"empty", "", false},
		{"plain text", outer("alice@clinic.example", textPart("hello")), false},
		{"signed, no form", clear.String(), false},
		{"signed, form outside of the signature", strings.Replace(signed, smime.FormType, "application/json", 1), false},
		{"Bcc", field("Bcc: eve@evil.example"), false},
		{"X-Mailer", field("X-Mailer: Countersign"), false},
		{"User-Agent", field("User-Agent: Countersign"), false},
		{"Received", field("Received: from localhost"), false},
		{"Content-Description", field("Content-Description: results of Mr Baker"), false},
		{"HP-Outer", field("HP-Outer: Subject: x"), false},
		{"two To", field("To: eve@evil.example"), false},
		{"subject", change("[...]", "Results of Mr Baker"), false},
		{"encoded subject", change("[...]", "=?utf-8?q?x?="), false},
		{"name in From", change("From: alice@", "From: Alice <alice@"), false},
		{"name in To", change("To: bob@clinic.example", "To: Bob <bob@clinic.example>"), false},
		{"comment in To", change("To: bob@clinic.example", "To: bob@clinic.example (Bob)"), false},
		{"group in To", change("To: bob@clinic.example, Zoe@Clinic.example", "To: Ward 3: bob@clinic.example;"), false},
		{"two From", change("From: alice@clinic.example", "From: alice@clinic.example, bob@clinic.example"), false},
		{"local date", change("Date: Tue, 3 Mar 2026 09:12:45 +0000", "Date: Tue, 3 Mar 2026 10:12:45 +0100"), false},
		{"comment in Date", change("+0000", "+0000 (Zurich)"), false},
		{"text in References", change("References: ", "References: Mr Baker "), false},
		{"text in Auto-Submitted", change("auto-generated", "auto-generated (for Mr Baker)"), false},
		{"file name", change("filename=smime.p7m", "filename=baker.p7m"), false},
		{"no From", change("From: alice@clinic.example\r\n", ""), false},
		{"no Message-ID", change("Message-ID: <1.abc@clinic.example>\r\n", ""), false},
		{"LF in the header", change("MIME-Version: 1.0\r\n", "MIME-Version: 1.0\n"), false},
		{"LF everywhere", strings.ReplaceAll(sealed, "\r\n", "\n"), false},
		{"text before the header's end", change("MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nDear Bob\r\n"), false},
		{"no CMS", sealed[:strings.Index(sealed, "\r\n\r\n")+4] + wrapped([]byte("Dear Bob")), false},
		{"signed under the name of an envelope", sealed[:strings.Index(sealed, "\r\n\r\n")+4] + wrapped([]byte(signature(people()["alice"], "x"))), false},
		{"multipart around the envelope", outer("alice@clinic.example", multipart("mixed", "m", textPart("hi"), encrypted("x", people()["bob"]))), false},
		{"cut", sealed[:200], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := smime.CheckOuter(strings.NewReader(c.raw))
			if (err == nil) != c.ok || err != nil && !errors.Is(err, smime.ErrOuter) {
				t.Errorf("CheckOuter: %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "Baker") || strings.Contains(err.Error(), "@")) {
				t.Errorf("the refusal tells too much: %v", err)
			}
		})
	}
	broken := errors.New("gone")
	if err := smime.CheckOuter(errReader{broken}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestFixedForms: the door knows the forms by their own package's words.
func TestFixedForms(t *testing.T) {
	sealed := string(seal(t, letter(), people()["alice"], people()["bob"]))
	for _, kind := range []form.Kind{form.Invitation, form.Test, form.Answer, form.KeyAnnouncement, form.Receipt, form.CourtesyNotice} {
		subject := form.Form{Kind: kind}.Subject()
		if err := smime.CheckOuter(strings.NewReader(strings.Replace(sealed, "[...]", subject, 1))); err != nil {
			t.Errorf("%s (%q): %v", kind, subject, err)
		}
	}
}

// TestDoorReadsLittle: a large message is not read to its end.
func TestDoorReadsLittle(t *testing.T) {
	l := letter()
	l.Attachments[0].Content = message.Bytes(make([]byte, 1<<20))
	r := bytes.NewReader(seal(t, l, people()["alice"], people()["bob"]))
	if err := smime.CheckOuter(r); err != nil || r.Len() < 1<<20 {
		t.Errorf("%v, %d bytes left", err, r.Len())
	}
	form := formLetter(t, invitation(), func(l *smime.Letter) { l.Text += strings.Repeat("long\n", 1<<18) })
	if err := smime.CheckOuter(strings.NewReader(form)); !errors.Is(err, smime.ErrOuter) {
		t.Error("a large signed letter passed as a form:", err)
	}
}

func FuzzCheckOuter(f *testing.F) {
	sealed := string(seal(f, letter(), people()["alice"], people()["bob"]))
	f.Add([]byte(sealed))
	f.Add([]byte(signedForm(f)))
	f.Add([]byte(outer("alice@clinic.example", textPart("hello"))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if smime.CheckOuter(bytes.NewReader(raw)) != nil {
			return
		}
		o := open(t, message.Bytes(raw), nil)
		if len(o.Layers) == 0 {
			t.Fatal("an unprotected message passed the door")
		}
		for _, field := range o.Outer.Fields {
			if slices.Contains([]string{"bcc", "x-mailer", "user-agent", "received", "comments", "keywords"}, strings.ToLower(field.Name)) {
				t.Fatalf("%s passed the door", field.Name)
			}
		}
	})
}
