package discover

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"countersign/vault/discover/directory/directorytest"
	"countersign/vault/trust"
)

// spoilt are the ways in which a document of any kind comes wrong.
func spoilt(good []byte) map[string][]byte {
	deep := []byte{5, 0}
	for range 2000 {
		deep = append([]byte{0x30, 0x82, byte(len(deep) >> 8), byte(len(deep))}, deep...)
	}
	altered := bytes.Clone(good)
	altered[len(altered)/3] ^= 1
	return map[string][]byte{
		"nothing": nil, "a page": []byte("<html>"), "cut short": good[:len(good)/2], "one octet short": good[:len(good)-1], "one octet more": append(bytes.Clone(good), 0),
		"altered": altered, "huge": make([]byte, maxList+1), "deep": deep, "without end": {0x30, 0x80, 0x30, 0x80}, "a length of 2 GiB": {0x30, 0x84, 0x7f, 0xff, 0xff, 0xff},
		"PEM of something else": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 0}}),
	}
}

// answerOf is an OCSP answer about a certificate.
func (w *world) answerOf(c, by *x509.Certificate, key *ecdsa.PrivateKey, from, to time.Time) []byte {
	w.t.Helper()
	raw, err := xocsp.CreateResponse(by, by, xocsp.Response{Status: xocsp.Good, SerialNumber: c.SerialNumber, ThisUpdate: from, NextUpdate: to}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// listOf is a list with these dates.
func (w *world) listOf(by *x509.Certificate, key *ecdsa.PrivateKey, from, to time.Time) []byte {
	w.t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: to}, by, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return der
}

// TestBadInput: lists, answers and authorities that come wrong over HTTP, and the first and
// last of them out of a directory, each give a verdict with a reason, which is never "good".
func TestBadInput(t *testing.T) {
	w := newWorldAt(t, time.Now().Truncate(time.Second))
	liarKey := newKey(t)
	liar := w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Issuing"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: forAuthority}, nil, liarKey, liarKey)
	only := func(change func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: "Ada"}, EmailAddresses: []string{"ada@harbour.example"}, IssuingCertificateURL: []string{w.shelf.URL + "/ca.cer"}}
		change(c)
		return w.make(c, w.ca, newKey(t), w.caKey)
	}
	listed := only(func(c *x509.Certificate) { c.CRLDistributionPoints = []string{w.shelf.URL + "/ca.crl"} })
	asked := only(func(c *x509.Certificate) { c.OCSPServer = []string{w.shelf.URL + "/ocsp"} })
	day := 24 * time.Hour
	ago, ahead := w.clock.Add(-10*day), w.clock.Add(10*day)
	list, answer := w.listOf(w.ca, w.caKey, ago, ahead), w.answerOf(asked, w.ca, w.caKey, ago, ahead)
	lists, answers, authorities := spoilt(list), spoilt(answer), spoilt(w.ca.Raw)
	for name, body := range map[string][]byte{
		"an answer": answer, "a certificate": w.ca.Raw, "another authority's": w.listOf(w.root, w.rootKey, ago, ahead), "a liar's": w.listOf(liar, liarKey, ago, ahead),
		"stale": w.listOf(w.ca, w.caKey, ago, w.clock.Add(-day)), "of the future": w.listOf(w.ca, w.caKey, w.clock.Add(day), ahead),
	} {
		lists[name] = body
	}
	for name, body := range map[string][]byte{
		"a list": list, "a certificate": w.ca.Raw, "about another": w.answerOf(listed, w.ca, w.caKey, ago, ahead), "a liar's": w.answerOf(asked, liar, liarKey, ago, ahead),
		"the certificate's own": w.answerOf(asked, w.root, w.rootKey, ago, ahead), "stale": w.answerOf(asked, w.ca, w.caKey, ago, w.clock.Add(-day)),
		"of the future": w.answerOf(asked, w.ca, w.caKey, w.clock.Add(day), ahead), "try later": {0x30, 3, 0x0a, 1, 3},
	} {
		answers[name] = body
	}
	for name, body := range map[string][]byte{"a list": list, "an answer": answer, "a liar's": liar.Raw, "the certificate itself": listed.Raw, "above it": w.root.Raw} {
		authorities[name] = body
	}
	judge := func(name string, leaf *x509.Certificate, want trust.Status) {
		t.Helper()
		w.open(t.TempDir() + "/db")
		w.leaf = leaf
		for range 2 { // the second time with what was kept
			if v := w.ask(Rules{Chosen: true}); v.Status != want || v.Reason == "" {
				t.Errorf("%s: %s, %q, not %s", name, v.Status, v.Reason, want)
			}
		}
	}
	w.shelf.asked["/ocsp"] = func(rw http.ResponseWriter, _ *http.Request) { rw.Write(answer) }
	w.shelf.put("/ca.crl", list)
	for name, leaf := range map[string]*x509.Certificate{"list": listed, "answer": asked} {
		w.open(t.TempDir() + "/db")
		if w.leaf = leaf; w.ask(Rules{Chosen: true}).Status != trust.Trusted {
			t.Fatalf("a good %s does not do", name)
		}
	}
	for name, body := range lists {
		w.shelf.put("/ca.crl", body)
		judge("as a list, "+name, listed, trust.Unknown)
	}
	for name, body := range answers {
		w.shelf.asked["/ocsp"] = func(rw http.ResponseWriter, _ *http.Request) { rw.Write(body) }
		judge("as an answer, "+name, asked, trust.Unknown)
	}
	for name, body := range authorities {
		w.shelf.put("/ca.cer", body)
		judge("as an authority, "+name, listed, trust.Untrusted)
	}
	w.shelf.put("/ca.cer", w.ca.Raw)
	w.shelf.moved["/ca.crl"] = "/again"
	w.shelf.moved["/again"] = "/ca.crl"
	judge("a list in a circle", listed, trust.Unknown)
	w.badEntries(t, lists, authorities, judge)
}

// badEntries is the same out of a directory, which has no more than fits one message.
func (w *world) badEntries(t *testing.T, lists, authorities map[string][]byte, judge func(string, *x509.Certificate, trust.Status)) {
	entry := map[string][]string{}
	s := &directorytest.Server{Entries: []directorytest.Entry{{DN: "cn=CA", Attributes: entry}}}
	base := "ldap://" + s.Start(t) + "/cn=CA?"
	leaf := w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Ada"}, EmailAddresses: []string{"ada@harbour.example"},
		IssuingCertificateURL: []string{base + "cACertificate;binary"}, CRLDistributionPoints: []string{base + "certificateRevocationList;binary"}}, w.ca, newKey(t), w.caKey)
	put := func(attribute string, body []byte) bool {
		entry[attribute] = []string{string(body)}
		return len(body) < 1<<16
	}
	put("cACertificate;binary", w.ca.Raw)
	for name, body := range lists {
		if put("certificateRevocationList;binary", body) {
			judge("as a list of a directory, "+name, leaf, trust.Unknown)
		}
	}
	for name, body := range authorities {
		if put("cACertificate;binary", body) {
			judge("as an authority of a directory, "+name, leaf, trust.Untrusted)
		}
	}
}
