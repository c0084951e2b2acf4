package mailer_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"countersign/mailer"
	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/tray/demo/authority"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
)

// replace gives somebody new keys, whole, with the recovery file that belongs to them,
// and uses them at once.
func (p *person) replace(next *authority.Person) {
	p.w.Helper()
	p.prepare(next)
	own, err := p.Vault.Identities(p.w.Context())
	if err != nil {
		p.w.Fatal(err)
	}
	for _, i := range own {
		if err := p.Vault.TakeOver(p.w.Context(), i.ID); err != nil {
			p.w.Fatal(err)
		}
	}
}

// prepare gives somebody keys that are to take over.
func (p *person) prepare(next *authority.Person) {
	p.w.Helper()
	if _, err := p.Vault.ImportPKCS12(p.w.Context(), next.PKCS12, authority.Password); err != nil {
		p.w.Fatal(err)
	}
	p.recovery()
}

func (p *person) announces(want int) {
	p.w.Helper()
	n, err := p.Announce(p.w.Context())
	if err != nil || n != want {
		p.w.Fatalf("%d announcements, not %d: %v", n, want, err)
	}
}

// TestKeyRollover is V7 from both sides: keys replaced, announced once, followed, and
// used in both directions without another call.
func TestKeyRollover(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea, imran := w.join("Ada", adaAddress), w.join("Bea", beaAddress), w.join("Imran", "imran@north.example")
	ada.verifies(bea)
	bea.verifies(ada)
	bea.verifies(imran)
	w.now = w.now.Add(48 * time.Hour)
	next := w.admit("Bea, next year", beaAddress)
	made, err := bea.Vault.ImportPKCS12(ctx, next.PKCS12, authority.Password)
	if err == nil {
		err = bea.Vault.TakeOver(ctx, made[0].ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	bea.announces(0) // not before the recovery file holds the new key (K1)
	bea.recovery()
	bea.announces(2)
	bea.announces(0)
	bea.open()
	bea.announces(0) // nor after a restart
	w.post()
	m := ada.last()
	if m.Form != "key-announcement" || m.Verdict.Protection != "signed" || m.Verdict.Level == policy.Stop || !strings.Contains(m.Text, "new certificate") {
		t.Errorf("%q %+v", m.Form, m.Verdict)
	}
	c := ada.state(bea, contacts.Verified)
	if !strings.Contains(c.Label, "Confirmed by telephone on ") || !strings.Contains(c.Label, ", renewed on ") || keyset.SPKI(c.Pin.Keys.Sign) != keyset.SPKI(next.Certificate) {
		t.Errorf("%q", c.Label)
	}
	if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "s", Text: "to the new key"}); err != nil {
		t.Fatal(err)
	}
	if _, err := bea.write(mailer.Draft{To: []string{adaAddress}, Subject: "s", Text: "from the new key"}); err != nil {
		t.Fatal(err)
	}
	w.post()
	for _, p := range []*person{ada, bea} {
		if m := p.last(); m.Verdict.Level != policy.Good || !strings.HasSuffix(strings.TrimSpace(m.Text), "the new key") {
			t.Errorf("%s: %q %+v", p.address, m.Text, m.Verdict)
		}
	}
	// The next rollover begins where this one ended.
	w.now = w.now.Add(48 * time.Hour)
	third := w.admit("Bea, in two years", beaAddress)
	bea.replace(third)
	bea.announces(2)
	w.post()
	if c := ada.state(bea, contacts.Verified); keyset.SPKI(c.Pin.Keys.Sign) != keyset.SPKI(third.Certificate) {
		t.Error("the second rollover was not followed")
	}
}

// TestRolloverRules: what the administrator may ask for beside the two signatures.
func TestRolloverRules(t *testing.T) {
	for rule, next := range map[string]string{"words": "A new key was announced", "call": "A new key was announced"} {
		w := newWorld(t)
		ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
		ada.verifies(bea)
		ada.rules.KeyAnnouncements, ada.rules.SilentAuthorities = rule, true
		w.now = w.now.Add(time.Hour)
		bea.replace(w.admit("Bea, next year", beaAddress))
		bea.verifies(ada) // she has written to Ada with both keys now
		bea.announces(1)
		w.post()
		c := ada.state(bea, contacts.Verified)
		if keyset.SPKI(c.Pin.Keys.Sign) != keyset.SPKI(bea.who.Certificate) || !strings.HasPrefix(c.Next, next) {
			t.Errorf("%s: %q, %q", rule, c.Label, c.Next)
		}
		if rule != "words" {
			continue
		}
		mine, err := bea.Mine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := ada.Call(t.Context(), beaAddress, contacts.CallReport{Number: number, Source: contacts.SourceEarlier, Words: mine.Words})
		if err != nil || !r.Matched {
			t.Fatalf("%+v, %v", r, err)
		}
		if c := ada.state(bea, contacts.Verified); keyset.SPKI(c.Pin.Keys.Sign) == keyset.SPKI(bea.who.Certificate) {
			t.Error("the new keys are not confirmed by their words")
		}
	}
}

// TestRolloverOfOneKey: the key that signs stays, another encrypts.
func TestRolloverOfOneKey(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	bea.verifies(ada)
	w.now = w.now.Add(time.Hour)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encryption, err := w.ca.Certify("Bea", beaAddress, key, x509.KeyUsageKeyEncipherment)
	if err != nil {
		t.Fatal(err)
	}
	bea.replace(encryption)
	bea.announces(1)
	w.post()
	c := ada.state(bea, contacts.Verified)
	if keyset.SPKI(c.Pin.Keys.Sign) != keyset.SPKI(bea.who.Certificate) || keyset.SPKI(c.Pin.Keys.Encrypt) != keyset.SPKI(encryption.Certificate) {
		t.Fatalf("%q", c.Label)
	}
	if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "s", Text: "to the other key"}); err != nil {
		t.Fatal(err)
	}
	w.post()
	if m := bea.last(); m.Text != "to the other key\n" && m.Text != "to the other key" || m.Verdict.Level != policy.Good {
		t.Errorf("%q %+v", m.Text, m.Verdict)
	}
}

// claims is an announcement with the keys and signatures given.
func (w *world) claims(to *person, old, next *x509.Certificate, signers ...*authority.Person) []byte {
	w.Helper()
	f, err := form.New(rand.Reader, form.KeyAnnouncement, beaAddress, to.address)
	if err != nil {
		w.Fatal(err)
	}
	before, after := contacts.KeySet{Sign: old, Encrypt: old}.Hashes(), contacts.KeySet{Sign: next, Encrypt: next}.Hashes()
	f.Keys, f.NewKeys, f.Expires = &before, &after, w.now.Add(37*24*time.Hour)
	data, err := f.Marshal()
	if err != nil {
		w.Fatal(err)
	}
	keys := smime.Keys{Chain: []*x509.Certificate{w.ca.Issuing, next}}
	for _, p := range signers {
		keys.Also = append(keys.Also, cms.Signer{Key: p.Key, Certificate: p.Certificate})
	}
	keys.Signer, keys.Also = keys.Also[0], keys.Also[1:]
	var out bytes.Buffer
	err = smime.Sign(&out, smime.Letter{
		From: message.Address{Addr: beaAddress}, To: []message.Address{{Addr: to.address}}, Subject: f.Subject(), OuterSubject: f.Subject(), Text: f.Text(),
		Date: w.now.Truncate(time.Second), MessageID: "<" + f.ID + "@north.example>", AutoSubmitted: "auto-generated",
		Attachments: []smime.Attachment{{Name: "countersign.json", Type: smime.FormType, Content: message.Bytes(data)}},
	}, keys, rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	return out.Bytes()
}

// TestForgedAnnouncements: none of them changes anything, and each is told for what it is.
func TestForgedAnnouncements(t *testing.T) {
	w := newWorldOfItsOwn(t)
	elsewhere := newWorldOfItsOwn(t) // another authority, which Ada trusts as well
	short := w.admit("Bea", beaAddress)
	until := w.now.Add(48 * time.Hour)
	brief, err := w.ca.CertifyUntil("Bea", beaAddress, short.Key.Public(), x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment, until)
	if err != nil {
		t.Fatal(err)
	}
	brief.Key = short.Key
	if brief.PKCS12, err = pkcs12.Modern.Encode(brief.Key, brief.Certificate, []*x509.Certificate{w.ca.Issuing}, authority.Password); err != nil {
		t.Fatal(err)
	}
	ada, bea := w.join("Ada", adaAddress), w.enter(brief)
	if err := ada.Book.AddAnchor(t.Context(), book.Anchor{Certificate: elsewhere.ca.Root}); err != nil {
		t.Fatal(err)
	}
	ada.verifies(bea)
	thief := w.admit("Bea Brandt", beaAddress)
	foreign := elsewhere.admit("Bea Brandt", beaAddress)
	old := brief.Certificate
	unchanged := func(name, why string) {
		t.Helper()
		m := ada.last()
		if m.Form != "" || !strings.Contains(strings.Join(m.Verdict.Reasons, "\n"), why) || !strings.Contains(strings.Join(m.Verdict.Reasons, "\n"), "nothing was changed") {
			t.Errorf("%s: %q %q", name, m.Form, m.Verdict.Reasons)
		}
		c, err := ada.Book.Get(t.Context(), beaAddress)
		if err != nil || keyset.SPKI(c.Pin.Keys.Sign) != keyset.SPKI(old) || !c.Pin.Renewed.IsZero() {
			t.Errorf("%s: the confirmed key is another, %v", name, err)
		}
	}
	w.deliver(adaAddress, w.claims(ada, old, thief.Certificate, thief))
	unchanged("signed by the new key only", "not signed with the key that it says it replaces")
	if v := ada.last().Verdict; v.Level != policy.Stop || !strings.HasPrefix(v.Label, "NOT the key") {
		t.Errorf("signed by the new key only: %+v", v)
	}
	w.deliver(adaAddress, w.claims(ada, old, thief.Certificate, brief))
	unchanged("signed by the old key only", "not signed with the new key")
	w.deliver(adaAddress, elsewhere.claims(ada, old, foreign.Certificate, brief, foreign))
	unchanged("by another authority", "another authority")
	w.deliver(adaAddress, w.claims(ada, thief.Certificate, foreign.Certificate, thief, foreign))
	unchanged("of another predecessor", "does not say what takes the place")
	w.deliver(adaAddress, w.claims(bea, old, thief.Certificate, brief, thief))
	unchanged("for somebody else", "somebody else")
	genuine := w.claims(ada, old, thief.Certificate, brief, thief)
	w.now = until.Add(time.Hour)
	w.deliver(adaAddress, genuine)
	unchanged("by an expired key", "not confirmed at present") // it was stopped when its certificate ran out
	ada.state(bea, contacts.Suspended)
}

// TestReplayedAnnouncement: an announcement leads from the keys that it names to the
// next, once. Whoever has its bytes can lead nobody back, or on.
func TestReplayedAnnouncement(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	second, third := w.admit("Bea, next year", beaAddress), w.admit("Bea, in two years", beaAddress)
	first := w.claims(ada, bea.who.Certificate, second.Certificate, bea.who, second)
	w.deliver(adaAddress, first)
	w.deliver(adaAddress, w.claims(ada, second.Certificate, third.Certificate, second, third))
	c := ada.state(bea, contacts.Verified)
	if keyset.SPKI(c.Pin.Keys.Sign) != keyset.SPKI(third.Certificate) {
		t.Fatal("not followed")
	}
	w.deliver(adaAddress, first) // the very bytes are shown once (I3)
	again := bytes.Replace(first, []byte("\r\n\r\n"), []byte("\r\nX-Again: yes\r\n\r\n"), 1)
	w.deliver(adaAddress, again)
	w.deliver(adaAddress, w.claims(ada, bea.who.Certificate, second.Certificate, bea.who, second))
	if now := ada.state(bea, contacts.Verified); now.Pin.Keys.ID() != c.Pin.Keys.ID() {
		t.Error("a replayed announcement was followed")
	}
	// The second key is the one before the present, and signs for a time still.
	if m := ada.last(); m.Form != "" || m.Verdict.Level == policy.Good || !strings.Contains(strings.Join(m.Verdict.Reasons, "\n"), "nothing was changed") {
		t.Errorf("%q %+v", m.Form, m.Verdict)
	}
}

// TestLostKeyAnnouncesNothing is K2: what was given up vouches for nothing.
func TestLostKeyAnnouncesNothing(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	bea.verifies(ada)
	own, err := bea.Vault.Identities(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bea.Vault.Lose(ctx, own[0].ID); err != nil {
		t.Fatal(err)
	}
	_, err = bea.write(mailer.Draft{To: []string{adaAddress}, Subject: "s", Text: "with a lost key"})
	refused(t, err, "no-identity")
	// Whoever found the key writes to her in her own name.
	w.deliver(beaAddress, w.forge(bea.who, bea, smime.Letter{Subject: "From yourself"}))
	if v := bea.last().Verdict; v.Level == policy.Good {
		t.Errorf("%+v", v)
	}
	w.now = w.now.Add(time.Hour)
	bea.replace(w.admit("Bea, next year", beaAddress))
	bea.announces(0)
}
