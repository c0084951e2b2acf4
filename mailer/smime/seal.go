package smime

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"strings"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/message/transfer"
)

// An Envelope is what a letter goes out in. What is not set is what every program
// reads; the rest is for those who say that they read it.
type Envelope struct {
	To     []*x509.Certificate // who can open it, and nobody else
	Cipher cms.Cipher          // the zero value is AES-256-CBC
	OAEP   bool                // RSA-OAEP for the keys (RFC 3560)
	Derive bool                // RFC 9709, against passing an authenticated content off as another
	// Direct puts the letter into a message/rfc822 of its own before it is signed
	// (Applicability Statement for Secure Health Transport, section 2.2), which
	// RFC 9788 has abandoned.
	Direct bool
	Keep   func(cms.ContentKey) // gets the content key, if it is to be kept (K1b); or nil
	Rand   io.Reader            // nil is crypto/rand
}

// Seal writes the letter, signed, in an envelope for the holders of to and nobody
// else, as everybody reads it.
func Seal(w io.Writer, l Letter, k Keys, to []*x509.Certificate, rand io.Reader) error {
	return Envelope{To: to, Rand: rand}.Seal(w, l, k)
}

// Seal writes the letter, signed, in the envelope.
func (e Envelope) Seal(w io.Writer, l Letter, k Keys) error { return NewSealer(l, k).Seal(w, e) }

// A Sealer puts one letter into several envelopes with one signature: what is signed
// is the same in all of them, and names no hidden recipient. Envelopes that are Direct
// and those that are not share none, so there may be two.
type Sealer struct {
	letter Letter
	keys   Keys
	made   map[bool]*prepared // by Direct
}

// prepared is a letter ready for its envelopes.
type prepared struct {
	outer  message.Header // less what tells of the content
	inside *clearSigned
}

// NewSealer returns a Sealer. No key is used before there is an envelope.
func NewSealer(l Letter, k Keys) *Sealer {
	return &Sealer{letter: l, keys: k, made: map[bool]*prepared{}}
}

func (s *Sealer) prepare(direct bool, rand io.Reader) (message.Header, *clearSigned, error) {
	p := s.made[direct]
	if p == nil {
		outer, inside, err := s.letter.sign(s.keys, "cipher", direct, rand)
		if err != nil {
			return outer, nil, err
		}
		if err := inside.measure(); err != nil {
			return outer, nil, fmt.Errorf("signing: %w", err)
		}
		p = &prepared{outer, inside}
		s.made[direct] = p
	}
	return message.Header{Fields: slices.Clone(p.outer.Fields)}, p.inside, nil
}

// Seal writes the letter, signed, in an envelope. A letter of less than 256 KiB is put
// together once. The attachments of others are read once for each envelope, and once more
// for the first if they can't be measured by seeking or the key's signatures are not all
// of one length. After an error what was written is of no use.
func (s *Sealer) Seal(w io.Writer, e Envelope) error {
	outer, inside, err := s.prepare(e.Direct, e.Rand)
	if err != nil {
		return err
	}
	size, err := inside.size()
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	kind := cms.KindEnveloped
	if e.Cipher.Authenticated() {
		kind = cms.KindAuthEnveloped
	}
	outer.Add("Content-Type", fmt.Sprintf("application/pkcs7-mime; smime-type=%s; name=smime.p7m", kind))
	outer.Add("Content-Transfer-Encoding", "base64")
	outer.Add("Content-Disposition", "attachment; filename=smime.p7m")
	if err := outer.Write(w); err != nil {
		return fmt.Errorf("writing header: %w", err)
	}
	head := inside.head()
	body := transfer.NewBase64Writer(w)
	envelope, err := cms.NewEnveloped(body, e.To, cms.EncryptOptions{
		Cipher: e.Cipher, Size: int64(len(head)) + size, OAEP: e.OAEP, Derive: e.Derive, Keep: e.Keep, Rand: e.Rand,
	})
	if err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	if _, err = envelope.Write(head); err == nil {
		err = inside.write(envelope)
	}
	if err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	if err := envelope.Close(); err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	return body.Close()
}

// Sign writes the letter signed and readable for all.
func Sign(w io.Writer, l Letter, k Keys, rand io.Reader) error {
	outer, s, err := l.sign(k, "clear", false, rand)
	if err != nil {
		return err
	}
	outer.Add("Content-Type", s.contentType())
	if err := outer.Write(w); err != nil {
		return fmt.Errorf("writing header: %w", err)
	}
	return s.write(w)
}

// sign prepares to sign the letter and returns what stands outside, without the
// fields for the content, and what stands inside.
func (l Letter) sign(k Keys, hp string, direct bool, rand io.Reader) (message.Header, *clearSigned, error) {
	inner, outer, err := l.headers(hp == "cipher")
	if err != nil {
		return outer, nil, err
	}
	if hp == "cipher" && !direct {
		for _, f := range outer.Fields { // RFC 9788, section 2.2
			inner.Add("HP-Outer", f.Name+": "+f.Value)
		}
	}
	outer.Add("MIME-Version", "1.0")
	if direct {
		inner.Add("MIME-Version", "1.0")
		hp = ""
	}
	payload, err := l.payload(inner, hp, rand)
	if err != nil {
		return outer, nil, err
	}
	if direct {
		payload = message.Entity{Type: "message/rfc822", Parts: []message.Entity{payload}}
	}
	boundary, err := message.NewBoundary(rand)
	if err != nil {
		return outer, nil, err
	}
	d, err := cms.NewDetached(k.signers(), cms.SignOptions{
		Time: l.Date.UTC(), Certificates: k.Chain, EncryptionCertificate: k.Encryption, Rand: rand,
		Capabilities: []cms.Cipher{cms.AES256GCM, cms.AES128GCM, cms.AES256CBC, cms.AES128CBC}, Derives: true,
		OAEP: k.Encryption != nil && k.Encryption.PublicKeyAlgorithm == x509.RSA,
	})
	if err != nil {
		return outer, nil, fmt.Errorf("signing: %w", err)
	}
	return outer, &clearSigned{payload: &payload, boundary: boundary, micalg: micalg(k), detached: d}, nil
}

// clearSigned is a multipart/signed, ready to be written (RFC 8551, section 3.5.3).
type clearSigned struct {
	payload   *message.Entity
	short     []byte // the payload, if it is put together
	length    int64  // of the payload, once it is measured
	boundary  string
	micalg    string
	detached  *cms.Detached
	signature []byte // the CMS, once there is one
	sum       []byte // of what was signed
}

// measure learns the payload's length, and puts together a short one.
func (s *clearSigned) measure() (err error) {
	if s.length, err = s.payload.Size(); err != nil || s.length > heldBytes {
		return err
	}
	var b brief
	b.Grow(int(s.length))
	err = s.payload.Write(&b)
	s.short, s.length = b.Bytes(), int64(b.Len())
	return err
}

// size is what write writes, in bytes. Where only the signature itself tells its
// length, it is made for that, and must be the one in the end.
func (s *clearSigned) size() (int64, error) {
	der := s.signature
	if der == nil {
		n, err := s.detached.Size()
		if err != nil {
			return 0, err
		}
		if n >= 0 {
			der = make([]byte, n)
		} else if err := s.sign(io.Discard); err != nil {
			return 0, err
		} else {
			der = s.signature
		}
	}
	second, err := second(der).Size()
	return int64(len(s.opening())+len(s.between())+len(s.ending())) + s.length + second, err
}

// sign writes the payload to w and signs it. Where it was signed before it has to be the same.
func (s *clearSigned) sign(w io.Writer) error {
	s.detached.Reset()
	err := error(nil)
	if w = s.detached.Through(w); s.short != nil {
		_, err = w.Write(s.short)
	} else {
		err = s.payload.Write(w)
	}
	if err != nil {
		return err
	}
	sum := s.detached.Sum()
	if s.signature != nil && !bytes.Equal(sum, s.sum) {
		return fmt.Errorf("%w: an attachment changed while it was signed", ErrLetter)
	}
	if s.sum = sum; s.signature != nil {
		return nil
	}
	s.signature, err = s.detached.Finish()
	return err
}

// The parts stand after opening, before and after between, and before ending.
func (s *clearSigned) opening() string { return "--" + s.boundary + "\r\n" }
func (s *clearSigned) between() string { return "\r\n--" + s.boundary + "\r\n" }
func (s *clearSigned) ending() string  { return "\r\n--" + s.boundary + "--\r\n" }

// second is the second part, which holds the CMS.
func second(der []byte) *message.Entity {
	return &message.Entity{Type: "application/pkcs7-signature", Disposition: "attachment", Name: "smime.p7s",
		Params: map[string]string{"name": "smime.p7s"}, Content: message.Bytes(der)}
}

// micalg names the hashes that cms takes for the keys (RFC 8551, section 3.5.3.2).
func micalg(k Keys) string {
	names := []string{}
	for _, one := range k.signers() {
		name := "sha-256"
		if one.Certificate != nil && one.Certificate.PublicKeyAlgorithm == x509.Ed25519 {
			name = "sha-512" // RFC 8419, section 3
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

func (s *clearSigned) contentType() string {
	micalg := s.micalg
	if strings.Contains(micalg, ",") {
		micalg = `"` + micalg + `"` // a comma is none of a token's characters (RFC 2045, section 5.1)
	}
	return fmt.Sprintf(`multipart/signed; protocol="application/pkcs7-signature"; micalg=%s; boundary="%s"`, micalg, s.boundary)
}

// head is the header of the multipart where it is an entity of its own.
func (s *clearSigned) head() []byte {
	var b bytes.Buffer
	h := message.Header{}
	h.Add("Content-Type", s.contentType())
	_ = h.Write(&b) // neither a bad field nor a full disk
	return b.Bytes()
}

// write writes the body of the multipart, and signs what it writes.
func (s *clearSigned) write(w io.Writer) error {
	if _, err := io.WriteString(w, s.opening()); err != nil {
		return err
	}
	if err := s.sign(w); err != nil {
		return err
	}
	if _, err := io.WriteString(w, s.between()); err != nil {
		return err
	}
	if err := second(s.signature).Write(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, s.ending())
	return err
}
