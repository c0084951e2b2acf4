package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"countersign/mailer/server/servertest"
	"countersign/vault"
	"countersign/vault/pkcs10"
	"countersign/vault/renewal"
)

const ada = "ada@clinic.example"

// issuer is an authority that issues what is asked for.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Clinic CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(9, 0, 0), KeyUsage: x509.KeyUsageCertSign}
	der := must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key))
	return issuer{must(x509.ParseCertificate(der)), key}
}

// issue certifies one key of a request.
func (i issuer) issue(t *testing.T, request []byte, changes ...change) *x509.Certificate {
	t.Helper()
	r := must(x509.ParseCertificateRequest(request))
	serial++
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: r.Subject, EmailAddresses: r.EmailAddresses,
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(1, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
	for _, e := range r.Extensions {
		if e.Id.String() == "2.5.29.15" {
			c.ExtraExtensions = append(c.ExtraExtensions, e)
		}
	}
	for _, change := range changes {
		change(c)
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, i.cert, r.PublicKey, i.key))))
}

func pemOf(certs ...*x509.Certificate) (out []byte) {
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func ask(t *testing.T, v *vault.Vault, kind pkcs10.Kind, separate bool) vault.Request {
	t.Helper()
	r, err := v.MakeRequest(t.Context(), vault.RequestOrder{Address: ada, Name: "Ada Byron", Kind: kind, Separate: separate})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func code(err error) string {
	var p *vault.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestRequestAndInstall: one key or two, in every form that authorities send.
func TestRequestAndInstall(t *testing.T) {
	ca := newIssuer(t)
	for _, c := range []struct {
		kind     pkcs10.Kind
		separate bool
		form     string
	}{
		{pkcs10.RSA2048, false, "PEM"}, {pkcs10.P256, false, "DER"}, {pkcs10.P256, true, "PEM"}, {pkcs10.P384, true, "one by one"},
	} {
		dir, kc := t.TempDir(), newMemory()
		v := open(t, dir, kc)
		old := importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
		r := ask(t, v, c.kind, c.separate)
		if _, err := v.MakeRequest(t.Context(), vault.RequestOrder{Address: ada, Kind: c.kind}); code(err) != "requested" {
			t.Errorf("asked twice: %v", err)
		}
		v.Close()
		v = open(t, dir, kc) // what waits outlives a restart
		if all, err := v.Requests(t.Context()); err != nil || len(all) != 1 || all[0].ID != r.ID || string(all[0].PEM()) != string(r.PEM()) {
			t.Fatalf("%+v, %v", all, err)
		}
		var issued []*x509.Certificate
		for _, k := range r.Keys {
			issued = append(issued, ca.issue(t, k.Request))
		}
		files := [][]byte{pemOf(append([]*x509.Certificate{ca.cert}, issued...)...)}
		switch c.form {
		case "DER":
			files = [][]byte{issued[0].Raw}
		case "one by one":
			files = [][]byte{pemOf(issued[1]), pemOf(issued[0])}
		}
		for n, file := range files {
			done, err := v.Install(t.Context(), file, nil)
			if err != nil {
				t.Fatalf("%s %s: %v", c.kind, c.form, err)
			}
			if last := n == len(files)-1; done.Waits == last || last && (len(done.Replaced) != 1 || done.Replaced[0].ID != old.ID) {
				t.Errorf("%s %s: %+v", c.kind, c.form, done)
			}
		}
		all := identities(t, v)
		if len(all) != 2 || all[0].ID != old.ID || !all[1].Coming {
			t.Fatalf("%s: %+v", c.kind, all)
		}
		if err := signs(t, v, all[1]); err != nil {
			t.Error(err)
		}
		if !opens(t, v, all[1].Encryption) || !opens(t, v, old.Encryption) {
			t.Errorf("%s: mail does not open", c.kind)
		}
		if left, err := v.Requests(t.Context()); err != nil || len(left) != 0 {
			t.Errorf("%s: %d requests wait still, %v", c.kind, len(left), err)
		}
		if before, err := v.Before(t.Context(), all[1]); err != nil || before.ID != old.ID {
			t.Errorf("%s: before it was %+v, %v", c.kind, before, err)
		}
		if certified := must(v.Certifications(t.Context())); len(certified) != 2 {
			t.Errorf("%s: %d certifications", c.kind, len(certified))
		}
	}
}

// TestInstallRefuses: each thing that can be wrong is said, and nothing has changed.
func TestInstallRefuses(t *testing.T) {
	ca := newIssuer(t)
	v := newVault(t)
	importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	if _, err := v.Install(t.Context(), pemOf(certificate(t, stranger.Public())), nil); code(err) != "nothing-asked" {
		t.Errorf("before anything was asked: %v", err)
	}
	r := ask(t, v, pkcs10.P256, false)
	csr := r.Keys[0].Request
	refusing := errors.New("not by this authority")
	for name, c := range map[string]struct {
		file  []byte
		check func(vault.Identity) error
		want  string
	}{
		"no certificate":    {file: []byte("hello"), want: "not-a-certificate"},
		"empty":             {want: "not-a-certificate"},
		"huge":              {file: make([]byte, vault.MaxCertificates+1), want: "not-a-certificate"},
		"the authority's":   {file: pemOf(ca.cert), want: "only-authorities"},
		"another key's":     {file: pemOf(certificate(t, stranger.Public())), want: "other-key"},
		"another address":   {file: pemOf(ca.issue(t, csr, func(c *x509.Certificate) { c.EmailAddresses = []string{"eve@clinic.example"} })), want: "other-address"},
		"no address":        {file: pemOf(ca.issue(t, csr, func(c *x509.Certificate) { c.EmailAddresses = nil })), want: "no-address"},
		"run out":           {file: pemOf(ca.issue(t, csr, func(c *x509.Certificate) { c.NotAfter = noon })), want: "run-out"},
		"not yet":           {file: pemOf(ca.issue(t, csr, func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Hour) })), want: "not-yet"},
		"for signing only":  {file: pemOf(ca.issue(t, csr, func(c *x509.Certificate) { c.ExtraExtensions, c.KeyUsage = nil, x509.KeyUsageDigitalSignature })), want: "wrong-use"},
		"for opening only":  {file: pemOf(ca.issue(t, csr, func(c *x509.Certificate) { c.ExtraExtensions, c.KeyUsage = nil, x509.KeyUsageKeyAgreement })), want: "wrong-use"},
		"for a web server":  {file: pemOf(ca.issue(t, csr, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), want: "not-for-mail"},
		"refused by others": {file: pemOf(ca.issue(t, csr)), check: func(vault.Identity) error { return refusing }, want: "installing a certificate: not by this authority"},
	} {
		if _, err := v.Install(t.Context(), c.file, c.check); code(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if all, waiting := identities(t, v), must(v.Requests(t.Context())); len(all) != 1 || all[0].Retired || len(waiting) != 1 {
			t.Errorf("%s: something changed", name)
		}
	}
}

// TestInstallRenewed: a new certificate for a key that is here needs no request.
func TestInstallRenewed(t *testing.T) {
	v := newVault(t)
	old := importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	later := certificate(t, rsaKey().Public(), func(c *x509.Certificate) { c.NotAfter = noon.AddDate(2, 0, 0) })
	done, err := v.Install(t.Context(), later.Raw, nil)
	if err != nil || len(done.Identities) != 1 || !done.Identities[0].Signing.Equal(later) || len(done.Replaced) != 1 || done.Replaced[0].ID != old.ID {
		t.Fatalf("%+v, %v", done, err)
	}
	if before := must(v.Before(t.Context(), done.Identities[0])); before.ID != "" {
		t.Error("the same keys are to be announced")
	}
}

// TestPeerInstallPKCS7 takes the bundle that OpenSSL makes.
func TestPeerInstallPKCS7(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	ca, v := newIssuer(t), newVault(t)
	r := ask(t, v, pkcs10.P256, false)
	file := filepath.Join(t.TempDir(), "certs.pem")
	if err := os.WriteFile(file, pemOf(ca.issue(t, r.Keys[0].Request), ca.cert), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"PEM", "DER"} {
		bundle, err := exec.Command("openssl", "crl2pkcs7", "-nocrl", "-certfile", file, "-outform", form).Output()
		if err != nil {
			t.Fatal(err)
		}
		done, err := v.Install(t.Context(), bundle, nil)
		if err != nil || len(done.Identities) != 1 || len(done.Identities[0].Chain) != 1 {
			t.Fatalf("%s: %+v, %v", form, done, err)
		}
	}
}

// TestRequestAndRecovery is K1: a decryption key belongs into the recovery file before
// anybody encrypts to it.
func TestRequestAndRecovery(t *testing.T) {
	ca, v := newIssuer(t), newVault(t)
	importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	makeRecovery(t, v, false)
	r := ask(t, v, pkcs10.P256, true)
	if got := must(v.Recovery(t.Context())); got.State != vault.RecoveryOutdated || !got.Early {
		t.Errorf("with a request: %+v", got)
	}
	file := makeRecovery(t, v, false)
	if s := state(t, v); s != vault.RecoveryReady {
		t.Errorf("renewed: %s", s)
	}
	v.Close()
	opened, err := vault.OpenRecovery(file.Bytes, file.Words, words())
	if err != nil {
		t.Fatal(err)
	}
	dir, kc := filepath.Join(t.TempDir(), "new"), newMemory()
	if err := opened.Restore(t.Context(), dir, kc, ""); err != nil {
		t.Fatal(err)
	}
	v = open(t, dir, kc)
	waiting := must(v.Requests(t.Context()))
	if len(waiting) != 1 || waiting[0].ID != r.ID {
		t.Fatalf("restored: %+v", waiting)
	}
	// The signing key was not in the file: only the other half can be taken in.
	done, err := v.Install(t.Context(), pemOf(ca.issue(t, r.Keys[1].Request)), nil)
	if err != nil || !done.Waits {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := v.Install(t.Context(), pemOf(ca.issue(t, r.Keys[0].Request)), nil); code(err) != "other-key" {
		t.Error(err)
	}
	if s := state(t, v); s != vault.RecoveryReady {
		t.Errorf("restored: %s", s)
	}
}

func TestDiscardRequest(t *testing.T) {
	dir, kc := t.TempDir(), newMemory()
	v := open(t, dir, kc)
	before := must(kc.List(t.Context()))
	r := ask(t, v, pkcs10.P256, true)
	if now := must(kc.List(t.Context())); len(now) != len(before)+2 {
		t.Errorf("%d keys", len(now))
	}
	if _, err := v.DiscardRequest(t.Context(), "another"); code(err) != "no-request" {
		t.Error(err)
	}
	if got, err := v.DiscardRequest(t.Context(), r.ID); err != nil || got.ID != r.ID {
		t.Error(err)
	}
	now := must(kc.List(t.Context()))
	slices.Sort(now)
	slices.Sort(before)
	if !slices.Equal(now, before) {
		t.Errorf("left in the keychain: %q", now)
	}
	if got, err := v.MakeRequest(t.Context(), vault.RequestOrder{Address: ada, Kind: "rsa-512"}); code(err) != "key-kind" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestLose is K2: a lost key signs nothing and is not taken back, but opens old mail.
func TestLose(t *testing.T) {
	dir, kc := t.TempDir(), newMemory()
	v := open(t, dir, kc)
	file := p12(t, rsaKey(), certificate(t, rsaKey().Public()))
	i := importFile(t, v, file)
	if _, err := v.Lose(t.Context(), "another"); code(err) != "no-identity" {
		t.Error(err)
	}
	lost, err := v.Lose(t.Context(), i.ID)
	if err != nil || !lost.Lost.Equal(noon) || !lost.Retired {
		t.Fatalf("%+v, %v", lost, err)
	}
	v.Close()
	v = open(t, dir, kc)
	all := identities(t, v)
	if len(all) != 1 || !all[0].Retired || !all[0].Lost.Equal(noon) {
		t.Fatalf("%+v", all)
	}
	if err := signs(t, v, all[0]); code(err) != "given-up" {
		t.Errorf("it signs: %v", err)
	}
	if !opens(t, v, i.Encryption) {
		t.Error("mail to it does not open any more")
	}
	if _, err := v.ImportPKCS12(t.Context(), file, "secret"); code(err) != "given-up" {
		t.Errorf("imported again: %v", err)
	}
	later := certificate(t, rsaKey().Public(), func(c *x509.Certificate) { c.NotAfter = noon.AddDate(2, 0, 0) })
	if _, err := v.Install(t.Context(), later.Raw, nil); code(err) != "given-up" {
		t.Errorf("certified again: %v", err)
	}
	next := importFile(t, v, p12(t, otherRSA(), certificate(t, otherRSA().Public())))
	if before := must(v.Before(t.Context(), next)); before.ID != "" {
		t.Error("a lost key is to announce the next")
	}
	if err := signs(t, v, next); err != nil {
		t.Error(err)
	}
}

// TestCompleteEachOther: a certificate that only encrypts takes nothing from the one
// that signs.
func TestCompleteEachOther(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
	}{
		"RSA for encryption":  {p12(t, otherRSA(), certificate(t, otherRSA().Public(), usage(x509.KeyUsageKeyEncipherment)))},
		"P-256 for agreement": {p12(t, ecKey(), certificate(t, ecKey().Public(), usage(x509.KeyUsageKeyAgreement)))},
	} {
		v := newVault(t)
		both := importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
		i := importFile(t, v, c.file)
		if i.Retired || i.Signing == nil || !i.Signing.Equal(both.Signing) || i.Encryption == nil || i.Encryption.Equal(both.Encryption) {
			t.Errorf("%s: %+v", name, i)
		}
		if err := signs(t, v, i); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !opens(t, v, i.Encryption) || !opens(t, v, both.Encryption) {
			t.Errorf("%s: mail does not open", name)
		}
		// Alone it signs nothing.
		v = newVault(t)
		if i := importFile(t, v, c.file); i.Signing != nil || i.Encryption == nil {
			t.Errorf("%s alone: %+v", name, i)
		}
	}
}

// TestReminders: once for each stage, also over a restart.
func TestReminders(t *testing.T) {
	dir, kc := t.TempDir(), newMemory()
	now := noon
	o := options()
	o.Clock = func() time.Time { return now }
	reopen := func() *vault.Vault {
		v := must(vault.Open(t.Context(), dir, kc, o))
		t.Cleanup(func() { v.Close() })
		return v
	}
	v := reopen()
	ends := noon.AddDate(0, 0, 100)
	importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public(), func(c *x509.Certificate) { c.NotAfter = ends })))
	var told []renewal.Stage
	for day := 0; day <= 110; day++ {
		now = noon.AddDate(0, 0, day)
		if day%13 == 0 {
			v.Close()
			v = reopen()
		}
		for range 2 {
			for _, r := range must(v.Reminders(t.Context())) {
				if !r.Ends.Equal(ends) {
					t.Error(r.Ends)
				}
				if r.Owed {
					told = append(told, r.Stage)
					if err := v.Reminded(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if !slices.Equal(told, []renewal.Stage{60, 30, 14, 7, renewal.Out}) {
		t.Errorf("told at %v", told)
	}
	// Its successor starts anew.
	importFile(t, v, p12(t, otherRSA(), certificate(t, otherRSA().Public(), func(c *x509.Certificate) { c.NotAfter = now.AddDate(1, 0, 0) })))
	if left := must(v.Reminders(t.Context())); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}
