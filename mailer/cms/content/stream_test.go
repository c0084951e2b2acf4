package content_test

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"countersign/mailer/cms/content"
)

// TestWriteBeside: however content is cut, it is encrypted and digested as in one piece.
func TestWriteBeside(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	msg := bytes.Repeat([]byte("0123456789abcdefghi"), 10_000)
	for _, cipher := range []content.Cipher{content.AES256CBC, content.AES256GCM, content.ChaCha20Poly1305} {
		a, err := content.For(cipher)
		must(t, err)
		id, err := a.New(bytes.NewReader(make([]byte, 64)))
		must(t, err)
		key := make([]byte, a.KeySize)
		want, wantTag := seal(t, a, key, id.Params, nil, msg)
		for _, most := range []int{30, 300, 3000, 200_000} {
			var got bytes.Buffer
			w, err := a.Seal(&got, key, id.Params, func(int) []byte { return nil })
			must(t, err)
			digest, begin := sha256.New(), random.IntN(100) // what stands before is encrypted only
			_, err = w.Write(msg[:begin])
			must(t, err)
			for rest := msg[begin:]; len(rest) > 0; {
				n := min(1+random.IntN(most), len(rest))
				piece := rest[:n]
				if room := w.AvailableBuffer(); cap(room) >= n {
					piece = append(room, piece...)
				}
				_, err := w.WriteBeside(piece, digest)
				must(t, err)
				rest = rest[n:]
			}
			tag, err := w.Close(nil)
			must(t, err)
			if !bytes.Equal(got.Bytes(), want) || !bytes.Equal(tag, wantTag) {
				t.Errorf("%v in pieces of up to %d: not the same", cipher, most)
			}
			if sum := sha256.Sum256(msg[begin:]); !bytes.Equal(digest.Sum(nil), sum[:]) {
				t.Errorf("%v in pieces of up to %d: not the same digest", cipher, most)
			}
		}
	}
}
