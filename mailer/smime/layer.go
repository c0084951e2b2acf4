package smime

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/message/transfer"
)

// shape is how an entity is a cryptographic layer.
type shape int

const (
	plain     shape = iota // none
	detached               // multipart/signed
	enclosing              // CMS that encloses its content
)

// formOf tells by RFC 8551, section 3.10, and by the names in use before it.
func formOf(p *message.Part) shape {
	switch {
	case p.Type == "multipart/signed":
		protocol := strings.ToLower(p.Params["protocol"])
		named := protocol == "" || isCMSType(protocol)
		if isSignatureType(protocol) || named && len(p.Parts) == 2 && isSignature(p.Parts[1]) {
			return detached
		}
	case isCMSType(p.Type), isSignatureType(p.Type):
		return enclosing
	case p.Type == "application/octet-stream" && isNamed(p, ".p7m", ".p7s", ".p7c", ".p7z"):
		if _, _, err := cmsBody(p); err == nil { // anybody may call a file so
			return enclosing
		}
	}
	return plain
}

func isCMSType(kind string) bool {
	return kind == "application/pkcs7-mime" || kind == "application/x-pkcs7-mime"
}

func isSignatureType(kind string) bool {
	return kind == "application/pkcs7-signature" || kind == "application/x-pkcs7-signature"
}

// isNamed tells whether one of the two names that a part may have ends so.
func isNamed(p *message.Part, endings ...string) bool {
	return slices.ContainsFunc([]string{p.Filename, p.Params["name"]}, func(name string) bool {
		return slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(strings.ToLower(name), ending) })
	})
}

// isSignature tells whether a part may be a detached signature.
func isSignature(p *message.Part) bool {
	return isSignatureType(p.Type) || p.Type == "application/octet-stream" && isNamed(p, ".p7s")
}

// claimed is the kind of layer that a part says it is, "" for none. Nothing of it is read.
func claimed(p *message.Part) Kind {
	octets := p.Type == "application/octet-stream"
	switch {
	case p.Type == "application/pgp-keys": // somebody's key: it protects nothing
		return ""
	case strings.HasPrefix(p.Type, "application/pgp-"), strings.HasPrefix(strings.ToLower(p.Params["protocol"]), "application/pgp-"):
		return OpenPGP
	case p.Type == "multipart/signed", isSignature(p):
		return Signed
	case isCMSType(p.Type):
		switch strings.ToLower(p.Params["smime-type"]) {
		case "signed-data", "certs-only":
			return Signed
		case "compressed-data":
			return Compressed
		}
		return Encrypted
	case p.Type == "multipart/encrypted", octets && isNamed(p, ".p7m"):
		return Encrypted
	}
	return ""
}

// errant lists the kinds of layers in a payload that are none of its envelope's (RFC
// 9787, section 4.5). A message inside has an envelope of its own, which says nothing
// about this one.
func errant(p *message.Part) (list []Kind) {
	if kind := claimed(p); kind != "" {
		list = append(list, kind)
	}
	if strings.HasPrefix(p.Type, "message/") {
		return list
	}
	for _, child := range p.Parts {
		for _, kind := range errant(child) {
			if !slices.Contains(list, kind) {
				list = append(list, kind)
			}
		}
	}
	return list
}

// body is the decoded content of a part, as a Source.
type body struct{ part *message.Part }

func (b body) Open() (io.ReadCloser, error) { return b.part.Open() }

// cmsBody is the CMS object in a part. Some programs forget to say that it is base64,
// or put the lines of a PEM file around it (RFC 7468).
func cmsBody(p *message.Part) (src message.Source, kind cms.Kind, err error) {
	src = body{p}
	if p.End-p.Body <= heldBytes {
		if src, err = hold(src); err != nil {
			return src, "", err
		}
	}
	if kind, err = cms.ReadKind(src); err == nil {
		return src, kind, nil
	}
	again := *p
	again.Encoding = "base64"
	for _, src := range []message.Source{body{&again}, armoured{p}} {
		if kind, err := cms.ReadKind(src); err == nil {
			return src, kind, nil
		}
	}
	return src, kind, err
}

// armoured is what stands in base64 between two lines that begin with hyphens.
type armoured struct{ part *message.Part }

func (a armoured) Open() (io.ReadCloser, error) {
	raw := *a.part
	raw.Encoding = ""
	r, err := raw.Open()
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(r)
	if line, err := in.ReadSlice('\n'); err != nil || !bytes.HasPrefix(line, []byte("-----BEGIN ")) {
		r.Close()
		return nil, fmt.Errorf("%w: no PEM", ErrDamaged)
	}
	return struct {
		io.Reader
		io.Closer
	}{transfer.NewBase64Reader(&untilHyphen{in: in}), r}, nil
}

// untilHyphen ends before the first hyphen, which base64 has none of.
type untilHyphen struct {
	in    io.Reader
	ended bool
}

func (u *untilHyphen) Read(p []byte) (int, error) {
	if u.ended {
		return 0, io.EOF
	}
	n, err := u.in.Read(p)
	if i := bytes.IndexByte(p[:n], '-'); i >= 0 {
		u.ended = true
		return i, nil
	}
	return n, err
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
