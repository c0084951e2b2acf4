package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidMGF1    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidPSS     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidECKey   = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
)

// signatures are the signature algorithms whose name says the digest as well.
var signatures = []struct {
	oid  asn1.ObjectIdentifier
	key  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, oidRSA, crypto.SHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, oidRSA, crypto.SHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, oidRSA, crypto.SHA512},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, oidRSA, crypto.SHA1},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, oidECKey, crypto.SHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, oidECKey, crypto.SHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, oidECKey, crypto.SHA512},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, oidECKey, crypto.SHA1},
}

// RSA keys outside these sizes are weak, or slow enough to be an attack.
const (
	minRSA = 2048
	maxRSA = 8192
)

// A signed thing is what a signature is checked against.
type signedThing struct {
	hash    crypto.Hash
	digest  []byte
	message []byte // what was digested; nil when only its digest is at hand
}

// fits reports whether the signature algorithm a goes with a kind of key and the digest
// algorithm: some programs name both in it, some only the key.
func (a algorithm) fits(key asn1.ObjectIdentifier, h crypto.Hash) bool {
	if a.oid.Equal(key) {
		return true
	}
	for _, s := range signatures {
		if s.oid.Equal(a.oid) {
			return s.key.Equal(key) && s.hash == h
		}
	}
	return false
}

// verify checks a signature made with algorithm a by the key pub, and names the method.
func (a algorithm) verify(pub crypto.PublicKey, t signedThing, sig []byte) (name string, err error) {
	valid := false
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		name = "RSA"
		if bits := pub.N.BitLen(); bits < minRSA/2 || bits > maxRSA {
			return name, fmt.Errorf("%w: an RSA key of %d bits", ErrUnsupported, bits)
		}
		switch {
		case a.oid.Equal(oidPSS):
			name = "RSA-PSS"
			salt, err := a.pss(t.hash)
			if err != nil {
				return name, err
			}
			valid = rsa.VerifyPSS(pub, t.hash, t.digest, sig, &rsa.PSSOptions{SaltLength: salt}) == nil
		case a.fits(oidRSA, t.hash):
			valid = rsa.VerifyPKCS1v15(pub, t.hash, t.digest, sig) == nil
		default:
			return name, a.misfit("an RSA key")
		}
	case *ecdsa.PublicKey:
		name = "ECDSA " + pub.Params().Name
		if !a.fits(oidECKey, t.hash) {
			return name, a.misfit("an elliptic curve key")
		}
		valid = ecdsa.VerifyASN1(pub, t.digest, sig)
	case ed25519.PublicKey:
		name = "Ed25519"
		if !a.oid.Equal(oidEd25519) || t.message == nil { // RFC 8419: it signs attributes, not digests
			return name, a.misfit("an Ed25519 key")
		}
		valid = ed25519.Verify(pub, t.message, sig)
	default:
		return "", fmt.Errorf("%w: the signer's kind of key", ErrUnsupported)
	}
	if !valid {
		return name, ErrSignature
	}
	return name, nil
}

func (a algorithm) misfit(key string) error {
	return fmt.Errorf("%w: signature algorithm %v with %s", ErrUnsupported, a.oid, key)
}

// pss reads RSASSA-PSS-params (RFC 4056): one hash throughout, as RFC 4056
// recommends and every program does; it returns the length of the salt. (Of 0
// the standard library makes "any", which proves no less.)
func (a algorithm) pss(h crypto.Hash) (salt int, err error) {
	var (
		s            = cryptobyte.String(a.params)
		seq, field   cryptobyte.String
		has          bool
		digest, mask = algorithm{oid: oidSHA1}, algorithm{oid: oidSHA1}
	)
	context := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
	ok := s.ReadASN1(&seq, cbasn1.SEQUENCE) && s.Empty()
	if ok = ok && seq.ReadOptionalASN1(&field, &has, context(0)); ok && has {
		digest, ok = readAlgorithm(&field)
	}
	if ok = ok && seq.ReadOptionalASN1(&field, &has, context(1)); ok && has {
		mask, ok = readMGF1(&field)
	}
	ok = ok && seq.ReadOptionalASN1Integer(&salt, context(2), 20)
	trailer := 1
	ok = ok && seq.ReadOptionalASN1Integer(&trailer, context(3), 1) && seq.Empty()
	switch {
	case !ok || salt < 0 || salt > maxRSA/8:
		return 0, malformed("no RSA-PSS parameters")
	case digest.hash() != h || mask.hash() != h || trailer != 1:
		return 0, fmt.Errorf("%w: RSA-PSS with different hashes", ErrUnsupported)
	}
	return salt, nil
}

// readMGF1 reads a mask generation function and returns its digest algorithm.
func readMGF1(s *cryptobyte.String) (algorithm, bool) {
	mgf, ok := readAlgorithm(s)
	if !ok || !mgf.oid.Equal(oidMGF1) {
		return algorithm{}, false
	}
	params := cryptobyte.String(mgf.params)
	return readAlgorithm(&params)
}

// weakness says why a signature that verifies proves nothing all the same.
func weakness(pub crypto.PublicKey, h crypto.Hash) error {
	if key, ok := pub.(*rsa.PublicKey); ok && key.N.BitLen() < minRSA {
		return fmt.Errorf("%w: signed with an RSA key of %d bits", ErrWeak, key.N.BitLen())
	}
	if h == crypto.SHA1 {
		return fmt.Errorf("%w: signed with SHA-1", ErrWeak)
	}
	return nil
}

// A method is how one of our keys signs.
type method struct {
	alg  algorithm
	hash crypto.Hash // the digest of content and of attributes
	opts crypto.SignerOpts
	size int // of the signature in octets; 0 when it varies
}

// choose finds the method for the certified key and the digest wished for.
func choose(c *x509.Certificate, h crypto.Hash) (method, error) {
	m := method{hash: h, opts: h}
	key := oidRSA
	switch pub := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if pub.N.BitLen() < minRSA {
			return m, fmt.Errorf("%w: an RSA key of %d bits", ErrWeak, pub.N.BitLen())
		}
		m.alg.params, m.size = null, pub.Size() // RFC 5754, section 3.2
	case *ecdsa.PublicKey:
		key = oidECKey
	case ed25519.PublicKey: // RFC 8419, section 3
		return method{algorithm{oid: oidEd25519}, crypto.SHA512, crypto.Hash(0), ed25519.SignatureSize}, nil
	default:
		return m, fmt.Errorf("%w: signing with this kind of key", ErrUnsupported)
	}
	for _, s := range signatures {
		if s.key.Equal(key) && s.hash == h && h != crypto.SHA1 {
			m.alg.oid = s.oid
			return m, nil
		}
	}
	return m, fmt.Errorf("%w: signing with %v", ErrUnsupported, h)
}
