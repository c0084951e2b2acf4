package cms_test

import (
	"io"
	"runtime"
	"testing"

	"countersign/mailer/cms"
)

// blank is a Source of n octets that takes no memory.
type blank int64

func (n blank) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zeros{}, int64(n))), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// made is a message that is made anew each time it is opened.
type made func(w io.Writer) error

func (m made) Open() (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(m(w)) }()
	return r, nil
}

// watermark remembers the most memory there was while something was written to it.
type watermark struct{ octets, peak uint64 }

func (w *watermark) Write(p []byte) (int, error) {
	if w.octets>>22 != (w.octets+uint64(len(p)))>>22 { // every 4 MB
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.peak = max(w.peak, m.HeapAlloc)
	}
	w.octets += uint64(len(p))
	return len(p), nil
}

// TestMemory puts 64 MB through everything that reads and writes, in all forms.
func TestMemory(t *testing.T) {
	const size = 64 << 20
	p := people()["rsa"]
	sign := func(size int64) made {
		return func(w io.Writer) error {
			s, err := cms.NewSigned(w, size, []cms.Signer{p.signer()}, cms.SignOptions{Rand: fixed()})
			return pour(s, err)
		}
	}
	read := func(o cms.EncryptOptions) func() (cms.Source, error) {
		encrypted := made(func(w io.Writer) error {
			o.Rand = fixed()
			e, err := cms.NewEnveloped(w, certificates(p), o)
			return pour(e, err)
		})
		return func() (cms.Source, error) {
			return cms.ReadEnveloped(encrypted, cms.ReadOptions{Keys: []cms.Key{p.opener()}})
		}
	}
	for _, c := range []struct {
		name string
		open func() (cms.Source, error)
	}{
		{"signed in DER", func() (cms.Source, error) { return cms.ReadSigned(sign(size), nil) }},
		{"signed in BER", func() (cms.Source, error) { return cms.ReadSigned(sign(-1), nil) }},
		{"signed apart", func() (cms.Source, error) {
			d, err := cms.NewDetached([]cms.Signer{p.signer()}, cms.SignOptions{})
			must(err)
			must(pour(struct {
				io.Writer
				io.Closer
			}{d, io.NopCloser(nil)}, nil))
			der, err := d.Finish()
			must(err)
			return cms.ReadSigned(source(der), blank(size))
		}},
		{"AES-256-CBC in DER", read(cms.EncryptOptions{Size: size})},
		{"AES-256-CBC in BER", read(cms.EncryptOptions{Size: -1})},
		{"AES-256-GCM in DER", read(cms.EncryptOptions{Size: size, Cipher: cms.AES256GCM})},
		{"AES-256-GCM in BER", read(cms.EncryptOptions{Size: -1, Cipher: cms.AES256GCM})},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			src, err := c.open()
			if err != nil {
				t.Fatal(err)
			}
			f, err := src.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			w := &watermark{}
			if _, err := io.CopyBuffer(w, f, make([]byte, 64<<10)); err != nil {
				t.Fatal(err)
			}
			if s, ok := src.(*cms.Signed); ok && s.Signers[0].Err != nil {
				t.Error(s.Signers[0].Err)
			}
			var after runtime.MemStats
			runtime.ReadMemStats(&after)
			if took := int64(w.peak) - int64(before.HeapAlloc); w.octets != size || took > 4<<20 {
				t.Errorf("%d octets took %d of memory", w.octets, took)
			}
			if total := after.TotalAlloc - before.TotalAlloc; total > 8<<20 {
				t.Errorf("%d allocated in all", total)
			}
		})
	}
}

// pour writes 64 MB and closes.
func pour(w io.WriteCloser, err error) error {
	if err != nil {
		return err
	}
	f, _ := blank(64 << 20).Open()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{f}, make([]byte, 64<<10)); err != nil {
		return err
	}
	return w.Close()
}
