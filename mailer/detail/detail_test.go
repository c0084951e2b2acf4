package detail_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/detail"
	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

var now = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func certificate(t *testing.T, name string, addresses ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: name}, EmailAddresses: addresses, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// opened is a message of the layers given, from bea.
func opened(layers ...smime.Layer) *smime.Opened {
	o := &smime.Opened{Payload: &message.Part{}, Layers: layers, Protected: []string{"From", "Subject", "Date"}}
	o.Outer.Add("From", "bea@northclinic.example")
	o.Header.Add("From", "bea@northclinic.example")
	o.Header.Add("Subject", "Mrs K")
	o.Header.Add("Date", now.Format(time.RFC1123Z))
	return o
}

func signed(infos ...cms.SignerInfo) smime.Layer {
	return smime.Layer{Kind: smime.Signed, Form: "multipart/signed", Signed: &cms.Signed{Signers: infos}}
}

func TestFindings(t *testing.T) {
	bea := certificate(t, "Bea", "bea@northclinic.example")
	good := cms.SignerInfo{Certificate: bea, Time: now}
	with := func(err error) cms.SignerInfo { return cms.SignerInfo{Certificate: bea, Err: err} }
	envelope := func(e cms.Enveloped) smime.Layer {
		return smime.Layer{Kind: smime.Encrypted, Form: "enveloped-data", Enveloped: &e}
	}
	gcm := envelope(cms.Enveloped{Cipher: "AES-256-GCM", Authenticated: true})
	closed := opened(smime.Layer{Kind: smime.Encrypted, Err: fmt.Errorf("%w: x", smime.ErrNoKey)})
	closed.Payload, closed.Problem = nil, smime.ErrNoKey
	certs := smime.Layer{Kind: smime.Signed, Form: "certs-only", Signed: &cms.Signed{Certificates: []*x509.Certificate{bea}}, Err: smime.ErrNoContent}
	late := good
	late.Time = now.AddDate(0, 0, -2)
	known := good
	known.Known = true
	nobody := opened()
	nobody.Header = message.Header{}
	wrapped := opened()
	wrapped.Errant = []smime.Kind{smime.Signed, smime.OpenPGP}
	verified := contacts.Contact{Address: "bea@northclinic.example", State: contacts.Verified}
	for name, c := range map[string]struct {
		o     *smime.Opened
		trust trust.Verdict
		want  string
		code  string
	}{
		"plain":            {opened(), trust.Verdict{}, "not-encrypted not-signed", ""},
		"from nobody":      {nobody, trust.Verdict{}, "not-encrypted not-signed from-unclear", ""},
		"something inside": {wrapped, trust.Verdict{}, "not-encrypted not-signed part-protected openpgp", ""},
		"good":             {opened(gcm, signed(good)), trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress}, "", ""},
		"by the house":     {opened(gcm, signed(good)), trust.Verdict{Status: trust.Trusted, Bound: trust.BoundDomain}, "organisation", ""},
		"withdrawn":        {opened(gcm, signed(good)), trust.Verdict{Status: trust.Revoked, Bound: trust.BoundAddress}, "chain-revoked", ""},
		"never told":       {opened(gcm, signed(good)), trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress, Checked: []trust.Finding{{Status: trust.Unpublished}, {Status: trust.Trusted}}}, "revocation-unpublished", ""},
		"not enclosed":     {opened(gcm, signed(known)), trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress}, "certificate-known", ""},
		"not hers":         {opened(gcm, signed(good)), trust.Verdict{Status: trust.Untrusted, Bound: trust.BoundNone}, "from-mismatch chain-untrusted", ""},
		"another day":      {opened(gcm, signed(late)), trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress}, "date-differs", ""},
		"changed":          {opened(signed(with(cms.ErrDigest))), trust.Verdict{}, "not-encrypted signature-invalid", "changed"},
		"forged":           {opened(signed(with(cms.ErrSignature))), trust.Verdict{}, "not-encrypted signature-invalid", "forged"},
		"weak":             {opened(signed(with(cms.ErrWeak))), trust.Verdict{}, "not-encrypted signature-invalid signature-weak", "weak"},
		"nobody signed":    {opened(signed()), trust.Verdict{}, "no-signer", ""},
		"certificates":     {opened(certs), trust.Verdict{}, "certificates-only", "no-content"},
		"closed":           {closed, trust.Verdict{}, "not-opened", "no-key"},
		"old cipher":       {opened(envelope(cms.Enveloped{Cipher: "3DES-CBC", Weak: true}), signed(good)), trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress}, "encryption-weak", ""},
		"unsigned":         {opened(envelope(cms.Enveloped{Cipher: "AES-256-CBC"})), trust.Verdict{}, "not-signed encryption-malleable", ""},
		"signed outside":   {opened(signed(good), gcm), trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress}, "signature-outside", ""},
	} {
		f := policy.Facts{Contact: verified, Signers: []trust.Verdict{c.trust}}
		v := policy.Judge(c.o, f)
		r := detail.Of(c.o, f, v, nil)
		got := " " + strings.Join(r.Findings, " ") + " "
		for _, want := range strings.Fields(c.want) {
			if !strings.Contains(got, " "+want+" ") {
				t.Errorf("%s: %s is not among%s", name, want, got)
			}
		}
		if c.want == "" && strings.TrimSpace(got) != "" {
			t.Errorf("%s:%s", name, got)
		}
		if r.Code != c.code {
			t.Errorf("%s: the code is %q, not %q", name, r.Code, c.code)
		}
	}
}

// TestRevocation: the weakest word on the path, and the oldest.
func TestRevocation(t *testing.T) {
	bea := certificate(t, "Bea", "bea@northclinic.example")
	o := opened(signed(cms.SignerInfo{Certificate: bea, Time: now}))
	old := now.AddDate(0, 0, -3)
	for _, c := range []struct {
		found []trust.Finding
		want  string
		asOf  time.Time
	}{
		{nil, "", time.Time{}},
		{[]trust.Finding{{Status: trust.Trusted, ThisUpdate: now}, {Status: trust.Trusted, ThisUpdate: old}}, "good", old},
		{[]trust.Finding{{Status: trust.Trusted, ThisUpdate: now}, {Status: trust.Unpublished}}, "unpublished", now},
		{[]trust.Finding{{Status: trust.Unknown}, {Status: trust.Trusted, ThisUpdate: now}}, "unknown", now},
		{[]trust.Finding{{Status: trust.Unknown}, {Status: trust.Revoked, ThisUpdate: now}}, "revoked", now},
	} {
		f := policy.Facts{Signers: []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundAddress, Checked: c.found}}}
		s := detail.Of(o, f, policy.Judge(o, f), nil).Layers[0].Signers[0]
		if s.Revocation != c.want || !s.RevocationAsOf.Equal(c.asOf) {
			t.Errorf("%+v: %s as of %s", c.found, s.Revocation, s.RevocationAsOf)
		}
	}
}

// TestPeople: each signer and recipient is told apart, and which key was used.
func TestPeople(t *testing.T) {
	bea, ada := certificate(t, "Bea\r\n\u202e", "bea@northclinic.example"), certificate(t, "Ada", "ada@harbour.example")
	id := cms.Recipient{Algorithm: "ECDH SHA-256"}
	id.Serial, id.Issuer = ada.SerialNumber, ada.RawIssuer
	other := cms.Recipient{Algorithm: "RSA PKCS#1 v1.5"}
	other.KeyID = []byte{1, 2}
	nameless := cms.SignerInfo{Err: cms.ErrNoCertificate, Identifier: id.Identifier}
	e := &cms.Enveloped{Cipher: "AES-128-CBC", KeyCipher: "ECDH SHA-256", Recipients: []cms.Recipient{id, other}, Matched: ada}
	o := opened(smime.Layer{Kind: smime.Encrypted, Enveloped: e}, signed(cms.SignerInfo{Certificate: bea, Hash: "SHA-256", Time: now, Attributes: []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 9, 16, 2, 1}, {1, 2, 3}}}, nameless))
	f := policy.Facts{Signers: []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundAddress, Path: []*x509.Certificate{bea}}, {}}}
	r := detail.Of(o, f, policy.Judge(o, f), []*x509.Certificate{ada})
	to := r.Layers[0].Recipients
	if len(to) != 2 || to[0].Name != "Ada <ada@harbour.example>" || !to[0].Opened || to[0].Serial != "abc" || to[0].Issuer != "CN=Ada" || to[1].Opened || to[1].Mine || to[1].KeyID != "0102" {
		t.Errorf("%+v", to)
	}
	by := r.Layers[1].Signers
	if len(by) != 2 || !by[0].Valid || !by[0].Counts || by[0].Chain != "trusted" || len(by[0].Path) != 1 || by[1].Valid || by[1].Code != "no-certificate" || by[1].Serial != "abc" || by[1].Issuer != "CN=Ada" {
		t.Fatalf("%+v", by)
	}
	if got := strings.Join(by[0].Attributes, " "); got != "receipt-request 1.2.3" {
		t.Error(got)
	}
	c := by[0].Certificate
	if c.Key != "EC P-256" || len(c.SHA256) != 64 || c.Addresses[0] != "bea@northclinic.example" || strings.ContainsAny(c.Subject+c.Name, "\r\n\u202e") {
		t.Errorf("%+v", c)
	}
}

// TestPassword: whoever has no certificate in the list has another secret.
func TestPassword(t *testing.T) {
	e := &cms.Enveloped{Cipher: "AES-128-CBC", Recipients: []cms.Recipient{{Algorithm: "a password"}, {Algorithm: "a shared key"}}}
	o := opened(smime.Layer{Kind: smime.Encrypted, Enveloped: e, Err: errors.Join(smime.ErrNoKey)})
	o.Payload = nil
	if r := detail.Of(o, policy.Facts{}, policy.Judge(o, policy.Facts{}), nil); r.Code != "password" {
		t.Errorf("%q", r.Code)
	}
}

// TestBounds: whoever makes a name, a number or a list endless is cut short.
func TestBounds(t *testing.T) {
	long := strings.Repeat("x", 5000)
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("a%d@x.example", i))
	}
	c := certificate(t, long, append([]string{long + "@x.example"}, many...)...)
	id := cms.Recipient{}
	id.Serial, id.Issuer, id.KeyID = new(big.Int).Lsh(big.NewInt(1), 100_000), c.RawIssuer, make([]byte, 1000)
	o := opened(smime.Layer{Kind: smime.Encrypted, Enveloped: &cms.Enveloped{Recipients: []cms.Recipient{id}}}, signed(cms.SignerInfo{Certificate: c}))
	r := detail.Of(o, policy.Facts{}, policy.Judge(o, policy.Facts{}), nil)
	to, by := r.Layers[0].Recipients[0], r.Layers[1].Signers[0].Certificate
	if len(to.Serial) > 200 || len(to.KeyID) > 200 || to.Issuer != "" || by.Subject != "" || len(strings.Join(by.Addresses, "")) > 2000 || len(by.Name) > 3000 {
		t.Errorf("%d, %d, %d, %d, %d, %d", len(to.Serial), len(to.KeyID), len(to.Issuer), len(by.Subject), len(by.Addresses), len(by.Name))
	}
}
