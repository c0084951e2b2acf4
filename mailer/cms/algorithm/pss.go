package algorithm

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/binary"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// pss are RSASSA-PSS-params (RFC 4056, RFC 8017, appendix A.2.3).
type pss struct {
	hash, mask crypto.Hash
	salt       int // octets
}

// pss reads the parameters of RSA-PSS. Programs that leave out a field mean SHA-1 by it,
// in the mask too.
func (a Identifier) pss() (p pss, err error) {
	var (
		s            = cryptobyte.String(a.Params)
		seq          cryptobyte.String
		digest, mask = Identifier{OID: oidSHA1}, Identifier{OID: oidSHA1}
		trailer      = 1
		ok           = s.ReadASN1(&seq, cbasn1.SEQUENCE) && s.Empty()
	)
	p.salt = 20
	ok = ok && optional(&seq, 0, func(field *cryptobyte.String) (ok bool) {
		digest, ok = Read(field)
		return ok
	})
	ok = ok && optional(&seq, 1, func(field *cryptobyte.String) (ok bool) {
		mask, ok = readMGF1(field)
		return ok
	})
	ok = ok && optional(&seq, 2, func(field *cryptobyte.String) bool { return field.ReadASN1Integer(&p.salt) })
	ok = ok && optional(&seq, 3, func(field *cryptobyte.String) bool { return field.ReadASN1Integer(&trailer) })
	if !ok || !seq.Empty() || p.salt < 0 || p.salt > MaxKey || trailer != 1 {
		return p, malformed("no RSA-PSS parameters")
	}
	if p.hash = digest.Hash(); p.hash == 0 {
		return p, digest.UnknownDigest()
	}
	if p.mask = mask.Hash(); p.mask == 0 {
		return p, mask.UnknownDigest()
	}
	return p, nil
}

// verify leaves all to the standard library but what it does not have: a mask by another
// hash than the digest, and a salt of exactly no octets.
func (p pss) verify(pub *rsa.PublicKey, digest, sig []byte) bool {
	if p.mask == p.hash && p.salt > 0 {
		return rsa.VerifyPSS(pub, p.hash, digest, sig, &rsa.PSSOptions{SaltLength: p.salt}) == nil
	}
	s := new(big.Int).SetBytes(sig)
	if len(sig) != pub.Size() || s.Cmp(pub.N) >= 0 {
		return false
	}
	bits := pub.N.BitLen() - 1
	m := s.Exp(s, big.NewInt(int64(pub.E)), pub.N)
	if m.BitLen() > bits {
		return false
	}
	encoded := m.FillBytes(make([]byte, (bits+7)/8))
	return p.consistent(encoded, byte(0xff>>(8*len(encoded)-bits)), digest)
}

// consistent is EMSA-PSS-VERIFY (RFC 8017, section 9.1.2), where nothing is secret. First
// are the bits of the first octet that are used.
func (p pss) consistent(encoded []byte, first byte, digest []byte) bool {
	n := len(encoded) - p.hash.Size() - 1
	if n < p.salt+1 || encoded[len(encoded)-1] != 0xbc {
		return false
	}
	block, sum := encoded[:n], encoded[n:len(encoded)-1]
	var mask []byte
	for counter := uint32(0); len(mask) < n; counter++ { // MGF1: appendix B.2.1
		mask = append(mask, Sum(p.mask, binary.BigEndian.AppendUint32(bytes.Clone(sum), counter))...)
	}
	subtle.XORBytes(block, block, mask)
	block[0] &= first
	padding, salt := block[:n-p.salt], block[n-p.salt:]
	want := make([]byte, len(padding))
	want[len(want)-1] = 1
	return bytes.Equal(padding, want) && bytes.Equal(sum, Sum(p.hash, slices.Concat(make([]byte, 8), digest, salt)))
}

// hashParams returns the parameters that RSA-PSS and RSA-OAEP have in common,
// with one hash throughout; a salt is written if its length is not 0.
func hashParams(h crypto.Hash, salt int) []byte {
	digest, _ := Digest(h)
	digest.Params = null // RFC 4055, section 2.1
	tagged := func(b *cryptobyte.Builder, n uint8, f func(*cryptobyte.Builder)) {
		b.AddASN1(cbasn1.Tag(n).ContextSpecific().Constructed(), f)
	}
	var mask, params cryptobyte.Builder
	digest.Add(&mask)
	params.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		tagged(b, 0, digest.Add)
		tagged(b, 1, Identifier{OID: oidMGF1, Params: mask.BytesOrPanic()}.Add)
		if salt > 0 {
			tagged(b, 2, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(salt)) })
		}
	})
	return params.BytesOrPanic()
}

// readMGF1 reads a mask generation function and returns its digest algorithm.
func readMGF1(s *cryptobyte.String) (Identifier, bool) {
	mgf, ok := Read(s)
	if !ok || !mgf.OID.Equal(oidMGF1) {
		return Identifier{}, false
	}
	params := cryptobyte.String(mgf.Params)
	return Read(&params)
}
