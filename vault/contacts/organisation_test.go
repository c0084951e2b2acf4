package contacts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"

	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// house is the people at hill.example as one user knows them, and what the book would
// do with them: each is read with the organisation and written apart from it.
type house struct {
	*testing.T
	me      *person
	k, k2   KeySet // of the organisation, now and later
	evil    KeySet // another certificate for the domain
	private map[string]*ecdsa.PrivateKey
	own     map[string]Contact
	records *chain
}

const (
	hill  = "hill.example"
	imran = "imran@hill.example"
	bea   = "bea@hill.example" // with the organisation's certificate
	carol = "carol@hill.example"
)

func newHouse(t *testing.T) *house {
	h := &house{T: t, me: newPerson(t, "ada@harbour.example"), records: newChain(t), private: map[string]*ecdsa.PrivateKey{}}
	h.k, h.k2, h.evil = h.keys("k", nil, hill), h.keys("k2", nil, hill), h.keys("evil", nil, hill)
	h.own = map[string]Contact{hill: must[Contact](t)(New(hill, ""))}
	h.seen(imran, h.k)
	h.seen(bea, h.k)
	return h
}

// keys makes a certificate for both uses, for a key of that name.
func (h *house) keys(key string, mailboxes []string, domains ...string) KeySet {
	h.Helper()
	if h.private[key] == nil {
		h.private[key] = must[*ecdsa.PrivateKey](h)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	serials.Lock()
	serials.n++
	c := &x509.Certificate{SerialNumber: big.NewInt(serials.n), Subject: pkix.Name{CommonName: key}, EmailAddresses: mailboxes, DNSNames: domains,
		NotBefore: start.AddDate(-1, 0, 0), NotAfter: start.AddDate(1, 0, int(serials.n))}
	serials.Unlock()
	der := must[[]byte](h)(x509.CreateCertificate(rand.Reader, c, c, h.private[key].Public(), h.private[key]))
	c = must[*x509.Certificate](h)(x509.ParseCertificate(der))
	return KeySet{Sign: c, Encrypt: c}
}

func (h *house) get(address string) Contact {
	if _, ok := h.own[address]; !ok {
		h.own[address] = must[Contact](h)(New(address, ""))
	}
	return h.own[address].Join(h.own[hill])
}

// do makes one transition as the book makes it.
func (h *house) do(address string, f func(Contact) (Contact, *RecordDraft, error)) error {
	h.Helper()
	c, draft, err := f(h.get(address))
	if err != nil {
		return err
	}
	own, o := c.Part(h.own[hill])
	if address == hill {
		own, o = c, c
	}
	if draft != nil {
		h.records.add(draft)
	}
	for _, c := range []Contact{own, o} {
		c, changed := stored(h, c).Audit(h.records.records)
		if changed {
			h.Fatalf("the records do not bear out %s: %s", c.Address, c.Label(nil))
		}
		if c.Pin != nil && c.Pin.Of != "" || c.Suspension != nil && c.Suspension.Of != "" {
			h.Fatalf("%s was stored with what is the organisation's", c.Address)
		}
		h.own[c.Address] = c
	}
	return nil
}

func (h *house) seen(address string, keys KeySet) {
	h.Helper()
	if err := h.do(address, func(c Contact) (Contact, *RecordDraft, error) {
		c, err := c.AddCandidate(h.me.at(), keys, FromMessage)
		return c, nil, err
	}); err != nil {
		h.Fatal(err)
	}
}

// test sends a test to a key set, and returns its code.
func (h *house) test(address string, keys KeySet) (code keyset.Code) {
	h.Helper()
	h.seen(address, keys)
	if err := h.do(address, func(c Contact) (Contact, *RecordDraft, error) {
		id := ""
		for _, k := range c.Candidates {
			if k.Keys.ID() == keys.ID() {
				id = k.ID
			}
		}
		c, f, err := c.SendTest(h.me.at(), h.me.own, id)
		code = f.Code
		return c, nil, err
	}); err != nil {
		h.Fatal(err)
	}
	return code
}

func (h *house) report(address string, r CallReport) (o Outcome) {
	h.Helper()
	if err := h.do(address, func(c Contact) (Contact, *RecordDraft, error) {
		c, outcome, err := c.recordCall(h.me.at(), r, safety)
		o = outcome
		return c, o.Record, err
	}); err != nil {
		h.Fatal(err)
	}
	return o
}

// call is a whole verification, on which everything matches.
func (h *house) call(address string, keys KeySet) Outcome {
	h.Helper()
	code := h.test(address, keys)
	o := h.report(address, directory.code(code...).words(safety(address, keys)))
	if !o.Verified {
		h.Fatal(o.Says)
	}
	return o
}

func (h *house) wrong(address string, keys KeySet) {
	h.test(address, keys)
	if o := h.report(address, CallReport{Wrong: true}); !o.Mismatch {
		h.Fatal(o.Says)
	}
}

func (h *house) refresh(address string, s trust.Status) {
	h.Helper()
	if err := h.do(address, func(c Contact) (Contact, *RecordDraft, error) {
		c, draft := c.Refresh(h.me.at(), trust.Verdict{Status: s}, trust.Verdict{Status: s})
		return c, draft, nil
	}); err != nil {
		h.Fatal(err)
	}
}

func (h *house) suspend(address string, why Reason) {
	h.Helper()
	if err := h.do(address, func(c Contact) (Contact, *RecordDraft, error) { return c.Suspend(h.me.at(), why) }); err != nil {
		h.Fatal(err)
	}
}

func (h *house) renew(address string, keys KeySet) error {
	house := trust.Verdict{Status: trust.Trusted, Bound: trust.BoundDomain}
	return h.do(address, func(c Contact) (Contact, *RecordDraft, error) {
		c, err := c.AddCandidate(h.me.at(), keys, FromMessage)
		if err != nil {
			return c, nil, err
		}
		return c.Renew(h.me.at(), keys, house, house)
	})
}

// announce is the present key set saying that another takes its place (V7).
func (h *house) announce(address string, next KeySet) error {
	now := h.get(address).Pin.Keys
	f := must[Form](h)(form.New(rand.Reader, KeyAnnouncement, address, h.me.own.Address))
	old, new := now.Hashes(), next.Hashes()
	f.Keys, f.NewKeys, f.Expires = &old, &new, h.me.now.AddDate(0, 0, 37)
	v := trust.Verdict{Status: trust.Trusted, Bound: trust.BoundDomain, Path: []*x509.Certificate{h.evil.Sign, h.evil.Sign}}
	return h.do(address, func(c Contact) (Contact, *RecordDraft, error) {
		return c.ReceiveAnnouncement(h.me.at(), Announced{Received: Received{Form: f, From: address, Signer: now.Sign, Encrypted: true}, New: next,
			OldSign: v, OldEncrypt: v, NewSign: v, NewEncrypt: v}, h.me.own, RolloverSigned, h.me.new)
	})
}

// TestOrganisation is V6 for organisations: what happens, and where it leaves two people
// who use the organisation's certificate and the organisation itself.
func TestOrganisation(t *testing.T) {
	const none, seen = Unknown, HasCertificate
	for _, b := range []struct {
		name       string
		do         func(h *house)
		imran, bea State
		hill       State
	}{
		{"nobody was called", func(*house) {}, seen, seen, none},
		{"a test alone", func(h *house) { h.test(imran, h.k) }, TestSent, seen, none},
		{"wrong words before anything is confirmed", func(h *house) { h.wrong(imran, h.k) }, Mismatch, seen, none},
		{"one call", func(h *house) { h.call(imran, h.k) }, Verified, Verified, Verified},
		{"one call with the other", func(h *house) { h.call(bea, h.k) }, Verified, Verified, Verified},
		{"the attacker's key is seen", func(h *house) { h.call(imran, h.k); h.seen(bea, h.evil) }, Verified, Verified, Verified},
		{"a call about a person's certificate", func(h *house) { h.call(imran, h.keys("p", []string{imran})) }, Verified, seen, none},
		{"a person's that names the domain as well", func(h *house) { h.call(imran, h.keys("p", []string{imran}, hill)) }, Verified, seen, none},
		{"somebody else's that names the domain as well", func(h *house) { h.call(imran, h.keys("p", []string{bea}, hill)) }, Verified, seen, none},
		{"withdrawn", func(h *house) { h.call(imran, h.k); h.refresh(bea, trust.Revoked) }, Suspended, Suspended, Suspended},
		{"withdrawn, found at the organisation", func(h *house) { h.call(imran, h.k); h.refresh(hill, trust.Revoked) }, Suspended, Suspended, Suspended},
		{"no authority any longer", func(h *house) { h.call(imran, h.k); h.refresh(bea, trust.Untrusted) }, Suspended, Suspended, Suspended},
		{"their key says stop", func(h *house) { h.call(imran, h.k); h.suspend(bea, ByStatement) }, Suspended, Suspended, Suspended},
		{"withdrawn, then called anew", func(h *house) { h.call(imran, h.k); h.refresh(bea, trust.Revoked); h.call(bea, h.k) }, Verified, Verified, Verified},
		{"run out", func(h *house) { h.call(imran, h.k); h.refresh(bea, trust.Expired) }, Suspended, Suspended, Suspended},
		{"I stop one", func(h *house) { h.call(imran, h.k); h.suspend(bea, ByUser) }, Verified, Suspended, Verified},
		{"I stop all", func(h *house) { h.call(imran, h.k); h.suspend(hill, ByUser) }, Suspended, Suspended, Suspended},
		{"I stop one, then call another", func(h *house) { h.call(imran, h.k); h.suspend(bea, ByUser); h.call(imran, h.k) }, Verified, Suspended, Verified},
		{"I stop one, then call them", func(h *house) { h.call(imran, h.k); h.suspend(bea, ByUser); h.call(bea, h.k) }, Verified, Verified, Verified},
		{"I stop one, and it is withdrawn", func(h *house) {
			h.call(imran, h.k)
			h.suspend(bea, ByUser)
			h.refresh(imran, trust.Revoked)
			h.call(imran, h.k)
		}, Verified, Suspended, Verified},
		{"wrong words about another of the domain's keys", func(h *house) { h.call(bea, h.k); h.wrong(imran, h.evil) }, Mismatch, Suspended, Suspended},
		{"wrong words, misheard", func(h *house) {
			h.call(bea, h.k)
			h.wrong(imran, h.evil)
			h.misheard(imran)
		}, Suspended, Suspended, Suspended},
		{"wrong words, misheard, called anew", func(h *house) {
			h.call(bea, h.k)
			h.wrong(imran, h.evil)
			h.misheard(imran)
			h.call(imran, h.k)
		}, Verified, Verified, Verified},
		{"I stop one, then hear wrong words with them", func(h *house) {
			h.call(bea, h.k)
			h.suspend(imran, ByUser)
			h.wrong(imran, h.evil)
			h.misheard(imran)
		}, Suspended, Suspended, Suspended},
		{"I stop one, hear wrong words with them, and call the other", func(h *house) {
			h.call(bea, h.k)
			h.suspend(imran, ByUser)
			h.wrong(imran, h.evil)
			h.misheard(imran)
			h.call(bea, h.k)
		}, Suspended, Verified, Verified},
		{"wrong words with one, then the other is called", func(h *house) { h.wrong(imran, h.k); h.call(bea, h.k) }, Mismatch, Verified, Verified},
		{"wrong words with one, the other called, misheard", func(h *house) { h.wrong(imran, h.k); h.call(bea, h.k); h.misheard(imran) }, Suspended, Verified, Verified},
		{"wrong words about a person's key, the other called, misheard", func(h *house) {
			h.wrong(imran, h.keys("p", []string{imran}))
			h.call(bea, h.k)
			h.misheard(imran)
		}, Suspended, Verified, Verified},
		{"wrong words about a person's key, the other called, a test to the organisation's", func(h *house) {
			h.wrong(imran, h.keys("p", []string{imran}))
			h.call(bea, h.k)
			h.test(imran, h.k)
		}, Suspended, Verified, Verified},
		{"wrong words about the domain's key, the other called, a test to the organisation's", func(h *house) {
			h.call(bea, h.k)
			h.wrong(imran, h.evil)
			h.call(bea, h.k)
			h.test(imran, h.k)
		}, Suspended, Verified, Verified},
		{"withdrawn, wrong words about a person's key, the other called, a test", func(h *house) {
			h.call(bea, h.k)
			h.refresh(bea, trust.Revoked)
			h.wrong(imran, h.keys("p", []string{imran}))
			h.call(bea, h.k)
			h.test(imran, h.k)
		}, Suspended, Verified, Verified},
		{"wrong words, the other called, misheard, called anew", func(h *house) {
			h.wrong(imran, h.k)
			h.call(bea, h.k)
			h.misheard(imran)
			h.call(imran, h.k)
		}, Verified, Verified, Verified},
		{"wrong words, then the other is called", func(h *house) { h.call(bea, h.k); h.wrong(imran, h.evil); h.call(bea, h.k) }, Mismatch, Verified, Verified},
		{"wrong words about a person's key", func(h *house) { h.call(bea, h.k); h.wrong(imran, h.keys("p", []string{imran})) }, Mismatch, Verified, Verified},
		{"another key is confirmed", func(h *house) { h.call(imran, h.k); h.call(bea, h.k2) }, seen, Verified, Verified},
		{"another key is confirmed and seen", func(h *house) { h.call(imran, h.k); h.call(bea, h.k2); h.seen(imran, h.k2) }, Verified, Verified, Verified},
		{"a key of their own is confirmed, theirs withdrawn", func(h *house) {
			h.call(imran, h.k)
			h.call(bea, h.keys("p", []string{bea}))
			h.refresh(imran, trust.Revoked)
		}, Suspended, Verified, Suspended},
		{"first one's own key, then the organisation's", func(h *house) { h.call(imran, h.keys("p", []string{imran})); h.call(imran, h.k) }, Verified, Verified, Verified},
	} {
		t.Run(b.name, func(t *testing.T) {
			h := newHouse(t)
			b.do(h)
			for address, want := range map[string]State{imran: b.imran, bea: b.bea, hill: b.hill} {
				if got := h.get(address); got.State != want {
					t.Errorf("%s: %s, want %s", address, got.State, want)
				} else if got.Label(nil) == "" || got.Next(nil) == "" {
					t.Errorf("%s: no words", address)
				}
			}
		})
	}
}

func (h *house) misheard(address string) {
	h.Helper()
	if err := h.do(address, func(c Contact) (Contact, *RecordDraft, error) {
		c, err := c.Misheard()
		return c, nil, err
	}); err != nil {
		h.Fatal(err)
	}
}

// TestOnlyTheOrganisationsKey: who does not count by an organisation that is verified.
func TestOnlyTheOrganisationsKey(t *testing.T) {
	h := newHouse(t)
	o := h.call(imran, h.k)
	if o.Record.Address != hill || o.Record.Kind != RecordVerified || o.Record.Keys != h.k.Hashes() {
		t.Fatalf("the record: %+v", o.Record)
	}
	for name, keys := range map[string]KeySet{
		"the attacker's certificate for the domain":  h.evil,
		"a person's certificate":                     h.keys("p", []string{carol}),
		"the organisation's key, in a person's name": h.keys("k", []string{carol}),
		"the same, with the domain":                  h.keys("k", []string{carol}, hill),
		"with the domain and a colleague":            h.keys("k", []string{imran}, hill),
		"signing only":                               {Sign: h.k.Sign},
		"another key for encryption":                 {Sign: h.k.Sign, Encrypt: h.evil.Sign},
		"another key for signing":                    {Sign: h.evil.Sign, Encrypt: h.k.Sign},
	} {
		delete(h.own, carol)
		h.seen(carol, keys)
		if c := h.get(carol); c.State == Verified || c.Pin != nil {
			t.Errorf("%s: %s", name, c.Label(nil))
		}
	}
	delete(h.own, carol)
	h.seen(carol, h.k)
	if c := h.get(carol); c.State != Verified || c.Label(nil) != "Organisation verified: hill.example, by telephone on 3 March 2026" ||
		strings.Contains(c.Label(nil), "carol") || c.Pin.Call.Number == "" {
		t.Errorf("the organisation's: %s, %q", c.State, c.Label(nil))
	}
	for _, address := range []string{"imran@ward.hill.example", "imran@xhill.example", "imran@example"} {
		c := must[Contact](t)(New(address, ""))
		if _, err := c.AddCandidate(h.me.at(), h.k, FromMessage); !errors.Is(err, ErrOtherAddress) {
			t.Errorf("%s: %v", address, err)
		}
		c.Candidates = []Candidate{{ID: "c1", Keys: h.k}} // as one might edit it in
		if got := c.Join(h.own[hill]); got.Pin != nil {
			t.Errorf("%s counts by hill.example", address)
		}
	}
	forged := h.own[hill]
	if forged, changed := forged.Audit(nil); !changed || h.own[bea].Join(forged).State != Suspended {
		t.Error("an organisation that no record bears out counts")
	}
}

// TestOrganisationRollover is V7 for everybody at once.
func TestOrganisationRollover(t *testing.T) {
	h := newHouse(t)
	h.call(imran, h.k)
	if err := h.announce(bea, h.keys("person", []string{bea})); !errors.Is(err, ErrOtherAuthority) {
		t.Errorf("a person's key takes the place of the organisation's: %v", err)
	}
	h.suspend(imran, ByUser)
	h.refresh(bea, trust.Expired)
	later := h.keys("k", nil, hill)
	if err := h.renew(imran, later); err == nil {
		t.Error("one who was stopped carries the organisation over")
	}
	if err := h.renew(bea, h.keys("k", []string{bea})); !errors.Is(err, ErrOtherKeys) {
		t.Errorf("renewed in a person's name: %v", err)
	}
	if err := h.renew(bea, later); err != nil {
		t.Fatal(err)
	}
	if got := h.get(bea).Label(nil); got != "Organisation verified: hill.example, by telephone on 3 March 2026, renewed on 3 March 2026" {
		t.Errorf("%q", got)
	}
	h.seen(carol, h.k)
	if err := h.announce(bea, h.k2); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]State{bea: Verified, carol: Verified, imran: Suspended} {
		if c := h.get(address); c.State != want || c.Pin.Keys.ID() != h.k2.ID() {
			t.Errorf("%s, after the announcement: %s", address, c.State)
		}
	}
	h.call(bea, h.evil) // somebody confirmed it: what was announced before is over
	if c := h.get(carol); c.State != HasCertificate {
		t.Errorf("with a key that nobody announced: %s", c.State)
	}
}
