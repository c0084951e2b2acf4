package people

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"countersign/mailer/policy"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseCertificates(t *testing.T) {
	a, b := certificate(t), certificate(t)
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, c := range map[string]struct {
		data []byte
		want int // -1: refused
	}{
		"none":           {nil, 0},
		"DER":            {a.Raw, 1},
		"two in DER":     {append(append([]byte{}, a.Raw...), b.Raw...), 2},
		"PEM":            {block("CERTIFICATE", a.Raw), 1},
		"two in PEM":     {append(block("CERTIFICATE", a.Raw), block("CERTIFICATE", b.Raw)...), 2},
		"words before":   {append([]byte("Bag Attributes\n"), block("CERTIFICATE", a.Raw)...), 1},
		"a key beside":   {append(block("PRIVATE KEY", []byte("x")), block("CERTIFICATE", a.Raw)...), 1},
		"only a key":     {block("PRIVATE KEY", []byte("x")), -1},
		"broken in PEM":  {block("CERTIFICATE", []byte("x")), -1},
		"text":           {[]byte("hello"), -1},
		"something else": {append(append([]byte{}, a.Raw...), 1, 2, 3), -1},
		"too large":      {make([]byte, maxCertificates+1), -1},
	} {
		certs, err := parseCertificates(c.data)
		if c.want < 0 && !errors.Is(err, ErrCertificate) || c.want >= 0 && (err != nil || len(certs) != c.want) {
			t.Errorf("%s: %d certificates, %v", name, len(certs), err)
		}
	}
}

func FuzzParseCertificates(f *testing.F) {
	c := certificate(f)
	f.Add(c.Raw)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := parseCertificates(data)
		if (err == nil) != (len(certs) > 0 || len(data) == 0) {
			t.Fatalf("%d certificates, %v", len(certs), err)
		}
	})
}

func TestCanonical(t *testing.T) {
	for typed, want := range map[string]string{
		"Bea.Brandt@NorthClinic.example":      "bea.brandt@northclinic.example",
		"Dr Bea <bea@x.example>":              "bea@x.example",
		" bea@x.example ":                     "bea@x.example",
		"":                                    "",
		"bea":                                 "",
		"bea@x.example\r\nBcc: all@x.example": "",
		"a@x.example, b@x.example":            "",
		"bea@b\u00fccher.example":             "bea@xn--bcher-kva.example",
		"\"bea brandt\"@x.example extra@evil.example": "",
	} {
		if got, err := Canonical(typed); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
}

func TestOrigin(t *testing.T) {
	seen := time.Date(2026, 3, 3, 1, 0, 0, 0, time.UTC)
	for from, want := range map[contacts.Origin]string{
		contacts.FromMessage:      "a message of 3 March 2026",
		contacts.FromFile:         "a file that you added on 3 March 2026",
		contacts.FromDirectory:    "a directory that was searched on 3 March 2026",
		contacts.FromOrganisation: "what you had confirmed for their organisation, on 3 March 2026",
		contacts.FromTest:         "their test message of 3 March 2026",
		contacts.FromAnswer:       "an answer of 3 March 2026 that used other keys",
	} {
		if got := origin(contacts.Candidate{From: from, Seen: seen}, nil); got != want {
			t.Errorf("%q", got)
		}
	}
	if got := origin(contacts.Candidate{Seen: seen}, time.FixedZone("", -7200)); got != "a message of 2 March 2026" {
		t.Errorf("%q", got)
	}
}

// While the grace time is in use, who writes is told how old the word about withdrawal is.
func TestToldInGrace(t *testing.T) {
	day := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	r := policy.Recipient{Contact: contacts.Contact{Address: "bea@north.example", State: contacts.Unknown}}
	r.Encrypt.Checked = []trust.Finding{{ThisUpdate: day.AddDate(0, 0, -3)}, {ThisUpdate: day, InGrace: true}}
	r.Sign.Checked = []trust.Finding{{ThisUpdate: day.AddDate(0, 0, 1), InGrace: true}}
	plain := (&People{}).told(policy.Recipient{Contact: r.Contact})
	if got := (&People{}).told(r); got != plain+". Whether the certificate was withdrawn was last told on 9 March 2026, and newer word is overdue" {
		t.Error(got)
	}
}
