// Package body takes from the payload of a message what a person reads: its text and
// its files, and the data of a fixed form.
//
// What it is given is what the layers protect (mailer/smime), so nothing from
// outside of them is ever mixed in. The text is every inline text/plain in order;
// HTML gives its words alone ([policy.PlainText]) unless the same stands beside it
// as plain text. Legacy display elements, marked by mailer/smime, are left out of both.
// Everything else is a file, with a name that is safe to create. All of it is bounded:
// parts, bytes, and what must be gone through to reach them. The package is pure.
package body

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/vault/contacts/form"
)

// Bounds of what is taken from a message at once.
const (
	maxShown  = 1 << 20   // bytes of text
	maxHTML   = 4 << 20   // bytes of HTML to take the text from
	countable = 1 << 20   // encoded bytes of an attachment whose size is counted; above, it is computed
	maxOpened = 20        // parts that are opened at all: each may mean to decrypt from the start
	maxWork   = 256 << 20 // bytes to go through for that, of parts that stand far behind
	snippet   = 140       // characters
)

// File is one attachment of a message.
type File struct {
	Part string // its identifier within the message
	Name string // safe to use as a file's name
	Type string // media type as stated
	Size int64  // bytes; of a large file within two of the true figure
}

// Body is what a message says.
type Body struct {
	Text      string     // UTF-8, lines end in LF
	Sanitised bool       // some of it was taken from HTML
	Files     []File     // in order
	Form      *form.Form // the data of a fixed form, which is not recognised yet
	parts     map[string]*message.Part
	work      int64 // bytes to go through to open what was opened
}

// Read takes the text and the list of files from a payload. The text is every
// inline text in order; HTML gives its words, unless it stands beside the same as
// plain text.
func Read(payload *message.Part) Body {
	b := Body{parts: map[string]*message.Part{}}
	if payload == nil {
		return b
	}
	var texts []string
	var pages []*message.Part // that stand beside the same as plain text
	room := maxShown + 1      // bytes of text that may still come
	formed := false           // only the first part of that type can be the form
	add := func(p *message.Part, text string) {
		texts = append(texts, text)
		room -= max(len(text), int((p.End-p.Body)/message.MaxExpansion)) // what says little and takes long counts too
	}
	leaves(payload, false, func(p *message.Part, doubled bool) {
		switch {
		case p.Type == smime.FormType && !formed:
			formed = true
			if f, err := smime.ReadForm(p); err == nil {
				b.Form = &f
			}
		case !inline(p), len(texts) >= maxOpened, room <= 0:
			b.attach(p)
		case p.Type == "text/html" && doubled:
			pages = append(pages, p)
		case p.Type == "text/plain" && b.affords(p):
			add(p, readText(p, int64(room)))
		case p.Type == "text/html" && b.affords(p):
			add(p, readHTML(p))
			b.Sanitised = true
		default:
			b.attach(p)
		}
	})
	// Some programs write a page, and beside it a plain text with nothing in it.
	if strings.TrimSpace(strings.Join(texts, "")) == "" {
		texts = nil
		for _, p := range pages[:min(len(pages), maxOpened)] {
			if room > 0 && b.affords(p) {
				add(p, readHTML(p))
				b.Sanitised = true
			}
		}
	}
	b.Text = policy.CleanText(strings.Join(texts, "\n\n"))
	if len(b.Text) > maxShown {
		b.Text = strings.ToValidUTF8(b.Text[:maxShown], "") + tooLong
	}
	return b
}

const tooLong = "\n\n[The rest of this message is too long to show here.]"

// leaves visits the parts that hold content. A message inside is one of them: it is
// a file, whatever it holds. Doubled says that the part stands beside the same as
// plain text.
func leaves(p *message.Part, doubled bool, visit func(p *message.Part, doubled bool)) {
	if leaf(p) {
		visit(p, doubled)
		return
	}
	doubled = doubled || p.Type == "multipart/alternative" && holdsPlain(p)
	for _, child := range p.Parts {
		leaves(child, doubled, visit)
	}
}

func leaf(p *message.Part) bool { return len(p.Parts) == 0 || p.Type == "message/rfc822" }

// holdsPlain says that there is inline plain text in a part. Asked at each level it
// costs the number of parts times their depth, both of which message.Limits bound.
func holdsPlain(p *message.Part) bool {
	if leaf(p) {
		return p.Type == "text/plain" && inline(p)
	}
	return slices.ContainsFunc(p.Parts, holdsPlain)
}

func inline(p *message.Part) bool { return p.Disposition != "attachment" && p.Filename == "" }

// affords tells whether a part may be opened, for which all before it may have to be
// decrypted or inflated.
func (b *Body) affords(p *message.Part) bool {
	b.work += p.Body
	return b.work <= maxWork
}

func readHTML(p *message.Part) string {
	page := readText(p, maxHTML)
	if p.HeaderCopy {
		return policy.PlainTextOnly(page)
	}
	return policy.PlainText(page)
}

func readText(p *message.Part, limit int64) string {
	text, err := p.Text(limit)
	switch {
	case errors.Is(err, message.ErrLimit):
		return text + tooLong
	case err != nil:
		return "[This part of the message cannot be read.]"
	}
	return text
}

func (b *Body) attach(p *message.Part) {
	part := strconv.Itoa(len(b.Files) + 1)
	name := p.Filename
	if name == "" {
		name = "part-" + part + extension(p.Type)
	}
	b.parts[part] = p
	b.Files = append(b.Files, File{Part: part, Name: name, Type: p.Type, Size: size(p, len(b.Files) < maxOpened && b.affords(p))})
}

// Part finds the part that a file was made of, or nil.
func (b Body) Part(id string) *message.Part { return b.parts[id] }

func extension(mediaType string) string {
	switch mediaType {
	case "message/rfc822":
		return ".eml"
	case "text/plain":
		return ".txt"
	case "text/html":
		return ".html"
	case "text/calendar":
		return ".ics"
	case "image/png":
		return ".png"
	case "image/jpeg":
		return ".jpg"
	case "application/pdf":
		return ".pdf"
	}
	return ""
}

// size is the number of decoded bytes. Counting those of a large file, or of many,
// would decrypt the message over and over, so there it follows from the length of
// base64 in lines of 76 characters.
func size(p *message.Part, count bool) int64 {
	encoded := p.End - p.Body
	count = count && encoded <= countable
	switch {
	case !count && p.Encoding == "base64":
		return encoded * 57 / 78
	case !count:
		return encoded
	}
	r, err := p.Open()
	if err != nil {
		return 0
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return 0
	}
	return n
}

// FirstWords is the beginning of a text, on one line.
func FirstWords(text string) string {
	line := policy.CleanLine(text[:min(len(text), 8*snippet)])
	runes := []rune(strings.ToValidUTF8(line, ""))
	if len(runes) <= snippet {
		return string(runes)
	}
	return strings.TrimSpace(string(runes[:snippet])) + " ..."
}
