package smime

import (
	"io"
	"strings"

	"countersign/mailer/cms"
	"countersign/mailer/message"
)

// form is how an entity is a cryptographic layer.
type form int

const (
	plain     form = iota // none
	detached              // multipart/signed
	enclosing             // CMS that encloses its content
)

// formOf tells by RFC 8551, section 3.10, and by the names in use before it.
func formOf(p *message.Part) form {
	switch p.Type {
	case "multipart/signed":
		protocol := strings.ToLower(p.Params["protocol"])
		if isSignatureType(protocol) || protocol == "" && len(p.Parts) == 2 && isSignature(p.Parts[1]) {
			return detached
		}
	case "application/pkcs7-mime", "application/x-pkcs7-mime", "application/pkcs7-signature", "application/x-pkcs7-signature":
		return enclosing
	case "application/octet-stream":
		name := strings.ToLower(p.Filename)
		for _, ending := range []string{".p7m", ".p7s", ".p7c", ".p7z"} {
			if strings.HasSuffix(name, ending) {
				if _, _, err := cmsBody(p); err == nil { // anybody may call a file so
					return enclosing
				}
			}
		}
	}
	return plain
}

func isSignatureType(kind string) bool {
	return kind == "application/pkcs7-signature" || kind == "application/x-pkcs7-signature"
}

// isSignature tells whether a part may be a detached signature.
func isSignature(p *message.Part) bool {
	return isSignatureType(p.Type) || p.Type == "application/octet-stream" && strings.HasSuffix(strings.ToLower(p.Filename), ".p7s")
}

// body is the decoded content of a part, as a Source.
type body struct{ part *message.Part }

func (b body) Open() (io.ReadCloser, error) { return b.part.Open() }

// cmsBody is the CMS object in a part. Some programs forget to say that it is base64.
func cmsBody(p *message.Part) (message.Source, cms.Kind, error) {
	kind, err := cms.ReadKind(body{p})
	if err != nil && p.Encoding != "base64" {
		again := *p
		again.Encoding = "base64"
		if kind, err := cms.ReadKind(body{&again}); err == nil {
			return body{&again}, kind, nil
		}
	}
	return body{p}, kind, err
}

// canonical is a source with every line break as CRLF: what was signed, where
// the message came through a program that keeps lines with LF (RFC 8551,
// section 3.1.1).
type canonical struct{ src message.Source }

func (c canonical) Open() (io.ReadCloser, error) {
	r, err := c.src.Open()
	if err != nil {
		return nil, err
	}
	return &canonicalReader{ReadCloser: r, raw: make([]byte, 32<<10)}, nil
}

type canonicalReader struct {
	io.ReadCloser
	raw, buf, out []byte
	last          byte
	err           error
}

func (c *canonicalReader) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		var n int
		n, c.err = c.ReadCloser.Read(c.raw)
		c.buf = c.buf[:0]
		for _, b := range c.raw[:n] {
			if b == '\n' && c.last != '\r' {
				c.buf = append(c.buf, '\r')
			}
			c.buf, c.last = append(c.buf, b), b
		}
		c.out = c.buf
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}
