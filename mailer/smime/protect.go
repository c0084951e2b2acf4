package smime

import (
	"slices"
	"strings"

	"countersign/mailer/message"
)

// protect finds the header to show (RFC 9788, section 4): the payload's, if the
// payload says that it protects it, and else the outer one. Nothing is merged: a
// field that stands only outside is not shown beside protected ones.
func (d *description) protect() {
	p := d.Payload
	switch hp := strings.ToLower(p.Params["hp"]); {
	case hp == "clear" || hp == "cipher":
		d.adopt(p.Header, hp == "cipher")
		markCopies(p)
	case isWrapped(p):
		d.Payload = p.Parts[0]
		d.adopt(d.Payload.Header, false)
	}
}

// markCopies finds the legacy display elements, which stand in the main text and in
// each alternative of it (RFC 9788, section 5.2). Those in HTML are left: they only
// say twice what the header says.
func markCopies(p *message.Part) {
	switch {
	case p.Type == "text/plain":
		p.HeaderCopy = p.Params["hp-legacy-display"] == "1"
	case p.Type == "multipart/alternative":
		for _, child := range p.Parts {
			markCopies(child)
		}
	case strings.HasPrefix(p.Type, "multipart/") && len(p.Parts) > 0:
		markCopies(p.Parts[0])
	}
}

// isWrapped tells whether the payload is a whole message in a wrapper, as RFC
// 8551, section 3.1, has it. The conditions are those of RFC 9788, section 4.10.1.
func isWrapped(p *message.Part) bool {
	if p.Type != "message/rfc822" && p.Type != "message/global" || len(p.Parts) != 1 {
		return false
	}
	inner := p.Parts[0]
	return inner.Params["hp"] == "" && formOf(inner) == plain && inner.Has("From")
}

// adopt takes the fields that are about the message, and not about its MIME
// structure, for the header.
func (d *description) adopt(h message.Header, cipher bool) {
	stood := h.All("HP-Outer")
	d.Header, d.Protected = message.Header{}, nil
	for _, f := range h.Fields {
		name := strings.ToLower(f.Name)
		if name == "hp-outer" || name == "mime-version" || strings.HasPrefix(name, "content-") {
			continue
		}
		d.Header.Fields = append(d.Header.Fields, f)
		if !slices.ContainsFunc(d.Protected, func(p string) bool { return strings.EqualFold(p, f.Name) }) {
			d.Protected = append(d.Protected, f.Name)
		}
		if cipher && !slices.ContainsFunc(stood, func(o string) bool { return sameField(o, f) }) && !slices.Contains(d.Confidential, f.Name) {
			d.Confidential = append(d.Confidential, f.Name)
		}
	}
}

// sameField tells whether an HP-Outer value is the field (RFC 9788, section 2.2).
func sameField(outer string, f message.Field) bool {
	name, value, ok := strings.Cut(outer, ":")
	return ok && strings.EqualFold(strings.TrimSpace(name), f.Name) && strings.TrimSpace(value) == f.Value
}
