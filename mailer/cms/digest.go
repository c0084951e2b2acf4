package cms

import (
	"crypto"
	"crypto/x509"
	"hash"
	"io"
	"slices"

	"countersign/mailer/cms/content"
)

// A Digest takes in the content that a signature stands apart from, while something
// else reads it. The first pass needs no reading of its own then.
type Digest struct{ *summing }

// NewDigest returns a Digest for signatures that use one of the hashes, as far as is
// known beforehand; none stands for SHA-256.
func NewDigest(hashes ...crypto.Hash) Digest { return Digest{newSumming(hashes)} }

// ReadSigned is ReadSigned for a content that has been written to d whole. It is
// read again only if the signature turns out to use another hash.
func (d Digest) ReadSigned(src, content Source, known ...*x509.Certificate) (*Signed, error) {
	return readSigned(&Signed{src: src, content: content, known: known, sums: d.sums()})
}

// sums are digests of one content, its first octets, and its marks.
type sums struct {
	of     map[crypto.Hash][]byte
	octets int64 // of the content
	start  []byte
	marks  content.Marks
}

// summing makes sums of what is written to it.
type summing struct {
	running []digesting
	octets  int64
	start   []byte
	marking content.Marking
}

type digesting struct {
	by crypto.Hash
	hash.Hash
}

// newSumming computes at least one digest.
func newSumming(wanted []crypto.Hash) *summing {
	s := &summing{marking: content.NewMarking()}
	if len(wanted) == 0 {
		wanted = []crypto.Hash{crypto.SHA256}
	}
	for _, h := range slices.Compact(slices.Sorted(slices.Values(wanted))) {
		s.running = append(s.running, digesting{h, h.New()})
	}
	return s
}

// Write never fails.
func (s *summing) Write(p []byte) (int, error) {
	for _, d := range s.running {
		d.Write(p)
	}
	if len(s.start) < 64 {
		s.start = append(s.start, p[:min(len(p), 64-len(s.start))]...)
	}
	s.marking.Write(p)
	s.octets += int64(len(p))
	return len(p), nil
}

func (s *summing) sums() sums {
	all := sums{of: map[crypto.Hash][]byte{}, octets: s.octets, start: s.start, marks: s.marking.Finish()}
	for _, d := range s.running {
		all.of[d.by] = d.Sum(nil)
	}
	return all
}

// sum reads a content to its end.
func sum(from io.Reader, wanted []crypto.Hash) (sums, error) {
	s := newSumming(wanted)
	buf := make([]byte, content.Segment)
	for {
		n, err := from.Read(buf)
		s.Write(buf[:n])
		if err == io.EOF {
			return s.sums(), nil
		}
		if err != nil {
			return sums{}, err
		}
	}
}
