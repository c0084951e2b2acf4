package smime_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// counting is a key that counts its signatures, as a token asks for each.
type counting struct {
	crypto.Signer
	n int
}

func (c *counting) Sign(random io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	c.n++
	return c.Signer.Sign(random, digest, o)
}

// TestSealer: however many envelopes there are, the key signs once for those of one form.
func TestSealer(t *testing.T) {
	alice, bob, eve := people()["alice"], people()["bob"], people()["eve"]
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, signer := range map[string]cms.Signer{
		"ECDSA": {Key: alice.signKey, Certificate: alice.sign},
		"RSA":   {Key: key, Certificate: certify(alice.addr, 99, key, x509.KeyUsageDigitalSignature)},
	} {
		t.Run(name, func(t *testing.T) {
			count := &counting{Signer: signer.Key}
			s := smime.NewSealer(letter(), smime.Keys{Signer: cms.Signer{Key: count, Certificate: signer.Certificate}, Encryption: alice.encrypt})
			var signatures [][]byte
			for i, e := range []smime.Envelope{
				{To: []*x509.Certificate{bob.encrypt}, Cipher: cms.AES256GCM, Derive: true},
				{To: []*x509.Certificate{eve.encrypt}}, // a hidden one
				{To: []*x509.Certificate{alice.encrypt}, OAEP: true},
				{To: []*x509.Certificate{bob.encrypt}, Direct: true},
				{To: []*x509.Certificate{alice.encrypt}, Direct: true},
			} {
				var raw bytes.Buffer
				if err := s.Seal(&raw, e); err != nil {
					t.Fatal(err)
				}
				if err := smime.CheckOuter(bytes.NewReader(raw.Bytes())); err != nil {
					t.Error(err)
				}
				o := open(t, message.Bytes(raw.Bytes()), slices.Concat(alice.opens(), bob.opens(), eve.opens()))
				if o.Problem != nil || layers(o) != "encrypted signed(valid)" || shown(t, o) != letter().Text {
					t.Fatal(i, o.Problem, layers(o))
				}
				signatures = append(signatures, o.Layers[1].Signed.Signers[0].Digest)
			}
			if count.n != 2 {
				t.Errorf("the key was asked %d times for two forms", count.n)
			}
			if !bytes.Equal(signatures[0], signatures[1]) || !bytes.Equal(signatures[0], signatures[2]) || bytes.Equal(signatures[0], signatures[3]) {
				t.Error("what is signed differs between envelopes")
			}
		})
	}
}

// TestSealerChanged: an attachment that is another one in the second envelope is not
// sent under the first one's signature.
func TestSealerChanged(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	l, shifting := letter(), &shifting{}
	l.Attachments = []smime.Attachment{{Name: "a.bin", Content: shifting}}
	s := smime.NewSealer(l, alice.keys())
	if err := s.Seal(io.Discard, smime.Envelope{To: []*x509.Certificate{bob.encrypt}}); err != nil {
		t.Fatal(err)
	}
	shifting.now = 1
	if err := s.Seal(io.Discard, smime.Envelope{To: []*x509.Certificate{alice.encrypt}}); !errors.Is(err, smime.ErrLetter) {
		t.Error(err)
	}
}

// shifting is an attachment that changes and keeps its length, which is too long to be read once only.
type shifting struct{ now byte }

func (s *shifting) Open() (io.ReadCloser, error) {
	return message.Bytes(bytes.Repeat([]byte{s.now}, 300_000)).Open()
}
