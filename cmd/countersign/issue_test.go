package main

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
	"countersign/tray/control"
	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
)

// issue REQUEST FILE [DAYS [ADDRESS]] has the authority certify each key that a file
// asks for, until so many days from now, for the address asked for or another.
func issue(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 4 {
		ts.Fatalf("usage: issue REQUEST FILE [DAYS [ADDRESS]]")
	}
	days := 365
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		days = n
	}
	var out bytes.Buffer
	for rest := []byte(ts.ReadFile(args[0])); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		r, err := x509.ParseCertificateRequest(block.Bytes)
		ts.Check(err)
		ts.Check(r.CheckSignature())
		uses := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
		if r.PublicKeyAlgorithm == x509.ECDSA {
			uses = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
		}
		if asked := askedUsage(ts, r); asked != 0 {
			uses = asked
		}
		address := r.EmailAddresses[0]
		if len(args) == 4 {
			address = args[3]
		}
		p, err := theWorld(ts).ca.CertifyUntil(r.Subject.CommonName, address, r.PublicKey, uses, time.Now().AddDate(0, 0, days))
		ts.Check(err)
		out.Write(p.PEM())
	}
	ts.Check(pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: theWorld(ts).ca.Issuing.Raw}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out.Bytes(), 0o600))
}

// askedUsage is the keyUsage that a request asks for.
func askedUsage(ts *testscript.TestScript, r *x509.CertificateRequest) (uses x509.KeyUsage) {
	for _, e := range r.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 15}) {
			continue
		}
		var bits asn1.BitString
		_, err := asn1.Unmarshal(e.Value, &bits)
		ts.Check(err)
		for i := range bits.BitLength {
			uses |= x509.KeyUsage(bits.At(i) << i)
		}
	}
	return uses
}

// announce OLD NEW TO SIGNER... puts into a mailbox the announcement that one person's
// certificate takes the place of another's, signed by whom it says.
func announce(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: announce OLD NEW TO SIGNER...")
	}
	w := theWorld(ts)
	old, next, to := w.people[args[0]], w.people[args[1]], w.people[args[2]]
	f, err := form.New(rand.Reader, form.KeyAnnouncement, old.Address, to.Address)
	ts.Check(err)
	before := keyset.KeySet{Sign: old.Certificate, Encrypt: old.Certificate}.Hashes()
	after := keyset.KeySet{Sign: next.Certificate, Encrypt: next.Certificate}.Hashes()
	f.Keys, f.NewKeys, f.Expires = &before, &after, time.Now().UTC().Truncate(time.Second).AddDate(0, 0, 37)
	data, err := f.Marshal()
	ts.Check(err)
	keys := smime.Keys{Chain: []*x509.Certificate{w.ca.Issuing, next.Certificate}}
	for _, name := range args[3:] {
		keys.Also = append(keys.Also, cms.Signer{Key: w.people[name].Key, Certificate: w.people[name].Certificate})
	}
	keys.Signer, keys.Also = keys.Also[0], keys.Also[1:]
	var raw bytes.Buffer
	ts.Check(smime.Sign(&raw, smime.Letter{
		From: message.Address{Addr: old.Address}, To: []message.Address{{Addr: to.Address}}, Subject: f.Subject(), OuterSubject: f.Subject(), Text: f.Text(),
		Date: time.Now().Truncate(time.Second), MessageID: "<" + f.ID + "@northclinic.example>", AutoSubmitted: "auto-generated",
		Attachments: []smime.Attachment{{Name: "countersign.json", Type: smime.FormType, Content: message.Bytes(data)}},
	}, keys, rand.Reader))
	ts.Check(os.WriteFile(ts.MkAbs("announcement.eml"), raw.Bytes(), 0o600))
	ts.Check(w.mail.deliver(old.Address, []string{to.Address}, raw.Bytes()))
}

func TestIdentityCommands(t *testing.T) {
	out := t.TempDir() + "/ada.csr"
	made := control.IdentityRequest{ID: "r1", Address: "ada@x.example", Key: "p-256", PEM: "a request"}
	inUse := []control.Identity{{ID: "i0", Address: "ada@x.example", Retired: true}, {ID: "i1", Address: "ada@x.example", Name: "Ada"}}
	report := control.LostReport{Says: []string{"Telephone now."}, Certificates: []control.OwnCertificate{{Usage: "signing", Issuer: "CN=Clinic", Serial: "0a1b"}},
		Call: []control.ToCall{{Name: "Dr Bea Brandt", Address: "bea@x.example", Number: "+44 20 7946 0123"}}}
	for _, test := range []struct {
		line   []string
		person *person
		code   int
		method string
		query  any
		says   string
	}{
		{[]string{"request", "ada@x.example", "--p256", "--separate", "--out", out}, nil, done, "Identities.Request", control.RequestOrder{Address: "ada@x.example", Key: "p-256", Separate: true}, "for your authority"},
		{[]string{"request", "ada@x.example", "--out", out}, nil, failed, "", nil, ""}, // the file is there now
		{[]string{"request", "ada@x.example", "--rsa", "1024", "--out", out + "2"}, nil, wrongUsage, "", nil, ""},
		{[]string{"request", "ada@x.example", "--rsa", "4096", "--p256", "--out", out + "2"}, nil, wrongUsage, "", nil, ""},
		{[]string{"request", "ada@x.example"}, nil, wrongUsage, "", nil, ""},
		{[]string{"request", "ada@x.example", "--name", "Dr Ada", "--out", out + "3"}, nil, done, "Identities.Request", control.RequestOrder{Address: "ada@x.example", Key: "rsa-3072", Name: "Dr Ada"}, ""},
		{[]string{"requests"}, nil, done, "Identities.Requests", control.None{}, "identity discard r1"},
		{[]string{"discard", "r1", "--yes"}, nil, done, "Identities.Discard", control.RequestQuery{ID: "r1"}, "gone"},
		{[]string{"discard", "r1"}, nil, wrongUsage, "", nil, ""},
		{[]string{"discard", "r1"}, &person{answers: []string{"n"}}, failed, "", nil, ""},
		{[]string{"install", out}, nil, done, "Identities.Install", control.None{}, "in use"},
		{[]string{"lost", "ada@x.example"}, &person{answers: []string{"y"}}, done, "Identities.Lost", control.LostOrder{ID: "i1"}, "+44 20 7946 0123"},
		{[]string{"lost", "ada@x.example"}, &person{answers: []string{""}}, failed, "", nil, ""},
		{[]string{"lost", "ada@x.example"}, nil, wrongUsage, "", nil, ""},
		{[]string{"lost", "eve@x.example", "--yes"}, nil, failed, "", nil, ""},
	} {
		f := &fake{answers: map[string]any{
			"Identities.Request": made, "Identities.Requests": []control.IdentityRequest{made}, "Identities.List": inUse, "Identities.Lost": report,
			"Identities.Install": control.Installed{Says: []string{"The new certificate is in use."}},
		}}
		r := run(t, f, test.person, append([]string{"identity"}, test.line...)...)
		if r.code != test.code || !bytes.Contains([]byte(r.out), []byte(test.says)) {
			t.Errorf("%q ended with %d: %s %s", test.line, r.code, r.out, r.err)
		}
		for _, method := range []string{"Identities.Request", "Identities.Discard", "Identities.Install", "Identities.Lost"} {
			if got := f.queries(method); len(got) > 0 && (method != test.method || got[0] != test.query) {
				t.Errorf("%q asked %s %v", test.line, method, got)
			}
		}
	}
	if saved, err := os.ReadFile(out); err != nil || string(saved) != "a request" {
		t.Errorf("%q, %v", saved, err)
	}
}
