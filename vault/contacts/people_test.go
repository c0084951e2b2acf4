package contacts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"sync"
	"testing"
	"time"

	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

var start = time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)

// person is somebody with keys and a clock of their own: two of them and the
// mail between them are all that a verification is.
type person struct {
	t    testing.TB
	own  Own
	now  time.Time
	key  []byte
	seen map[string]bool
}

func newPerson(t testing.TB, address string) *person {
	t.Helper()
	return &person{t: t, own: Own{address, newKeys(t, address)}, now: start,
		key: bytes.Repeat([]byte{byte(len(address))}, 32), seen: map[string]bool{}}
}

func (p *person) at() Moment { return Moment{Now: p.now, CodeKey: p.key} }

func (p *person) new(id string) bool {
	was := p.seen[id]
	p.seen[id] = true
	return was
}

var serials struct {
	sync.Mutex
	n int64
}

func newKeys(t testing.TB, address string) KeySet {
	t.Helper()
	return KeySet{Sign: newCert(t, address, x509.KeyUsageDigitalSignature, nil), Encrypt: newCert(t, address, x509.KeyUsageKeyAgreement, nil)}
}

// newCert makes a certificate that names the address, for the key or a fresh one.
func newCert(t testing.TB, address string, use x509.KeyUsage, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	serials.Lock()
	serials.n++
	c := &x509.Certificate{SerialNumber: big.NewInt(serials.n), Subject: pkix.Name{CommonName: address}, KeyUsage: use,
		NotBefore: start.AddDate(-1, 0, 0), NotAfter: start.AddDate(1, 0, int(serials.n)), EmailAddresses: []string{address}}
	serials.Unlock()
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// carry takes a form through the mail: what one agent makes, another parses.
func carry(t testing.TB, f Form, signer KeySet) Received {
	t.Helper()
	b, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := form.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return Received{Form: again, From: f.From, Signer: signer.Sign, Encryption: signer.Encrypt, Encrypted: true}
}

// stored takes a contact through the database, as every contact goes.
func stored(t testing.TB, c Contact) Contact {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again Contact
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// know makes a contact with one candidate.
func (p *person) know(other *person) Contact {
	p.t.Helper()
	c := must[Contact](p.t)(New(other.own.Address, "Dr "+other.own.Address[:1]))
	return must[Contact](p.t)(c.AddCandidate(p.at(), other.own.Keys, FromMessage))
}

func (p *person) test(c Contact) (Contact, Form) {
	p.t.Helper()
	c, f, err := c.SendTest(p.at(), p.own, "")
	if err != nil {
		p.t.Fatal(err)
	}
	return stored(p.t, c), f
}

// answered plays the test and its answer. It returns the tester's contact and
// the test.
func (p *person) answered(other *person) (Contact, Form) {
	p.t.Helper()
	c, f := p.test(p.know(other))
	theirs := must[Contact](p.t)(New(p.own.Address, ""))
	theirs = must[Contact](p.t)(theirs.ReceiveTest(other.at(), carry(p.t, f, p.own.Keys), other.own, other.new))
	theirs, answer, err := theirs.AnswerTest(other.at(), other.own)
	if err != nil || theirs.State != Answered {
		p.t.Fatalf("%s, %v", theirs.State, err)
	}
	c = must[Contact](p.t)(c.ReceiveAnswer(p.at(), carry(p.t, answer, other.own.Keys), p.own, p.new))
	return stored(p.t, c), f
}

// verified plays the whole.
func (p *person) verified(other *person) (Contact, Outcome) {
	p.t.Helper()
	c, f := p.answered(other)
	words := safety(other.own.Address, other.own.Keys)
	c, o := p.call(c, CallReport{Number: "+44 20 7946 0123", Source: SourceDirectory, Code: f.Code, Words: words[:]})
	if c.State != Verified {
		p.t.Fatalf("after a good call: %s, %s", c.State, o.Says)
	}
	return c, o
}

func (p *person) call(c Contact, r CallReport) (Contact, Outcome) {
	p.t.Helper()
	c, o, err := c.recordCall(p.at(), r, safety)
	if err != nil {
		p.t.Fatal(err)
	}
	return stored(p.t, c), o
}

// safety stands for SafetyWords, which takes its time on purpose: other words, as
// different for different people. TestStory uses the real one.
func safety(address string, k KeySet) [6]string {
	id := k.ID()
	sum := sha256.Sum256(append(id[:], address...))
	one, _ := keyset.NewCode(bytes.NewReader(sum[:6]))
	two, _ := keyset.NewCode(bytes.NewReader(sum[6:]))
	return [6]string(append(one, two[:2]...))
}

var directory = CallReport{Number: "020 7946 0123", Source: SourceDirectory}

func (r CallReport) code(words ...string) CallReport { r.Code = words; return r }

func (r CallReport) words(w [6]string) CallReport { r.Words = w[:]; return r }

func (r CallReport) prints(f ...string) CallReport { r.Fingerprints = f; return r }

// wrong changes one word into another of the list.
func wrong(words ...string) []string {
	out := append([]string(nil), words...)
	if out[1] == "zoo" {
		out[1] = "zone"
	} else {
		out[1] = "zoo"
	}
	return out
}

func trusted() trust.Verdict { return trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress} }
