package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/attribute"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
	"countersign/mailer/cms/recipient"
)

// A Signer is a private key, perhaps on a token, and its certificate.
type Signer struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
}

// SignOptions say what is signed beside the content. The zero value will do.
type SignOptions struct {
	// Hash digests the content; 0 is SHA-256. (Ed25519 keys always use SHA-512: RFC 8419.)
	Hash crypto.Hash
	// PSS makes RSA keys sign with RSA-PSS, which not every program reads.
	PSS bool
	// Time is the signing time claimed, in whole seconds; the zero time is not written.
	Time time.Time
	// Certificates are enclosed beside those of the signers.
	Certificates []*x509.Certificate
	// EncryptionCertificate is the one to answer to. It is named in the signed
	// attributes and enclosed (RFC 8551, section 2.5.3).
	EncryptionCertificate *x509.Certificate
	// Capabilities are the ciphers that the signer reads, the preferred first; none are announced if it is empty.
	Capabilities []Cipher
	// Derives announces beside them that the signer reads derived keys (RFC 9709).
	Derives bool
	// OAEP announces beside them that the signer reads RSA-OAEP with SHA-256.
	OAEP bool
	// Type is the type of the content; nil is plain data, which S/MIME signs.
	Type asn1.ObjectIdentifier
	// Rand is the source of random numbers; nil is crypto/rand.
	Rand io.Reader
}

// signing is a signature in the making. Written to it is the content.
type signing struct {
	signers []signer
	digests map[crypto.Hash]hash.Hash
	certs   []byte // the field that encloses them
	o       SignOptions
}

type signer struct {
	Signer
	algorithm.Method
	digest algorithm.Identifier
	said   attribute.Writer // the attributes that are the same for every content
}

func newSigning(signers []Signer, o SignOptions) (*signing, error) {
	if len(signers) == 0 {
		return nil, errors.New("cms: signing without a signer")
	}
	if o.Hash == 0 {
		o.Hash = crypto.SHA256
	}
	if o.Type == nil {
		o.Type = oidData
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	s := &signing{digests: map[crypto.Hash]hash.Hash{}, o: o}
	enclosed := slices.Clone(o.Certificates)
	for _, one := range signers {
		pub, ok := one.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !pub.Equal(algorithm.PublicKey(one.Certificate)) {
			return nil, errors.New("cms: the signer's key and certificate do not belong together")
		}
		m, err := algorithm.Choose(one.Certificate, o.Hash, o.PSS)
		if err != nil {
			return nil, fmt.Errorf("preparing to sign: %w", err)
		}
		digest, err := algorithm.Digest(m.Hash)
		if err != nil {
			return nil, fmt.Errorf("preparing to sign: %w", err)
		}
		s.signers = append(s.signers, signer{one, m, digest, o.attributes(one.Certificate, m.Algorithm, digest)})
		s.digests[m.Hash] = m.Hash.New()
		enclosed = append(enclosed, one.Certificate)
	}
	if o.EncryptionCertificate != nil {
		enclosed = append(enclosed, o.EncryptionCertificate)
	}
	var certs [][]byte
	for _, c := range enclosed {
		if !slices.ContainsFunc(certs, func(der []byte) bool { return string(der) == string(c.Raw) }) {
			certs = append(certs, c.Raw)
		}
	}
	s.certs = ber.SortedSet(certs)
	s.certs[0] = byte(ber.Context) | ber.Constructed // [0] IMPLICIT
	return s, nil
}

func (s *signing) Write(p []byte) (int, error) {
	for _, d := range s.digests {
		d.Write(p)
	}
	return len(p), nil
}

// shell returns what stands around the content, less what only the end tells.
func (s *signing) shell() (shell, error) {
	version := int64(1)
	if !s.o.Type.Equal(oidData) {
		version = 3 // RFC 5652, section 5.1
	}
	var algorithms [][]byte
	for h := range s.digests {
		a, _ := algorithm.Digest(h)
		var b cryptobyte.Builder
		a.Add(&b)
		algorithms = append(algorithms, b.BytesOrPanic())
	}
	var before, info cryptobyte.Builder
	before.AddASN1Int64(version)
	before.AddBytes(ber.SortedSet(algorithms))
	info.AddASN1ObjectIdentifier(s.o.Type)
	typ, err := info.Bytes()
	return shell{kind: KindSigned, before: before.BytesOrPanic(), info: typ, explicit: true}, err
}

// after returns the fields of SignedData behind the content. Draft fills in signatures of
// zeros to learn the length; ok is false if that can't be known.
func (s *signing) after(draft bool) (fields []byte, ok bool, err error) {
	var infos [][]byte
	ok = true
	for _, one := range s.signers {
		attributes, err := one.said.Set(s.digests[one.Hash].Sum(nil))
		if err != nil {
			return nil, false, err
		}
		signature := make([]byte, one.Size)
		if ok = ok && one.Size > 0; !draft {
			if signature, err = s.sign(one, attributes); err != nil {
				return nil, false, err
			}
		}
		infos = append(infos, one.info(attributes, signature))
	}
	return slices.Concat(s.certs, ber.SortedSet(infos)), ok, nil
}

// attributes are those that are signed, but for the digest of the content.
func (o SignOptions) attributes(c *x509.Certificate, signature, digest algorithm.Identifier) (w attribute.Writer) {
	w.Type(o.Type)
	if !o.Time.IsZero() {
		w.Time(o.Time)
	}
	if len(o.Capabilities) > 0 {
		w.Capabilities(attribute.Capabilities{Ciphers: o.Capabilities, Derives: o.Derives, OAEP: o.OAEP})
	}
	w.Protection(digest, signature)
	w.SigningCertificate(c)
	if o.EncryptionCertificate != nil {
		w.EncryptionCertificate(o.EncryptionCertificate)
	}
	return w
}

// sign also checks: a signature that does not verify never leaves, whatever a token did.
func (s *signing) sign(one signer, attributes []byte) ([]byte, error) {
	t := algorithm.Over(one.Hash, attributes)
	input := t.Digest
	if one.Options.HashFunc() == 0 {
		input = attributes
	}
	signature, err := one.Key.Sign(s.o.Rand, input, one.Options)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if _, err := one.Algorithm.Verify(algorithm.PublicKey(one.Certificate), t, signature); err != nil {
		return nil, fmt.Errorf("checking our own signature: %w", err)
	}
	return signature, nil
}

// info returns the SignerInfo.
func (one signer) info(attributes, signature []byte) []byte {
	attributes = slices.Clone(attributes)
	attributes[0] = byte(ber.Context) | ber.Constructed // [0] IMPLICIT
	b := cryptobyte.NewBuilder(make([]byte, 0, len(attributes)+len(one.Certificate.RawIssuer)+len(signature)+128))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		recipient.AddIssuerAndSerial(b, cbasn1.SEQUENCE, one.Certificate)
		one.digest.Add(b)
		b.AddBytes(attributes)
		one.Algorithm.Add(b)
		b.AddASN1OctetString(signature)
	})
	return b.BytesOrPanic()
}

// Detached makes a signature apart from its content, for multipart/signed.
type Detached struct {
	signing *signing
}

// NewDetached prepares to sign what will be written to it. No key is used before Finish.
func NewDetached(signers []Signer, o SignOptions) (*Detached, error) {
	s, err := newSigning(signers, o)
	if err != nil {
		return nil, err
	}
	return &Detached{s}, nil
}

// Write adds content. It never fails.
func (d *Detached) Write(p []byte) (int, error) { return d.signing.Write(p) }

// Through returns a Writer to w that adds what is written to the content on its way. Where
// w encrypts, that takes less time than to write to both.
func (d *Detached) Through(w io.Writer) io.Writer {
	e, encrypts := w.(*encrypting)
	for _, digest := range d.signing.digests {
		if encrypts && len(d.signing.digests) == 1 {
			return through{e, digest}
		}
	}
	return io.MultiWriter(w, d)
}

// through digests what it encrypts.
type through struct {
	to     *encrypting
	digest hash.Hash
}

func (t through) Write(p []byte) (int, error) { return t.to.WriteBeside(p, t.digest) }
func (t through) AvailableBuffer() []byte     { return t.to.AvailableBuffer() }

// Reset forgets what was written, to sign another content.
func (d *Detached) Reset() {
	for _, digest := range d.signing.digests {
		digest.Reset()
	}
}

// Sum is the same for the same content, and for no other.
func (d *Detached) Sum() (sum []byte) {
	for _, one := range d.signing.signers {
		sum = d.signing.digests[one.Hash].Sum(sum)
	}
	return sum
}

// Size is the length of what Finish returns, in octets. It is -1 where only a signature
// itself tells how long it is.
func (d *Detached) Size() (int, error) {
	der, known, err := d.der(true)
	if err != nil || !known {
		return -1, err
	}
	return len(der), nil
}

// Finish signs and returns the DER of the signature.
func (d *Detached) Finish() ([]byte, error) {
	der, _, err := d.der(false)
	return der, err
}

func (d *Detached) der(draft bool) (der []byte, known bool, err error) {
	sh, err := d.signing.shell()
	if err != nil {
		return nil, false, err
	}
	after, known, err := d.signing.after(draft)
	if err != nil {
		return nil, false, err
	}
	sh.apart, sh.after = true, int64(len(after))
	return append(sh.head(), after...), known, nil
}

// NewSigned writes to w a signed message that encloses what is written to it. Size is
// the length of that content in octets, or -1 if it is not known. Close signs
// and completes the message; without it there is none.
func NewSigned(w io.Writer, size int64, signers []Signer, o SignOptions) (io.WriteCloser, error) {
	s, err := newSigning(signers, o)
	if err != nil {
		return nil, err
	}
	sh, err := s.shell()
	if err != nil {
		return nil, err
	}
	draft, known, err := s.after(true)
	if err != nil {
		return nil, err
	}
	if sh.size, sh.after = size, int64(len(draft)); !known {
		sh.after = -1
	}
	if _, err := w.Write(sh.head()); err != nil {
		return nil, err
	}
	return &enclosing{signing: s, around: sh, w: w, left: size}, nil
}

// enclosing writes signed content through.
type enclosing struct {
	*signing
	around shell
	w      io.Writer
	left   int64  // of the length announced
	buf    []byte // a segment being filled, where none was
	err    error
}

func (e *enclosing) Write(p []byte) (n int, err error) {
	if e.err != nil {
		return 0, e.err
	}
	if e.around.size >= 0 {
		if e.left -= int64(len(p)); e.left < 0 {
			e.err = errSize
			return 0, e.err
		}
		e.signing.Write(p)
		n, e.err = e.w.Write(p)
		return n, e.err
	}
	e.signing.Write(p)
	for n < len(p) && e.err == nil {
		if e.buf == nil {
			e.buf = make([]byte, 0, content.Segment)
		}
		k := copy(e.buf[len(e.buf):content.Segment], p[n:])
		e.buf, n = e.buf[:len(e.buf)+k], n+k
		if len(e.buf) == content.Segment {
			e.flush()
		}
	}
	return n, e.err
}

// flush writes the segment.
func (e *enclosing) flush() {
	if len(e.buf) == 0 || e.err != nil {
		return
	}
	if _, e.err = e.w.Write(e.around.segment(len(e.buf))); e.err == nil {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

func (e *enclosing) Close() error {
	e.flush()
	if e.err == nil && e.left > 0 {
		e.err = errSize
	}
	if e.err != nil {
		return e.err
	}
	e.err = content.ErrClosed
	after, _, err := e.after(false)
	if err != nil {
		return err
	}
	_, err = e.w.Write(e.around.tail(after))
	return err
}
