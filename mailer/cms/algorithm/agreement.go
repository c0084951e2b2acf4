package algorithm

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// An Agreement is how a content key is given to a recipient by a secret agreed
// with their key: derive a key from the secret, and wrap the content key with it
// (RFC 5753, RFC 8418).
type Agreement struct {
	Name       string // "ECDH SHA-256"
	Identifier Identifier

	Weak bool // the key is wrapped by 3DES, as old mail has it

	hash   crypto.Hash
	hkdf   bool
	size   int // of the wrapping key in octets
	unwrap func(kek, wrapped []byte) ([]byte, error)
}

// agreements are the one-pass schemes. On the curves used here cofactor
// multiplication is the same as plain.
var agreements = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
	hkdf bool
}{
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, crypto.SHA256, false}, // dhSinglePass-stdDH-sha256kdf-scheme
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 2}, crypto.SHA384, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 3}, crypto.SHA512, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 0}, crypto.SHA224, false},
	{asn1.ObjectIdentifier{1, 3, 133, 16, 840, 63, 0, 2}, crypto.SHA1, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 14, 1}, crypto.SHA256, false}, // dhSinglePass-cofactorDH-sha256kdf-scheme
	{asn1.ObjectIdentifier{1, 3, 132, 1, 14, 2}, crypto.SHA384, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 14, 3}, crypto.SHA512, false},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 14, 0}, crypto.SHA224, false},
	{asn1.ObjectIdentifier{1, 3, 133, 16, 840, 63, 0, 3}, crypto.SHA1, false},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 19}, crypto.SHA256, true}, // dhSinglePass-stdDH-hkdf-sha256-scheme
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 20}, crypto.SHA384, true},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 21}, crypto.SHA512, true},
}

// wrapOID is the AES key wrap by a key of size octets (RFC 3565, section 2.3.2).
func wrapOID(size int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, (size-16)/8*20 + 5}
}

// Agreement finds the scheme that a names and its parameter, the key wrap.
func (a Identifier) Agreement() (*Agreement, error) {
	for _, known := range agreements {
		if !known.oid.Equal(a.OID) {
			continue
		}
		wrap, err := Parse(a.Params, "key wrap")
		if err != nil {
			return nil, err
		}
		g := &Agreement{Name: "ECDH " + known.hash.String(), Identifier: a, hash: known.hash, hkdf: known.hkdf, unwrap: unwrapKey}
		for _, g.size = range []int{16, 32, 24} {
			if wrapOID(g.size).Equal(wrap.OID) {
				return g, nil
			}
		}
		if wrap.OID.Equal(oidTripleDESWrap) { // of the size tried last
			g.Weak, g.unwrap = true, unwrapTripleDES
			return g, nil
		}
		return nil, Refuse("key wrap", wrap.Name())
	}
	return nil, Refuse("key agreement", a.Name())
}

// AgreementFor chooses the scheme for a recipient's curve and a content key of size octets.
func AgreementFor(curve ecdh.Curve, size int) (*Agreement, error) {
	scheme := agreements[0].oid
	switch curve {
	case ecdh.P384():
		scheme = agreements[1].oid
	case ecdh.P521():
		scheme = agreements[2].oid
	case ecdh.X25519():
		scheme = agreements[10].oid
	}
	var wrap cryptobyte.Builder
	Identifier{OID: wrapOID(size)}.Add(&wrap)
	return Identifier{OID: scheme, Params: wrap.BytesOrPanic()}.Agreement()
}

// Wrap encrypts key with what is derived from the secret and ukm, which may be nil.
func (g *Agreement) Wrap(secret, ukm, key []byte) ([]byte, error) {
	kek, err := g.derive(secret, ukm)
	if err != nil {
		return nil, err
	}
	return wrapKey(kek, key)
}

// Unwrap is the reverse of Wrap.
func (g *Agreement) Unwrap(secret, ukm, wrapped []byte) ([]byte, error) {
	kek, err := g.derive(secret, ukm)
	if err != nil {
		return nil, err
	}
	return g.unwrap(kek, wrapped)
}

// derive returns the wrapping key, by the KDF of ANSI X9.63 (RFC 5753) or by
// HKDF (RFC 8418, section 2.2), which takes ukm for its salt as well.
func (g *Agreement) derive(secret, ukm []byte) ([]byte, error) {
	explicit := func(b *cryptobyte.Builder, n uint8, octets []byte) {
		b.AddASN1(cbasn1.Tag(n).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(octets) })
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // ECC-CMS-SharedInfo
		b.AddBytes(g.Identifier.Params)
		if ukm != nil {
			explicit(b, 0, ukm)
		}
		explicit(b, 2, binary.BigEndian.AppendUint32(nil, uint32(g.size)*8))
	})
	info, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	if g.hkdf {
		return hkdf.Key(g.hash.New, secret, ukm, string(info), g.size)
	}
	var key []byte
	for n := uint32(1); len(key) < g.size; n++ {
		d := g.hash.New()
		d.Write(secret)
		d.Write(binary.BigEndian.AppendUint32(nil, n))
		d.Write(info)
		key = d.Sum(key)
	}
	return key[:g.size], nil
}

// wrapIV is the initial value of the AES key wrap, by which damage is found.
const wrapIV = 0xa6a6a6a6a6a6a6a6

// wrapKey is the AES key wrap (RFC 3394, section 2.2.1).
func wrapKey(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	if len(key)%8 != 0 || len(key) < 16 {
		return nil, fmt.Errorf("%w: wrapping a key of %d octets", ErrUnsupported, len(key))
	}
	out := append(make([]byte, 8), key...)
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], wrapIV)
	for t := uint64(0); t < 6*uint64(len(key)/8); t++ {
		at := 8 + int(t)*8%len(key)
		copy(b[8:], out[at:])
		block.Encrypt(b[:], b[:])
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^(t+1))
		copy(out[at:], b[8:])
	}
	copy(out, b[:8])
	return out, nil
}

// unwrapKey is its reverse (section 2.2.2).
func unwrapKey(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	if len(wrapped)%8 != 0 || len(wrapped) < 24 || len(wrapped) > MaxKey {
		return nil, ErrIntegrity
	}
	var b [16]byte
	copy(b[:8], wrapped)
	key := append([]byte(nil), wrapped[8:]...)
	for t := 6 * uint64(len(key)/8); t > 0; t-- {
		at := int(t-1) * 8 % len(key)
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^t)
		copy(b[8:], key[at:])
		block.Decrypt(b[:], b[:])
		copy(key[at:], b[8:])
	}
	want := binary.BigEndian.AppendUint64(nil, wrapIV)
	if subtle.ConstantTimeCompare(b[:8], want) != 1 {
		return nil, ErrIntegrity
	}
	return key, nil
}

var oidTripleDESWrap = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 6}

// unwrapTripleDES is the reverse of the 3DES key wrap (RFC 3217, section 3.2).
func unwrapTripleDES(kek, wrapped []byte) ([]byte, error) {
	block, err := des.NewTripleDESCipher(kek)
	if err != nil {
		return nil, err
	}
	const sum = 8 // octets of the SHA-1 check at the end
	if len(wrapped)%des.BlockSize != 0 || len(wrapped) < 3*des.BlockSize+sum || len(wrapped) > MaxKey {
		return nil, ErrIntegrity
	}
	key := bytes.Clone(wrapped)
	cipher.NewCBCDecrypter(block, []byte{0x4a, 0xdd, 0xa2, 0x2c, 0x79, 0xe8, 0x21, 0x05}).CryptBlocks(key, key)
	slices.Reverse(key)
	iv, key := key[:des.BlockSize], key[des.BlockSize:]
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(key, key)
	key, check := key[:len(key)-sum], key[len(key)-sum:]
	if subtle.ConstantTimeCompare(Sum(crypto.SHA1, key)[:sum], check) != 1 {
		return nil, ErrIntegrity
	}
	return key, nil
}
