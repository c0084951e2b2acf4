package mailer_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/message/transfer"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/tray/demo/authority"
	"countersign/vault/contacts"
)

// forge writes a message as whoever holds a certificate.
func (w *world) forge(from *authority.Person, to *person, l smime.Letter) []byte {
	w.Helper()
	return w.forgeIn(smime.Envelope{}, from, to, l)
}

func (w *world) forgeIn(e smime.Envelope, from *authority.Person, to *person, l smime.Letter) []byte {
	w.Helper()
	l.From, l.To = message.Address{Addr: from.Address}, []message.Address{{Addr: to.address}}
	l.Date, l.MessageID = w.now, "<forged@evil.example>"
	var out bytes.Buffer
	k := smime.Keys{Signer: cms.Signer{Key: from.Key, Certificate: from.Certificate}, Encryption: from.Certificate}
	k.Chain = append(k.Chain, w.ca.Issuing)
	e.To = envelopeTo(to)
	if err := e.Seal(&out, l, k); err != nil {
		w.Fatal(err)
	}
	return out.Bytes()
}

// stolen is a valid certificate for an address in the wrong hands: the attacker had
// the mailbox for a moment.
func (w *world) stolen(address string) *authority.Person { return w.admit("Bea Brandt", address) }

// The impostor has another valid certificate for her address.
func TestImpostor(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	w.deliver(adaAddress, w.forge(w.stolen(beaAddress), ada, smime.Letter{Subject: "Please send it again", Text: "To the other address."}))
	m := ada.last()
	if v := m.Verdict; v.Level != policy.Stop || v.Signature != "valid" || v.Chain != "trusted" || v.From != "match" || v.Contact != "verified" || !strings.HasPrefix(v.Label, "NOT the key you verified") {
		t.Errorf("%+v", v)
	}
	if m.ReplyDenied == "" || m.Snippet != "" || m.FromName != "" {
		t.Errorf("%+v", m)
	}
	c := ada.state(bea, contacts.Verified)
	if len(c.Candidates) != 2 || !c.Candidates[0].Pinned || c.Candidates[1].Pinned {
		t.Errorf("%+v", c.Candidates)
	}
	if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "s", Text: "still to her"}); err != nil {
		t.Fatal(err)
	}
	w.post()
	if m := bea.last(); !strings.Contains(m.Text, "still to her") {
		t.Errorf("she cannot read it: %q %q", m.Text, m.Problem)
	}
	if found, err := ada.List(ctx, mailer.Query{Search: "please send"}); err != nil || len(found) != 0 {
		t.Errorf("what the impostor wrote is indexed: %v, %v", found, err)
	}
}

// The attacker telephones first: whoever is called never becomes verified by it, and
// the caller is not verified by calling.
func TestAttackerPhonesFirst(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	bea := w.join("Bea", beaAddress)
	mallory := w.join("Mallory", adaAddress) // holds a valid certificate for Ada's address
	mallory.knows(bea)
	if _, err := mallory.StartTest(ctx, beaAddress, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	if _, err := bea.Answer(ctx, adaAddress); err != nil {
		t.Fatal(err)
	}
	heard := bea.reads(mallory)
	if !strings.Contains(heard.Advice, "hang up") {
		t.Errorf("advice: %q", heard.Advice)
	}
	_, err := bea.Call(ctx, adaAddress, contacts.CallReport{Number: number, Source: contacts.SourceKnown, Code: heard.Words, Words: heard.Mine})
	if !errors.Is(err, contacts.ErrNoTest) {
		t.Errorf("a call that was received counted: %v", err)
	}
	bea.state(mallory, contacts.Answered)
	_, err = bea.write(mailer.Draft{To: []string{adaAddress}})
	refused(t, err, "not-verified")
}

// The attacker swaps the certificate, relays the code, and fails at the words.
func TestRelayedCode(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	mallory := w.stolen(beaAddress)
	if _, err := ada.AddContact(ctx, mailer.NewContact{Address: beaAddress, Certificates: mallory.PEM()}); err != nil {
		t.Fatal(err)
	}
	before := len(w.wire)
	if _, err := ada.StartTest(ctx, beaAddress, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := ada.Outbox.Round(ctx); err != nil {
		t.Fatal(err)
	}
	// Mallory reads the code, and has Bea read it out later by a test of his own in
	// Ada's name.
	opened, err := smime.Open(message.Bytes(w.wire[before].raw), []cms.Key{{Certificate: mallory.Certificate, Decrypter: mallory.Key}}, smime.Options{})
	if err != nil || opened.Payload == nil {
		t.Fatal(err, opened.Problem)
	}
	code := stolenCode(t, opened)
	asAda := w.stolen(adaAddress)
	w.deliver(beaAddress, w.forge(asAda, bea, smime.Letter{Subject: "s", Text: "The four words: " + strings.Join(code, " ")}))
	mine, err := bea.Mine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ada.Call(ctx, beaAddress, contacts.CallReport{Number: number, Source: contacts.SourceDirectory, Code: code})
	if err != nil || !r.Matched {
		t.Fatalf("the relayed code: %+v, %v", r, err)
	}
	for range 2 {
		r, err = ada.Call(ctx, beaAddress, contacts.CallReport{Words: mine.Words})
		if err != nil || r.Matched {
			t.Fatalf("her true words matched the attacker's keys: %+v, %v", r, err)
		}
	}
	ada.state(bea, contacts.Mismatch)
	if last := ada.events[len(ada.events)-1]; last.Kind != "stopped" || last.ID != beaAddress {
		t.Errorf("the faces are told %+v", last)
	}
	_, err = ada.write(mailer.Draft{To: []string{beaAddress}})
	refused(t, err, "mismatch")
	_, err = ada.StartTest(ctx, beaAddress, "")
	if !errors.Is(err, contacts.ErrBarred) {
		t.Errorf("tested the barred certificate again: %v", err)
	}
	if _, err := ada.Misheard(ctx, beaAddress); err != nil {
		t.Fatal(err)
	}
	ada.state(bea, contacts.HasCertificate)
}

func stolenCode(t *testing.T, o *smime.Opened) []string {
	t.Helper()
	var code []string
	err := o.Payload.Walk(func(p *message.Part) error {
		if p.Type != "text/plain" {
			return nil
		}
		text, err := p.Text(1 << 16)
		_, after, _ := strings.Cut(text, "four words:\n\n")
		line, _, _ := strings.Cut(after, "\n")
		code = strings.Fields(line)
		return err
	})
	if err != nil || len(code) != 4 {
		t.Fatalf("%q, %v", code, err)
	}
	return code
}

// A test is recognised once. Somebody who can read it wraps it anew.
func TestReplayedTest(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.knows(bea)
	if _, err := ada.StartTest(ctx, beaAddress, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	raw := w.wire[len(w.wire)-1].raw
	id := bea.last().ID
	// The same CMS, another outer header: shown once.
	if again := w.deliver(beaAddress, append([]byte("Received: from evil\r\n"), raw...)); again != id {
		t.Errorf("shown twice: %s", again)
	}
	if at, err := bea.Position(ctx, beaAddress); err != nil || at.UID != bea.uid {
		t.Errorf("%+v, %v", at, err)
	}
	if err := bea.RemoveContact(ctx, adaAddress); err != nil {
		t.Fatal(err)
	}
	// The same signature in a new envelope.
	w.deliver(beaAddress, rewrap(t, raw, bea, bea))
	m := bea.last()
	if m.Form != "" || m.Test != nil || m.ID == id || !strings.Contains(strings.Join(m.Verdict.Reasons, " "), "does not count as one") {
		t.Errorf("recognised twice: %q %q", m.Form, m.Verdict.Reasons)
	}
	bea.state(ada, contacts.HasCertificate)
	if c, _ := bea.Contact(ctx, adaAddress); c.Incoming != nil {
		t.Error("the replay can be answered")
	}
	// To somebody else.
	carl := w.join("Carl", "carl@south.example")
	w.deliver(carl.address, rewrap(t, raw, bea, carl))
	if m := carl.last(); m.Form != "" || m.Test != nil {
		t.Errorf("recognised by somebody else: %q", m.Form)
	}
}

// A test in another's name, signed by a certificate that is valid, but not for the
// address. With one that is, it is a test of whoever has that: a candidate.
func TestForgedTest(t *testing.T) {
	w := newWorld(t)
	bea := w.join("Bea", beaAddress)
	mallory := w.admit("Mallory", "mallory@evil.example")
	for _, as := range []string{adaAddress, mallory.Address} {
		w.deliver(beaAddress, w.forgeTest(&authority.Person{Address: as, Key: mallory.Key, Certificate: mallory.Certificate}, adaAddress, bea))
		if m := bea.last(); m.Form != "" || m.Test != nil {
			t.Errorf("recognised as from %s", as)
		}
	}
	if _, err := bea.Contact(t.Context(), adaAddress); err == nil {
		t.Error("the forged test made a contact")
	}
	w.deliver(beaAddress, w.forgeTest(w.stolen(adaAddress), adaAddress, bea))
	if m := bea.last(); m.Form != "test" || m.Test == nil || m.Verdict.Level != policy.Care {
		t.Errorf("%q %+v", m.Form, m.Verdict)
	}
}

// forgeTest makes a test message to somebody, in the name of an address.
func (w *world) forgeTest(from *authority.Person, as string, to *person) []byte {
	w.Helper()
	own := contacts.KeySet{Sign: from.Certificate, Encrypt: from.Certificate}
	c, err := contacts.New(to.address, "")
	if err != nil {
		w.Fatal(err)
	}
	moment := contacts.Moment{Now: w.now, CodeKey: make([]byte, 32)}
	if c, err = c.AddCandidate(moment, contacts.KeySet{Sign: to.who.Certificate, Encrypt: to.who.Certificate}, contacts.FromFile); err != nil {
		w.Fatal(err)
	}
	_, f, err := c.SendTest(moment, contacts.Own{Address: as, Keys: own}, "")
	if err != nil {
		w.Fatal(err)
	}
	data, err := f.Marshal()
	if err != nil {
		w.Fatal(err)
	}
	return w.forge(from, to, smime.Letter{
		Subject: f.Subject(), OuterSubject: f.Subject(), Text: f.Text(),
		Attachments: []smime.Attachment{{Type: smime.FormType, Content: message.Bytes(data)}},
	})
}

// rewrap opens a message with one person's key and encrypts it to another.
func rewrap(t *testing.T, raw []byte, from, to *person) []byte {
	t.Helper()
	root, err := message.Parse(message.Bytes(raw), message.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	body, err := root.Open()
	if err != nil {
		t.Fatal(err)
	}
	der, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	e, err := cms.ReadEnveloped(message.Bytes(der), cms.ReadOptions{Keys: []cms.Key{{Certificate: from.who.Certificate, Decrypter: from.who.Key}}})
	if err != nil {
		t.Fatal(err)
	}
	inside, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	out, err := cms.NewEnveloped(&sealed, envelopeTo(to), cms.EncryptOptions{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, inside); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	header, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	var msg bytes.Buffer
	fmt.Fprintf(&msg, "%s\r\n\r\n", header)
	b64 := transfer.NewBase64Writer(&msg)
	if _, err := b64.Write(sealed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := b64.Close(); err != nil {
		t.Fatal(err)
	}
	return msg.Bytes()
}

// An unprotected answer that quotes the code voids it.
func TestExposedCode(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.knows(bea)
	if _, err := ada.StartTest(ctx, beaAddress, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	words := bea.reads(ada).Words
	w.deliver(adaAddress, plain(beaAddress, adaAddress, "Thank you", "> "+strings.Join(words, " ")))
	c := ada.state(bea, contacts.HasCertificate)
	if c.Voided != contacts.VoidExposed || c.Test != nil {
		t.Errorf("%q", c.Voided)
	}
	m := ada.last()
	if m.Verdict.Label != "Not secured. Anyone on the way could read or change this." || m.Verdict.Level != policy.Stop || m.ReplyDenied == "" {
		t.Errorf("%+v", m.Verdict)
	}
	if last := ada.events[len(ada.events)-1]; last.Kind != "unsecured" || strings.Contains(last.Says, "Thank you") {
		t.Errorf("%+v", last)
	}
}

func plain(from, to, subject, text string) []byte {
	return []byte("From: " + from + "\r\nTo: " + to + "\r\nSubject: " + subject + "\r\nMessage-ID: <p@x.example>\r\nContent-Type: text/plain\r\n\r\n" + text + "\r\n")
}

// A test leaves no trace that could be looked up (V5).
func TestTestLeavesNoCopy(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.knows(bea)
	if _, err := ada.StartTest(ctx, beaAddress, ""); err != nil {
		t.Fatal(err)
	}
	if list, err := ada.List(ctx, mailer.Query{Folder: mailer.SentMail}); err != nil || len(list) != 0 {
		t.Errorf("%d copies were kept, %v", len(list), err)
	}
	w.post()
	raw := w.wire[len(w.wire)-1].raw
	o, err := smime.Open(message.Bytes(raw), []cms.Key{{Certificate: ada.who.Certificate, Decrypter: ada.who.Key}}, smime.Options{})
	if err != nil || o.Payload != nil {
		t.Errorf("the test can be read by who sent it: %v", err)
	}
	c, err := ada.Contact(ctx, beaAddress)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(bea.reads(ada).Words, " ")
	if dump := fmt.Sprintf("%+v %s", c, c.Test.Code); strings.Contains(dump, words) {
		t.Error("the contact holds the code")
	}
}

// Somebody without Countersign answers with a signed and encrypted reply, and reads
// out a fingerprint.
func TestAnsweredByAnotherProgram(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.knows(bea)
	if _, err := ada.StartTest(ctx, beaAddress, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	heard := bea.reads(ada)
	_, after, _ := strings.Cut(bea.last().Text, "Reference: ")
	reference, _, _ := strings.Cut(after, "\n")
	stranger := w.admit("Mallory", "mallory@evil.example")
	w.deliver(adaAddress, w.forge(&authority.Person{Address: beaAddress, Key: stranger.Key, Certificate: stranger.Certificate}, ada,
		smime.Letter{Subject: "Re: Test message", Text: "> Reference: " + reference}))
	ada.state(bea, contacts.TestSent) // whoever knows the reference can neither answer nor void it
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "Re: Test message", Text: "Here I am.\n\n> Reference: " + reference}))
	ada.state(bea, contacts.Answered)
	mine, err := bea.Mine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ada.Call(ctx, beaAddress, contacts.CallReport{Number: number, Source: contacts.SourceLetterhead, Code: heard.Words, Fingerprints: mine.Fingerprints})
	if err != nil || !r.Matched {
		t.Fatalf("%+v, %v", r, err)
	}
	ada.state(bea, contacts.Verified)
}

// An invitation is answered with a signed message: its certificate becomes a
// candidate, and nothing more.
func TestInvitation(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	if _, err := ada.AddContact(ctx, mailer.NewContact{Address: beaAddress}); err != nil {
		t.Fatal(err)
	}
	if _, err := ada.StartTest(ctx, beaAddress, ""); !errors.Is(err, contacts.ErrNoCertificate) {
		t.Errorf("%v", err)
	}
	if _, err := ada.Invite(ctx, "nobody"); err == nil {
		t.Error("invited what is no address")
	}
	if c, err := ada.Invite(ctx, "carl@south.example"); err != nil || c.State != contacts.Unknown {
		t.Errorf("a stranger: %+v, %v", c.State, err)
	}
	if _, err := ada.Invite(ctx, strings.ToUpper(beaAddress)); err != nil {
		t.Fatal(err)
	}
	w.post()
	m := bea.last()
	if m.Form != "invitation" || m.Verdict.Protection != "signed" {
		t.Errorf("%q %q", m.Form, m.Verdict.Protection)
	}
	bea.state(ada, contacts.HasCertificate)
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "Here it is"}))
	c := ada.state(bea, contacts.HasCertificate)
	if len(c.Candidates) != 1 || c.Candidates[0].Chain != "trusted" || c.Candidates[0].Usage != "signing and encryption" || c.Candidates[0].Pinned {
		t.Errorf("%+v", c.Candidates)
	}
}

// Anybody can write anything. Nobody enters the address book by it, and nothing
// stops the mailbox.
func TestStrangers(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada := w.join("Ada", adaAddress)
	for _, raw := range [][]byte{
		nil, []byte("x"), []byte("\r\n"), plain("böse@x.example", adaAddress, "", ""), plain("a@x.example, b@x.example", adaAddress, "s", "t"),
		plain("Ada <"+adaAddress+">", adaAddress, "s", "t"), []byte("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nMIIB"),
		[]byte("From: a@x.example\r\nContent-Type: multipart/signed; boundary=b; protocol=\"application/pkcs7-signature\"\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nMIIB\r\n--b--\r\n"),
	} {
		w.deliver(adaAddress, raw)
		if m := ada.last(); m.Verdict.Level == policy.Good || m.Verdict.Label == "" || m.ReplyDenied == "" {
			t.Errorf("%.40q: %+v", raw, m.Verdict)
		}
	}
	nameless := w.selfSigned("")
	nameless.Address = beaAddress
	w.deliver(adaAddress, w.forge(w.selfSigned("x@x.example"), ada, smime.Letter{Subject: "s", Text: "t"}))
	w.deliver(adaAddress, w.forge(nameless, ada, smime.Letter{Subject: "s", Text: "t"}))
	if list, err := ada.Contacts(ctx, "", 0); err != nil || len(list) != 0 {
		t.Errorf("%d strangers in the address book, %v", len(list), err)
	}
	w.deliver(adaAddress, w.forge(w.admit("X", "x@x.example"), ada, smime.Letter{Subject: "s", Text: "t"}))
	if c, err := ada.Contact(ctx, "x@x.example"); err != nil || c.State != contacts.HasCertificate || c.Name != "" {
		t.Errorf("one for whom an authority vouches: %+v, %v", c, err)
	}
	if _, err := ada.AddContact(ctx, mailer.NewContact{Address: beaAddress}); err != nil {
		t.Fatal(err)
	}
	w.deliver(adaAddress, w.forge(nameless, ada, smime.Letter{Subject: "s", Text: "again"}))
	if c, err := ada.Contact(ctx, beaAddress); err != nil || len(c.Candidates) != 0 {
		t.Errorf("a certificate for nobody is a candidate: %+v, %v", c.Candidates, err)
	}
}

// selfSigned is somebody for whom nobody vouches.
func (w *world) selfSigned(address string) *authority.Person {
	w.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Bea Brandt"}, NotBefore: w.now.Add(-time.Hour), NotAfter: w.now.Add(time.Hour)}
	switch {
	case strings.Contains(address, "@"):
		c.EmailAddresses = []string{address}
	case address != "":
		c.DNSNames = []string{address}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		w.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		w.Fatal(err)
	}
	return &authority.Person{Address: address, Key: key, Certificate: c}
}
