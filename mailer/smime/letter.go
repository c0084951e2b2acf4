package smime

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"countersign/mailer/message"
)

// maxReferences bounds a thread's history: the first and the last are kept.
const maxReferences = 40

// headers returns the fields that stand on the payload and those that stand
// outside, in the same order. Hidden applies hcp_shy (RFC 9788, section 3.2.2).
func (l Letter) headers(hidden bool) (inner, outer message.Header, err error) {
	add := func(name, in, out string) {
		if in != "" {
			inner.Add(name, in)
		}
		if out != "" {
			outer.Add(name, out)
		}
	}
	for _, list := range []struct {
		name  string
		addrs []message.Address
	}{{"From", []message.Address{l.From}}, {"To", l.To}, {"Cc", l.Cc}} {
		in, out, err := l.addresses(list.addrs, hidden && list.name != "From")
		if err != nil {
			return inner, outer, fmt.Errorf("%w: %s: %w", ErrLetter, list.name, err)
		}
		add(list.name, in, out)
	}
	if l.Date.IsZero() || !isMessageID(l.MessageID) {
		return inner, outer, fmt.Errorf("%w: it has no date or no usable Message-ID", ErrLetter)
	}
	add("Date", message.FormatDate(l.Date), message.FormatDate(l.Date.UTC()))
	add("Message-ID", l.MessageID, l.MessageID)
	subject, shown := message.EncodeText(l.Subject), message.EncodeText(l.OuterSubject)
	switch {
	case shown != "":
	case hidden:
		shown = hiddenSubject
	default:
		shown = subject
	}
	add("Subject", subject, shown)
	if isMessageID(l.InReplyTo) {
		add("In-Reply-To", l.InReplyTo, l.InReplyTo)
	}
	references := l.references()
	add("References", references, references)
	add("Auto-Submitted", l.AutoSubmitted, l.AutoSubmitted)
	return inner, outer, nil
}

// addresses returns a list as it stands inside and, without names and hidden people,
// outside. Domains are in A-labels, so that no server has to know RFC 6531 for them.
func (l Letter) addresses(list []message.Address, hide bool) (in, out string, err error) {
	var named, bare []string
	for _, a := range list {
		canonical, err := message.Canonical(a.Addr)
		if err != nil {
			return "", "", err
		}
		a.Addr = strings.TrimSuffix(strings.Trim(a.Addr, " \t"), ".")
		if strings.IndexFunc(a.Addr, func(r rune) bool { return r > '~' }) >= 0 {
			a.Addr = canonical
		}
		named = append(named, a.String())
		if !hide || !slices.Contains(l.Hidden, canonical) {
			bare = append(bare, a.Addr)
		}
	}
	return strings.Join(named, ", "), strings.Join(bare, ", "), nil
}

// references is the thread's history. It comes from other people's mail, so what
// is no Message-ID is left out.
func (l Letter) references() string {
	var ids []string
	for _, id := range l.References {
		if isMessageID(id) {
			ids = append(ids, id)
		}
	}
	if n := len(ids); n > maxReferences {
		ids = append(ids[:1], ids[n-maxReferences+1:]...)
	}
	return strings.Join(ids, " ")
}

// isMessageID tells whether id is <left@right> without blanks (RFC 5322, section
// 3.6.4), and short enough for a line.
func isMessageID(id string) bool {
	inside, ok := strings.CutPrefix(id, "<")
	inside, closed := strings.CutSuffix(inside, ">")
	return ok && closed && len(id) < 900 && strings.Count(inside, "@") == 1 &&
		strings.IndexFunc(inside, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }) < 0
}

// payload is the letter as a MIME entity under its true header (RFC 9788,
// section 2.1).
func (l Letter) payload(h message.Header, hp string, rand io.Reader) (message.Entity, error) {
	main := message.Entity{Type: "text/plain", Params: map[string]string{}, Text: l.Text}
	if copied := headerCopy(h); copied != "" {
		main.Params["hp-legacy-display"], main.Text = "1", copied+"\n"+l.Text
	}
	if len(l.Attachments) == 0 {
		main.Header = h
		protect(main.Params, hp)
		return main, nil
	}
	boundary, err := message.NewBoundary(rand)
	parts := []message.Entity{main}
	for _, a := range l.Attachments {
		disposition := "attachment"
		if a.Inline {
			disposition = "inline"
		}
		if a.Content == nil {
			return message.Entity{}, fmt.Errorf("%w: an attachment without content", ErrLetter)
		}
		parts = append(parts, message.Entity{Type: a.Type, Disposition: disposition, Name: a.Name, Content: a.Content})
	}
	whole := message.Entity{Header: h, Type: "multipart/mixed", Params: map[string]string{}, Boundary: boundary, Parts: parts}
	protect(whole.Params, hp)
	return whole, err
}

func protect(params map[string]string, hp string) {
	if hp != "" {
		params["hp"] = hp
	}
}

// headerCopy is a legacy display element (RFC 9788, section 5.2.2): what people would
// read of the header, so far as it stood outside in other words. Programs that do not
// know the true header show it as the first lines of the text.
func headerCopy(h message.Header) string {
	stood := h.All("HP-Outer")
	if len(stood) == 0 {
		return "" // not encrypted, or for a program of the Direct profile
	}
	var b strings.Builder
	for _, name := range []string{"Subject", "From", "To", "Cc", "Date"} {
		if value := h.Text(name); value != "" && !slices.Contains(stood, name+": "+h.Get(name)) {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	return b.String()
}
