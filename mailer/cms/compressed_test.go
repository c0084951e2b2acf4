package cms_test

import (
	"bytes"
	"compress/zlib"
	"encoding/asn1"
	"errors"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/cms/ber"
)

// compressed is a message that says its content is compressed by alg.
func compressed(content []byte, by asn1.ObjectIdentifier) source {
	return ber.Nest(ber.Sequence, oid(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 9}), ber.Nest(ber.Context,
		ber.Nest(ber.Sequence, []byte{2, 1, 0}, alg(by),
			ber.Nest(ber.Sequence, oid(oidData), ber.Nest(ber.Context, octets(content))))))
}

var oidZlib = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 8}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	w.Write(b)
	must(w.Close())
	return out.Bytes()
}

func TestCompressed(t *testing.T) {
	content := text(100_000)
	deflated := deflate(content)
	damaged := bytes.Clone(deflated)
	damaged[len(damaged)-1] ^= 1
	for _, c := range []struct {
		name string
		src  source
		most int64
		want error
	}{
		{"good", compressed(deflated, oidZlib), 100_000, nil},
		{"of nothing", compressed(deflate(nil), oidZlib), 0, nil},
		{"too large", compressed(deflated, oidZlib), 99_999, cms.ErrInflated},
		{"damaged", compressed(damaged, oidZlib), 100_000, cms.ErrMalformed},
		{"with more behind", compressed(append(deflate(content), 0), oidZlib), 100_000, cms.ErrMalformed},
		{"cut off", compressed(deflated[:len(deflated)-4], oidZlib), 100_000, cms.ErrMalformed},
		{"empty", compressed(nil, oidZlib), 100_000, cms.ErrMalformed},
		{"no compression", compressed([]byte("hello"), oidZlib), 100_000, cms.ErrMalformed},
		{"another algorithm", compressed(deflated, oidOther), 100_000, cms.ErrUnsupported},
		{"a signature", letter{content: content}.der(), 100_000, cms.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := cms.ReadCompressed(c.src, c.most)
			var got []byte
			if err == nil {
				got, err = read(m)
			}
			if !isError(err, c.want) || int64(len(got)) > c.most {
				t.Errorf("%d octets, %v; want %v", len(got), err, c.want)
			}
			if c.want == nil && c.most > 0 && !bytes.Equal(got, content) {
				t.Error("other content")
			}
		})
	}
	whole := compressed(deflated, oidZlib)
	for n := range whole {
		m, err := cms.ReadCompressed(whole[:n], 100_000)
		if err == nil {
			_, err = read(m)
		}
		if !errors.Is(err, cms.ErrMalformed) {
			t.Fatalf("the first %d octets of %d: %v", n, len(whole), err)
		}
	}
}

// A letter of a few kilobytes that grows to a gigabyte is stopped where it was told.
func TestInflation(t *testing.T) {
	bomb := compressed(deflate(make([]byte, 64<<20)), oidZlib)
	m, err := cms.ReadCompressed(bomb, 1<<20)
	must(err)
	w := &watermark{}
	if _, err := copyAll(w, m); !errors.Is(err, cms.ErrInflated) || w.octets > 1<<20 {
		t.Errorf("%d octets became %d: %v", len(bomb), w.octets, err)
	}
}
