package contacts

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/vault/contacts/form"
	"countersign/vault/trust"
)

// vouched is what trust says of a certificate from an authority, good in every way.
func vouched(authority string, anchor *x509.Certificate) trust.Verdict {
	return trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress, Path: []*x509.Certificate{{RawIssuer: []byte(authority)}, {}, anchor}}
}

// announcement is one by somebody who is verified, good in every way; tests spoil it.
func announcement(t testing.TB, me, her *person, next KeySet) Announced {
	t.Helper()
	f, err := form.New(rand.Reader, KeyAnnouncement, her.own.Address, me.own.Address)
	if err != nil {
		t.Fatal(err)
	}
	old, keys := her.own.Keys.Hashes(), next.Hashes()
	f.Keys, f.NewKeys, f.Expires = &old, &keys, me.now.Add(37*24*time.Hour)
	anchor := newCert(t, her.own.Address, x509.KeyUsageCertSign, nil)
	v := vouched("Health Authority", anchor)
	r := carry(t, f, her.own.Keys)
	r.Encrypted = false
	return Announced{Received: r, New: next, OldSign: v, OldEncrypt: v, NewSign: v, NewEncrypt: v}
}

// TestAnnouncement is V7, a row for each condition.
func TestAnnouncement(t *testing.T) {
	const address = "imran@hill.example"
	for _, b := range []struct {
		name  string
		spoil func(s *scene, r *Announced)
		want  error
	}{
		{"all is well", func(*scene, *Announced) {}, nil},
		{"signed by the new key only", func(s *scene, r *Announced) { r.Signer = r.New.Sign }, ErrFormSignature},
		{"signed by nobody", func(s *scene, r *Announced) { r.Signer = nil }, ErrFormSignature},
		{"signed by the old key only", func(s *scene, r *Announced) { r.New.Sign = nil }, ErrNewSignature},
		{"signed by another new key than it names", func(s *scene, r *Announced) { r.New.Sign = s.eve.own.Keys.Sign }, ErrNewSignature},
		{"with another encryption certificate than it names", func(s *scene, r *Announced) { r.New.Encrypt = s.eve.own.Keys.Encrypt }, ErrNewSignature},
		{"without an encryption certificate", func(s *scene, r *Announced) { r.New.Encrypt = nil }, ErrNewSignature},
		{"the old one has run out", func(s *scene, r *Announced) { r.OldSign.Status = trust.Expired }, ErrOldSpent},
		{"the old one was withdrawn", func(s *scene, r *Announced) { r.OldEncrypt.Status = trust.Revoked }, ErrOldSpent},
		{"the old one cannot be checked", func(s *scene, r *Announced) { r.OldSign.Status = trust.Unknown }, ErrOldSpent},
		{"the old one was never vouched for", func(s *scene, r *Announced) {
			r.OldSign = trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress}
		}, ErrOtherAuthority},
		{"the new one is nobody's", func(s *scene, r *Announced) { r.NewSign.Status = trust.Untrusted }, ErrNewUntrusted},
		{"the new one was withdrawn", func(s *scene, r *Announced) { r.NewEncrypt.Status = trust.Revoked }, ErrNewUntrusted},
		{"the new one cannot be checked", func(s *scene, r *Announced) { r.NewEncrypt.Status = trust.Unknown }, ErrNewUntrusted},
		{"the new one names another address", func(s *scene, r *Announced) { r.NewSign.Bound = trust.BoundNone }, ErrNewUntrusted},
		{"the new one names an organisation", func(s *scene, r *Announced) { r.NewSign.Bound = trust.BoundDomain }, ErrOtherAuthority},
		{"by another authority", func(s *scene, r *Announced) { r.NewSign = vouched("Other Authority", r.NewSign.Path[2]) }, ErrOtherAuthority},
		{"by an authority of the same name elsewhere", func(s *scene, r *Announced) {
			r.NewEncrypt = vouched("Health Authority", newCert(t, address, x509.KeyUsageCertSign, nil))
		}, ErrOtherAuthority},
		{"of another predecessor", func(s *scene, r *Announced) {
			keys := s.eve.own.Keys.Hashes()
			r.Form.Keys, r.Signer = &keys, s.eve.own.Keys.Sign
		}, ErrNotSuccessor},
		{"of itself", func(s *scene, r *Announced) { r.Form.NewKeys = r.Form.Keys }, ErrNotSuccessor},
		{"for somebody else", func(s *scene, r *Announced) { r.Form.To = "eve@hill.example" }, ErrFormTo},
		{"shown from another address", func(s *scene, r *Announced) { r.From = "eve@hill.example" }, ErrFormFrom},
		{"another form", func(s *scene, r *Announced) {
			r.Form.Kind, r.Form.Keys, r.Form.NewKeys, r.Form.Expires = Invitation, nil, nil, time.Time{}
		}, ErrNotSuccessor},
		{"seen before", func(s *scene, r *Announced) { s.me.new(r.Form.ID) }, ErrFormSeen},
		{"of somebody the user stopped", func(s *scene, r *Announced) { s.c, _, _ = s.c.Suspend(s.me.at(), ByUser) }, ErrNotInForce},
		{"of somebody whose certificate ran out", func(s *scene, r *Announced) { s.c, _, _ = s.c.Suspend(s.me.at(), ByExpiry) }, ErrNotInForce},
		{"of a key for which wrong words were heard", func(s *scene, r *Announced) {
			s.c = must[Contact](t)(s.c.AddCandidate(s.me.at(), r.New, FromMessage))
			s.c.Candidates[len(s.c.Candidates)-1].Barred = s.me.now
		}, ErrBarred},
	} {
		for _, rule := range []Rollover{RolloverSigned, RolloverWords, RolloverCall} {
			s := newScene(t, "verified")
			s.me.now = s.me.now.AddDate(0, 2, 0)
			r := announcement(t, s.me, s.her, newKeys(t, address))
			b.spoil(&s, &r)
			before := stored(t, s.c)
			got, record, err := s.c.ReceiveAnnouncement(s.me.at(), r, s.me.own, rule, func(id string) bool { return s.me.seen[id] })
			if !errors.Is(err, b.want) {
				t.Errorf("%s, %q: %v", b.name, rule, err)
			}
			if b.want != nil {
				if record != nil || len(got.Candidates) != len(before.Candidates) || got.Pin.Keys.ID() != before.Pin.Keys.ID() || got.State != before.State {
					t.Errorf("%s, %q: something changed", b.name, rule)
				}
				continue
			}
			renewed := rule == RolloverSigned
			if (record != nil) != renewed || (got.Pin.Keys.ID() == r.New.ID()) != renewed || got.State != Verified {
				t.Errorf("%q: %s, %+v", rule, got.State, record)
			}
			if (got.Test != nil) != (rule == RolloverWords) {
				t.Errorf("%q: test %+v", rule, got.Test)
			}
		}
	}
}

// TestAnnouncementContinues: the label, the record that bears it out, and the next one.
func TestAnnouncementContinues(t *testing.T) {
	s := newScene(t, "verified")
	call := s.c.Pin.Call
	s.me.now = s.me.now.AddDate(0, 1, 0)
	next := newKeys(t, s.her.own.Address)
	r := announcement(t, s.me, s.her, next)
	got, record, err := s.c.ReceiveAnnouncement(s.me.at(), r, s.me.own, RolloverSigned, s.me.new)
	if err != nil || record == nil || record.Kind != RecordRenewed || record.Keys != next.Hashes() || record.Call != call {
		t.Fatalf("%+v, %v", record, err)
	}
	if want := "Confirmed by telephone on 3 March 2026, renewed on 3 April 2026"; got.Label(nil) != want || got.Level() != Good {
		t.Errorf("%q", got.Label(nil))
	}
	first := s.c.draft("", RecordVerified, call.At, s.c.Pin.Keys, call, "").Chain(0, [32]byte{}, func([]byte) []byte { return nil })
	second := record.Chain(1, first.Head(), func([]byte) []byte { return nil })
	got = stored(t, got)
	if kept, changed := got.Audit([]Record{first, second}); changed || kept.State != Verified {
		t.Errorf("its records do not bear it out: %s", kept.State)
	}
	if kept, _ := got.Audit([]Record{first}); kept.State != Suspended {
		t.Errorf("without its record: %s", kept.State)
	}
	// The same announcement again, and an older one, lead nowhere.
	if _, _, err := got.ReceiveAnnouncement(s.me.at(), r, s.me.own, RolloverSigned, s.me.new); !errors.Is(err, ErrFormSeen) {
		t.Error(err)
	}
	if _, _, err := got.ReceiveAnnouncement(s.me.at(), r, s.me.own, RolloverSigned, func(string) bool { return false }); !errors.Is(err, ErrNotSuccessor) {
		t.Error(err)
	}
	s.her.own.Keys = next
	if _, _, err := got.ReceiveAnnouncement(s.me.at(), announcement(t, s.me, s.her, newKeys(t, s.her.own.Address)), s.me.own, RolloverSigned, s.me.new); err != nil {
		t.Errorf("the successor's successor: %v", err)
	}
}

// TestAnnouncementWords: where the administrator asks for the words again, the old keys
// stay until they were heard, on a number from elsewhere.
func TestAnnouncementWords(t *testing.T) {
	s := newScene(t, "verified")
	next := newKeys(t, s.her.own.Address)
	c, _, err := s.c.ReceiveAnnouncement(s.me.at(), announcement(t, s.me, s.her, next), s.me.own, RolloverWords, s.me.new)
	if err != nil || !strings.HasPrefix(c.Next(nil), "A new key was announced on 3 March 2026. Call Dr ") {
		t.Fatalf("%q, %v", c.Next(nil), err)
	}
	c = stored(t, c)
	if _, _, err := c.recordCall(s.me.at(), CallReport{Words: directory.words(safety(c.Address, next)).Words}, safety); !errors.Is(err, ErrNumber) {
		t.Errorf("without a number: %v", err)
	}
	old := safety(c.Address, s.her.own.Keys)
	wrong, o := s.me.call(c, directory.words(old))
	if o.Matched || o.Verified || wrong.State != Verified {
		t.Errorf("the old words: %+v", o)
	}
	// Another number starts the words again, but asks for no code that nobody has.
	moved := CallReport{Number: "+44 20 7946 0999", Source: SourceDirectory, Words: directory.words(safety(c.Address, next)).Words}
	for name, r := range map[string]CallReport{"the number of before": directory.words(safety(c.Address, next)), "another number": moved} {
		s.me.now = s.me.now.Add(time.Hour)
		got, o := s.me.call(wrong, r)
		if !o.Verified || got.State != Verified || got.Pin.Keys.ID() != next.ID() || got.Test != nil || o.Record.Kind != RecordVerified {
			t.Errorf("%s: %s, %+v", name, got.State, o)
		}
	}
	if doubted, o := s.me.call(wrong, directory.words(old)); !o.Mismatch || doubted.State != Mismatch {
		t.Errorf("wrong twice: %s", doubted.State)
	}
	s.me.now = s.me.now.AddDate(0, 0, 31)
	if late, _ := c.Refresh(s.me.at(), trusted(), trusted()); late.Test != nil || late.State != Verified || late.Pin.Keys.ID() != s.her.own.Keys.ID() {
		t.Errorf("after 31 days: %s, %+v", late.State, late.Test)
	}
}
