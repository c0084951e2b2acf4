package smime_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// FuzzOpen: whatever comes in is described without a panic, within bounds, and
// never as more than it is.
func FuzzOpen(f *testing.F) {
	alice, bob := people()["alice"], people()["bob"]
	f.Add([]byte(seal(f, letter(), alice, bob)))
	f.Add([]byte(signedForm(f)))
	for _, a := range attacks() {
		f.Add([]byte(outer("alice@clinic.example", a.raw)))
	}
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "vectors", "thunderbird", "*.eml"))
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil {
			f.Add(raw)
		}
	}
	lim := message.Limits{Depth: 8, Parts: 100, Fields: 500, HeaderBytes: 64 << 10}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := smime.Open(message.Bytes(raw), bob.opens(), smime.Options{Limits: lim, Identify: true})
		if err != nil {
			t.Fatalf("memory can't be read: %v", err)
		}
		if (o.Payload == nil) == (o.Problem == nil) {
			t.Fatalf("payload %v, problem %v", o.Payload, o.Problem)
		}
		if len(o.Layers) == 0 && len(o.Protected) > 0 {
			t.Fatal("a header is protected by nothing")
		}
		for _, l := range o.Layers {
			if l.Err == nil && l.Kind != smime.Compressed && (l.Signed == nil) == (l.Enveloped == nil) {
				t.Fatal("a layer is neither or both")
			}
		}
		if o.Payload == nil {
			return
		}
		if len(o.Confidential) > 0 && !strings.Contains(layers(o), "encrypted") {
			t.Fatal("a field is confidential in a message that is not encrypted")
		}
		_ = o.Payload.Walk(func(p *message.Part) error {
			r, err := p.Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Fatalf("a part of a verified payload can't be read: %v", err)
			}
			return r.Close()
		})
	})
}
