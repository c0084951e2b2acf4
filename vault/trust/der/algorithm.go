package der

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
)

var (
	// ErrAlgorithm says that a signature is made in a way that does not count.
	ErrAlgorithm = errors.New("der: signature algorithm is not used")
	// ErrSignature says that a signature does not fit.
	ErrSignature = errors.New("der: wrong signature")
)

// Algorithm is how a list or an answer is signed.
type Algorithm struct {
	Hash crypto.Hash // 0 for Ed25519, which takes the message itself
	kind kind
	der  string // the AlgorithmIdentifier
}

type kind int

const (
	pkcs1 kind = iota + 1
	pss
	ec
	edwards
)

// algorithms are those that may sign a list or an answer (RFC 8550, section 4.3).
// What is missing, SHA-1 and MD5 above all, makes it unreadable.
var algorithms = []struct {
	id  asn1.ObjectIdentifier
	alg Algorithm
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Algorithm{Hash: crypto.SHA256, kind: pkcs1}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, Algorithm{Hash: crypto.SHA384, kind: pkcs1}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, Algorithm{Hash: crypto.SHA512, kind: pkcs1}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, Algorithm{Hash: crypto.SHA256, kind: ec}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, Algorithm{Hash: crypto.SHA384, kind: ec}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, Algorithm{Hash: crypto.SHA512, kind: ec}},
	{asn1.ObjectIdentifier{1, 3, 101, 112}, Algorithm{kind: edwards}},
}

var oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// pssParameters are the three sets in use: one hash for the message and for
// MGF1, and a salt of its length (RFC 4055, section 3.1).
var pssParameters = map[string]Algorithm{
	pssSet("01", "20"): {Hash: crypto.SHA256, kind: pss},
	pssSet("02", "30"): {Hash: crypto.SHA384, kind: pss},
	pssSet("03", "40"): {Hash: crypto.SHA512, kind: pss},
}

func pssSet(hash, salt string) string {
	h := "300d06096086480165030402" + hash + "0500"
	return "3034a00f" + h + "a11c301a06092a864886f70d010108" + h + "a2030201" + salt
}

// ReadAlgorithm reads an AlgorithmIdentifier.
func ReadAlgorithm(in cryptobyte.String) (Algorithm, error) {
	var body cryptobyte.String
	var id asn1.ObjectIdentifier
	whole := string(in)
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1ObjectIdentifier(&id) {
		return Algorithm{}, fmt.Errorf("%w: malformed", ErrAlgorithm)
	}
	if id.Equal(oidPSS) {
		if alg, ok := pssParameters[hex.EncodeToString(body)]; ok {
			alg.der = whole
			return alg, nil
		}
	}
	for _, a := range algorithms {
		if a.id.Equal(id) && (len(body) == 0 || hex.EncodeToString(body) == "0500") {
			a.alg.der = whole
			return a.alg, nil
		}
	}
	return Algorithm{}, fmt.Errorf("%w: %v", ErrAlgorithm, id)
}

// Check checks a signature, made with the key of a certificate, over a digest by a.Hash or,
// where that is 0, over the message itself. A key may be certified for RSA-PSS alone, even
// for one hash of it (RFC 4055, section 3.3).
func (a Algorithm) Check(by *x509.Certificate, signed, signature []byte) error {
	id, err := algorithm.Parse([]byte(a.der), "signature algorithm")
	if err != nil || id.AllowedBy(by) != nil {
		return ErrSignature
	}
	ok := false
	switch k := algorithm.PublicKey(by).(type) {
	case *rsa.PublicKey:
		ok = a.kind == pkcs1 && rsa.VerifyPKCS1v15(k, a.Hash, signed, signature) == nil ||
			a.kind == pss && rsa.VerifyPSS(k, a.Hash, signed, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case *ecdsa.PublicKey:
		ok = a.kind == ec && ecdsa.VerifyASN1(k, signed, signature)
	case ed25519.PublicKey:
		ok = a.kind == edwards && ed25519.Verify(k, signed, signature)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

// CheckMessage checks a signature over a message.
func (a Algorithm) CheckMessage(by *x509.Certificate, message, signature []byte) error {
	if a.Hash != 0 {
		h := a.Hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	return a.Check(by, message, signature)
}

// SignedBy says that a certificate is signed with the key of another, in a way that still
// counts: not with SHA-1, MD5 or DSA.
func SignedBy(c, by *x509.Certificate) bool {
	if by.PublicKey != nil {
		return by.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
	}
	// The standard library leaves out keys that are certified for RSA-PSS alone.
	in := cryptobyte.String(c.Raw)
	var whole, id cryptobyte.String
	if !in.ReadASN1(&whole, cbasn1.SEQUENCE) || !whole.SkipASN1(cbasn1.SEQUENCE) || !whole.ReadASN1Element(&id, cbasn1.SEQUENCE) {
		return false
	}
	a, err := ReadAlgorithm(id)
	return err == nil && a.CheckMessage(by, c.RawTBSCertificate, c.Signature) == nil
}
