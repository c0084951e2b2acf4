package cms

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/attribute"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/recipient"
)

var tagAttributes = cbasn1.Tag(0).ContextSpecific().Constructed()

// A signerInfo is a SignerInfo (RFC 5652, section 5.3) as it came.
type signerInfo struct {
	id         recipient.Identifier
	digest     algorithm.Identifier
	hash       crypto.Hash // of digest; 0 if it is not known
	method     algorithm.Identifier
	attributed bool // there are signed attributes
	attributes attribute.List
	signature  []byte
	cert       *x509.Certificate // being tried
	err        error             // why it cannot be checked
}

// parseSignerInfo keeps an error inside: one bad signer says nothing about the others.
func parseSignerInfo(der []byte) (si signerInfo) {
	var (
		s              = cryptobyte.String(der)
		seq, signed, b cryptobyte.String
		version        int
		ok             bool
	)
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !s.Empty() || !seq.ReadASN1Integer(&version) {
		return signerInfo{err: malformed("no signer")}
	}
	if si.id, ok = recipient.ReadIdentifier(&seq); !ok {
		return signerInfo{err: malformed("no signer's identifier")}
	}
	if si.digest, ok = algorithm.Read(&seq); !ok {
		return signerInfo{err: malformed("no digest algorithm")}
	}
	if !seq.ReadOptionalASN1(&signed, &si.attributed, tagAttributes) {
		si.err = malformed("no signed attributes")
		return si
	}
	if si.attributes, si.err = attribute.Parse(signed); si.err != nil {
		return si
	}
	if si.hash = si.digest.Hash(); si.hash == 0 {
		si.err = si.digest.UnknownDigest()
	}
	if si.method, ok = algorithm.Read(&seq); !ok || !seq.ReadASN1(&b, cbasn1.OCTET_STRING) {
		si.err = malformed("no signature")
	}
	si.signature = b
	return si
}

// verify judges the signer against the content of s.
func (si *signerInfo) verify(s *Signed) SignerInfo {
	out := SignerInfo{Err: si.err, Identifier: si.id, Certificate: si.id.Find(s.Certificates)}
	if si.hash != 0 {
		out.Hash, out.Digest = si.hash.String(), s.sums.of[si.hash]
	} else if si.digest.OID != nil {
		out.Hash = si.digest.Name()
	}
	if si.method.OID != nil {
		out.Algorithm = si.method.Name()
	}
	among := s.Certificates
	if out.Certificate == nil {
		among, out.Known = s.known, si.id.Find(s.known) != nil
	}
	switch {
	case out.Err != nil:
		return out
	case out.Certificate == nil && !out.Known:
		if out.Err = ErrNoCertificate; s.unreadable > 0 {
			out.Err = fmt.Errorf("%w, or is one of the %d that cannot be read (%w)", ErrNoCertificate, s.unreadable, ErrUnsupported)
		}
		return out
	case out.Digest == nil:
		out.Err = ErrNoContent
		return out
	}
	// Several certificates may bear the same name and number: a renewed
	// one, or one slipped in. The signer's is the one whose key fits.
	tried := 0
	for _, c := range among {
		if tried == 4 || !si.id.Matches(c) {
			continue
		}
		tried++
		si.cert = c
		name, err := si.checkSignature(s)
		out.Algorithm, out.Err, out.Certificate = cmp.Or(name, out.Algorithm), err, c
		if !errors.Is(err, ErrSignature) && !errors.Is(err, ErrUnsupported) {
			break
		}
	}
	if out.Err != nil && out.Known { // whose it is was a guess
		out.Err, out.Certificate, out.Known = ErrNoCertificate, nil, false
	}
	if out.Err != nil {
		return out
	}
	if si.attributed { // nothing in them is to be believed before this point
		out.Time, out.Attributes = si.attributes.SigningTime(), si.attributes.Types()
		can := si.attributes.Capabilities()
		out.Capabilities, out.Derives, out.OAEP = can.Ciphers, can.Derives, can.OAEP
		out.EncryptionCertificate = si.attributes.EncryptionCertificate(s.Certificates)
		out.Err = si.attributes.Check(attribute.Message{
			Type: s.Type, Digest: out.Digest, DigestBy: si.digest, SignedBy: si.method, Certificate: si.cert,
		})
	}
	if out.Err == nil {
		out.Err = algorithm.Weakness(algorithm.PublicKey(si.cert), si.hash)
	}
	return out
}

// checkSignature checks the mathematics: the signature of si.cert's key over the
// signed attributes or, without them, over the content.
func (si *signerInfo) checkSignature(s *Signed) (name string, err error) {
	pub := algorithm.PublicKey(si.cert)
	if err := si.method.AllowedBy(si.cert); err != nil {
		return "", err
	}
	if si.attributed {
		for _, der := range si.attributes.Encodings() {
			name, err = si.method.Verify(pub, algorithm.Over(si.hash, der), si.signature)
			if !errors.Is(err, ErrSignature) {
				break
			}
		}
		return name, err
	}
	// RFC 5652, section 5.3: only plain data may be signed without attributes.
	if !s.Type.Equal(oidData) {
		return "", fmt.Errorf("%w: they are missing", ErrAttributes)
	}
	if looksLikeAttributes(s.sums.start) {
		return "", fmt.Errorf("%w: they were passed off as content", ErrAttributes)
	}
	t := algorithm.Signed{Hash: si.hash, Digest: s.sums.of[si.hash]}
	if _, whole := pub.(ed25519.PublicKey); whole {
		if t.Message, err = s.held(); err != nil {
			return "", err
		}
	}
	return si.method.Verify(pub, t, si.signature)
}

// looksLikeAttributes recognises the encoding of signed attributes. A signature over
// them, presented without them, would be a valid one over them as content.
func looksLikeAttributes(start []byte) bool {
	return len(start) > 0 && start[0] == byte(ber.Set)|ber.Constructed && bytes.Contains(start, append(pkcs, 9))
}
