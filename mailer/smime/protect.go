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
	encrypted := slices.ContainsFunc(d.Layers, func(l Layer) bool { return l.Kind == Encrypted })
	switch hp := strings.ToLower(p.Params["hp"]); {
	case hp == "clear" || hp == "cipher":
		var stood message.Header
		for _, outer := range p.Header.All("HP-Outer") {
			name, value, _ := strings.Cut(outer, ":")
			stood.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		d.adopt(p.Header, encrypted && hp == "cipher", stood)
		if encrypted {
			markCopies(p)
		}
	case isWrapped(p):
		d.Payload = p.Parts[0]
		d.adopt(d.Payload.Header, encrypted, d.Outer) // what its writer left outside can only be guessed (section 4.10.2)
	}
}

// markCopies finds the texts with legacy display elements (RFC 9788, section
// 4.5.3.1). A file is left as its sender made it, and a message inside is another's.
func markCopies(p *message.Part) {
	text := p.Type == "text/plain" || p.Type == "text/html"
	p.HeaderCopy = text && p.Disposition != "attachment" && p.Params["hp-legacy-display"] == "1"
	if strings.HasPrefix(p.Type, "multipart/") {
		for _, child := range p.Parts {
			markCopies(child)
		}
	}
}

// isWrapped tells whether the payload is a whole message in a wrapper, as RFC
// 8551, section 3.1, has it. The conditions are those of RFC 9788, section 4.10.1,
// and that it does not say to be a message that was passed on.
func isWrapped(p *message.Part) bool {
	if p.Type != "message/rfc822" && p.Type != "message/global" || len(p.Parts) != 1 {
		return false
	}
	inner := p.Parts[0]
	return p.Params["hp"] == "" && inner.Params["hp"] == "" && !strings.EqualFold(p.Params["forwarded"], "yes") &&
		claimed(inner) == "" && formOf(inner) == plain && inner.Has("From")
}

// adopt takes the fields that are about the message, and not about its MIME
// structure, for the header. If it is confidential, what did not stand outside in the
// same words is (RFC 9788, section 4.3.1).
func (d *description) adopt(h message.Header, confidential bool, stood message.Header) {
	d.Header, d.Protected = message.Header{}, nil
	covered, hidden, outside := fields{}, fields{}, fields{}
	for _, f := range stood.Fields {
		outside.add(f.Name, f.Value)
	}
	for _, f := range h.Fields {
		name := strings.ToLower(f.Name)
		if name == "hp-outer" || name == "mime-version" || strings.HasPrefix(name, "content-") {
			continue
		}
		d.Header.Fields = append(d.Header.Fields, f)
		if covered.add(name, "") {
			d.Protected = append(d.Protected, f.Name)
		}
		if confidential && !outside.has(f.Name, f.Value) && hidden.add(name, "") {
			d.Confidential = append(d.Confidential, f.Name)
		}
	}
	if confidential {
		d.Hidden = onlyIn(d.Header, stood)
	}
}

// onlyIn lists the people of one header who are in none of the other's fields.
func onlyIn(h, other message.Header) (list []string) {
	known := map[string]bool{}
	for i, h := range []message.Header{other, h} {
		for _, name := range []string{"From", "Sender", "Reply-To", "To", "Cc"} {
			if i == 1 && slices.Equal(h.All(name), other.All(name)) {
				continue
			}
			for _, a := range h.Addresses(name) {
				c, err := message.Canonical(a.Addr)
				if err != nil || known[c] {
					continue
				}
				if known[c] = true; i == 1 {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// fields is a set of header fields.
type fields map[message.Field]bool

func field(name, value string) message.Field {
	return message.Field{Name: strings.ToLower(strings.TrimSpace(name)), Value: strings.TrimSpace(value)}
}

// add tells whether the field is new.
func (s fields) add(name, value string) bool {
	f := field(name, value)
	old := s[f]
	s[f] = true
	return !old
}

func (s fields) has(name, value string) bool { return s[field(name, value)] }
