package algorithm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
)

var (
	oidRSA       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidOAEP      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidMGF1      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidSpecified = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 9}
	oidPSS       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidECKey     = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidEd25519   = asn1.ObjectIdentifier{1, 3, 101, 112}
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
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 14}, oidRSA, crypto.SHA224},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, oidRSA, crypto.SHA1},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, oidECKey, crypto.SHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, oidECKey, crypto.SHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, oidECKey, crypto.SHA512},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 1}, oidECKey, crypto.SHA224},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, oidECKey, crypto.SHA1},
}

// A Signed thing is what a signature is checked against.
type Signed struct {
	Hash    crypto.Hash
	Digest  []byte
	Message []byte // what was digested; nil when only its digest is at hand
}

// Over is what a signature over a message is checked against.
func Over(h crypto.Hash, message []byte) Signed {
	return Signed{Hash: h, Digest: Sum(h, message), Message: message}
}

// fits reports whether the signature algorithm a goes with a kind of key and the digest
// algorithm: some programs name both in it, some only the key.
func (a Identifier) fits(key asn1.ObjectIdentifier, h crypto.Hash) bool {
	if a.OID.Equal(key) {
		return true
	}
	for _, s := range signatures {
		if s.oid.Equal(a.OID) {
			return s.key.Equal(key) && s.hash == h
		}
	}
	return false
}

// Verify checks a signature made with algorithm a by the key pub, and names the method.
func (a Identifier) Verify(pub crypto.PublicKey, t Signed, sig []byte) (name string, err error) {
	valid := false
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		name = "RSA"
		if bits := pub.N.BitLen(); bits < minRSA/2 || bits > maxRSA {
			return name, fmt.Errorf("%w: an RSA key of %d bits", ErrUnsupported, bits)
		}
		switch {
		case a.OID.Equal(oidPSS):
			name = "RSA-PSS"
			p, err := a.pss()
			if err == nil && p.hash != t.Hash {
				err = fmt.Errorf("%w: RSA-PSS with another digest than the signer's", ErrUnsupported)
			}
			if err != nil {
				return name, err
			}
			valid = p.verify(pub, t.Digest, sig)
		case a.fits(oidRSA, t.Hash):
			valid = rsa.VerifyPKCS1v15(pub, t.Hash, t.Digest, sig) == nil
		default:
			return name, a.misfit("an RSA key")
		}
	case *ecdsa.PublicKey:
		name = "ECDSA " + pub.Params().Name
		if !a.fits(oidECKey, t.Hash) {
			return name, a.misfit("an elliptic curve key")
		}
		valid = ecdsa.VerifyASN1(pub, t.Digest, sig)
	case ed25519.PublicKey:
		name = "Ed25519"
		if !a.OID.Equal(oidEd25519) || t.Message == nil { // RFC 8419: it signs attributes, not digests
			return name, a.misfit("an Ed25519 key")
		}
		valid = ed25519.Verify(pub, t.Message, sig)
	default:
		return "", fmt.Errorf("%w: a key for %s", ErrUnsupported, a.Name())
	}
	if !valid {
		return name, ErrSignature
	}
	return name, nil
}

func (a Identifier) misfit(key string) error {
	return fmt.Errorf("%w: the signature algorithm %s with %s", ErrUnsupported, a.Name(), key)
}

// Weakness says why a signature that verifies proves nothing all the same.
func Weakness(pub crypto.PublicKey, h crypto.Hash) error {
	if key, ok := pub.(ed25519.PublicKey); ok && lowOrder(key) {
		return fmt.Errorf("%w: an Ed25519 key of low order", ErrWeak)
	}
	if key, ok := pub.(*rsa.PublicKey); ok && key.N.BitLen() < minRSA {
		return fmt.Errorf("%w: one of %d", ErrShortKey, key.N.BitLen())
	}
	if h == crypto.SHA1 {
		return ErrSHA1
	}
	return nil
}

// lowOrder tells whether a key is one of the points of order 1, 2, 4 or 8, under which
// one signature is valid for many messages. Their encodings are these, with either
// sign.
func lowOrder(key ed25519.PublicKey) bool {
	y := bytes.Clone(key)
	y[len(y)-1] &= 0x7f
	switch hex.EncodeToString(y) {
	case "0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f":
		return true
	}
	return false
}

// A Method is how one of our keys signs.
type Method struct {
	Algorithm Identifier
	Hash      crypto.Hash // the digest of content and of attributes
	Options   crypto.SignerOpts
	Size      int // of the signature in octets; 0 when it varies
}

// Choose finds the method for the certified key and the digest wished for. RSA
// keys sign with PSS padding if it is wished for.
func Choose(c *x509.Certificate, h crypto.Hash, pss bool) (Method, error) {
	m := Method{Hash: h, Options: h}
	key := oidRSA
	switch pub := PublicKey(c).(type) {
	case *rsa.PublicKey:
		if pub.N.BitLen() < minRSA {
			return m, fmt.Errorf("%w: one of %d", ErrShortKey, pub.N.BitLen())
		}
		m.Algorithm.Params, m.Size = null, pub.Size() // RFC 5754, section 3.2
		if pss = pss || restriction(c).OID.Equal(oidPSS); pss && h.Available() {
			m.Algorithm = Identifier{OID: oidPSS, Params: hashParams(h, h.Size())}
			m.Options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
		}
	case *ecdsa.PublicKey:
		key = oidECKey
	case ed25519.PublicKey: // RFC 8419, section 3
		return Method{Identifier{OID: oidEd25519}, crypto.SHA512, crypto.Hash(0), ed25519.SignatureSize}, nil
	default:
		return m, fmt.Errorf("%w: signing with this kind of key", ErrUnsupported)
	}
	for _, s := range signatures {
		if s.key.Equal(key) && s.hash == h && h != crypto.SHA1 && h != crypto.SHA224 {
			if m.Algorithm.OID == nil {
				m.Algorithm.OID = s.oid
			}
			return m, m.Algorithm.AllowedBy(c)
		}
	}
	return m, fmt.Errorf("%w: signing with %v", ErrUnsupported, h)
}
