package smime

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"hash"
	"io"
	"strings"

	"countersign/mailer/cms"
	"countersign/mailer/message"
)

// A stage is a message, or what is inside a layer of one, parsed. What a
// signature apart from its content needs is taken in by the same reading.
type stage struct {
	part      *message.Part
	limit     error       // why part is known one level deep only
	digest    *cms.Digest // of the first part of multipart/signed
	signature *brief      // the bytes of the second
}

func (d *description) parse(src message.Source) (s stage, err error) {
	s.part, err = message.ParseBeside(src, d.o.Limits, func(root *message.Part, i int) io.Writer {
		switch {
		case root.Type != "multipart/signed":
			return nil
		case i == 0:
			digest := cms.NewDigest(hashes(root.Params["micalg"])...)
			s.digest = &digest
			return digest
		case i == 1:
			s.signature = &brief{}
			return s.signature
		}
		return nil
	})
	if errors.Is(err, message.ErrLimit) { // perhaps only in what a layer protects
		lim := d.o.Limits
		lim.Depth = 1
		if part, again := message.Parse(src, lim); again == nil && formOf(part) != plain {
			return stage{part: part, limit: err}, nil
		}
	}
	return s, err
}

// second is the second part, from memory if it could be kept.
func (s stage) second() *message.Part {
	part := s.part.Parts[1]
	if s.signature == nil || s.signature.long {
		return part
	}
	return part.Over(message.Bytes(s.signature.Bytes()))
}

func (s stage) verify(signature, content message.Source, known []*x509.Certificate) (*cms.Signed, error) {
	if s.digest == nil {
		return cms.ReadSigned(signature, content, known...)
	}
	return s.digest.ReadSigned(signature, content, known...)
}

// hashes are those that a micalg parameter names (RFC 8551, section 3.5.3.2), so far
// as it can be believed: the signature has the say.
func hashes(micalg string) (list []crypto.Hash) {
	for name := range strings.SplitSeq(strings.ToLower(micalg), ",") {
		switch strings.ReplaceAll(strings.TrimSpace(name), "-", "") {
		case "sha256":
			list = append(list, crypto.SHA256)
		case "sha384":
			list = append(list, crypto.SHA384)
		case "sha512":
			list = append(list, crypto.SHA512)
		case "sha1":
			list = append(list, crypto.SHA1)
		}
	}
	return list[:min(len(list), 2)]
}

// brief keeps what is written to it, if that is little.
type brief struct {
	bytes.Buffer
	long bool
}

// errLong is the answer to more than a brief keeps.
var errLong = errors.New("smime: too long to be held")

func (b *brief) Write(p []byte) (int, error) {
	if b.long = b.long || b.Len()+len(p) > heldBytes; b.long {
		b.Reset()
		return 0, errLong
	}
	return b.Buffer.Write(p)
}

// ReadFrom would not stop at what is held.
func (b *brief) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{b}, r) }

// summed is a source that digests itself when it is read from start to end.
type summed struct {
	src  message.Source
	sum  [32]byte
	done bool
}

func (s *summed) Open() (io.ReadCloser, error) {
	r, err := s.src.Open()
	if err != nil || s.done {
		return r, err
	}
	return &summing{ReadCloser: r, hash: sha256.New(), of: s}, nil
}

type summing struct {
	io.ReadCloser
	hash hash.Hash
	of   *summed
	err  error
}

func (r *summing) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.hash.Write(p[:n])
	if r.err = err; err == io.EOF && !r.of.done {
		r.hash.Sum(r.of.sum[:0])
		r.of.done = true
	}
	return n, err
}

// Close looks whether the end was only not seen.
func (r *summing) Close() error {
	if r.err == nil && !r.of.done {
		_, _ = io.CopyN(io.Discard, r, 4<<10)
	}
	return r.ReadCloser.Close()
}

// digest is Opened.Digest.
func (d *description) digest() ([32]byte, error) {
	if d.sum == nil {
		raw := *d.Root
		raw.Encoding = ""
		d.sum = &summed{src: body{&raw}}
	}
	if d.sum.done {
		return d.sum.sum, nil
	}
	r, err := d.sum.Open()
	if err != nil {
		return [32]byte{}, err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return [32]byte{}, err
	}
	return d.sum.sum, nil
}
