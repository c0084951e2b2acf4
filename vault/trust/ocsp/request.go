// Package ocsp makes questions for OCSP responders and reads their answers (RFC
// 6960, and RFC 5019 for the form of a GET). It sends nothing.
//
// A response is read, not believed: [Response.SignedBy] checks its signature,
// once for each signer, and vault/trust decides who may sign it and whether it is
// fresh. Responses signed with SHA-1 are read and never believed; SHA-1 in a
// CertID is only a name, and is taken as one.
//
// A response with a critical extension that is not understood is not read; a
// single answer with one says nothing.
package ocsp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // CertIDs are commonly made with it; nothing is trusted because of one
	_ "crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"net/url"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
	"countersign/vault/trust/der"
)

// maxGet is how long the URL of a GET may be, in bytes (RFC 5019, section 5).
const maxGet = 255

var hashes = []struct {
	id   asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, crypto.SHA1},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256},
}

var (
	oidNonce      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidReason     = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidInvalidity = asn1.ObjectIdentifier{2, 5, 29, 24}
)

func digest(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// certID names a certificate to a responder (RFC 6960, section 4.1.1).
type certID struct {
	hash      crypto.Hash
	name, key []byte
	serial    *big.Int
}

func (id certID) is(c, issuer *x509.Certificate) bool {
	return id.hash != 0 && id.serial.Cmp(c.SerialNumber) == 0 &&
		bytes.Equal(id.name, digest(id.hash, c.RawIssuer)) && bytes.Equal(id.key, digest(id.hash, algorithm.KeyBits(issuer)))
}

// NewRequest asks about one certificate, by SHA-1 as every responder knows it
// (RFC 5019, section 2.1.1). A nonce ties the answer to this request, and keeps
// responders from answering from stock; nil leaves it out.
func NewRequest(c, issuer *x509.Certificate, nonce []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // OCSPRequest
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // TBSRequest
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // requestList
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // Request
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addID(b, c, issuer) })
				})
			})
			if nonce != nil {
				b.AddASN1(der.Context(2).Constructed(), func(b *cryptobyte.Builder) { addNonce(b, nonce) })
			}
		})
	})
	return b.Bytes()
}

func addID(b *cryptobyte.Builder, c, issuer *x509.Certificate) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(hashes[0].id)
		b.AddASN1NULL()
	})
	b.AddASN1OctetString(digest(hashes[0].hash, c.RawIssuer))
	b.AddASN1OctetString(digest(hashes[0].hash, algorithm.KeyBits(issuer)))
	b.AddASN1BigInt(c.SerialNumber)
}

func addNonce(b *cryptobyte.Builder, nonce []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidNonce)
			b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
		})
	})
}

// WithNonce puts a nonce into a request of [NewRequest] without one.
func WithNonce(request, nonce []byte) ([]byte, error) {
	in := cryptobyte.String(request)
	var outer, tbs cryptobyte.String
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !outer.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return nil, errors.New("ocsp: not a request")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			b.AddASN1(der.Context(2).Constructed(), func(b *cryptobyte.Builder) { addNonce(b, nonce) })
		})
	})
	return b.Bytes()
}

// GetURL is where a small request is sent by GET, so that caches can answer (RFC
// 6960, appendix A.1); ok is false for one that needs a POST.
func GetURL(base string, request []byte) (get string, ok bool) {
	get = strings.TrimSuffix(base, "/") + "/" + url.PathEscape(base64.StdEncoding.EncodeToString(request))
	get = strings.ReplaceAll(strings.ReplaceAll(get, "+", "%2B"), "=", "%3D")
	return get, len(get) <= maxGet && !strings.Contains(base, "?")
}
