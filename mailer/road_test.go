package mailer_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/mailer/outbox"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/mailer/transport"
	"countersign/tray/demo/authority"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// stands checks where an accepted message stands.
func (p *person) stands(id string, want outbox.State) outbox.Message {
	p.w.Helper()
	m, err := p.Outbox.Get(p.w.Context(), id)
	if err != nil {
		p.w.Fatal(err)
	}
	if m.State != want {
		p.w.Errorf("%s is %s, not %s", id, m.State, want)
	}
	return m
}

// Permission is asked again with the evidence of the moment (O1).
func TestHeldWhenRevoked(t *testing.T) {
	w, ctx := newWorldOfItsOwn(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	ada.down = &transport.Error{Kind: transport.Unreachable, Says: "mail.harbour.example did not answer."}
	sent, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "s", Text: "t"})
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.wire)
	w.post()
	if m := ada.stands(sent.ID, outbox.Waiting); m.Problem != "mail.harbour.example did not answer." {
		t.Errorf("%q", m.Problem)
	}
	if err := w.ca.Revoke(bea.who.Certificate, w.now, 1); err != nil {
		t.Fatal(err)
	}
	ada.down = nil
	w.now = w.now.Add(time.Hour)
	w.post()
	m := ada.stands(sent.ID, outbox.Held)
	var why []policy.Refusal
	if err := json.Unmarshal(m.Refusals, &why); err != nil || len(why) != 1 || why[0].Code != "suspended" || why[0].Address != beaAddress {
		t.Errorf("%+v, %v", why, err)
	}
	if len(w.wire) != before {
		t.Error("it went out all the same")
	}
	if own := ada.newest(mailer.SentMail); own.Verdict.Short != "Held back" {
		t.Errorf("%q", own.Verdict.Short)
	}
	c := ada.state(bea, contacts.Suspended)
	if c.Suspension.Reason != contacts.ByRevoked || c.Refusal == nil {
		t.Errorf("%+v", c.Suspension)
	}
	if err := ada.Outbox.Withdraw(ctx, sent.ID); err != nil {
		t.Fatal(err)
	}
	ada.stands(sent.ID, outbox.Withdrawn)
	if own := ada.newest(mailer.SentMail); own.ID != sent.ID || own.Verdict.Short != "Taken back" {
		t.Errorf("%s %q", own.ID, own.Verdict.Short)
	}
}

// A message that provably came before the key was in other hands still counts; the
// next one does not (I2).
func TestRevokedAfterwards(t *testing.T) {
	w := newWorldOfItsOwn(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "before", Text: "t"}))
	if m := ada.last(); m.Verdict.Level != policy.Good {
		t.Fatalf("%+v", m.Verdict)
	}
	w.now = w.now.Add(2 * time.Hour)
	if err := w.ca.Revoke(bea.who.Certificate, w.now.Add(-time.Hour), 1); err != nil {
		t.Fatal(err)
	}
	ada.state(bea, contacts.Suspended)
	m := ada.last()
	if m.Verdict.Level != policy.Care || m.ReplyDenied != "" || !strings.Contains(m.Verdict.Label, "withdrawn") {
		t.Errorf("what came before: %s %q, chain %s", m.Verdict.Level, m.Verdict.Label, m.Verdict.Chain)
	}
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "after", Text: "t"}))
	m = ada.last()
	if m.Verdict.Level != policy.Stop || m.ReplyDenied == "" || m.Verdict.Chain != "revoked" {
		t.Errorf("what came after: %s %q, chain %s", m.Verdict.Level, m.Verdict.Label, m.Verdict.Chain)
	}
}

// Once opened, a message opens without its private key, and after a restart (K1b).
func TestContentKeys(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	lose := func(p *person) {
		t.Helper()
		if err := p.Vault.Close(); err != nil {
			t.Fatal(err)
		}
		for name := range p.keychain.items {
			if strings.HasPrefix(name, "key-") {
				delete(p.keychain.items, name)
			}
		}
		p.open()
	}
	for _, p := range []*person{ada, bea} {
		p.rules.NoContentKeys = p == bea
		w.deliver(p.address, w.forge(w.admit("X", "x@x.example"), p, smime.Letter{Subject: "kept", Text: "the words"}))
		if m := p.last(); m.Subject != "kept" || !strings.Contains(m.Text, "the words") {
			t.Fatalf("%+v", m)
		}
		lose(p)
	}
	if m := ada.last(); !strings.Contains(m.Text, "the words") || m.Problem != "" {
		t.Errorf("with its content key: %q, %q", m.Text, m.Problem)
	}
	list, err := bea.List(t.Context(), mailer.Query{})
	if err != nil || len(list) != 1 || list[0].Subject != "kept" {
		t.Fatalf("the summary: %+v, %v", list, err)
	}
	m, err := bea.Read(t.Context(), list[0].ID)
	if err != nil || m.Text != "" || m.Problem == "" || m.Verdict.Short != "Cannot be opened" {
		t.Errorf("without: %q, %q, %v", m.Text, m.Problem, err)
	}
}

// Where no summaries are kept the list is made anew each time.
func TestNoSummaries(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.rules.NoSummaries = true
	ada.verifies(bea)
	if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "Mrs K", Text: "t"}); err != nil {
		t.Fatal(err)
	}
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "Mrs K again", Text: "t"}))
	for folder, subject := range map[string]string{mailer.Inbox: "Mrs K again", mailer.SentMail: "Mrs K"} {
		if m := ada.newest(folder); m.Subject != subject || m.Verdict.Level != policy.Good {
			t.Errorf("%s: %q %+v", folder, m.Subject, m.Verdict)
		}
	}
	found, err := ada.List(t.Context(), mailer.Query{Search: "mrs"})
	if err != nil || len(found) != 0 {
		t.Errorf("found without an index: %v, %v", found, err)
	}
}

func TestListInPages(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada := w.join("Ada", adaAddress)
	var ids []string
	for _, s := range []string{"a", "b", "c"} {
		ids = append(ids, w.deliver(adaAddress, plain("x@x.example", adaAddress, s, s)))
	}
	if n, err := ada.Unread(ctx); n != 3 || err != nil {
		t.Errorf("%d unread, %v", n, err)
	}
	if err := ada.MarkRead(ctx, ids[1], true); err != nil {
		t.Fatal(err)
	}
	first, err := ada.List(ctx, mailer.Query{Limit: 2})
	if err != nil || len(first) != 2 || first[0].ID != ids[2] || !first[1].Read || first[0].Read {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := ada.List(ctx, mailer.Query{Limit: 2, Before: first[1].ID})
	if err != nil || len(second) != 1 || second[0].ID != ids[0] {
		t.Fatalf("%+v, %v", second, err)
	}
	for _, err := range []error{
		ada.MarkRead(ctx, "none", true), second0(ada.Read(ctx, "none")), second0(ada.Raw(ctx, "none")),
	} {
		var p *mailer.Problem
		if !errors.As(err, &p) || p.Code != "not-found" {
			t.Errorf("%v", err)
		}
	}
	if _, _, err := ada.Attachment(ctx, ids[0], "1"); !errors.Is(err, mailer.ErrNoAttachment) {
		t.Errorf("%v", err)
	}
}

func second0[T any](_ T, err error) error { return err }

// The very bytes that travelled are kept.
func TestRaw(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada := w.join("Ada", adaAddress)
	raw := w.forge(w.admit("X", "x@x.example"), ada, smime.Letter{Subject: "s", Text: "t"})
	r, err := ada.Raw(ctx, w.deliver(adaAddress, raw))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%d bytes of %d, %v", len(got), len(raw), err)
	}
}

func TestInspect(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada := w.join("Ada", adaAddress)
	raw := w.forge(w.stolen(beaAddress), ada, smime.Letter{Subject: "Mrs K", Text: "EF 45."})
	i, err := ada.Inspect(ctx, bytes.NewReader(raw), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	v := i.Verdict
	if v.Protection != "encrypted-and-signed" || v.Signature != "valid" || v.Chain != "trusted" || v.From != "match" || v.Contact != "unknown" || i.Subject != "Mrs K" || !strings.Contains(i.Text, "EF 45.") {
		t.Errorf("%+v", i)
	}
	var kinds, people []string
	for _, l := range i.Detail.Layers {
		kinds = append(kinds, l.Kind)
		people = append(people, l.People...)
		if len(l.Algorithms) != 2 || l.Problem != "" {
			t.Errorf("%+v", l)
		}
	}
	if !slices.Equal(kinds, []string{"encrypted", "signed"}) || !slices.Equal(people, []string{"Ada <" + adaAddress + ">", "Bea Brandt <" + beaAddress + ">"}) {
		t.Errorf("%q %q", kinds, people)
	}
	if !slices.ContainsFunc(i.Outer, func(f mailer.Field) bool { return f.Name == "Subject" && f.Value == "[...]" }) {
		t.Errorf("%+v", i.Outer)
	}
	later, err := ada.Inspect(ctx, bytes.NewReader(raw), w.now.AddDate(3, 0, 0))
	if err != nil || later.Verdict.Chain != "expired" {
		t.Errorf("in three years: %s, %v", later.Verdict.Chain, err)
	}
	if list, err := ada.List(ctx, mailer.Query{}); err != nil || len(list) != 0 {
		t.Errorf("kept: %v, %v", list, err)
	}
	bad, err := ada.Inspect(ctx, strings.NewReader("hello"), time.Time{})
	if err != nil || bad.Verdict.Protection != "none" {
		t.Errorf("%+v, %v", bad, err)
	}
}

// What was accepted outlives a restart, and so does where everything stands.
func TestRestart(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	sent, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "s", Text: "t"}, "a.pdf")
	if err != nil {
		t.Fatal(err)
	}
	before := ada.newest(mailer.SentMail)
	if err := ada.Vault.Close(); err != nil {
		t.Fatal(err)
	}
	ada.open()
	ada.stands(sent.ID, outbox.Waiting)
	if after := ada.newest(mailer.SentMail); after.ID != before.ID || len(after.Files) != 1 {
		t.Errorf("%+v", after)
	}
	again, err := ada.SendLetter(ctx, sent.ID)
	if err != nil || !again.Again {
		t.Errorf("%+v, %v", again, err)
	}
	w.post()
	ada.stands(sent.ID, outbox.Sent)
	if m := bea.last(); m.Subject != "s" || len(m.Files) != 1 {
		t.Errorf("%+v", m)
	}
	ada.state(bea, contacts.Verified)
}

func TestDraftsThatCannotBeSent(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	var p *mailer.Problem
	if _, err := ada.SendLetter(ctx, strings.Repeat("a", 26)); !errors.As(err, &p) || p.Code != "not-found" {
		t.Errorf("%v", err)
	}
	ada.rules.MessageMegabytes = 1
	_, err := ada.write(mailer.Draft{To: []string{beaAddress}, Text: strings.Repeat("word ", 150_000)})
	refused(t, err, "too-large")
	if list, err := ada.Drafts.List(ctx); err != nil || len(list) != 1 {
		t.Errorf("the refused draft is not kept: %d, %v", len(list), err)
	}
}

func TestContactsByHand(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	for _, n := range []mailer.NewContact{{Address: "x"}, {Address: beaAddress, Certificates: []byte("x")}, {Address: beaAddress, Certificates: make([]byte, 70_000)}} {
		if _, err := ada.AddContact(ctx, n); err == nil {
			t.Errorf("added %q", n.Address)
		}
	}
	if _, err := ada.AddContact(ctx, mailer.NewContact{Address: "carl@x.example", Certificates: bea.who.PEM()}); !errors.Is(err, contacts.ErrOtherAddress) {
		t.Errorf("her certificate for him: %v", err)
	}
	c, err := ada.AddContact(ctx, mailer.NewContact{Address: "Reception <" + strings.ToUpper(beaAddress) + ">", Name: "Reception", Team: true, Certificates: bea.who.Certificate.Raw})
	if err != nil || !c.Team || c.Name != "Reception" || c.Address != beaAddress || len(c.Candidates) != 1 || !strings.HasPrefix(c.Candidates[0].From, "a file that you added") {
		t.Fatalf("%+v, %v", c, err)
	}
	if found, err := ada.Contacts(ctx, "rec", 0); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	if err := ada.RemoveContact(ctx, beaAddress); err != nil {
		t.Fatal(err)
	}
	if _, err := ada.Contact(ctx, beaAddress); err == nil {
		t.Error("still there")
	}
	if err := ada.RemoveContact(ctx, beaAddress); err == nil {
		t.Error("removed twice")
	}
}

func TestSuspendedByHand(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	if _, err := ada.Suspend(ctx, beaAddress); err == nil {
		t.Error("suspended a stranger")
	}
	ada.verifies(bea)
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "s", Text: "t"}))
	if _, err := ada.Suspend(ctx, beaAddress); err != nil {
		t.Fatal(err)
	}
	_, err := ada.write(mailer.Draft{To: []string{beaAddress}})
	refused(t, err, "suspended")
	if m := ada.last(); m.Verdict.Level != policy.Care || m.Verdict.Short != "Suspended" {
		t.Errorf("%+v", m.Verdict)
	}
	ada.verifies(bea)
	if m := ada.last(); m.Form != "answer" {
		t.Errorf("%q", m.Form)
	}
}

func TestOnlyHiddenRecipients(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	if _, err := ada.write(mailer.Draft{Bcc: []string{beaAddress}, Subject: "s", Text: "t"}); err != nil {
		t.Fatal(err)
	}
	w.post()
	if m := bea.last(); m.Subject != "s" {
		t.Errorf("%+v", m)
	}
}

// What is written while the message is being sealed is not lost.
func TestDraftChangesWhileSent(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	d := mailer.Draft{ID: strings.Repeat("b", 26), To: []string{beaAddress}, Text: "one"}
	if _, err := ada.Drafts.Save(ctx, d); err != nil {
		t.Fatal(err)
	}
	check := ada.Check
	ada.Check = func(ctx context.Context, q trust.Question, chosen bool) trust.Verdict {
		ada.Check = check
		w.now = w.now.Add(time.Second)
		d.Text = "two"
		if _, err := ada.Drafts.Save(ctx, d); err != nil {
			t.Error(err)
		}
		return check(ctx, q, chosen)
	}
	var p *mailer.Problem
	if _, err := ada.SendLetter(ctx, d.ID); !errors.As(err, &p) || p.Code != "draft-changed" {
		t.Errorf("%v", err)
	}
	if got, err := ada.Drafts.Get(ctx, d.ID); err != nil || got.Text != "two" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ada.SendLetter(ctx, d.ID); err != nil {
		t.Error(err)
	}
}

// A summary edited in the database is not believed.
func TestEditedSummary(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada := w.join("Ada", adaAddress)
	id := w.deliver(adaAddress, plain("x@x.example", adaAddress, "s", "t"))
	err := ada.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE mail SET received = received - 1000, summary = CAST(replace(CAST(summary AS TEXT), '"stop"', '"good"') AS BLOB)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := ada.List(ctx, mailer.Query{})
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].Verdict.Level != policy.Stop {
		t.Errorf("%+v, %v", list, err)
	}
}

// An authority more or less changes what is said of what is there already.
func TestReconsider(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada := w.join("Ada", adaAddress)
	w.deliver(adaAddress, w.forge(w.admit("X", "x@x.example"), ada, smime.Letter{Subject: "s", Text: "t"}))
	if m := ada.last(); m.Verdict.Chain != "trusted" {
		t.Fatalf("%+v", m.Verdict)
	}
	if err := ada.Book.RemoveAnchor(ctx, w.ca.Root); err != nil {
		t.Fatal(err)
	}
	if err := ada.Reconsider(ctx); err != nil {
		t.Fatal(err)
	}
	if list, err := ada.List(ctx, mailer.Query{}); err != nil || list[0].Verdict.Chain != "untrusted" || list[0].Verdict.Level != policy.Stop {
		t.Errorf("%+v, %v", list, err)
	}
}

// A database put back makes nobody verified, in the list either.
func TestRolledBack(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "s", Text: "t"}))
	if m := ada.last(); m.Verdict.Level != policy.Good {
		t.Fatalf("%+v", m.Verdict)
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := ada.DB.Backup(ctx, old); err != nil {
		t.Fatal(err)
	}
	if _, err := ada.Suspend(ctx, beaAddress); err != nil {
		t.Fatal(err)
	}
	if err := ada.Vault.Close(); err != nil {
		t.Fatal(err)
	}
	current, err := filepath.Glob(filepath.Join(ada.dir, "*.db*"))
	if err != nil || len(current) == 0 {
		t.Fatal(current, err)
	}
	for _, f := range current {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(old, filepath.Join(ada.dir, "countersign.db")); err != nil {
		t.Fatal(err)
	}
	ada.open()
	list, err := ada.List(ctx, mailer.Query{})
	if err != nil || len(list) != 2 || list[0].Verdict.Level == policy.Good || strings.Contains(strings.Join(list[0].Verdict.Reasons, " "), "0001") {
		t.Errorf("%+v, %v", list, err)
	}
	ada.state(bea, contacts.Suspended)
	_, err = ada.write(mailer.Draft{To: []string{beaAddress}})
	refused(t, err, "own-untrusted", "suspended") // nobody vouches for anything now
}

// The confirmed keys in a new certificate carry over (V7).
func TestRenewed(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	ada.rules.SilentAuthorities = true
	renewed := *bea.who
	renewed.Certificate = w.silent(ada)(bea.who, 2)
	w.deliver(adaAddress, w.forge(&renewed, ada, smime.Letter{Subject: "s", Text: "t"}))
	c := ada.state(bea, contacts.Verified)
	if c.Pin.Renewed.IsZero() || !c.Pin.Keys.Sign.Equal(renewed.Certificate) {
		t.Errorf("%+v", c.Pin)
	}
	if m := ada.last(); m.Verdict.Level != policy.Good || !strings.Contains(m.Verdict.Label, ", renewed on ") {
		t.Errorf("%q", m.Verdict.Label)
	}
}

// TestRenewedInSilence: an authority that tells nothing about withdrawal may renew for the
// same keys what was confirmed as that. Another such authority may not.
func TestRenewedInSilence(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	silent, other := w.silent(ada), w.silent(ada)
	ada.verifies(bea)
	receives := func(c *x509.Certificate) *x509.Certificate {
		renewed := *bea.who
		renewed.Certificate = c
		w.deliver(adaAddress, w.forge(&renewed, ada, smime.Letter{Subject: "s", Text: "t"}))
		return ada.state(bea, contacts.Verified).Pin.Keys.Sign
	}
	confirmed := silent(bea.who, 2)
	if pin := receives(confirmed); !pin.Equal(bea.who.Certificate) {
		t.Errorf("what was confirmed tells, and gave way to %v", pin.Issuer)
	}
	ada.rules.SilentAuthorities = true
	if pin := receives(confirmed); !pin.Equal(confirmed) {
		t.Fatalf("still %v", pin.Issuer)
	}
	ada.rules.SilentAuthorities = false
	if pin := receives(other(bea.who, 3)); !pin.Equal(confirmed) {
		t.Error("renewed by another authority that tells nothing")
	}
	next := silent(bea.who, 3)
	if pin := receives(next); !pin.Equal(next) {
		t.Errorf("not renewed: until %v", pin.NotAfter)
	}
}

// silent is another authority, which one person trusts, and which gives somebody a
// certificate of some years for the keys that they have. It tells nothing about withdrawal.
func (w *world) silent(trusting *person) func(who *authority.Person, years int) *x509.Certificate {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	make := func(t, parent *x509.Certificate, public any, years int) *x509.Certificate {
		t.SerialNumber, t.NotBefore, t.NotAfter, t.BasicConstraintsValid = big.NewInt(int64(years)), w.now.Add(-time.Hour), w.now.AddDate(years, 0, 0), true
		der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
		if err != nil {
			w.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			w.Fatal(err)
		}
		return c
	}
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "Another Authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	root = make(root, root, key.Public(), 10)
	if err := trusting.Book.AddAnchor(w.Context(), book.Anchor{Certificate: root}); err != nil {
		w.Fatal(err)
	}
	return func(who *authority.Person, years int) *x509.Certificate {
		return make(&x509.Certificate{
			Subject: pkix.Name{CommonName: who.Name}, EmailAddresses: []string{who.Address},
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		}, root, who.Key.Public(), years)
	}
}
