package content_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"countersign/mailer/cms/content"
)

// TestMarks: what was marked comes out, and of anything else nothing from the first
// piece on that differs.
func TestMarks(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 65536, 65537, 200_000} {
		original := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
		for _, step := range []int{1000, 5000, 70_000} {
			m := content.NewMarking()
			for rest := original; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				m.Write(rest[:min(step, len(rest))])
			}
			marks := m.Finish()
			for _, piece := range []int{100, 64 << 10} {
				got, err := drain(marks.Open(io.NopCloser(iotest.HalfReader(bytes.NewReader(original)))), piece)
				if err != nil || !bytes.Equal(got, original) {
					t.Fatalf("%d octets by %d: %d, %v", n, step, len(got), err)
				}
				for name, other := range map[string][]byte{
					"longer": append(bytes.Clone(original), 0), "shorter": original[:max(0, n-1)], "other": flipped(original),
				} {
					if bytes.Equal(other, original) {
						continue
					}
					got, err := drain(marks.Open(io.NopCloser(bytes.NewReader(other))), piece)
					if !errors.Is(err, content.ErrIntegrity) || !bytes.HasPrefix(original, got) {
						t.Fatalf("%d octets by %d, %s: %d, %v", n, step, name, len(got), err)
					}
				}
			}
		}
	}
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return b
}

func drain(r io.Reader, piece int) (all []byte, err error) {
	buf := make([]byte, piece)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}
