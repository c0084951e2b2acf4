package trust

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // to check what the vectors' makers signed
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	xocsp "golang.org/x/crypto/ocsp"
)

const responderURL = "http://ocsp.harbour.example/"

func asked(c *x509.Certificate) { c.OCSPServer = []string{responderURL} }

func responderTemplate(change ...func(*x509.Certificate)) *x509.Certificate {
	return template(append([]func(*x509.Certificate){func(c *x509.Certificate) {
		c.Subject, c.EmailAddresses = pkix.Name{CommonName: "Harbour Responder"}, nil
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.ExtraExtensions = []pkix.Extension{{Id: noCheck, Value: []byte{5, 0}}}
	}}, change...)...)
}

// answer makes a response about a certificate, signed by the authority or by
// whom it appointed: by x/crypto, a writer other than ours.
func (m maker) answer(r xocsp.Response, by ...maker) *OCSP {
	m.t.Helper()
	o, err := ParseOCSP(m.rawAnswer(r, by...))
	if err != nil {
		m.t.Fatal(err)
	}
	return o
}

func (m maker) rawAnswer(r xocsp.Response, by ...maker) []byte {
	m.t.Helper()
	signer := m
	if len(by) > 0 {
		signer = by[0]
		r.Certificate = signer.cert
	}
	if r.ThisUpdate.IsZero() {
		r.ThisUpdate = today.Add(-time.Hour)
	}
	if r.NextUpdate.IsZero() {
		r.NextUpdate = r.ThisUpdate.Add(24 * time.Hour)
	}
	raw, err := xocsp.CreateResponse(m.cert, signer.cert, r, signer.key)
	if err != nil {
		m.t.Fatal(err)
	}
	return redate(m.t, raw, r.ThisUpdate, signer)
}

// redate sets producedAt, which x/crypto takes from the clock, and signs anew.
func redate(t testing.TB, raw []byte, at time.Time, signer maker) []byte {
	t.Helper()
	return resign(t, raw, signer.key, func(tbs []byte) []byte {
		i := strings.Index(string(tbs), "\x18\x0f")
		copy(tbs[i+2:], at.UTC().Format("20060102150405Z"))
		return tbs
	})
}

// resign changes the data of a response and signs it with SHA-256.
func resign(t testing.TB, raw []byte, key crypto.Signer, change func(tbs []byte) []byte) []byte {
	t.Helper()
	tbs, _, _, certs := openResponse(t, raw)
	tbs = change(append([]byte{}, tbs...))
	sum := sha256.Sum256(tbs)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	algorithm := "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
	if _, ok := key.(*rsa.PrivateKey); ok {
		algorithm = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0)
		b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1})
				b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(tbs)
						b.AddBytes([]byte(algorithm))
						b.AddASN1BitString(signature)
						b.AddBytes(certs)
					})
				})
			})
		})
	})
	return b.BytesOrPanic()
}

func openResponse(t testing.TB, raw []byte) (tbs, algorithm []byte, signature []byte, certs []byte) {
	t.Helper()
	in := cryptobyte.String(raw)
	var outer, wrapped, typed, octets, basic, a, b cryptobyte.String
	var status int
	var id asn1.ObjectIdentifier
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !outer.ReadASN1Enum(&status) ||
		!outer.ReadASN1(&wrapped, cbasn1.Tag(0).Constructed().ContextSpecific()) || !wrapped.ReadASN1(&typed, cbasn1.SEQUENCE) ||
		!typed.ReadASN1ObjectIdentifier(&id) || !typed.ReadASN1(&octets, cbasn1.OCTET_STRING) || !octets.ReadASN1(&basic, cbasn1.SEQUENCE) ||
		!basic.ReadASN1Element(&a, cbasn1.SEQUENCE) || !basic.ReadASN1Element(&b, cbasn1.SEQUENCE) || !basic.ReadASN1BitStringAsBytes(&signature) {
		t.Fatal("not a response")
	}
	return a, b, signature, basic
}

// TestResponders is one leaf and what responders say of it.
func TestResponders(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(asked))
	both := top.issue(template(asked, listed))
	ago := func(h int) time.Time { return today.Add(-time.Duration(h) * time.Hour) }
	good := func(c *x509.Certificate) xocsp.Response {
		return xocsp.Response{Status: xocsp.Good, SerialNumber: c.SerialNumber}
	}
	gone := func(c *x509.Certificate, reason int) xocsp.Response {
		return xocsp.Response{Status: xocsp.Revoked, SerialNumber: c.SerialNumber, RevokedAt: ago(48), RevocationReason: reason}
	}
	at := func(r xocsp.Response, this, next time.Time) xocsp.Response {
		r.ThisUpdate, r.NextUpdate = this, next
		return r
	}
	delegate := func(by maker, change ...func(*x509.Certificate)) maker { return by.below(responderTemplate(change...)) }
	plain := func(c *x509.Certificate) { c.ExtraExtensions = nil }
	elsewhere := root(t, "Root")
	withdrawnDelegate := delegate(top, plain)
	listedDelegate := delegate(top, plain, listed)
	sha256ID := good(leaf)
	sha256ID.IssuerHash = crypto.SHA256
	onList := func(c *x509.Certificate, reason int, daysAgo int) *CRL {
		return top.listOf(&x509.RevocationList{ThisUpdate: today.AddDate(0, 0, -daysAgo), RevokedCertificateEntries: []x509.RevocationListEntry{withdrawn(c, today.AddDate(0, 0, -daysAgo), reason)}})
	}
	clean := top.listOf(&x509.RevocationList{ThisUpdate: ago(2)})
	for _, c := range []struct {
		name    string
		cert    *x509.Certificate
		answers []*OCSP
		lists   []*CRL
		grace   time.Duration
		want    Status
	}{
		{"no answer", leaf, nil, nil, 0, Unknown},
		{"good", leaf, []*OCSP{top.answer(good(leaf))}, nil, 0, Trusted},
		{"good, named by SHA-256", leaf, []*OCSP{top.answer(sha256ID)}, nil, 0, Trusted},
		{"revoked", leaf, []*OCSP{top.answer(gone(leaf, 1))}, nil, 0, Revoked},
		{"about another certificate", leaf, []*OCSP{top.answer(good(both))}, nil, 0, Unknown},
		{"not known there", leaf, []*OCSP{top.answer(xocsp.Response{Status: xocsp.Unknown, SerialNumber: leaf.SerialNumber})}, nil, 0, Unknown},
		{"not known there, but on a clean list", both, []*OCSP{top.answer(xocsp.Response{Status: xocsp.Unknown, SerialNumber: both.SerialNumber})}, []*CRL{clean}, 0, Trusted},
		{"stale", leaf, []*OCSP{top.answer(at(good(leaf), ago(30), ago(6)))}, nil, 0, Unknown},
		{"stale within the grace", leaf, []*OCSP{top.answer(at(good(leaf), ago(30), ago(6)))}, nil, 24 * time.Hour, Trusted},
		{"stale, but it says revoked", leaf, []*OCSP{top.answer(at(gone(leaf, 0), ago(300), ago(200)))}, nil, 0, Revoked},
		{"from the future", leaf, []*OCSP{top.answer(at(good(leaf), ago(-1), ago(-9)))}, nil, 0, Unknown},
		{"dates the wrong way round", leaf, []*OCSP{top.answer(at(good(leaf), ago(1), ago(2)))}, nil, 48 * time.Hour, Unknown},
		{"made before the certificate", leaf, []*OCSP{top.answer(at(good(leaf), leaf.NotBefore.Add(-time.Hour), ago(-9)))}, nil, 0, Unknown},
		{"signed by a namesake", leaf, []*OCSP{elsewhere.answer(good(leaf))}, nil, 0, Unknown},
		{"signed by whom it appointed", leaf, []*OCSP{top.answer(good(leaf), delegate(top))}, nil, 0, Trusted},
		{"appointed by another", leaf, []*OCSP{top.answer(good(leaf), delegate(elsewhere))}, nil, 0, Unknown},
		{"not made for that", leaf, []*OCSP{top.answer(good(leaf), delegate(top, func(c *x509.Certificate) { c.ExtKeyUsage = nil }))}, nil, 0, Unknown},
		{"made for anything is not enough", leaf, []*OCSP{top.answer(good(leaf), delegate(top, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }))}, nil, 0, Unknown},
		{"appointed until yesterday", leaf, []*OCSP{top.answer(good(leaf), delegate(top, func(c *x509.Certificate) { c.NotAfter = ago(24) }))}, nil, 0, Unknown},
		{"appointed, and withdrawn", leaf, []*OCSP{top.answer(good(leaf), withdrawnDelegate)}, []*CRL{onList(withdrawnDelegate.cert, 1, 1)}, 0, Trusted},
		{"appointed, and nobody can tell", leaf, []*OCSP{top.answer(good(leaf), delegate(top, plain))}, nil, 0, Trusted},
		{"appointed, and its list is missing", leaf, []*OCSP{top.answer(good(leaf), listedDelegate)}, nil, 0, Unknown},
		{"appointed, and its list is clean", leaf, []*OCSP{top.answer(good(leaf), listedDelegate)}, []*CRL{top.list()}, 0, Trusted},
		{"revoked by whom is newer", both, []*OCSP{top.answer(gone(both, 1))}, []*CRL{top.listOf(&x509.RevocationList{ThisUpdate: ago(24)})}, 0, Revoked},
		{"an old good answer beside a new list", both, []*OCSP{top.answer(at(good(both), ago(30), ago(-6)))}, []*CRL{onList(both, 1, 1)}, 0, Revoked},
		{"a hold, lifted since", both, []*OCSP{top.answer(good(both))}, []*CRL{onList(both, 6, 1)}, 0, Trusted},
		{"a hold, put on since", both, []*OCSP{top.answer(gone(both, 6))}, []*CRL{clean}, 0, Revoked},
		{"revoked for good is not lifted", both, []*OCSP{top.answer(good(both))}, []*CRL{onList(both, 4, 1)}, 0, Revoked},
		{"good and revoked", leaf, []*OCSP{top.answer(good(leaf)), top.answer(gone(leaf, 1))}, nil, 0, Revoked},
		{"forged beside a good one", leaf, []*OCSP{elsewhere.answer(gone(leaf, 1)), top.answer(good(leaf)), nil}, nil, 0, Trusted},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "appointed, and withdrawn" { // its list speaks for the leaf as well, so the leaf is asked for alone
				q := Question{Now: today, Evidence: Evidence{CRLs: c.lists, OCSP: c.answers}}
				if f := q.askResponders([]*x509.Certificate{c.cert, top.cert}, 0); f.Status != Unknown {
					t.Fatalf("%+v", f)
				}
				return
			}
			v := Check(Question{Certificate: c.cert, Address: "ada@harbour.example", Usage: Encrypt, Anchors: anchors(top.cert),
				Evidence: Evidence{CRLs: c.lists, OCSP: c.answers}, At: today, Grace: c.grace})
			if v.Status != c.want || len(v.Checked) != 1 || v.Status == Trusted != (v.Reason == "") {
				t.Fatalf("%s, want %s (%s)", v.Status, c.want, v.Reason)
			}
			if f := v.Checked[0]; v.Status == Trusted && (f.ThisUpdate.IsZero() || f.NextUpdate.Before(f.ThisUpdate) || f.By == "") {
				t.Fatalf("trusted on what? %+v", f)
			}
		})
	}
	v := Check(Question{Certificate: both, Usage: Encrypt, Anchors: anchors(top.cert), At: today})
	want := []Need{{URL: listURL, Kind: NeedCRL, Anchored: true}, {URL: responderURL, Kind: NeedOCSP, Anchored: true}}
	if len(v.Needs) != 2 || v.Needs[0] != want[0] || v.Needs[1].URL != responderURL || v.Needs[1].Kind != NeedOCSP || v.Needs[1].Request == "" {
		t.Errorf("needs %+v", v.Needs)
	}
}

// TestAnswerReceivedBefore is rule I2, on the word of a responder.
func TestAnswerReceivedBefore(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(asked))
	gone := today.AddDate(0, 0, -10)
	o := top.answer(xocsp.Response{Status: xocsp.Revoked, SerialNumber: leaf.SerialNumber, RevokedAt: gone, RevocationReason: 1,
		ExtraExtensions: []pkix.Extension{invalidSince(gone.AddDate(0, 0, -20))}})
	for days, want := range map[int]Status{5: Revoked, 15: Revoked, 29: Revoked, 31: Trusted} {
		v := Check(Question{Certificate: leaf, Usage: Sign, Anchors: anchors(top.cert), At: today.AddDate(0, 0, -days), Now: today,
			Evidence: Evidence{OCSP: []*OCSP{o}}})
		if v.Status != want {
			t.Errorf("received %d days ago: %s, want %s", days, v.Status, want)
		}
	}
}

// TestEnclosed: lists and responses that came along in a message count as any.
func TestEnclosed(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(asked))
	raw := top.rawAnswer(xocsp.Response{Status: xocsp.Good, SerialNumber: leaf.SerialNumber})
	var b cryptobyte.Builder
	other := func(id asn1.ObjectIdentifier) {
		b.AddASN1(cbasn1.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(id)
			b.AddBytes(raw)
		})
	}
	other(asn1.ObjectIdentifier{1, 2, 3})
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: today, NextUpdate: today.AddDate(0, 0, 1)}, top.cert, top.key)
	if err != nil {
		t.Fatal(err)
	}
	b.AddBytes(list)
	other(oidOCSPResponse)
	der := b.BytesOrPanic()
	e, err := ReadEnclosed(der)
	if err != nil || len(e.CRLs) != 1 || len(e.OCSP) != 1 {
		t.Fatalf("%d lists, %d responses, %v", len(e.CRLs), len(e.OCSP), err)
	}
	if v := Check(Question{Certificate: leaf, Usage: Sign, Anchors: anchors(top.cert), At: today, Evidence: Evidence{OCSP: e.OCSP}}); v.Status != Trusted {
		t.Fatalf("%s, %s", v.Status, v.Reason)
	}
	for i := range der {
		if e, err := ReadEnclosed(der[:i]); err == nil && len(e.OCSP) > 0 {
			t.Fatalf("cut to %d bytes, and read", i)
		}
	}
}

// answerVectors is what each file of BoringSSL's has to come to.
var answerVectors = map[string]Status{
	"good_response": Trusted, "good_response_next_update": Trusted, "good_response_sha256": Trusted, "has_extension": Trusted,
	"has_single_extension": Trusted, "has_version": Trusted, "ocsp_extra_certs": Trusted, "ocsp_sign_direct": Trusted,
	"ocsp_sign_indirect": Trusted, "responder_id": Trusted, "responder_name": Trusted,
	"revoke_response": Revoked, "revoke_response_reason": Revoked, "multiple_response_good_revoked": Revoked,
	"bad_ocsp_type": Unknown, "bad_signature": Unknown, "bad_status": Unknown, "future_response": Unknown,
	"has_critical_response_extension": Unknown, "has_critical_single_extension": Unknown, "invalid_response": Unknown,
	"invalid_response_data": Unknown, "malformed_request": Unknown, "missing_response": Unknown, "multiple_response": Unknown,
	"no_response": Unknown, "ocsp_sign_bad_indirect": Unknown, "ocsp_sign_indirect_missing": Unknown, "old_response": Unknown,
	"other_response": Unknown, "produced_early_response": Unknown, "produced_late_response": Unknown, "stale_response": Unknown,
	"unknown_response": Unknown,
	// Chromium understands certificate transparency in an answer; mail does not use it.
	"has_critical_ct_extension": Unknown,
	// crypto/x509 does not read a certificate with that serial number.
	"good_response_invalid_serial": Unknown,
}

// TestBoringSSLResponses runs the OCSP vectors of Chromium and BoringSSL. They are
// signed with SHA-1, which never counts here, so each is asked twice: as it is,
// and signed anew with the vectors' own keys, where its signature was good.
func TestBoringSSLResponses(t *testing.T) {
	dir := filepath.Join(vectors, "boringssl-ocsp")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Skip("the vectors are not there: they lie beside the project in shared/vectors/boringssl-ocsp")
	}
	var keys []*rsa.PrivateKey
	seen := 0
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".key" {
			data, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(data)
			if block == nil {
				t.Fatalf("%s is no key", f.Name())
			}
			if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
				keys = append(keys, key)
			} else if any, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				keys = append(keys, any.(*rsa.PrivateKey))
			}
		}
	}
	for _, f := range files {
		name, isVector := strings.CutSuffix(f.Name(), ".pem")
		if !isVector {
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) {
			want := answerVectors[name]
			if want == "" {
				t.Fatal("nobody says what this has to come to")
			}
			asIs, anew := askAnswerVector(t, filepath.Join(dir, f.Name()), keys)
			if anew != want {
				t.Errorf("got %s, want %s", anew, want)
			}
			if asIs != Unknown && name != "good_response_sha256" {
				t.Errorf("signed with SHA-1, and %s", asIs)
			}
		})
	}
	if seen != len(answerVectors) {
		t.Errorf("%d vectors, of %d that are named", seen, len(answerVectors))
	}
}

func askAnswerVector(t *testing.T, file string, keys []*rsa.PrivateKey) (asIs, anew Status) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]byte{}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks[block.Type] = block.Bytes
	}
	leaf, err := x509.ParseCertificate(blocks["CERTIFICATE"])
	if err != nil {
		return Unknown, Unknown
	}
	q := Question{Now: time.Date(2017, 3, 2, 0, 0, 0, 0, time.UTC)}
	ask := func(raw []byte) Status {
		r, err := ParseOCSP(raw)
		if err != nil {
			return Unknown
		}
		q.Evidence.OCSP = []*OCSP{r}
		return q.askResponders([]*x509.Certificate{leaf, parse(t, blocks["CA CERTIFICATE"])}, 0).Status
	}
	raw := blocks["OCSP RESPONSE"]
	asIs, anew = ask(raw), ask(raw)
	if _, err := ParseOCSP(raw); err != nil {
		return asIs, anew
	}
	tbs, _, signature, _ := openResponse(t, raw)
	sum := sha1.Sum(tbs)
	for _, key := range keys {
		if rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA1, sum[:], signature) == nil {
			anew = ask(resign(t, raw, key, func(tbs []byte) []byte { return tbs }))
		}
	}
	return asIs, anew
}
