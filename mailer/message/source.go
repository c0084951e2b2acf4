package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
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

func (s section) Open() (io.ReadCloser, error) {
	r, err := s.src.Open()
	if err != nil {
		return nil, err
	}
	if at, ok := r.(io.Seeker); ok {
		_, err = at.Seek(s.off, io.SeekStart)
	} else if _, err = io.CopyN(io.Discard, r, s.off); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("skipping to byte %d: %w", s.off, err)
	}
	return &sectionReader{r: r, left: s.n}, nil
}

// sectionReader ends after left bytes. Unlike io.LimitReader it tells when there
// are fewer.
type sectionReader struct {
	r    io.ReadCloser
	left int64
}

func (r *sectionReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if errors.Is(err, io.EOF) && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Len is what is left, at most.
func (r *sectionReader) Len() int { return int(min(max(r.left, 0), math.MaxInt)) }

func (r *sectionReader) Close() error { return r.r.Close() }
