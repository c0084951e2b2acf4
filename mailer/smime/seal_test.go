package smime_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// TestSealAndOpen is the main path: what Alice writes is what Bob reads.
func TestSealAndOpen(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	raw := seal(t, letter(), alice, bob)
	o := open(t, raw, bob.opens())
	if o.Problem != nil || layers(o) != "encrypted signed(valid)" {
		t.Fatal(o.Problem, layers(o))
	}
	if got := o.Header.Text("Subject"); got != "Befund von Frau Müller" {
		t.Error(got)
	}
	if from := o.Header.Addresses("From"); len(from) != 1 || from[0] != letter().From {
		t.Error(from)
	}
	if to := o.Header.Addresses("To"); !slices.Equal(to, letter().To) {
		t.Error(to)
	}
	if got := shown(t, o); got != letter().Text {
		t.Errorf("%q", got)
	}
	for i, a := range letter().Attachments {
		p := o.Payload.Parts[i+1]
		if got := read(t, opener{p}); p.Filename != a.Name || p.Type != a.Type || got != read(t, a.Content) {
			t.Errorf("attachment %s came back as %s, %d bytes", a.Name, p.Filename, len(got))
		}
	}
	signer := o.Layers[1].Signed.Signers[0]
	if !signer.Certificate.Equal(alice.sign) || !signer.EncryptionCertificate.Equal(alice.encrypt) {
		t.Error("the certificates to answer to are not enclosed")
	}
	if date, err := o.Outer.Date(); err != nil || !date.Equal(signer.Time) || !strings.HasSuffix(o.Outer.Get("Date"), " +0000") {
		t.Errorf("Date %q, signing time %v", o.Outer.Get("Date"), signer.Time)
	}
	if e := o.Layers[0].Enveloped; e.Cipher != "AES-256-CBC" || e.Authenticated {
		t.Error(e.Cipher)
	}
	if want := []string{"From", "To", "Cc", "Date", "Message-ID", "Subject", "In-Reply-To", "References", "Auto-Submitted"}; !slices.Equal(o.Protected, want) {
		t.Error(o.Protected)
	}
	if want := []string{"From", "To", "Cc", "Date", "Subject"}; !slices.Equal(o.Confidential, want) {
		t.Error(o.Confidential)
	}
	if o.Payload.Params["hp"] != "cipher" {
		t.Error(o.Payload.Params)
	}
}

type opener struct{ part *message.Part }

func (o opener) Open() (io.ReadCloser, error) { return o.part.Open() }

// TestEnvelopes opens letters in every envelope that can be asked for.
func TestEnvelopes(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	for name, e := range map[string]smime.Envelope{
		"AES-128-CBC":           {Cipher: cms.AES128CBC, OAEP: true},
		"AES-256-GCM":           {Cipher: cms.AES256GCM},
		"AES-256-GCM with HKDF": {Cipher: cms.AES256GCM, Derive: true},
		"AES-256-CBC":           {Direct: true},
		"ChaCha20-Poly1305":     {Cipher: cms.ChaCha20Poly1305, Direct: true, Derive: false},
	} {
		e.To = []*x509.Certificate{bob.encrypt}
		var raw bytes.Buffer
		if err := e.Seal(&raw, letter(), alice.keys()); err != nil {
			t.Fatal(name, err)
		}
		if err := smime.CheckOuter(bytes.NewReader(raw.Bytes())); err != nil {
			t.Error(name, err)
		}
		o := open(t, message.Bytes(raw.Bytes()), bob.opens())
		if o.Problem != nil || layers(o) != "encrypted signed(valid)" || o.Layers[0].Enveloped.Cipher != name {
			t.Fatal(name, o.Problem, layers(o))
		}
		if got := o.Header.Text("Subject"); got != letter().Subject || shown(t, o) != letter().Text || o.Outer.Get("Subject") != "[...]" {
			t.Error(name, got, shown(t, o), o.Outer.Get("Subject"))
		}
		for i, a := range letter().Attachments {
			if got := read(t, opener{o.Payload.Parts[i+1]}); got != read(t, a.Content) {
				t.Errorf("%s: attachment %s came back as %d bytes", name, a.Name, len(got))
			}
		}
		if form := o.Outer.Get("Content-Type"); strings.Contains(form, "authEnveloped-data") != o.Layers[0].Enveloped.Authenticated {
			t.Error(name, form)
		}
		if s := o.Layers[1].Signed.Signers[0]; !s.Derives || !s.OAEP || !slices.Contains(s.Capabilities, cms.AES256GCM) {
			t.Error("what we read is not announced:", s.Capabilities, s.Derives)
		}
	}
}

// TestContentKeyOpensAgain opens a message without a private key.
func TestContentKeyOpensAgain(t *testing.T) {
	bob := people()["bob"]
	raw := seal(t, letter(), people()["alice"], bob)
	first := open(t, raw, bob.opens())
	again, err := smime.Open(raw, nil, smime.Options{ContentKey: first.ContentKey})
	if err != nil || again.Digest != ([32]byte{}) || shown(t, again) != letter().Text || again.Layers[0].Enveloped.Matched != nil {
		t.Error(err, again.Problem)
	}
	wrong := slices.Clone(first.ContentKey)
	wrong[0] ^= 1
	again, err = smime.Open(raw, bob.opens(), smime.Options{ContentKey: wrong, Identify: true})
	if err != nil || shown(t, again) != letter().Text {
		t.Error("a wrong content key keeps the right key from opening:", err, again.Problem)
	}
	if first.Digest != again.Digest || first.Digest == ([32]byte{}) {
		t.Error("the digest depends on the key")
	}
	if closed := open(t, raw, nil); closed.Digest != first.Digest || !errors.Is(closed.Problem, smime.ErrNoKey) {
		t.Error("the digest needs a key", closed.Problem)
	}
}

// TestOuterHeader is the golden list of SECURITY.md O2.
func TestOuterHeader(t *testing.T) {
	const want = `From: alice@clinic.example
To: bob@clinic.example, Zoe@Clinic.example
Cc: records@clinic.example
Date: Tue, 3 Mar 2026 09:12:45 +0000
Message-ID: <1.abc@clinic.example>
Subject: [...]
In-Reply-To: <0.abc@clinic.example>
References: <00.abc@clinic.example> <0.abc@clinic.example>
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: application/pkcs7-mime; smime-type=enveloped-data;
 name=smime.p7m
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=smime.p7m

`
	raw := string(seal(t, letter(), people()["alice"], people()["bob"]))
	header, body, _ := strings.Cut(raw, "\r\n\r\n")
	if got := strings.ReplaceAll(header+"\r\n\r\n", "\r\n", "\n"); got != want {
		t.Errorf("outside stands\n%s", got)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n"), "\r\n") {
		if len(line) > 76 || strings.Trim(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") != "" {
			t.Fatalf("the body has a line %q", line)
		}
	}
	form := letter()
	form.OuterSubject, form.AutoSubmitted = "Test message: please wait for a telephone call", ""
	o := open(t, seal(t, form, people()["alice"], people()["bob"]), people()["bob"].opens())
	if o.Outer.Get("Subject") != form.OuterSubject || o.Header.Text("Subject") != form.Subject || o.Outer.Has("Auto-Submitted") {
		t.Error(o.Outer.Fields)
	}
}

// TestNothingLeaks looks for everything confidential in all that travels,
// also decoded.
func TestNothingLeaks(t *testing.T) {
	raw := seal(t, letter(), people()["alice"], people()["bob"])
	root, err := message.Parse(raw, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	travels := string(raw[:root.Body]) + read(t, opener{root})
	for _, secret := range []string{
		"Befund", "Müller", "M=C3=BCller", "Dr Alice", "Andersson", "Baker", "Zoë", "Records Office", "+0100", "10:12:45",
		".pdf", "scan", "Grüße", "Dear Bob", "multipart", "hp=cipher", "HP-Outer", "Bcc:",
	} {
		if strings.Contains(travels, secret) {
			t.Errorf("%q can be read outside", secret)
		}
	}
}

// TestPayload is what lies under the envelope, byte for byte.
func TestPayload(t *testing.T) {
	l := letter()
	l.Attachments, l.Text = nil, "Hello\n"
	bob := people()["bob"]
	o := open(t, seal(t, l, people()["alice"], bob), bob.opens())
	const want = `From: =?utf-8?q?Dr_Alice_=C3=84=2E_Andersson?= <alice@clinic.example>
To: Bob Baker <bob@clinic.example>, =?utf-8?q?Zo=C3=AB?=
 <Zoe@Clinic.example>
Cc: Records Office <records@clinic.example>
Date: Tue, 3 Mar 2026 10:12:45 +0100
Message-ID: <1.abc@clinic.example>
Subject: =?utf-8?q?Befund_von_Frau_M=C3=BCller?=
In-Reply-To: <0.abc@clinic.example>
References: <00.abc@clinic.example> <0.abc@clinic.example>
Auto-Submitted: auto-generated
HP-Outer: From: alice@clinic.example
HP-Outer: To: bob@clinic.example, Zoe@Clinic.example
HP-Outer: Cc: records@clinic.example
HP-Outer: Date: Tue, 3 Mar 2026 09:12:45 +0000
HP-Outer: Message-ID: <1.abc@clinic.example>
HP-Outer: Subject: [...]
HP-Outer: In-Reply-To: <0.abc@clinic.example>
HP-Outer: References: <00.abc@clinic.example> <0.abc@clinic.example>
HP-Outer: Auto-Submitted: auto-generated
Content-Type: text/plain; charset=utf-8; hp=cipher; hp-legacy-display=1
Content-Transfer-Encoding: quoted-printable

Subject: Befund von Frau M=C3=BCller
From: Dr Alice =C3=84. Andersson <alice@clinic.example>
To: Bob Baker <bob@clinic.example>, Zo=C3=AB <Zoe@Clinic.example>
Cc: Records Office <records@clinic.example>
Date: Tue, 3 Mar 2026 10:12:45 +0100

Hello
`
	if got := strings.ReplaceAll(read(t, o.Payload.Entity()), "\r\n", "\n"); got != want {
		t.Errorf("the payload is\n%s", got)
	}
}

func TestSign(t *testing.T) {
	l := letter()
	l.Subject, l.OuterSubject = "Please answer with a signed message", ""
	l.Attachments = []smime.Attachment{{Name: "form.json", Type: smime.FormType, Content: message.Bytes("{}")}}
	var b bytes.Buffer
	if err := smime.Sign(&b, l, people()["alice"].keys(), nil); err != nil {
		t.Fatal(err)
	}
	o := open(t, message.Bytes(b.Bytes()), nil)
	if o.Problem != nil || layers(o) != "signed(valid)" || shown(t, o) != l.Text || o.Payload.Params["hp"] != "clear" {
		t.Error(o.Problem, layers(o), o.Payload.Params)
	}
	if o.Outer.Get("Subject") != l.Subject || len(o.Confidential) > 0 || strings.Contains(b.String(), "HP-Outer") {
		t.Error(o.Outer.Fields, o.Confidential)
	}
	if got := o.Root.Params; got["micalg"] != "sha-256" || got["protocol"] != "application/pkcs7-signature" {
		t.Error(got)
	}
	for line := range strings.SplitSeq(b.String(), "\r\n") {
		if len(line) > 78 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a line %q", line)
		}
	}
}

func TestLettersThatCannotBeWritten(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	to := []*x509.Certificate{bob.encrypt}
	for name, spoil := range map[string]func(*smime.Letter){
		"no From":        func(l *smime.Letter) { l.From.Addr = "" },
		"broken To":      func(l *smime.Letter) { l.To[0].Addr = "bob@clinic.example\r\nBcc: eve@evil.example" },
		"two in one":     func(l *smime.Letter) { l.To[0].Addr = "bob@clinic.example, eve@evil.example" },
		"no date":        func(l *smime.Letter) { l.Date = l.Date.AddDate(-3000, 0, 0); l.Date = smime.Letter{}.Date },
		"no Message-ID":  func(l *smime.Letter) { l.MessageID = "" },
		"bad Message-ID": func(l *smime.Letter) { l.MessageID = "<a@b>\r\nX: y" },
		"empty file":     func(l *smime.Letter) { l.Attachments[0].Content = nil },
	} {
		l := letter()
		spoil(&l)
		var b bytes.Buffer
		if err := smime.Seal(&b, l, alice.keys(), to, nil); !errors.Is(err, smime.ErrLetter) || b.Len() > 0 {
			t.Errorf("%s: %v, %d bytes", name, err, b.Len())
		}
	}
	if err := smime.Seal(io.Discard, letter(), alice.keys(), nil, nil); err == nil {
		t.Error("encrypted to nobody")
	}
	l := letter()
	l.AutoSubmitted = "no\r\nBcc: eve@evil.example"
	if err := smime.Seal(io.Discard, l, alice.keys(), to, nil); !errors.Is(err, message.ErrHeader) {
		t.Error("a field was smuggled in:", err)
	}
	l = letter()
	l.InReplyTo, l.References = "<a b@c>", []string{"x", "<1@a.example>", "<2@a.example>\r\nBcc: x", "<ä@b>"}
	o := open(t, seal(t, l, alice, bob), nil)
	if o.Outer.Has("In-Reply-To") || o.Outer.Get("References") != "<1@a.example>" {
		t.Error("what is no Message-ID came through", o.Outer.Fields)
	}
	l.References = nil
	for range 500 {
		l.References = append(l.References, "<some.long.identifier@mail.clinic.example>")
	}
	o = open(t, seal(t, l, alice, bob), nil)
	if n := len(strings.Fields(o.Outer.Get("References"))); n != 40 {
		t.Errorf("%d references", n)
	}
	l = letter()
	l.Attachments[0].Content = &growing{}
	if err := smime.Seal(io.Discard, l, alice.keys(), to, nil); err == nil {
		t.Error("an attachment changed while it was signed")
	}
}

// TestInternationalAddresses: domains travel as A-labels; what stands before the @
// can't, and needs a server that knows RFC 6531.
func TestInternationalAddresses(t *testing.T) {
	l := letter()
	l.From.Addr, l.To = "jörg@münchen.example", []message.Address{{Name: "Bob", Addr: "Bob@münchen.example"}}
	raw := seal(t, l, people()["alice"], people()["bob"])
	o := open(t, raw, people()["bob"].opens())
	if got := o.Outer.Get("From") + " " + o.Outer.Get("To"); got != "jörg@xn--mnchen-3ya.example bob@xn--mnchen-3ya.example" {
		t.Error(got)
	}
	if from := o.Header.Addresses("From"); len(from) != 1 || from[0].Addr != "jörg@xn--mnchen-3ya.example" {
		t.Error(from)
	}
	if err := smime.CheckOuter(bytes.NewReader(raw)); err != nil {
		t.Error(err)
	}
}

// growing is an attachment that is longer each time it is read, and too long to be read once only.
type growing struct{ n int }

func (g *growing) Open() (io.ReadCloser, error) {
	g.n += 1000
	return message.Bytes(make([]byte, 300_000+g.n)).Open()
}

// TestFreshness: the same letter never gives the same bytes twice.
func TestFreshness(t *testing.T) {
	a, b := seal(t, letter(), people()["alice"], people()["bob"]), seal(t, letter(), people()["alice"], people()["bob"])
	if bytes.Equal(a, b) {
		t.Error("two envelopes are the same")
	}
}
