package smime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"countersign/mailer/cms"
	"countersign/mailer/message"
)

// doorBytes is how much of a message CheckOuter reads: any header, and all of a
// fixed form.
const doorBytes = 256 << 10

// outside are the fields that may stand outside, all at most once (SECURITY.md
// O2). Of Content-* only those that say how to read the message.
var outside = []string{"From", "To", "Cc", "Date", "Message-ID", "Subject", "In-Reply-To", "References", "Auto-Submitted",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition"}

// fixedSubjects are those of the six fixed forms (SECURITY.md V4), the only ones
// that may be read outside.
var fixedSubjects = []string{
	"Please answer with a signed message",
	"Test message: please wait for a telephone call",
	"Answer to your test message",
	"My certificate will change",
	"Your message has arrived",
	"Your message arrived without protection",
}

// CheckOuter is the last door: it reads the beginning of a message, as it is about
// to be submitted, and refuses it with ErrOuter unless it is an S/MIME envelope,
// or a signed fixed form, and tells nobody outside more than O2 allows. It looks
// at the bytes alone.
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
		if value != HiddenSubject && !slices.Contains(fixedSubjects, value) {
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

// errForm ends a walk at the part that makes a fixed form.
var errForm = errors.New("smime: a fixed form")

// checkForm checks a message that is signed and not encrypted: it must be a fixed
// form, which holds nothing that a person wrote.
func checkForm(root *message.Part) error {
	if len(root.Parts) != 2 || !isSignature(root.Parts[1]) {
		return fmt.Errorf("%w: it is not encrypted, and not well signed", ErrOuter)
	}
	if kind, err := cms.ReadKind(body{root.Parts[1]}); err != nil || kind != cms.KindSigned {
		return fmt.Errorf("%w: it is not encrypted, and not well signed", ErrOuter)
	}
	err := root.Parts[0].Walk(func(p *message.Part) error {
		if p.Type == FormType {
			return errForm
		}
		return nil
	})
	if !errors.Is(err, errForm) {
		return fmt.Errorf("%w: it is not encrypted, and no fixed form", ErrOuter)
	}
	return nil
}
