package contacts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/vault/trust"
)

// TestCandidates is V3: listed, never used, and never more than fit.
func TestCandidates(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c := me.know(her)
	if c.Candidates[0].ID != "c1" {
		t.Fatalf("an ID that may tell something: %q", c.Candidates[0].ID)
	}
	if _, err := c.AddCandidate(me.at(), newPerson(t, "eve@hill.example").own.Keys, FromFile); !errors.Is(err, ErrOtherAddress) {
		t.Errorf("Eve's own certificate: %v", err)
	}
	if _, err := c.AddCandidate(me.at(), KeySet{}, FromFile); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("no certificate: %v", err)
	}
	half := must[Contact](t)(New(her.own.Address, ""))
	half = must[Contact](t)(half.AddCandidate(me.at(), KeySet{Sign: her.own.Keys.Sign}, FromMessage))
	if half.State != Unknown {
		t.Errorf("half a key set: %s", half.State)
	}
	if _, _, err := half.SendTest(me.at(), me.own, "c1"); !errors.Is(err, ErrIncomplete) {
		t.Errorf("a test for half a key set: %v", err)
	}
	if _, _, err := half.SendTest(me.at(), me.own, "c9"); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("a test for no key set: %v", err)
	}

	me.now = me.now.Add(time.Hour) // what follows was seen later than the first
	first := c.Candidates[0].Keys.ID()
	for range maxCandidates + 5 {
		me.now = me.now.Add(time.Second)
		c = must[Contact](t)(c.AddCandidate(me.at(), newKeys(t, her.own.Address), FromMessage))
		c = must[Contact](t)(c.AddCandidate(me.at(), her.own.Keys, FromMessage)) // they keep writing
	}
	if len(c.Candidates) != maxCandidates {
		t.Fatalf("%d candidates", len(c.Candidates))
	}
	if c.Candidates[0].Keys.ID() != first {
		t.Fatal("the one who keeps writing was pushed out by strangers")
	}
}

// TestSightsOfAnAfternoon: letter after letter with the same keys changes the contact once an
// hour, unless others were seen in between.
func TestSightsOfAnAfternoon(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c := me.know(her)
	sight := func(keys KeySet, later time.Duration) (noted bool) {
		me.now = me.now.Add(later)
		before := stored(t, c)
		c = must[Contact](t)(c.AddCandidate(me.at(), keys, FromMessage))
		return !reflect.DeepEqual(stored(t, c), before)
	}
	if sight(her.own.Keys, time.Minute) {
		t.Error("a minute later it was noted again")
	}
	if !sight(newKeys(t, her.own.Address), time.Minute) || !sight(her.own.Keys, time.Minute) {
		t.Error("it was not noted who was seen later")
	}
	if !sight(her.own.Keys, lastStep) {
		t.Error("an hour later it was not noted")
	}
}

// TestPushedAside: whose test may take the place of one that waits.
func TestPushedAside(t *testing.T) {
	me, her, eve := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example"), newPerson(t, "imran@hill.example")
	verified, _ := me.verified(her)
	for _, b := range []struct {
		name    string
		at      Contact // first
		trusted bool
		late    bool
		want    error
	}{
		{"by a stranger's", me.know(her), false, false, ErrFormWaiting},
		{"by one that an authority vouches for", me.know(her), true, false, nil},
		{"the confirmed key's, by one that an authority vouches for", verified, true, false, ErrFormWaiting},
		{"when it is over", me.know(her), false, true, nil},
	} {
		_, f := her.test(her.know(me))
		c := must[Contact](t)(b.at.ReceiveTest(me.at(), carry(t, f, her.own.Keys), me.own, me.new))
		m := me.at()
		if eve.now = me.now; b.late {
			m.Now = m.Now.AddDate(0, 0, 8)
			eve.now = m.Now
		}
		_, f = eve.test(eve.know(me))
		r := carry(t, f, eve.own.Keys)
		r.Trusted = b.trusted
		got, err := c.ReceiveTest(m, r, me.own, me.new)
		if !errors.Is(err, b.want) || (got.Incoming.ID == f.ID) != (b.want == nil) {
			t.Errorf("%s: %v", b.name, err)
		}
		if _, f := her.test(her.know(me)); b.want != nil {
			if got, err = got.ReceiveTest(me.at(), carry(t, f, her.own.Keys), me.own, me.new); err != nil || got.Incoming.ID != f.ID {
				t.Errorf("%s: the same keys' next test: %v", b.name, err)
			}
		}
	}
}

// TestHugeCertificate: what strangers pile up for one address stays small.
func TestHugeCertificate(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	huge := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.Repeat("x", maxCertificate)}, EmailAddresses: []string{her.own.Address}}
	der, err := x509.CreateCertificate(rand.Reader, huge, huge, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if huge, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	c := me.know(her)
	if _, err := c.AddCandidate(me.at(), KeySet{Sign: huge}, FromMessage); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	c, f := me.answered(her)
	c = c.ReceiveReply(me.at(), Reply{Signer: huge, Text: f.ID})
	if c.Voided != VoidKeys || len(c.Candidates) != 1 {
		t.Errorf("%s, %d candidates", c.Voided, len(c.Candidates))
	}
}

// TestRenew is V7: same keys, new trusted certificate.
func TestRenew(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	sign, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	encrypt, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	certs := func() KeySet {
		return KeySet{Sign: newCert(t, her.own.Address, x509.KeyUsageDigitalSignature, sign), Encrypt: newCert(t, her.own.Address, x509.KeyUsageKeyAgreement, encrypt)}
	}
	earlier := certs()
	her.own.Keys = certs()
	c, _ := me.verified(her)
	next := certs()
	me.now = me.now.AddDate(0, 1, 0)

	for name, v := range map[string]trust.Verdict{
		"untrusted":           {Status: trust.Untrusted, Bound: trust.BoundAddress},
		"of unknown standing": {Status: trust.Unknown, Bound: trust.BoundAddress},
		"of another address":  {Status: trust.Trusted, Bound: trust.BoundNone},
		"judged by nobody":    {},
	} {
		if _, _, err := c.Renew(me.at(), next, trusted(), v); !errors.Is(err, ErrNotTrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := c.Renew(me.at(), newKeys(t, her.own.Address), trusted(), trusted()); !errors.Is(err, ErrOtherKeys) {
		t.Errorf("other keys: %v", err)
	}
	for name, keys := range map[string]KeySet{"the same": c.Pin.Keys, "an older one": {Sign: earlier.Sign, Encrypt: earlier.Encrypt}} {
		if _, _, err := c.Renew(me.at(), keys, trusted(), trusted()); !errors.Is(err, ErrNotLater) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, r, err := c.Renew(me.at(), next, trusted(), trusted())
	if err != nil || got.State != Verified || r.Kind != RecordRenewed || got.Pin.Keys.Sign != next.Sign {
		t.Fatalf("%s, %v", got.State, err)
	}
	if want := "Confirmed by telephone on 3 March 2026, renewed on 3 April 2026"; got.Label(nil) != want {
		t.Errorf("%q", got.Label(nil))
	}
	for why, want := range map[Reason]State{ByExpiry: Verified, ByUser: Suspended, ByRevoked: Suspended, ByStatement: Suspended} {
		stopped, _, _ := c.Suspend(me.at(), why)
		if got, _, _ := stopped.Renew(me.at(), next, trusted(), trusted()); got.State != want {
			t.Errorf("stopped because %s, then renewed: %s", why, got.State)
		}
	}
}

// TestMismatchOutlastsRenewal: who was stopped because a certificate had run out comes
// back with a new one (V7), but not while somebody may be between (V5).
func TestMismatchOutlastsRenewal(t *testing.T) {
	me, her, eve := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example"), newPerson(t, "imran@hill.example")
	sign, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	encrypt, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	certs := func() KeySet {
		return KeySet{Sign: newCert(t, her.own.Address, x509.KeyUsageDigitalSignature, sign), Encrypt: newCert(t, her.own.Address, x509.KeyUsageKeyAgreement, encrypt)}
	}
	her.own.Keys = certs()
	c, _ := me.verified(her)
	c, _, _ = c.Suspend(me.at(), ByExpiry)
	c = must[Contact](t)(c.AddCandidate(me.at(), eve.own.Keys, FromFile))
	c, _, err := c.SendTest(me.at(), me.own, c.Candidates[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	c, _ = me.call(c, CallReport{Wrong: true})
	if c.State != Mismatch {
		t.Fatal(c.State)
	}
	other := must[Contact](t)(c.AddCandidate(me.at(), newKeys(t, her.own.Address), FromFile))
	other, _, err = other.SendTest(me.at(), me.own, other.Candidates[2].ID)
	if err != nil {
		t.Fatal(err)
	}
	misheard := must[Contact](t)(c.Misheard())
	renewed := certs()
	for name, c := range map[string]Contact{"at once": c, "misheard": misheard, "with another test out": other} {
		if got, _, err := c.Renew(me.at(), renewed, trusted(), trusted()); err == nil || got.State == Verified {
			t.Errorf("%s: %s, %v", name, got.State, err)
		}
	}
}

// TestSuspended is V3: by its own certificates, and by nothing else.
func TestSuspended(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c, _ := me.verified(her)
	for _, v := range []struct {
		sign, encrypt trust.Status
		want          Reason
	}{
		{trust.Trusted, trust.Trusted, ""},
		{trust.Unknown, trust.Unknown, ""},
		{"", "", ""},
		{trust.Expired, trust.Trusted, ByExpiry},
		{trust.Trusted, trust.Expired, ByExpiry},
		{trust.Revoked, trust.Expired, ByRevoked},
		{trust.Untrusted, trust.Untrusted, ByUntrusted},
	} {
		got, r := c.Refresh(me.at(), trust.Verdict{Status: v.sign}, trust.Verdict{Status: v.encrypt})
		if (r != nil) != (v.want != "") || (got.Suspension != nil) != (v.want != "") {
			t.Errorf("%s and %s: %s", v.sign, v.encrypt, got.State)
			continue
		}
		if r != nil && (got.Suspension.Reason != v.want || r.Kind != RecordSuspended || r.Call != c.Pin.Call) {
			t.Errorf("%s and %s: %+v", v.sign, v.encrypt, got.Suspension)
		}
	}
}

// TestWords: labels that must not promise too much.
func TestWords(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c, f := me.answered(her)

	team := c.clone()
	team.Team = true
	r := directory.code(f.Code...).words(safety(her.own.Address, her.own.Keys))
	if _, _, err := team.recordCall(me.at(), r, safety); !errors.Is(err, ErrReader) {
		t.Errorf("a team, and nobody who read the words: %v", err)
	}
	// What JSON would store otherwise, or a line would hide, breaks the record's signature
	// or its meaning.
	for _, reader := range []string{"Sister \xff", "Sister \u202eOkafor", "Sister\nOkafor"} {
		r.Reader = reader
		if _, _, err := team.recordCall(me.at(), r, safety); !errors.Is(err, ErrReader) {
			t.Errorf("%q: %v", reader, err)
		}
	}
	r.Reader = "Sister Okafor"
	team, o := me.call(team, r)
	if !strings.HasSuffix(team.Label(nil), "; several people read this mailbox") || o.Record.Call.Reader != "Sister Okafor" {
		t.Errorf("%q, %+v", team.Label(nil), o.Record)
	}

	met, _ := me.call(c, CallReport{Source: SourceInPerson, Code: f.Code, Words: ptr(safety(her.own.Address, her.own.Keys))[:]})
	if !strings.HasPrefix(met.Label(nil), "Confirmed in person on") {
		t.Errorf("%q", met.Label(nil))
	}

	org := met.clone()
	org.Pin.Keys.Sign = &x509.Certificate{DNSNames: []string{"hill.example"}}
	if got := org.Label(nil); !strings.HasPrefix(got, "Organisation verified: hill.example") || strings.Contains(got, "Imran") {
		t.Errorf("%q", got)
	}
	domain := must[Contact](t)(New("hill.example", "Hill Practice"))
	if _, _, err := domain.SendTest(me.at(), me.own, ""); !domain.Organisation() || !errors.Is(err, ErrOrganisation) {
		t.Errorf("%v", err)
	}

	late := c.clone()
	late.Test.Answered = time.Date(2026, 3, 3, 23, 30, 0, 0, time.UTC)
	if got := late.Label(time.FixedZone("east", 3600)); !strings.Contains(got, "4 March") {
		t.Errorf("dates are not the reader's: %q", got)
	}
	for _, s := range []string{"Hello", "A@b.example", "a b@c.example"} {
		if _, err := New(s, ""); (err == nil) != (s == "hello") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// TestScript is what is said on the call, and the clicks to say aloud.
func TestScript(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c, f := me.test(me.know(her))
	s := c.Script("Ada Osei")
	if !strings.Contains(s.Open, "Ada Osei") || !strings.Contains(s.Fingerprints, "two certificates") {
		t.Errorf("%+v", s)
	}
	c = c.ReceiveReply(me.at(), Reply{Signer: her.own.Keys.Sign, Encryption: her.own.Keys.Encrypt, Encrypted: true, Text: f.ID})
	if s := c.Script("Ada Osei"); strings.Contains(s.Fingerprints, "two certificates") {
		t.Errorf("%+v", s)
	}
	for _, r := range []Reason{ByUser, ByStatement, ByExpiry, ByRevoked, ByUntrusted, ByMismatch, ByRecords} {
		if r.String() == Reason("").String() {
			t.Errorf("no words for %q", string(r))
		}
	}
	for _, v := range []Void{VoidTries, VoidExpired, VoidKeys, VoidExposed, VoidEdited, VoidDoubt} {
		if v.String() == "" {
			t.Errorf("no words for %q", string(v))
		}
	}
}
