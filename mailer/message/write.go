package message

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/mailer/message/transfer"
)

const (
	foldAt  = 76  // columns (RFC 2047, section 2; RFC 5322 says 78)
	maxLine = 998 // RFC 5322, section 2.1.1
)

// An Entity is a MIME entity to be written. Exactly one of Parts, Content and
// Text is its content; a Content is read once each time the entity is written. A
// message/rfc822 has one of Parts, the message.
type Entity struct {
	Header      Header            // fields that come before those made here
	Type        string            // "text/plain", "multipart/mixed"
	Params      map[string]string // of Content-Type, besides charset and boundary
	Disposition string            // "attachment", "inline" or ""
	Name        string            // file name, made safe

	Boundary string // of a multipart: NewBoundary
	Parts    []Entity
	Content  Source // written as base64
	Text     string // lines end in LF; written as seven-bit or quoted-printable
}

// NewBoundary makes a boundary of 128 random bits; no encoding we write contains
// it. random nil stands for the system's generator.
func NewBoundary(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("making a boundary: %w", err)
	}
	return "=_" + hex.EncodeToString(b[:]), nil
}

// Write writes the entity, header and body. A field that can't be written is
// ErrHeader.
func (e *Entity) Write(w io.Writer) error {
	kind := strings.ToLower(e.Type)
	params := maps.Clone(e.Params)
	if params == nil {
		params = map[string]string{}
	}
	encoding := ""
	switch {
	case isMultipart(kind) && e.Boundary != "":
		params["boundary"] = e.Boundary
	case isMessage(kind) && len(e.Parts) == 1:
	case e.Content != nil:
		encoding = "base64"
		if mediaType(kind, "") != kind || isMultipart(kind) || strings.HasPrefix(kind, "message/") {
			kind = "application/octet-stream" // RFC 2045, section 6.4: no base64 on composite types
		}
	default:
		params["charset"] = "utf-8"
		if encoding = "quoted-printable"; isSafeText(e.Text) {
			encoding = "7bit"
		}
	}
	h := Header{slices.Clone(e.Header.Fields)}
	h.Add("Content-Type", kind+formatParams(params))
	if encoding != "" {
		h.Add("Content-Transfer-Encoding", encoding)
	}
	if e.Disposition != "" {
		named := map[string]string{}
		if e.Name != "" {
			named["filename"] = SafeName(e.Name)
		}
		h.Add("Content-Disposition", e.Disposition+formatParams(named))
	}
	if err := h.Write(w); err != nil {
		return err
	}
	switch encoding {
	case "":
		return e.writeParts(w)
	case "base64":
		return writeBase64(w, e.Content)
	}
	text := strings.ReplaceAll(strings.ToValidUTF8(e.Text, "\uFFFD"), "\r\n", "\n")
	if encoding == "7bit" {
		_, err := io.WriteString(w, strings.ReplaceAll(text, "\n", "\r\n"))
		return err
	}
	_, err := w.Write(transfer.Quote(text))
	return err
}

// Size is the number of bytes that Write would write. A Content whose reader is an
// io.Seeker is not read for it.
func (e *Entity) Size() (int64, error) {
	m := &measure{}
	err := e.Write(m)
	return m.n, err
}

// measure counts what would be written.
type measure struct{ n int64 }

func (m *measure) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	return len(p), nil
}

func (e *Entity) writeParts(w io.Writer) error {
	if e.Boundary == "" {
		return e.Parts[0].Write(w)
	}
	for i := range e.Parts {
		if _, err := fmt.Fprintf(w, "--%s\r\n", e.Boundary); err != nil {
			return err
		}
		if err := e.Parts[i].Write(w); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\r\n"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "--%s--\r\n", e.Boundary)
	return err
}

// Write writes the fields, folded, and the empty line after them. A name or
// value that would break the header is ErrHeader, and then nothing is written.
func (h Header) Write(w io.Writer) error {
	var b bytes.Buffer
	b.Grow((len(h.Fields) + 1) * foldAt)
	for _, f := range h.Fields {
		if !isFieldName(f.Name) {
			return fmt.Errorf("%w: a name", ErrHeader)
		}
		if hasControl(f.Value) || !utf8.ValidString(f.Value) {
			return fmt.Errorf("%w: %s has control characters", ErrHeader, f.Name)
		}
		if !fold(&b, f.Name, f.Value) {
			return fmt.Errorf("%w: %s has a word of more than %d characters", ErrHeader, f.Name, maxLine)
		}
	}
	b.WriteString("\r\n")
	_, err := w.Write(b.Bytes())
	return err
}

// fold writes a field with a line break before blanks, wherever a line would
// become too long. Unfolding gives the value back.
func fold(b *bytes.Buffer, name, value string) bool {
	b.WriteString(name)
	b.WriteByte(':')
	column := len(name) + 1
	rest := " " + strings.Trim(value, " \t")
	if column+len(rest) <= foldAt {
		b.WriteString(rest)
		rest = ""
	}
	for first := true; rest != ""; first = false {
		n := len(rest) - len(strings.TrimLeft(rest, " \t"))
		if end := strings.IndexAny(rest[n:], " \t"); end >= 0 {
			n += end
		} else {
			n = len(rest)
		}
		if !first && column+n > foldAt {
			b.WriteString("\r\n")
			column = 0
		}
		if column += n; column > maxLine {
			return false
		}
		b.WriteString(rest[:n])
		rest = rest[n:]
	}
	b.WriteString("\r\n")
	return true
}

// formatParams is parameters as they follow a media type, in the order of their
// names. What is not ASCII, or too long for a line, is in pieces (RFC 2231).
func formatParams(params map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := params[name]
		ascii := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) < 0
		switch {
		case ascii && isToken(value) && len(value) < foldAt/2:
			fmt.Fprintf(&b, "; %s=%s", name, value)
		case ascii && len(value) < foldAt-len(name)-8:
			fmt.Fprintf(&b, "; %s=%s", name, quote(value))
		default:
			writePieces(&b, name, value)
		}
	}
	return b.String()
}

func writePieces(b *strings.Builder, name, value string) {
	piece := "utf-8''"
	n := 0
	for i := range len(value) {
		c := string(value[i])
		if !wordSafe(value[i]) && value[i] != '.' && value[i] != '_' || value[i] == '*' {
			c = fmt.Sprintf("%%%02X", value[i])
		}
		if len(name)+len(piece)+len(c) > foldAt-12 {
			fmt.Fprintf(b, "; %s*%d*=%s", name, n, piece)
			n, piece = n+1, ""
		}
		piece += c
	}
	if n == 0 {
		fmt.Fprintf(b, "; %s*=%s", name, piece)
		return
	}
	fmt.Fprintf(b, "; %s*%d*=%s", name, n, piece)
}

// isSafeText tells whether text survives any road as it is: visible ASCII, lines
// within 76 columns, none that begin with "From " or end in a blank (RFC 8551,
// section 3.1.4).
func isSafeText(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > foldAt || strings.HasPrefix(line, "From ") || strings.TrimRight(line, " \t") != line {
			return false
		}
	}
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r > '~' }) < 0
}

// writeBase64 writes the content of src in lines of 76 characters.
func writeBase64(w io.Writer, src Source) error {
	r, err := src.Open()
	if err != nil {
		return fmt.Errorf("opening content: %w", err)
	}
	defer r.Close()
	if m, ok := w.(*measure); ok {
		if at, ok := r.(io.Seeker); ok {
			n, err := at.Seek(0, io.SeekEnd)
			m.n += transfer.Base64Size(n)
			return err
		}
	}
	enc := transfer.NewBase64Writer(w)
	if _, err := io.Copy(enc, r); err != nil {
		return fmt.Errorf("reading content: %w", err)
	}
	return enc.Close()
}
