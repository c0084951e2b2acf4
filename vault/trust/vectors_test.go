package trust

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// vectors is where third-party test files lie, outside the project.
const vectors = "../../../shared/vectors"

// listVectors is what each file of BoringSSL's has to come to.
var listVectors = map[Status][]string{
	Trusted: {
		"good", "good_fake_extension", "good_fake_extension_no_nextupdate", "good_generalizedtime", "good_idp_contains_uri",
		"good_idp_onlycontainscacerts", "good_idp_onlycontainsusercerts", "good_idp_onlycontainsusercerts_no_basic_constraints",
		"good_idp_uri_and_onlycontainscacerts", "good_idp_uri_and_onlycontainsusercerts", "good_issuer_name_normalization",
		"good_issuer_no_keyusage", "good_key_rollover", "good_no_crldp", "good_no_nextupdate", "good_no_version",
		// Chromium asks for lists of at most a week; RFC 5280 lets nextUpdate decide.
		"bad_thisupdate_too_old",
		// Chromium knows no indirect lists; this one is the certificate's own issuer's (RFC 5280, 6.3.3 (b) (1)).
		"bad_idp_indirectcrl",
	},
	Revoked: {
		"revoked", "revoked_fake_crlentryextension", "revoked_generalized_revocationdate", "revoked_key_rollover", "revoked_no_nextupdate",
	},
	Unknown: {
		"bad_crldp_has_crlissuer", "bad_fake_critical_crlentryextension", "bad_fake_critical_extension", "bad_idp_contains_wrong_uri",
		"bad_idp_onlycontainscacerts", "bad_idp_onlycontainscacerts_no_basic_constraints", "bad_idp_onlycontainsusercerts",
		"bad_idp_uri_and_onlycontainscacerts", "bad_idp_uri_and_onlycontainsusercerts", "bad_key_rollover_signature", "bad_nextupdate_too_old",
		"bad_signature", "bad_thisupdate_in_future", "bad_wrong_issuer", "invalid_garbage_after_crlentryextensions",
		"invalid_garbage_after_extensions", "invalid_garbage_after_nextupdate", "invalid_garbage_after_revocationdate",
		"invalid_garbage_after_revokedcerts", "invalid_garbage_after_signaturevalue", "invalid_garbage_after_thisupdate",
		"invalid_garbage_crlentry", "invalid_garbage_issuer_name", "invalid_garbage_revocationdate", "invalid_garbage_revoked_serial_number",
		"invalid_garbage_signaturealgorithm", "invalid_garbage_signaturevalue", "invalid_garbage_tbs_signature_algorithm",
		"invalid_garbage_tbscertlist", "invalid_garbage_thisupdate", "invalid_garbage_version", "invalid_idp_dpname_choice_extra_data",
		"invalid_idp_empty_sequence", "invalid_idp_onlycontains_user_and_ca_certs", "invalid_idp_onlycontainsusercerts_v1_leaf",
		"invalid_issuer_keyusage_no_crlsign", "invalid_key_rollover_issuer_keyusage_no_crlsign", "invalid_mismatched_signature_algorithm",
		"invalid_revoked_empty_sequence", "invalid_v1_explicit", "invalid_v1_with_crlentryextension", "invalid_v1_with_extension", "invalid_v3",
	},
}

// TestBoringSSLLists runs the revocation vectors of Chromium and BoringSSL. The
// keys in them are of 1,024 bits, which Check refuses, so the question is put to
// the list itself.
func TestBoringSSLLists(t *testing.T) {
	files, err := os.ReadDir(filepath.Join(vectors, "boringssl-crl"))
	if err != nil || len(files) == 0 {
		t.Skip("the vectors are not there: they lie beside the project in shared/vectors/boringssl-crl")
	}
	want := map[string]Status{}
	for status, names := range listVectors {
		for _, name := range names {
			want[name+".pem"] = status
		}
	}
	// The lists are of 2 March 2017 and good until June.
	at := time.Date(2017, 3, 9, 0, 0, 0, 0, time.UTC)
	for _, f := range files {
		t.Run(f.Name(), func(t *testing.T) {
			if want[f.Name()] == "" {
				t.Fatal("nobody says what this has to come to")
			}
			if got := askVector(t, filepath.Join(vectors, "boringssl-crl", f.Name()), at); got != want[f.Name()] {
				t.Fatalf("got %s, want %s", got, want[f.Name()])
			}
		})
	}
	if len(files) != len(want) {
		t.Errorf("%d vectors, of %d that are named", len(files), len(want))
	}
}

func askVector(t *testing.T, file string, at time.Time) Status {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var leaf, issuer *x509.Certificate
	var list []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CRL":
			list = block.Bytes
		case "CERTIFICATE":
			leaf = parse(t, block.Bytes)
		case "CA CERTIFICATE 2": // the key that signed the list
			issuer = parse(t, block.Bytes)
		case "CA CERTIFICATE":
			if issuer == nil {
				issuer = parse(t, block.Bytes)
			}
		}
	}
	l, err := ParseCRL(list)
	if err != nil {
		return Unknown
	}
	q := Question{Certificate: leaf, At: at, Now: at, Evidence: Evidence{CRLs: []*CRL{l}}}
	s := q.lookUp([]*x509.Certificate{leaf, issuer}, 0).Status
	if s == Unpublished {
		return Unknown
	}
	return s
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRFC9216 judges the sample certificates of RFC 9216.
func TestRFC9216(t *testing.T) {
	read := func(name string) *x509.Certificate {
		data, err := os.ReadFile(filepath.Join(vectors, "rfc9216", name+".pem"))
		if err != nil {
			t.Skip("the vectors are not there: they lie beside the project in shared/vectors/rfc9216")
		}
		block, _ := pem.Decode(data)
		return parse(t, block.Bytes)
	}
	rsaRoot := read("3.1-rsa-certification-authority-root-certificate")
	edRoot := read("6.1-ed25519-certification-authority-root-certificate")
	crossed := []*x509.Certificate{read("3.3-rsa-certification-authority-cross-signed-certificate"),
		read("6.3-ed25519-certification-authority-cross-signed-certificate")}
	for _, c := range []struct {
		file    string
		address string
		usage   Usage
		anchor  *x509.Certificate
		want    Status
	}{
		{"4.1-alice-s-signature-verification-end-entity-certificate", "alice@smime.example", Sign, rsaRoot, Trusted},
		{"4.1-alice-s-signature-verification-end-entity-certificate", "alice@smime.example", Encrypt, rsaRoot, Untrusted},
		{"4.3-alice-s-encryption-end-entity-certificate", "alice@smime.example", Encrypt, rsaRoot, Trusted},
		{"4.3-alice-s-encryption-end-entity-certificate", "alice@smime.example", Sign, rsaRoot, Untrusted},
		{"4.3-alice-s-encryption-end-entity-certificate", "alice@smime.example", Encrypt, edRoot, Trusted},
		{"7.1-carlos-s-signature-verification-end-entity-certificate", "carlos@smime.example", Sign, edRoot, Trusted},
		{"7.1-carlos-s-signature-verification-end-entity-certificate", "carlos@smime.example", Sign, rsaRoot, Trusted},
		{"7.3-carlos-s-encryption-end-entity-certificate", "carlos@smime.example", Encrypt, edRoot, Trusted},
	} {
		v := Check(Question{Silent: true, Certificate: read(c.file), Address: c.address, Usage: c.usage, Enclosed: crossed,
			Anchors: anchors(c.anchor), At: today})
		if v.Status != c.want || v.Bound != BoundAddress {
			t.Errorf("%s for %s under %s: %s, %s, %s", c.file, c.usage, c.anchor.Subject.CommonName, v.Status, v.Bound, v.Reason)
		}
	}
}
