package recipient_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/recipient"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

func oid(id asn1.ObjectIdentifier) []byte {
	b, err := asn1.Marshal(id)
	if err != nil {
		panic(err)
	}
	return b
}

func octets(b []byte) []byte {
	return append(ber.AppendHeader(nil, ber.OctetString, false, int64(len(b))), b...)
}

// agreed is a KeyAgreeRecipientInfo for c from an ephemeral key, given as a SubjectPublicKeyInfo
// or anything else in its place.
func agreed(c *x509.Certificate, ephemeral []byte, scheme algorithm.Identifier, ukm, wrapped []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		recipient.AddIssuerAndSerial(b, cbasn1.SEQUENCE, c)
		b.AddASN1OctetString(wrapped)
	})
	var a cryptobyte.Builder
	scheme.Add(&a)
	parts := [][]byte{{2, 1, 3}, ber.Nest(ber.Context, ephemeral)}
	if ukm != nil {
		parts = append(parts, ber.Nest(ber.Context+1, octets(ukm)))
	}
	parts = append(parts, a.BytesOrPanic(), ber.Nest(ber.Sequence, b.BytesOrPanic()))
	return ber.Nest(ber.Context+1, parts...)
}

// wrapOID is AES key wrap with a key of n octets.
func wrapOID(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, (n-16)/8*20 + 5}
}

func nobody() *x509.Certificate {
	return &x509.Certificate{RawIssuer: []byte{0x30, 0}, SerialNumber: big.NewInt(5)}
}

// TestAgreement lets each secret that Project Wycheproof expects lead to a content key.
func TestAgreement(t *testing.T) {
	for _, c := range []struct {
		file  string
		curve ecdh.Curve
		kdf   asn1.ObjectIdentifier
		raw   []byte // stands before a public key that is raw
	}{
		{"ecdh_secp256r1", ecdh.P256(), asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, nil},
		{"x25519", ecdh.X25519(), asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 19}, unhex(t, "302a300506032b656e032100")},
	} {
		b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "vectors", "wycheproof", c.file+"_test.json"))
		if errors.Is(err, os.ErrNotExist) {
			t.Skip("no ../shared/vectors/wycheproof beside the project")
		}
		must(t, err)
		var file struct {
			TestGroups []struct {
				Tests []struct {
					TcID                                     int `json:"tcId"`
					Comment, Public, Private, Shared, Result string
				}
			}
		}
		must(t, json.Unmarshal(b, &file))
		seen := map[string]int{}
		for _, g := range file.TestGroups {
			for _, test := range g.Tests {
				private := make([]byte, 32)
				new(big.Int).SetBytes(unhex(t, test.Private)).FillBytes(private)
				key, err := c.curve.NewPrivateKey(private)
				must(t, err)
				public := append(bytes.Clone(c.raw), unhex(t, test.Public)...)
				var spki cryptobyte.String
				if s := cryptobyte.String(public); !s.ReadASN1(&spki, cbasn1.SEQUENCE) {
					continue // not to be put into a message
				}
				scheme := algorithm.Identifier{OID: c.kdf, Params: ber.Nest(ber.Sequence, oid(wrapOID(16)))}
				agreement, err := scheme.Agreement()
				must(t, err)
				want := bytes.Repeat([]byte{byte(test.TcID)}, 16)
				wrapped, err := agreement.Wrap(unhex(t, test.Shared), nil, want)
				must(t, err)
				_, ways := recipient.Read(agreed(nobody(), ber.Nest(ber.Context+1, spki), scheme, nil, wrapped), []recipient.Key{{Certificate: nobody(), Exchanger: key}})
				var got []byte
				if err = errors.New("no way"); len(ways) == 1 {
					got, err = ways[0].Unwrap(16, rand.Reader)
				}
				if test.Result == "valid" && err != nil || test.Result == "invalid" && err == nil || err == nil && !bytes.Equal(got, want) {
					t.Errorf("%s %d (%s, %s): %x, %v", c.file, test.TcID, test.Comment, test.Result, got, err)
				}
				seen[test.Result]++
			}
		}
		if seen["valid"] < 200 || seen["acceptable"] == 0 {
			t.Errorf("%s: %v", c.file, seen)
		}
	}
}
