// Package padding has the paddings of RFC 8017 for tokens that offer only the operation of
// an RSA key, and does what a token with a padding of its own does inside.
//
// What is secret is not branched on and no index depends on it, up to the one bit that says
// whether a padding was right; hash and cipher are Go's. The room is pure.
package padding

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // the hashes that a message may name must be there
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash"
	"io"
)

// ErrLength is a key too short for its padding.
var ErrLength = errors.New("padding: the key is too short for this")

// DigestInfo is a DigestInfo (RFC 8017, section 9.2, note 1) for SHA-1 and SHA-2.
func DigestInfo(h crypto.Hash, digest []byte) ([]byte, bool) {
	prefix, ok := map[crypto.Hash]string{
		crypto.SHA1:   "\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
		crypto.SHA224: "\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c",
		crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
		crypto.SHA384: "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
		crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
	}[h]
	return append([]byte(prefix), digest...), ok && len(digest) == h.Size()
}

// Signature is EMSA-PKCS1-v1_5 (section 9.2) of a DigestInfo, for a key of size bytes.
func Signature(info []byte, size int) ([]byte, error) {
	if size < len(info)+11 {
		return nil, ErrLength
	}
	em := make([]byte, size)
	em[1] = 1
	for i := 2; i < size-len(info)-1; i++ {
		em[i] = 0xff
	}
	copy(em[size-len(info):], info)
	return em, nil
}

// PSS is EMSA-PSS-ENCODE (section 9.1.1), for a modulus of bits bits, as a number of
// the length of the modulus.
func PSS(h crypto.Hash, digest []byte, bits, saltLength int, random io.Reader) ([]byte, error) {
	size := (bits + 6) / 8 // emLen, for emBits = bits-1
	if len(digest) != h.Size() || saltLength < 0 || size < h.Size()+saltLength+2 {
		return nil, ErrLength
	}
	em := make([]byte, size)
	db, end := em[:size-h.Size()-1], em[size-h.Size()-1:]
	salt := db[len(db)-saltLength:]
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	db[len(db)-saltLength-1] = 1
	w := h.New()
	w.Write(make([]byte, 8))
	w.Write(digest)
	w.Write(salt)
	copy(end, w.Sum(nil))
	end[h.Size()] = 0xbc
	mask(db, h.New(), end[:h.Size()])
	db[0] &= 0xff >> (8*size - (bits - 1))
	return append(make([]byte, (bits+7)/8-size), em...), nil
}

// openOAEP is EME-OAEP decoding (section 7.1.2, step 3). All faults are one.
func openOAEP(em []byte, o *rsa.OAEPOptions) ([]byte, error) {
	size := o.Hash.Size()
	if len(em) < 2*size+2 {
		return nil, rsa.ErrDecryption
	}
	masking := o.MGFHash
	if masking == 0 {
		masking = o.Hash
	}
	w := o.Hash.New()
	w.Write(o.Label)
	label := w.Sum(nil)
	seed, db := em[1:1+size], em[1+size:]
	mask(seed, masking.New(), db)
	mask(db, masking.New(), seed)
	good := subtle.ConstantTimeByteEq(em[0], 0) & subtle.ConstantTimeCompare(db[:size], label)
	looking, at := 1, 0 // for the 1 behind the zeros
	for i, b := range db[size:] {
		zero, one := subtle.ConstantTimeByteEq(b, 0), subtle.ConstantTimeByteEq(b, 1)
		at = subtle.ConstantTimeSelect(looking&one, i, at)
		good &= 1 ^ looking&^zero&^one
		looking &= zero
	}
	if good&^looking != 1 {
		return nil, rsa.ErrDecryption
	}
	return db[size+at+1:], nil
}

// openKey replaces key by what a PKCS #1 v1.5 block (section 7.2.2) holds, if it holds
// so many bytes, and leaves it as it was if not: the caller has filled it with random
// bytes, and nobody learns which it is (RFC 3218, section 2.3.2).
func openKey(em, key []byte) {
	at := len(em) - len(key)
	if at < 11 {
		return
	}
	good := subtle.ConstantTimeByteEq(em[0], 0) & subtle.ConstantTimeByteEq(em[1], 2) & subtle.ConstantTimeByteEq(em[at-1], 0)
	for _, b := range em[2 : at-1] {
		good &= 1 ^ subtle.ConstantTimeByteEq(b, 0)
	}
	subtle.ConstantTimeCopy(good, key, em[at:])
}

// openBlock is EME-PKCS1-v1_5 decoding for callers who asked for no fixed length.
func openBlock(em []byte) ([]byte, error) {
	good := subtle.ConstantTimeByteEq(em[0], 0) & subtle.ConstantTimeByteEq(em[1], 2)
	looking, at := 1, 0
	for i := 2; i < len(em); i++ {
		zero := subtle.ConstantTimeByteEq(em[i], 0)
		at = subtle.ConstantTimeSelect(looking&zero, i, at)
		looking &^= zero
	}
	good &= subtle.ConstantTimeLessOrEq(10, at)
	if good&^looking != 1 {
		return nil, rsa.ErrDecryption
	}
	return em[at+1:], nil
}

// mask adds MGF1 (appendix B.2.1) of seed to b.
func mask(b []byte, h hash.Hash, seed []byte) {
	var counter [4]byte
	for i := uint32(0); len(b) > 0; i++ {
		binary.BigEndian.PutUint32(counter[:], i)
		h.Reset()
		h.Write(seed)
		h.Write(counter[:])
		sum := h.Sum(nil)
		b = b[subtle.XORBytes(b, b, sum[:min(len(sum), len(b))]):]
	}
}
