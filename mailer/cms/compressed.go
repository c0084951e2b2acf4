package cms

import (
	"bufio"
	"compress/flate"
	"compress/zlib"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
)

var oidZlib = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 8}

// Compressed is a compressed message (RFC 3274), which protects nothing. It is a
// Source of its content.
type Compressed struct {
	src  Source
	most int64
}

// ReadCompressed reads the beginning of a compressed message, whose content may grow to most octets.
func ReadCompressed(src Source, most int64) (*Compressed, error) {
	c := &Compressed{src, most}
	_, f, err := c.begin()
	if err != nil {
		return nil, fmt.Errorf("reading a compressed message: %w", err)
	}
	return c, f.Close()
}

// begin opens src at the content info.
func (c *Compressed) begin() (*ber.Reader, io.Closer, error) {
	f, err := c.src.Open()
	if err != nil {
		return nil, nil, err
	}
	r := newReader(f)
	if err := compressedHeader(r); err != nil {
		f.Close()
		return nil, nil, err
	}
	return r, f, nil
}

func compressedHeader(r *ber.Reader) error {
	kind, err := contentInfo(r)
	if err != nil {
		return err
	}
	if kind != KindCompressed {
		return malformed("this is " + string(kind))
	}
	if err := version(r); err != nil {
		return err
	}
	der, err := r.Value("compression algorithm")
	if err != nil {
		return err
	}
	a, err := algorithm.Parse(der, "compression algorithm")
	if err != nil {
		return err
	}
	if !a.OID.Equal(oidZlib) {
		return algorithm.Refuse("compression", a.Name())
	}
	if err := r.Enter(ber.Sequence, "content info"); err != nil {
		return err
	}
	if _, err := readType(r, "content type"); err != nil {
		return err
	}
	return r.Enter(ber.Context, "content")
}

// Open gives the content. It ends with ErrInflated where it grows too large,
// and with ErrMalformed where it is damaged or cut off.
func (c *Compressed) Open() (io.ReadCloser, error) {
	r, f, err := c.begin()
	if err != nil {
		return nil, err
	}
	deflated, err := r.Octets(ber.OctetString, "content")
	if err != nil {
		f.Close()
		return nil, err
	}
	return &inflated{Closer: f, r: r, deflated: bufio.NewReader(deflated), left: c.most}, nil
}

type inflated struct {
	io.Closer
	r        *ber.Reader
	deflated *bufio.Reader
	zlib     io.Reader
	left     int64
	err      error
}

func (i *inflated) Read(p []byte) (int, error) {
	if i.zlib == nil && i.err == nil {
		i.zlib, i.err = zlib.NewReader(i.deflated)
		i.err = i.explain(i.err)
	}
	if i.err != nil {
		return 0, i.err
	}
	n, err := i.zlib.Read(p[:min(int64(len(p)), i.left+1)])
	if i.left -= int64(n); i.left < 0 {
		i.err = ErrInflated
		return 0, i.err
	}
	i.err = i.explain(err)
	return n, i.err
}

// explain tells damage, and at the end whether the message itself ends there.
func (i *inflated) explain(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == io.EOF:
		if _, err := i.deflated.ReadByte(); err != io.EOF {
			return malformed("something behind the compressed content")
		}
		if err := i.r.Finish(); err != nil {
			return err
		}
	case errors.As(err, &corrupt), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrChecksum),
		errors.Is(err, zlib.ErrDictionary), errors.Is(err, io.ErrUnexpectedEOF):
		return malformed(err.Error())
	}
	return err
}
