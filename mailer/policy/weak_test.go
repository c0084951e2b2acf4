package policy

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"countersign/mailer/cms"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// TestSHA1: an old signature counts only on what was provably here before the day that
// the administrator chose (I2), and is never as good as another.
func TestSHA1(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	day := now.AddDate(0, 0, -10)
	for name, c := range map[string]struct {
		err      error
		received time.Time
		before   time.Time
		counts   bool
		why      string
	}{
		"no day, no receipt":  {cms.ErrSHA1, time.Time{}, time.Time{}, false, "SHA-1"},
		"no day":              {cms.ErrSHA1, day, time.Time{}, false, "SHA-1"},
		"no receipt":          {cms.ErrSHA1, time.Time{}, day, false, "SHA-1"},
		"received after it":   {cms.ErrSHA1, day.Add(time.Second), day, false, "SHA-1"},
		"received on it":      {cms.ErrSHA1, day, day, false, "SHA-1"},
		"received before it":  {fmt.Errorf("signer: %w", cms.ErrSHA1), day.Add(-time.Second), day, true, ""},
		"a short key":         {cms.ErrShortKey, day.Add(-time.Second), day, false, "2,048 bits"},
		"weak in another way": {cms.ErrWeak, day.Add(-time.Second), day, false, "no longer safe"},
		"refused as obsolete": {cms.ErrObsolete, day.Add(-time.Second), day, false, "no longer safe"},
		"another content":     {cms.ErrDigest, day.Add(-time.Second), day, false, "changed on the way"},
	} {
		o := shape("ES", pinned.Pin.Keys.Sign)
		o.Layers[1].Signed.Signers[0].Err = c.err
		f := Facts{Contact: pinned, Signers: status(trust.Trusted), Received: c.received, SHA1Before: c.before}
		v := Judge(o, f)
		if c.counts {
			if v.Signature != "valid" || v.Level != Care || !strings.Contains(v.Label, "SHA-1") || v.Denied != "" || v.From != "match" {
				t.Errorf("%s: %+v", name, v)
			}
			continue
		}
		if v.Signature != "invalid" || v.Level != Stop || v.Denied == "" || !strings.Contains(strings.Join(v.Reasons, " "), c.why) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestShortKeys: nothing is encrypted to a key that is too short, or to somebody who
// signs with one, and the refusal says so.
func TestShortKeys(t *testing.T) {
	short := func(c *x509.Certificate) *x509.Certificate {
		short := *c
		short.PublicKeyAlgorithm, short.PublicKey = x509.RSA, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
		return &short
	}
	for name, change := range map[string]func(*contacts.KeySet){
		"to encrypt": func(k *contacts.KeySet) { k.Encrypt = short(certificate(t, "Bea", []string{bea}, nil)) },
		"to sign":    func(k *contacts.KeySet) { k.Sign = short(certificate(t, "Bea", []string{bea}, nil)) },
	} {
		r := recipient(t, bea, "Bea")
		change(&r.Contact.Pin.Keys)
		r.Sign.Status = trust.Untrusted // as trust says of such a key
		plan, refusals := PlanLetter(Letter{To: []string{bea}}, []Recipient{r}, sender(t))
		if len(plan.Envelopes) > 0 || len(refusals) != 1 || refusals[0].Code != "weak-key" || !strings.Contains(refusals[0].Reason, "1024 bits") {
			t.Errorf("%s: %+v", name, refusals)
		}
		complete(t, refusals)
		if _, refusals := PlanForm(fixed(t, contacts.TestForm), r.Contact.Pin.Keys, valid, sender(t)); len(refusals) != 1 || refusals[0].Code != "weak-key" {
			t.Errorf("a form, %s: %+v", name, refusals)
		}
	}
}
