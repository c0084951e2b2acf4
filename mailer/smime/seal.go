package smime

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"fmt"
	"io"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/message/transfer"
)

// Seal writes the letter, signed, in an envelope for the holders of to and
// nobody else. The letter's attachments are read twice. After an error what was
// written is of no use. rand nil is crypto/rand.
func Seal(w io.Writer, l Letter, k Keys, to []*x509.Certificate, rand io.Reader) error {
	outer, s, err := l.sign(k, "cipher", rand)
	if err != nil {
		return err
	}
	outer.Add("Content-Type", `application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m`)
	outer.Add("Content-Transfer-Encoding", "base64")
	outer.Add("Content-Disposition", "attachment; filename=smime.p7m")
	if err := outer.Write(w); err != nil {
		return fmt.Errorf("writing header: %w", err)
	}
	head := s.head()
	body := transfer.NewBase64Writer(w)
	envelope, err := cms.NewEnveloped(body, to, cms.EncryptOptions{Size: int64(len(head)) + s.size(), Rand: rand})
	if err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	if _, err = envelope.Write(head); err == nil {
		err = s.write(envelope)
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
	outer, s, err := l.sign(k, "clear", rand)
	if err != nil {
		return err
	}
	outer.Add("Content-Type", s.contentType())
	if err := outer.Write(w); err != nil {
		return fmt.Errorf("writing header: %w", err)
	}
	return s.write(w)
}

// sign signs the letter and returns what stands outside, without the fields for
// the content, and what stands inside.
func (l Letter) sign(k Keys, hp string, rand io.Reader) (message.Header, *clearSigned, error) {
	inner, outer, err := l.headers(hp == "cipher")
	if err != nil {
		return outer, nil, err
	}
	if hp == "cipher" {
		for _, f := range outer.Fields { // RFC 9788, section 2.2
			inner.Add("HP-Outer", f.Name+": "+f.Value)
		}
	}
	outer.Add("MIME-Version", "1.0")
	payload, err := l.payload(inner, hp, rand)
	if err != nil {
		return outer, nil, err
	}
	s, err := signClear(payload, k, cms.SignOptions{
		Time: l.Date.UTC(), Certificates: k.Chain, EncryptionCertificate: k.Encryption, Rand: rand,
	})
	return outer, s, err
}

// clearSigned is a multipart/signed, ready to be written (RFC 8551, section
// 3.5.3). Its payload is written out again from its sources.
type clearSigned struct {
	payload   message.Entity
	length    int64 // of the payload
	boundary  string
	micalg    string
	signature []byte // the second part, from the delimiter before it to the end
}

func signClear(payload message.Entity, k Keys, o cms.SignOptions) (*clearSigned, error) {
	boundary, err := message.NewBoundary(o.Rand)
	if err != nil {
		return nil, err
	}
	s := &clearSigned{payload: payload, boundary: boundary, micalg: micalg(k)}
	detached, err := cms.NewDetached([]cms.Signer{k.Signer}, o)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if s.length, err = s.writePayload(detached); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	der, err := detached.Finish()
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "\r\n--%s\r\n", boundary)
	err = (&message.Entity{Type: "application/pkcs7-signature", Disposition: "attachment", Name: "smime.p7s",
		Params: map[string]string{"name": "smime.p7s"}, Content: message.Bytes(der)}).Write(&b)
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	s.signature = b.Bytes()
	return s, err
}

// micalg names the hash that cms takes for the key (RFC 8551, section 3.5.3.2).
func micalg(k Keys) string {
	if k.Signer.Certificate != nil && k.Signer.Certificate.PublicKeyAlgorithm == x509.Ed25519 {
		return "sha-512" // RFC 8419, section 3
	}
	return "sha-256"
}

func (s *clearSigned) contentType() string {
	return fmt.Sprintf(`multipart/signed; protocol="application/pkcs7-signature"; micalg=%s; boundary="%s"`, s.micalg, s.boundary)
}

// head is the header of the multipart where it is an entity of its own.
func (s *clearSigned) head() []byte {
	var b bytes.Buffer
	h := message.Header{}
	h.Add("Content-Type", s.contentType())
	_ = h.Write(&b) // neither a bad field nor a full disk
	return b.Bytes()
}

// size is what write writes, in bytes.
func (s *clearSigned) size() int64 {
	return int64(len("--"+s.boundary+"\r\n")) + s.length + int64(len(s.signature))
}

// write writes the body of the multipart.
func (s *clearSigned) write(w io.Writer) error {
	if _, err := io.WriteString(w, "--"+s.boundary+"\r\n"); err != nil {
		return err
	}
	n, err := s.writePayload(w)
	if err != nil {
		return err
	}
	if n != s.length {
		return fmt.Errorf("%w: an attachment changed while it was signed", ErrLetter)
	}
	_, err = w.Write(s.signature)
	return err
}

func (s *clearSigned) writePayload(w io.Writer) (int64, error) {
	c := &counter{w: w}
	b := bufio.NewWriterSize(c, 64<<10)
	if err := s.payload.Write(b); err != nil {
		return 0, err
	}
	err := b.Flush()
	return c.n, err
}

// counter counts what passes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
