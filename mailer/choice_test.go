package mailer_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/outbox"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
)

// submitted opens what was last put on the wire, as its recipient would.
func (w *world) submitted(p *person) *smime.Opened {
	w.Helper()
	return w.opened(p, w.wire[len(w.wire)-1].raw)
}

func (w *world) opened(p *person, raw []byte) *smime.Opened {
	w.Helper()
	keys, err := p.Vault.DecryptionKeys(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	o, err := smime.Open(message.Bytes(raw), keys, smime.Options{})
	if err != nil || o.Problem != nil {
		w.Fatal(err, o.Problem)
	}
	return o
}

// travelled tells how a message was encrypted.
func travelled(o *smime.Opened) string {
	e := o.Layers[0].Enveloped
	return e.Cipher + ", " + e.KeyCipher
}

const (
	everybodys = "AES-256-CBC, RSA PKCS#1 v1.5"
	announced  = "AES-256-GCM with HKDF, RSA-OAEP SHA-256"
)

// announce has somebody say in a signed message what they read.
func (w *world) announce(from, to *person, at time.Time, ciphers []cms.Cipher, genuine bool) {
	w.Helper()
	payload := "Content-Type: text/plain\r\n\r\nWritten at " + at.String()
	d, err := cms.NewDetached([]cms.Signer{{Key: from.who.Key, Certificate: from.who.Certificate}}, cms.SignOptions{
		Time: at, Capabilities: ciphers, EncryptionCertificate: from.who.Certificate,
	})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := io.WriteString(d, payload); err != nil {
		w.Fatal(err)
	}
	signature, err := d.Finish()
	if err != nil {
		w.Fatal(err)
	}
	if !genuine {
		payload += ", and changed"
	}
	var b bytes.Buffer
	b.WriteString("From: " + from.address + "\r\nTo: " + to.address + "\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=bb\r\n\r\n--bb\r\n" + payload + "\r\n--bb\r\n")
	if err := (&message.Entity{Type: "application/pkcs7-signature", Name: "smime.p7s", Content: message.Bytes(signature)}).Write(&b); err != nil {
		w.Fatal(err)
	}
	w.deliver(to.address, []byte(b.String()+"\r\n--bb--\r\n"))
}

// TestChoosing: a letter is encrypted as well as its readers say that they read.
func TestChoosing(t *testing.T) {
	w := newWorld(t)
	ada, bea, carl := w.join("Ada", adaAddress), w.join("Bea", beaAddress), w.join("Carl", "carl@northclinic.example")
	ada.verifies(bea)
	ada.verifies(carl)
	sends := func(name, want string, to ...string) {
		t.Helper()
		if _, err := ada.write(mailer.Draft{To: to, Subject: name, Text: "t"}); err != nil {
			t.Fatal(name, err)
		}
		w.post()
		if got := travelled(w.submitted(w.people[to[len(to)-1]])); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	old := []cms.Cipher{cms.AES128CBC, cms.AES256CBC}
	w.now = w.now.Add(time.Minute)
	sends("by their signed answers", announced, beaAddress)
	sends("both read it", announced, beaAddress, carl.address)
	w.announce(bea, ada, w.now.Add(time.Hour), old, true)
	sends("a word from the future", announced, beaAddress)
	w.announce(bea, ada, w.now.Add(-time.Hour), old, true)
	sends("an older word", announced, beaAddress)
	w.announce(bea, ada, w.now, old, false)
	sends("a word that was changed on the way", announced, beaAddress)
	w.deliver(adaAddress, []byte("From: "+beaAddress+"\r\nSubject: unsigned\r\n\r\nI read nothing.\r\n"))
	sends("an unsigned word", announced, beaAddress)

	// She goes back to an older program. What waits is not sent as she cannot read it.
	ada.down = io.ErrUnexpectedEOF
	if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "waiting", Text: "t"}); err != nil {
		t.Fatal(err)
	}
	w.announce(bea, ada, w.now, old, true)
	ada.down = nil
	before := len(w.wire)
	w.post()
	if len(w.wire) != before {
		t.Error("a letter went out that she cannot read any more")
	}
	sends("a newer word", everybodys, beaAddress)
	sends("one of two does not read it", everybodys, beaAddress, carl.address)
	sends("only the other", announced, carl.address)

	// She is back, and then writes with a program that says nothing of what it reads.
	able := []cms.Cipher{cms.AES256GCM, cms.AES256CBC}
	w.now = w.now.Add(time.Minute)
	w.announce(bea, ada, w.now, able, true)
	sends("GCM again", "AES-256-GCM, RSA PKCS#1 v1.5", beaAddress)
	w.now = w.now.Add(time.Minute)
	w.announce(bea, ada, w.now, nil, true)
	sends("no word at all", everybodys, beaAddress)
	w.announce(bea, ada, w.now.Add(-time.Minute), able, true)
	sends("the word before, again", everybodys, beaAddress)
}

// TestDirect: a contact of that profile gets wrapped letters.
func TestDirect(t *testing.T) {
	w := newWorld(t)
	ada, bea, carl := w.join("Ada", adaAddress), w.join("Bea", beaAddress), w.join("Carl", "carl@northclinic.example")
	ada.verifies(bea)
	ada.verifies(carl)
	if _, err := ada.AddContact(t.Context(), mailer.NewContact{Address: beaAddress, Profile: "direct"}); err != nil {
		t.Fatal(err)
	}
	wrapped := func(to ...string) (direct bool) {
		t.Helper()
		if _, err := ada.write(mailer.Draft{To: to, Subject: "Mrs K", Text: "the words"}); err != nil {
			t.Fatal(err)
		}
		w.post()
		o := w.submitted(bea)
		if m := bea.last(); m.Subject != "Mrs K" || !strings.Contains(m.Text, "the words") || m.Verdict.Level == policy.Stop && m.Verdict.From != "match" {
			t.Errorf("%q %q %+v", m.Subject, m.Text, m.Verdict)
		}
		return o.Payload.Params["hp"] == ""
	}
	if !wrapped(beaAddress) {
		t.Error("to her alone it is not wrapped")
	}
	if wrapped(beaAddress, carl.address) {
		t.Error("wrapped for somebody who is of no such profile")
	}
	if _, err := ada.AddContact(t.Context(), mailer.NewContact{Address: beaAddress, Profile: "smime"}); err != nil {
		t.Fatal(err)
	}
	if wrapped(beaAddress) {
		t.Error("wrapped after the profile was taken back")
	}
	if _, err := ada.AddContact(t.Context(), mailer.NewContact{Address: beaAddress, Profile: "x400"}); err == nil {
		t.Error("a profile that is none")
	}
}

// TestDirectIsLearned: from the signed answer to a test, and from nothing else (SECURITY
// I3).
func TestDirectIsLearned(t *testing.T) {
	for _, c := range []struct {
		name           string
		direct, quotes bool
		set, want      contacts.Profile
	}{
		{"wrapped", true, true, "", contacts.Direct},
		{"not wrapped", false, true, "", ""},
		{"no answer", true, false, "", ""},
		{"the user said otherwise", true, true, contacts.SMIME, contacts.SMIME},
	} {
		w, ctx := newWorld(t), t.Context()
		ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
		ada.knows(bea)
		if _, err := ada.AddContact(ctx, mailer.NewContact{Address: beaAddress, Profile: string(c.set)}); err != nil {
			t.Fatal(err)
		}
		if _, err := ada.StartTest(ctx, beaAddress, ""); err != nil {
			t.Fatal(err)
		}
		w.post()
		_, after, _ := strings.Cut(bea.last().Text, "Reference: ")
		reference, _, _ := strings.Cut(after, "\n")
		state := contacts.Answered
		if !c.quotes {
			reference, state = "none", contacts.TestSent
		}
		w.deliver(adaAddress, w.forgeIn(smime.Envelope{Direct: c.direct}, bea.who, ada, smime.Letter{Subject: "Re: Test message", Text: "> Reference: " + reference}))
		if got := ada.state(bea, state).Profile; got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestSignedAttributes looks at the bytes sent: what is signed beside the content
// (SECURITY O3; RFC 8551, section 2.5). Signing and encryption have keys of their own.
func TestSignedAttributes(t *testing.T) {
	w := newWorld(t)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	certify := func(key crypto.Signer, uses x509.KeyUsage) (p *person) {
		who, err := w.ca.Certify("Ada", adaAddress, key, uses)
		if err != nil {
			t.Fatal(err)
		}
		return &person{who: who}
	}
	signing, encryption := certify(ecKey, x509.KeyUsageDigitalSignature).who, certify(rsaKey, x509.KeyUsageKeyEncipherment).who
	ada, bea, carl := w.enter(signing, encryption), w.join("Bea", beaAddress), w.join("Carl", "carl@northclinic.example")
	ada.verifies(bea)
	ada.verifies(carl)
	before := len(w.wire)
	if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Bcc: []string{carl.address}, Subject: "Mrs K", Text: "t"}); err != nil {
		t.Fatal(err)
	}
	w.post()
	if len(w.wire) != before+2 {
		t.Fatalf("%d envelopes", len(w.wire)-before)
	}
	var signatures [][]byte
	for i, reader := range []*person{bea, carl} {
		o := w.opened(reader, w.wire[before+i].raw)
		s := o.Layers[1].Signed.Signers[0]
		date, err := o.Outer.Date()
		if err != nil || !s.Time.Equal(date) || !s.Time.Equal(w.now) {
			t.Errorf("signingTime %v, Date %v, %v", s.Time, date, err)
		}
		if s.Err != nil || !s.Certificate.Equal(signing.Certificate) || s.EncryptionCertificate == nil || !s.EncryptionCertificate.Equal(encryption.Certificate) {
			t.Errorf("the encryption certificate is not named, or not enclosed: %+v", s)
		}
		if !s.Derives || !s.OAEP || !slices.Contains(s.Capabilities, cms.AES256GCM) || !slices.Contains(s.Capabilities, cms.AES256CBC) {
			t.Errorf("announced: %v, %t, %t", s.Capabilities, s.Derives, s.OAEP)
		}
		der := w.signatureOf(reader, w.wire[before+i].raw)
		for name, oid := range map[string]asn1.ObjectIdentifier{
			"contentType":                  {1, 2, 840, 113549, 1, 9, 3},
			"messageDigest":                {1, 2, 840, 113549, 1, 9, 4},
			"signingTime":                  {1, 2, 840, 113549, 1, 9, 5},
			"SMIMECapabilities":            {1, 2, 840, 113549, 1, 9, 15},
			"SMIMEEncryptionKeyPreference": {1, 2, 840, 113549, 1, 9, 16, 2, 11},
			"signingCertificateV2":         {1, 2, 840, 113549, 1, 9, 16, 2, 47},
			"CMSAlgorithmProtection":       {1, 2, 840, 113549, 1, 9, 52},
		} {
			want, err := asn1.Marshal(oid)
			if err != nil || bytes.Count(der, want) != 1 {
				t.Errorf("%s stands %d times in the signature, %v", name, bytes.Count(der, want), err)
			}
		}
		if bytes.Contains(der, []byte(carl.address)) {
			t.Error("the signature tells of a hidden recipient")
		}
		signatures = append(signatures, der)
	}
	if !bytes.Equal(signatures[0], signatures[1]) {
		t.Error("the key was asked for each envelope")
	}
}

// signatureOf takes the signature out of a message.
func (w *world) signatureOf(p *person, raw []byte) []byte {
	w.Helper()
	keys, err := p.Vault.DecryptionKeys(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	root, err := message.Parse(message.Bytes(raw), message.Limits{})
	if err != nil {
		w.Fatal(err)
	}
	e, err := cms.ReadEnveloped(decoded{root}, cms.ReadOptions{Keys: keys})
	if err != nil {
		w.Fatal(err)
	}
	inside, err := message.Parse(e, message.Limits{})
	if err != nil || len(inside.Parts) != 2 {
		w.Fatal(err)
	}
	r, err := inside.Parts[1].Open()
	if err != nil {
		w.Fatal(err)
	}
	defer r.Close()
	der, err := io.ReadAll(r)
	if err != nil {
		w.Fatal(err)
	}
	return der
}

type decoded struct{ *message.Part }

// TestFormHeldWhenRevoked: the certificate that a test went to is asked about again, too (O1).
func TestFormHeldWhenRevoked(t *testing.T) {
	w, ctx := newWorldOfItsOwn(t), t.Context()
	ada, bea, carl := w.join("Ada", adaAddress), w.join("Bea", beaAddress), w.join("Carl", "carl@northclinic.example")
	ada.down = io.ErrUnexpectedEOF
	for _, other := range []*person{bea, carl} {
		ada.knows(other)
		if _, err := ada.StartTest(ctx, other.address, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.post()
	if err := w.ca.Revoke(bea.who.Certificate, w.now, 1); err != nil {
		t.Fatal(err)
	}
	ada.down = nil
	w.now = w.now.Add(time.Hour)
	w.post()
	if n := len(w.wire); n != 1 || w.wire[0].to[0] != carl.address {
		t.Errorf("%d messages went out", n)
	}
	list, err := ada.Outbox.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if held := m.State == outbox.Held; held != (m.Deliveries[0].Address == beaAddress) || held && !bytes.Contains(m.Refusals, []byte(`"revoked"`)) {
			t.Errorf("to %s: %s, %s", m.Deliveries[0].Address, m.State, m.Refusals)
		}
	}
}
