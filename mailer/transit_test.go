package mailer_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"countersign/mailer"
	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/tray/demo/authority"
	"countersign/vault/contacts"
	"countersign/vault/contacts/form"
)

// oldProgram writes a letter as programs without header protection do.
func (w *world) oldProgram(from *authority.Person, header, text string) []byte {
	w.Helper()
	return []byte("MIME-Version: 1.0\r\nDate: Tue, 3 Mar 2026 10:00:00 +0000\r\n" + header + w.signs(from, "Content-Type: text/plain\r\n\r\n"+text+"\r\n"))
}

// signs makes a multipart/signed of an entity.
func (w *world) signs(from *authority.Person, payload string) string {
	w.Helper()
	d, err := cms.NewDetached([]cms.Signer{{Key: from.Key, Certificate: from.Certificate}}, cms.SignOptions{Time: w.now})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := d.Write([]byte(payload)); err != nil {
		w.Fatal(err)
	}
	signature, err := d.Finish()
	if err != nil {
		w.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=bb\r\n\r\n--bb\r\n" + payload + "\r\n--bb\r\n")
	if err := (&message.Entity{Type: "application/pkcs7-signature", Name: "smime.p7s", Content: message.Bytes(signature)}).Write(&b); err != nil {
		w.Fatal(err)
	}
	return b.String() + "\r\n--bb--\r\n"
}

// seals puts an entity into an envelope, under the header of a message.
func (w *world) seals(entity string, to *person) []byte {
	w.Helper()
	var sealed bytes.Buffer
	out, err := cms.NewEnveloped(&sealed, envelopeTo(to), cms.EncryptOptions{Size: -1})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := out.Write([]byte(entity)); err != nil {
		w.Fatal(err)
	}
	if err := out.Close(); err != nil {
		w.Fatal(err)
	}
	return []byte("Subject: [...]\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(sealed.Bytes()) + "\r\n")
}

// Whoever gets a message first cannot hide it by sending it on in another's name, or
// in pieces: the same CMS under another header is another message (I3).
func TestHiddenByItsTwin(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	letter := w.oldProgram(bea.who, "From: "+beaAddress+"\r\nTo: "+adaAddress+"\r\nSubject: Potassium\r\n", "It is 6.9. Call me.")
	for name, twin := range map[string][]byte{
		"another sender":   bytes.Replace(letter, []byte("From: "+beaAddress), []byte("From: mallory@evil.example"), 1),
		"another subject":  bytes.Replace(letter, []byte("Subject: Potassium"), []byte("Subject: Canteen"), 1),
		"another boundary": bytes.Replace(letter, []byte("boundary=bb"), []byte("boundary=cc"), 1),
	} {
		w.deliver(adaAddress, twin)
		if id := w.deliver(adaAddress, twin); id != ada.last().ID {
			t.Errorf("%s: shown twice", name)
		}
	}
	genuine := w.deliver(adaAddress, letter)
	m, err := ada.Read(ctx, genuine)
	if err != nil || m.From != beaAddress || m.Subject != "Potassium" || m.Verdict.Signature != "valid" || !strings.Contains(m.Text, "6.9") {
		t.Errorf("the letter is hidden: %q %q %q, %v", m.From, m.Subject, m.Text, err)
	}
	if again := w.deliver(adaAddress, append([]byte("Received: by another way\r\n"), letter...)); again != genuine {
		t.Error("the same letter by another way is shown twice")
	}
}

// Where the layers protect the header, what stands outside makes no other message.
func TestOneMessageWhateverStandsOutside(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	letter := w.forge(bea.who, ada, smime.Letter{Subject: "s", Text: "t"})
	first := w.deliver(adaAddress, letter)
	if again := w.deliver(adaAddress, bytes.Replace(letter, []byte("Subject: [...]"), []byte("Subject: Urgent"), 1)); again != first {
		t.Error("shown twice")
	}
	if m := ada.last(); m.Subject != "s" || m.Verdict.Level != policy.Good {
		t.Errorf("%q %+v", m.Subject, m.Verdict)
	}
}

// The key is in other hands and its certificate was withdrawn. Another certificate for
// the same key, which its holder makes, does not take that back (I2).
func TestWithdrawnInAnotherCertificate(t *testing.T) {
	w := newWorldOfItsOwn(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	w.now = w.now.Add(2 * time.Hour)
	if err := w.ca.Revoke(bea.who.Certificate, w.now.Add(-time.Hour), 1); err != nil {
		t.Fatal(err)
	}
	ada.state(bea, contacts.Suspended)
	thief := *bea.who
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: w.now.Add(-time.Hour), NotAfter: w.now.Add(time.Hour), EmailAddresses: []string{beaAddress}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, thief.Key.Public(), thief.Key)
	if err == nil {
		thief.Certificate, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.deliver(adaAddress, w.forge(&thief, ada, smime.Letter{Subject: "after", Text: "t"}))
	m := ada.last()
	if m.Verdict.Level != policy.Stop || m.ReplyDenied == "" || m.Verdict.Chain != "revoked" {
		t.Errorf("%s %q, chain %s", m.Verdict.Level, m.Verdict.Label, m.Verdict.Chain)
	}
}

// Who hid the identifiers of a thread finds them hidden in the answer too.
func TestHiddenThread(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	for name, c := range map[string]struct{ outer, answers string }{
		"all told":           {"HP-Outer: Message-ID: <thread.2@n.example>\r\nHP-Outer: References: <thread.1@n.example>\r\n", "<thread.1@n.example> <thread.2@n.example>"},
		"references hidden":  {"HP-Outer: message-id: <thread.2@n.example>\r\n", "<thread.2@n.example>"},
		"identifier hidden":  {"HP-Outer: Message-ID: <other@n.example>\r\nHP-Outer: References: <thread.1@n.example>\r\n", ""},
		"everything, unsaid": {"", ""},
	} {
		id := w.deliver(adaAddress, w.seals(w.signs(bea.who, "From: "+beaAddress+"\r\nTo: "+adaAddress+"\r\nSubject: "+name+
			"\r\nMessage-ID: <thread.2@n.example>\r\nReferences: <thread.1@n.example>\r\n"+c.outer+"Content-Type: text/plain; hp=cipher\r\n\r\nt\r\n"), ada))
		if m := ada.last(); m.ID != id || m.Verdict.Level != policy.Good {
			t.Fatalf("%s: %+v", name, m.Verdict)
		}
		before := len(w.wire)
		if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "Re", InReplyTo: id}); err != nil {
			t.Fatal(err)
		}
		if _, err := ada.Outbox.Round(ctx); err != nil {
			t.Fatal(err)
		}
		sent, err := message.Parse(message.Bytes(w.wire[before].raw), message.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if got := sent.Get("References"); got != c.answers {
			t.Errorf("%s: the answer tells %q outside", name, got)
		}
	}
}

// Whom a letter hid from those on the way, its answer to all hides too.
func TestHiddenPeople(t *testing.T) {
	w := newWorld(t)
	ada, bea, carl := w.join("Ada", adaAddress), w.join("Bea", beaAddress), w.join("Carl", "carl@south.example")
	ada.verifies(bea)
	ada.verifies(carl)
	id := w.deliver(adaAddress, w.seals(w.signs(bea.who, "From: "+beaAddress+"\r\nTo: "+adaAddress+"\r\nCc: "+carl.address+"\r\nSubject: s"+
		"\r\nHP-Outer: From: "+beaAddress+"\r\nHP-Outer: To: "+adaAddress+"\r\nContent-Type: text/plain; hp=cipher\r\n\r\nt\r\n"), ada))
	before := len(w.wire)
	if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Cc: []string{carl.address}, Subject: "Re", InReplyTo: id}); err != nil {
		t.Fatal(err)
	}
	w.post()
	for _, sent := range w.wire[before:] {
		if strings.Contains(string(sent.raw), carl.address) || !strings.Contains(string(sent.raw), "To: "+beaAddress) {
			t.Errorf("outside stands\n%.300s", sent.raw)
		}
	}
	if m := carl.last(); !slices.Equal(m.To, []string{beaAddress}) {
		t.Errorf("he reads To %q", m.To)
	}
}

// A fixed form has no room for anybody's words: those that its sender put beside its
// data are not shown with its authority (V4).
func TestWordsBesideAForm(t *testing.T) {
	w := newWorld(t)
	ada := w.join("Ada", adaAddress)
	mallory := w.stolen(beaAddress)
	f, err := form.New(rand.Reader, form.Invitation, beaAddress, adaAddress)
	if err != nil {
		t.Fatal(err)
	}
	data, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	w.deliver(adaAddress, w.forge(mallory, ada, smime.Letter{
		Subject: "Ring 0800 000 now", Text: "Ring 0800 000 and read out your recovery words.", Attachments: []smime.Attachment{
			{Name: "ring.exe", Content: message.Bytes("x")}, {Type: smime.FormType, Content: message.Bytes(data)},
		},
	}))
	if m := ada.last(); m.Form != "invitation" || m.Text != f.Text() || m.Subject != f.Subject() || m.Snippet != "" || len(m.Files)+m.Attachments != 0 {
		t.Errorf("%s: %q %q %q, %d files", m.Form, m.Subject, m.Snippet, m.Text, len(m.Files))
	}
}

// What a list shows of one message is short, however long its lines are: fifty of the
// longest would make a page that no browser draws.
func TestLongLines(t *testing.T) {
	w := newWorld(t)
	ada := w.join("Ada", adaAddress)
	w.deliver(adaAddress, []byte("From: x@x.example\r\nTo: "+strings.Repeat("a@b.example, ", 20000)+"a@b.example\r\nCc: "+strings.Repeat("a@b.example, ", 20000)+
		"a@b.example\r\nSubject: "+strings.Repeat("Za\u0308hne ", 50000)+"\r\nMessage-ID: <"+strings.Repeat("x", 100000)+"@x>\r\n\r\nt\r\n"))
	m := ada.last()
	if b, err := json.Marshal(m); err != nil || len(b) > 20000 || !strings.HasPrefix(m.Subject, "Za\u0308hne Za") || !utf8.ValidString(m.Subject) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// A stranger's test in Bea's name does not take the place of hers: the words that Ada
// reads out would be his, and three of them void Bea's test.
func TestPushedAside(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	bea.knows(ada)
	if _, err := bea.StartTest(ctx, adaAddress, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	hers := ada.reads(bea).Words
	id := w.deliver(adaAddress, w.forgeTest(w.selfSigned(beaAddress), beaAddress, ada))
	if got := ada.reads(bea).Words; !slices.Equal(got, hers) {
		t.Errorf("the words to read out became another's: %v", got)
	}
	m, err := ada.Read(ctx, id)
	if err != nil || m.Form != "" || m.Test != nil || !strings.Contains(strings.Join(m.Verdict.Reasons, " "), "Read out nothing") {
		t.Errorf("%q %+v, %v", m.Form, m.Verdict.Reasons, err)
	}
}
