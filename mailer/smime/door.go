package smime

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/vault/contacts/form"
)

// doorBytes is how much of a message CheckOuter reads: any header, and all of a
// fixed form.
const doorBytes = 256 << 10

// outside are the fields that may stand outside, all at most once (SECURITY.md
// O2). Of Content-* only those that say how to read the message.
var outside = []string{"From", "To", "Cc", "Date", "Message-ID", "Subject", "In-Reply-To", "References", "Auto-Submitted",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition"}

// CheckOuter is the last door: it reads the beginning of a message, as it is about
// to be submitted, and refuses it with ErrOuter unless it is an S/MIME envelope,
// or a signed fixed form and nothing besides, and tells nobody outside more than O2
// allows. It looks at the bytes alone.
func CheckOuter(r io.Reader) error {
	start, err := io.ReadAll(io.LimitReader(r, doorBytes))
	if err != nil {
		return fmt.Errorf("reading message: %w", err)
	}
	header, _, ok := bytes.Cut(start, []byte("\r\n\r\n"))
	if !ok || bytes.ContainsAny(bytes.ReplaceAll(header, []byte("\r\n"), nil), "\r\n\x00") {
		return fmt.Errorf("%w: its header is not in lines that end in CRLF", ErrOuter)
	}
	root, err := message.Parse(message.Bytes(start), message.Limits{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOuter, err)
	}
	if err := checkFields(root.Header); err != nil {
		return err
	}
	switch formOf(root) {
	case enclosing:
		if root.Filename != "" && root.Filename != "smime.p7m" {
			return fmt.Errorf("%w: it has a file name outside", ErrOuter)
		}
		kind, err := cms.ReadKind(body{root})
		if err != nil || kind != cms.KindEnveloped && kind != cms.KindAuthEnveloped {
			return fmt.Errorf("%w: it says it is encrypted, and is not", ErrOuter)
		}
		return nil
	case detached:
		if len(start) == doorBytes {
			return fmt.Errorf("%w: it is not encrypted, and too large for a fixed form", ErrOuter)
		}
		return checkForm(root)
	}
	return fmt.Errorf("%w: it is not encrypted", ErrOuter)
}

// checkFields checks each field and what it says.
func checkFields(h message.Header) error {
	seen := map[string]bool{}
	for _, f := range h.Fields {
		i := slices.IndexFunc(outside, func(name string) bool { return strings.EqualFold(name, f.Name) })
		if i < 0 {
			return fmt.Errorf("%w: it has a field %s outside", ErrOuter, f.Name)
		}
		name := outside[i]
		if seen[name] {
			return fmt.Errorf("%w: it has two fields %s outside", ErrOuter, f.Name)
		}
		seen[name] = true
		if err := checkField(name, f.Value); err != nil {
			return err
		}
	}
	for _, name := range []string{"From", "Date", "Message-ID", "MIME-Version", "Content-Type"} {
		if !seen[name] {
			return fmt.Errorf("%w: it has no field %s outside", ErrOuter, name)
		}
	}
	return nil
}

func checkField(name, value string) error {
	switch name {
	case "From", "To", "Cc":
		list, err := message.ParseAddressList(value)
		var bare []string
		for _, a := range list {
			bare = append(bare, a.Addr)
		}
		if err != nil || strings.Join(bare, ", ") != strings.Join(strings.Fields(value), " ") || name == "From" && len(list) != 1 {
			return fmt.Errorf("%w: %s has more than addresses", ErrOuter, name)
		}
	case "Subject":
		if value != hiddenSubject && !fixedSubject(value) {
			return fmt.Errorf("%w: its subject can be read outside", ErrOuter)
		}
	case "Date":
		h := message.Header{Fields: []message.Field{{Name: name, Value: value}}}
		if t, err := h.Date(); err != nil || message.FormatDate(t.UTC()) != value {
			return fmt.Errorf("%w: its date is not in UTC", ErrOuter)
		}
	case "Message-ID", "In-Reply-To", "References":
		for id := range strings.FieldsSeq(value) {
			if !isMessageID(id) {
				return fmt.Errorf("%w: %s has more than message identifiers", ErrOuter, name)
			}
		}
	case "Auto-Submitted":
		if !slices.Contains([]string{"no", "auto-replied", "auto-generated"}, value) {
			return fmt.Errorf("%w: %s has an unknown value", ErrOuter, name)
		}
	}
	return nil
}

// fixedSubject tells whether a subject is that of a fixed form (SECURITY.md V4), the
// only ones that may be read outside.
func fixedSubject(subject string) bool {
	return slices.ContainsFunc(form.Kinds(), func(k form.Kind) bool { return form.Form{Kind: k}.Subject() == subject })
}

// checkForm checks a message that is signed and not encrypted: it must be a fixed
// form that may go so, byte by byte what its data says, and nothing beside it.
func checkForm(root *message.Part) error {
	bad := func(what string) error { return fmt.Errorf("%w: it is not encrypted, and %s", ErrOuter, what) }
	if len(root.Parts) != 2 || !isSignature(root.Parts[1]) || !onlyParts(root, "protocol", "micalg") {
		return bad("not well signed")
	}
	signature, content := root.Parts[1], root.Parts[0]
	if kind, err := cms.ReadKind(body{signature}); err != nil || kind != cms.KindSigned || !isOurs(signature, "smime.p7s", "name") {
		return bad("not well signed")
	}
	if len(content.Parts) != 2 || content.Type != "multipart/mixed" || !onlyParts(content, "hp") {
		return bad("no fixed form")
	}
	text, data := content.Parts[0], content.Parts[1]
	if text.Type != "text/plain" || !isOurs(text, "", "charset") || data.Type != FormType || !isOurs(data, formName) {
		return bad("no fixed form")
	}
	f, err := ReadForm(data)
	if err != nil || f.Kind.Encrypted() || f.Subject() != root.Get("Subject") || f.From != root.Get("From") {
		return bad("no fixed form that may go so")
	}
	if said, err := text.Text(doorBytes); err != nil || said != f.Text() {
		return bad("says something of its own")
	}
	for _, field := range content.Fields {
		if !strings.HasPrefix(strings.ToLower(field.Name), "content-") && field.Value != root.Get(field.Name) {
			return bad("has another header inside")
		}
	}
	return nil
}

// formName is the file name of a form's data.
const formName = "countersign.json"

// ReadForm reads the data of a fixed form from a part of type FormType.
func ReadForm(p *message.Part) (form.Form, error) {
	r, err := p.Open()
	if err != nil {
		return form.Form{}, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, form.MaxSize+3))
	if err != nil {
		return form.Form{}, err
	}
	return form.Parse(data)
}

// isOurs tells whether a part has no other header than one that says how to read it,
// its file name, and these parameters.
func isOurs(p *message.Part, name string, params ...string) bool {
	for _, f := range p.Fields {
		if !slices.Contains([]string{"content-type", "content-transfer-encoding", "content-disposition"}, strings.ToLower(f.Name)) {
			return false
		}
	}
	return p.Filename == name && onlyParams(p, params...)
}

func onlyParams(p *message.Part, params ...string) bool {
	for name := range p.Params {
		if !slices.Contains(params, name) {
			return false
		}
	}
	return true
}

// onlyParts tells whether there is nothing in a multipart but its parts and delimiters,
// and no other parameter.
func onlyParts(p *message.Part, params ...string) bool {
	delimiter := int64(len("--\r\n") + len(p.Params["boundary"]))
	at := p.Body
	for _, child := range p.Parts {
		if child.Start != at+delimiter {
			return false
		}
		at = child.End + int64(len("\r\n"))
	}
	rest := p.End - at - delimiter // the last delimiter has two hyphens more, and perhaps no line break
	return (rest == 0 || rest == 2) && onlyParams(p, append(params, "boundary")...)
}
