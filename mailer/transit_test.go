package mailer_test

import (
	"bytes"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/tray/demo/authority"
)

// oldProgram writes a letter as programs without header protection do.
func (w *world) oldProgram(from *authority.Person, to *person, header, text string) []byte {
	w.Helper()
	payload := "Content-Type: text/plain\r\n\r\n" + text + "\r\n"
	d, err := cms.NewDetached([]cms.Signer{{Key: from.Key, Certificate: from.Certificate}}, cms.SignOptions{Time: w.now})
	if err != nil {
		w.Fatal(err)
	}
	d.Write([]byte(payload))
	sig, err := d.Finish()
	if err != nil {
		w.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("MIME-Version: 1.0\r\nDate: Tue, 3 Mar 2026 10:00:00 +0000\r\n" + header)
	b.WriteString("Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=bb\r\n\r\n--bb\r\n" + payload + "\r\n--bb\r\n")
	if err := (&message.Entity{Type: "application/pkcs7-signature", Name: "smime.p7s", Content: message.Bytes(sig)}).Write(&b); err != nil {
		w.Fatal(err)
	}
	b.WriteString("\r\n--bb--\r\n")
	return b.Bytes()
}

// Whoever gets a message first cannot hide it by sending it on in another's name, or
// in pieces: the same CMS under another header is another message (I3).
func TestHiddenByItsTwin(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	letter := w.oldProgram(bea.who, ada, "From: "+beaAddress+"\r\nTo: "+adaAddress+"\r\nSubject: Potassium\r\n", "It is 6.9. Call me.")
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
