package server

import (
	"bytes"
	"io"
	"strings"

	"countersign/mailer/message"

	"github.com/emersion/go-imap/v2"
)

// slice is some bytes of a message, or bytes made from it.
type slice struct {
	message.Source
	size int64
}

// letter is a message as IMAP describes it. Its structure is read when it is first
// asked for.
type letter struct {
	src  message.Source
	size int64
	root *message.Part
}

func newLetter(src message.Source, size int64) *letter { return &letter{src: src, size: size} }

// part returns the root. A message beyond the limits of mailer/message is one
// opaque piece without a header.
func (l *letter) part() *message.Part {
	if l.root == nil {
		root, err := message.Parse(l.src, message.Limits{})
		if err != nil {
			root = &message.Part{Type: "application/octet-stream", End: l.size}
		}
		l.root = root
	}
	return l.root
}

func (l *letter) cut(from, to int64) slice {
	return slice{message.Section(l.src, from, to-from), to - from}
}

// section cuts out what RFC 9051, section 6.4.5, names. What is not there is empty.
func (l *letter) section(item *imap.FetchItemBodySection) slice {
	content := slice{message.Bytes(nil), 0}
	switch {
	case len(item.Part) == 0 && item.Specifier == imap.PartSpecifierNone:
		content = l.cut(0, l.size)
	default:
		p := l.find(item.Part)
		if p == nil {
			break
		}
		within := p // HEADER and TEXT of a part are those of the message inside it
		if len(item.Part) > 0 && (item.Specifier == imap.PartSpecifierHeader || item.Specifier == imap.PartSpecifierText) {
			if p.Type != "message/rfc822" || len(p.Parts) != 1 {
				break
			}
			within = p.Parts[0]
		}
		switch item.Specifier {
		case imap.PartSpecifierHeader:
			content = l.cut(within.Start, within.Body)
			if len(item.HeaderFields) > 0 || len(item.HeaderFieldsNot) > 0 {
				content = filter(content, item)
			}
		case imap.PartSpecifierMIME:
			content = l.cut(p.Start, p.Body)
		default:
			content = l.cut(within.Body, within.End)
		}
	}
	if p := item.Partial; p != nil {
		from := min(max(p.Offset, 0), content.size)
		n := min(max(p.Size, 0), content.size-from)
		content = slice{message.Section(content, from, n), n}
	}
	return content
}

// find walks the part numbers of RFC 9051, section 6.4.5.1: a message that is not a
// multipart has itself as part 1.
func (l *letter) find(path []int) *message.Part {
	p := l.part()
	for i, n := range path {
		if i > 0 && p.Type == "message/rfc822" && len(p.Parts) == 1 {
			p = p.Parts[0]
		}
		switch {
		case multipart(p) && n >= 1 && n <= len(p.Parts):
			p = p.Parts[n-1]
		case multipart(p) || n != 1:
			return nil
		}
	}
	return p
}

func multipart(p *message.Part) bool {
	return strings.HasPrefix(p.Type, "multipart/") && len(p.Parts) > 0
}

// filter keeps the fields asked for as they stand, with the empty line at the end.
func filter(header slice, item *imap.FetchItemBodySection) slice {
	r, err := header.Open()
	if err != nil {
		return slice{message.Bytes(nil), 0}
	}
	defer r.Close()
	raw, err := io.ReadAll(r) // bounded by the limits of mailer/message
	if err != nil {
		return slice{message.Bytes(nil), 0}
	}
	named := func(name string, list []string) bool {
		for _, wanted := range list {
			if strings.EqualFold(name, wanted) {
				return true
			}
		}
		return false
	}
	var kept []byte
	keep := false
	for line := range bytes.Lines(raw) {
		if line[0] != ' ' && line[0] != '\t' {
			before, _, isField := bytes.Cut(line, []byte(":"))
			name := strings.TrimRight(string(before), " \t")
			if len(item.HeaderFields) > 0 {
				keep = isField && named(name, item.HeaderFields)
			} else {
				keep = isField && !named(name, item.HeaderFieldsNot)
			}
		}
		if keep {
			kept = append(kept, line...)
		}
	}
	kept = append(kept, "\r\n"...)
	return slice{message.Bytes(kept), int64(len(kept))}
}

// envelope is RFC 9051, section 7.5.2. The library writes it anew; who needs the
// header as it stands asks for it.
func (l *letter) envelope() *imap.Envelope { return envelope(l.part()) }

func envelope(p *message.Part) *imap.Envelope {
	date, _ := p.Date() // none or unreadable: NIL
	bare := func(name string) []string {
		var ids []string
		for id := range strings.FieldsSeq(p.Get(name)) {
			ids = append(ids, strings.Trim(id, "<>"))
		}
		return ids
	}
	e := &imap.Envelope{
		Date: date, Subject: p.Header.Text("Subject"), InReplyTo: bare("In-Reply-To"),
		From: people(p, "From"), Sender: people(p, "Sender"), ReplyTo: people(p, "Reply-To"),
		To: people(p, "To"), Cc: people(p, "Cc"), Bcc: people(p, "Bcc"),
	}
	if ids := bare("Message-Id"); len(ids) > 0 {
		e.MessageID = ids[0]
	}
	return e
}

func people(p *message.Part, name string) []imap.Address {
	var all []imap.Address
	for _, a := range p.Addresses(name) {
		if at := strings.LastIndexByte(a.Addr, '@'); at > 0 {
			all = append(all, imap.Address{Name: a.Name, Mailbox: a.Addr[:at], Host: a.Addr[at+1:]})
		}
	}
	return all
}

// structure is RFC 9051, section 7.5.2, BODYSTRUCTURE.
func (l *letter) structure() imap.BodyStructure { return l.describe(l.part()) }

func (l *letter) describe(p *message.Part) imap.BodyStructure {
	kind, sub, _ := strings.Cut(p.Type, "/")
	var disposition *imap.BodyStructureDisposition
	if p.Disposition != "" {
		disposition = &imap.BodyStructureDisposition{Value: p.Disposition}
		if p.Filename != "" {
			disposition.Params = map[string]string{"filename": p.Filename}
		}
	}
	if multipart(p) {
		m := &imap.BodyStructureMultiPart{Subtype: sub, Extended: &imap.BodyStructureMultiPartExt{Params: p.Params, Disposition: disposition}}
		for _, child := range p.Parts {
			m.Children = append(m.Children, l.describe(child))
		}
		return m
	}
	nested := p.Type == "message/rfc822" && len(p.Parts) == 1
	if kind == "multipart" || p.Type == "message/rfc822" && !nested { // not without a part
		kind, sub = "application", "octet-stream"
	}
	s := &imap.BodyStructureSinglePart{
		Type: kind, Subtype: sub, Params: p.Params, ID: p.Get("Content-Id"), Description: p.Get("Content-Description"),
		Encoding: p.Encoding, Size: uint32(min(p.End-p.Body, 1<<32-1)),
		Extended: &imap.BodyStructureSinglePartExt{Disposition: disposition},
	}
	switch {
	case kind == "text":
		s.Text = &imap.BodyStructureText{NumLines: l.lines(p)}
	case nested:
		inside := p.Parts[0]
		s.MessageRFC822 = &imap.BodyStructureMessageRFC822{Envelope: envelope(inside), BodyStructure: l.describe(inside), NumLines: l.lines(p)}
	}
	return s
}

func (l *letter) lines(p *message.Part) int64 {
	r, err := l.cut(p.Body, p.End).Open()
	if err != nil {
		return 0
	}
	defer r.Close()
	var count lineCounter
	io.Copy(&count, r)
	return int64(count)
}

type lineCounter int64

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}
