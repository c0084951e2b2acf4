package trust

import (
	"archive/zip"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/vault/trust/path"
)

// pkitsCase is one case of NIST's suite, as Go's own repository words it.
type pkitsCase struct {
	Name                        string
	CertPath, CRLPath           []string
	InitialPolicySet            []string
	InitialPolicyMappingInhibit bool
	InitialExplicitPolicy       bool
	InitialAnyPolicyInhibit     bool
	ShouldValidate              bool
}

// pkitsDifferences is every case where we answer otherwise, and why.
var pkitsDifferences = map[string]string{
	"4.1.4 Valid DSA Signatures Test4":            "DSA does not count (RFC 8550, section 4.3)",
	"4.1.5 Valid DSA Parameter Inheritance Test5": "DSA does not count (RFC 8550, section 4.3)",
	"4.14.4 Valid distributionPoint Test4":        "crypto/x509 reads no certificate with nameRelativeToCRLIssuer",
	"4.14.5 Valid distributionPoint Test5":        "crypto/x509 reads no certificate with nameRelativeToCRLIssuer",
	"4.14.29 Valid cRLIssuer Test29":              "crypto/x509 reads no certificate with nameRelativeToCRLIssuer",
}

var pkitsPolicies = map[string]string{
	"anyPolicy":          "2.5.29.32.0",
	"NIST-test-policy-1": "2.16.840.1.101.3.2.1.48.1",
	"NIST-test-policy-2": "2.16.840.1.101.3.2.1.48.2",
	"NIST-test-policy-3": "2.16.840.1.101.3.2.1.48.3",
	"NIST-test-policy-6": "2.16.840.1.101.3.2.1.48.6",
}

// TestPKITS runs all 249 path cases of NIST's Public Key Interoperability Test
// Suite, policies and revocation included. The certificates are those of Go's own
// test data, the lists those of NIST's original, which are in the public domain.
func TestPKITS(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("the go command is not there to say where its source is: ", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src/crypto/x509/testdata/nist-pkits")
	text, err := os.ReadFile(filepath.Join(dir, "vectors.json"))
	if err != nil {
		t.Skip("Go's source is not installed beside its tools: ", err)
	}
	var cases []pkitsCase
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) != 249 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	certs, unread := pkitsCertificates(t, filepath.Join(dir, "certs"))
	lists := pkitsLists(t)
	differed := map[string]bool{}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got := askPKITS(t, c, certs, unread, lists)
			want := c.ShouldValidate
			if _, other := pkitsDifferences[c.Name]; other {
				want, differed[c.Name] = !want, true
			}
			if got != want {
				t.Errorf("valid: %v, want %v", got, want)
			}
		})
	}
	if len(differed) != len(pkitsDifferences) {
		t.Error("a difference is stated for a case that does not exist")
	}
}

func askPKITS(t *testing.T, c pkitsCase, certs map[string]*x509.Certificate, unread map[string]bool, lists map[string]*CRL) bool {
	t.Helper()
	q := Question{Usage: Encrypt, At: time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC), Memory: NewMemory()}
	q.Now = q.At
	for i, name := range c.CertPath {
		cert := certs[name]
		switch {
		case unread[name]:
			return false
		case cert == nil:
			t.Fatalf("%s is missing", name)
		case i == 0:
			q.Anchors = anchors(cert)
		case i == len(c.CertPath)-1:
			q.Certificate = cert
		default:
			q.Evidence.Certificates = append(q.Evidence.Certificates, cert)
		}
	}
	for _, name := range c.CRLPath {
		l, known := lists[name]
		if !known {
			t.Fatalf("%s is missing", name)
		}
		if l == nil {
			continue // it cannot be read, or not be believed
		}
		q.Evidence.CRLs = append(q.Evidence.CRLs, l)
		for _, cert := range certs { // who signs lists may not be on the path
			if string(cert.RawSubject) == string(l.Issuer()) && !slices.ContainsFunc(q.Anchors, func(a Anchor) bool { return a.Certificate.Equal(cert) }) {
				q.Enclosed = append(q.Enclosed, cert)
			}
		}
	}
	q.pool = q.gather()
	o := path.Options{At: q.At, Use: x509.ExtKeyUsageAny, ExplicitPolicy: c.InitialExplicitPolicy,
		InhibitMapping: c.InitialPolicyMappingInhibit, InhibitAny: c.InitialAnyPolicyInhibit, Memory: q.Memory}
	for _, name := range c.InitialPolicySet {
		if pkitsPolicies[name] == "" {
			t.Fatalf("no number is known for %s", name)
		}
		o.Policies = append(o.Policies, pkitsPolicies[name])
	}
	for _, p := range path.Find(q.Certificate, q.Evidence.Certificates, q.anchors(), q.Memory) {
		if path.Validate(p, o) != nil {
			continue
		}
		v, _ := q.judge(p)
		if v.Status == Trusted && !slices.ContainsFunc(v.Checked, func(f Finding) bool { return f.Status != Trusted }) {
			return true
		}
	}
	return false
}

func pkitsCertificates(t *testing.T, dir string) (certs map[string]*x509.Certificate, unread map[string]bool) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	certs, unread = map[string]*x509.Certificate{}, map[string]bool{}
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := x509.ParseCertificate(raw); err == nil {
			certs[f.Name()] = c
		} else {
			unread[f.Name()] = true
		}
	}
	if len(unread) != 7 {
		t.Fatalf("crypto/x509 cannot read %v", unread)
	}
	return certs, unread
}

func pkitsLists(t *testing.T) map[string]*CRL {
	t.Helper()
	z, err := zip.OpenReader("testdata/pkits-crls.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	lists := map[string]*CRL{}
	var bad []string
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if lists[f.Name], err = ParseCRL(raw); err != nil {
			bad = append(bad, f.Name)
		}
	}
	// Two are signed with DSA, one with a signature that is not whole octets.
	if want := []string{"BadCRLSignatureCACRL.crl", "DSACACRL.crl", "DSAParametersInheritedCACRL.crl"}; !slices.Equal(bad, want) {
		t.Fatalf("not read: %v", bad)
	}
	return lists
}
