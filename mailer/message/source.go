package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A Source is a sequence of bytes that can be read as often as wanted: every
// Open gives the same bytes, from the first on. A reader that is also an
// io.Seeker is skipped through by seeking.
type Source interface {
	Open() (io.ReadCloser, error)
}

// Bytes is a Source in memory.
type Bytes []byte

// Open reads b from its start.
func (b Bytes) Open() (io.ReadCloser, error) {
	return bytesReader{bytes.NewReader(b)}, nil
}

type bytesReader struct{ *bytes.Reader }

func (bytesReader) Close() error { return nil }

// Section is the n bytes of s that begin at off. Where s ends before them,
// reading ends with io.ErrUnexpectedEOF.
func Section(s Source, off, n int64) Source {
	if outer, ok := s.(section); ok && off+n <= outer.n {
		return section{outer.src, outer.off + off, n}
	}
	return section{s, off, n}
}

type section struct {
	src    Source
	off, n int64
}

// errSeek answers a seek to a place before the section.
var errSeek = errors.New("message: seeking before the start")

func (s section) Open() (io.ReadCloser, error) {
	r, err := s.src.Open()
	if err != nil {
		return nil, err
	}
	at, seeks := r.(io.Seeker)
	if seeks {
		_, err = at.Seek(s.off, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, r, s.off)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("skipping to byte %d: %w", s.off, err)
	}
	reader := &sectionReader{r: r, left: s.n}
	if seeks {
		return &sectionSeeker{sectionReader: reader, at: at, section: s}, nil
	}
	return reader, nil
}

type sectionReader struct {
	r    io.ReadCloser
	left int64
}

func (r *sectionReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.left -= int64(n)
	if errors.Is(err, io.EOF) && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *sectionReader) Close() error { return r.r.Close() }

// sectionSeeker is a sectionReader over a source that seeks.
type sectionSeeker struct {
	*sectionReader
	at      io.Seeker
	section section
}

// Seek counts from the section's own first byte.
func (r *sectionSeeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.section.n - r.left
	case io.SeekEnd:
		offset += r.section.n
	}
	if offset < 0 {
		return 0, errSeek
	}
	offset = min(offset, r.section.n)
	if _, err := r.at.Seek(r.section.off+offset, io.SeekStart); err != nil {
		return 0, err
	}
	r.left = r.section.n - offset
	return offset, nil
}
