package message

import (
	"fmt"
	"strings"
	"time"
)

// A Field is one header field. Value is unfolded and otherwise as it stands in
// the message: Header.Text and Header.Addresses decode it.
type Field struct{ Name, Value string }

// A Header is the fields of a message or part, in order. Names are compared
// without regard to case.
type Header struct{ Fields []Field }

// Get returns the value of the first field of that name, or "".
func (h Header) Get(name string) string {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Has tells whether there is a field of that name.
func (h Header) Has(name string) bool { return len(h.All(name)) > 0 }

// All returns the values of all fields of that name.
func (h Header) All(name string) []string {
	var all []string
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return all
}

// Text returns the first field of that name for people to read: encoded words
// decoded (RFC 2047), valid UTF-8, one line, without the characters that reorder
// or hide text.
func (h Header) Text(name string) string { return readable(decodeWords(h.Get(name))) }

// Addresses returns the addresses of all fields of that name. What is not an
// address is left out.
func (h Header) Addresses(name string) []Address {
	var all []Address
	for _, value := range h.All(name) {
		list, _ := ParseAddressList(value)
		all = append(all, list...)
	}
	return all
}

// Date returns the time that the message states. It proves nothing.
func (h Header) Date() (time.Time, error) {
	value := h.Get("Date")
	if value == "" {
		return time.Time{}, fmt.Errorf("%w: no Date", ErrHeader)
	}
	return parseDate(value)
}

// Add appends a field. Its value is written as it is, folded.
func (h *Header) Add(name, value string) { h.Fields = append(h.Fields, Field{name, value}) }

// Set replaces the fields of that name by one, in the place of the first.
func (h *Header) Set(name, value string) {
	kept, set := h.Fields[:0:0], false
	for _, f := range h.Fields {
		switch {
		case !strings.EqualFold(f.Name, name):
			kept = append(kept, f)
		case !set:
			kept, set = append(kept, Field{name, value}), true
		}
	}
	if h.Fields = kept; !set {
		h.Add(name, value)
	}
}

// Del removes the fields of that name.
func (h *Header) Del(name string) {
	kept := h.Fields[:0:0]
	for _, f := range h.Fields {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	h.Fields = kept
}

// FormatDate is t as a Date field has it, in t's own zone.
func FormatDate(t time.Time) string { return t.Format("Mon, 2 Jan 2006 15:04:05 -0700") }

// zones are the names of RFC 5322, section 4.3, that still occur.
var zones = strings.NewReplacer("UTC", "+0000", "GMT", "+0000", "UT", "+0000", "EST", "-0500", "EDT", "-0400",
	"CST", "-0600", "CDT", "-0500", "MST", "-0700", "MDT", "-0600", "PST", "-0800", "PDT", "-0700")

// parseDate reads a date-time of RFC 5322, section 3.3, with or without day of
// the week, seconds and century.
func parseDate(value string) (time.Time, error) {
	if len(value) > maxLine {
		return time.Time{}, fmt.Errorf("%w: Date can't be read", ErrHeader)
	}
	value, _ = cutComments(value)
	if _, rest, ok := strings.Cut(value, ","); ok {
		value = rest
	}
	words := strings.Fields(value)
	if len(words) > 0 {
		words[len(words)-1] = zones.Replace(strings.ToUpper(words[len(words)-1]))
	}
	value = strings.Join(words, " ")
	for _, layout := range []string{
		"2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04 -0700",
		"2 Jan 06 15:04:05 -0700", "2 Jan 06 15:04 -0700",
	} {
		// In UTC the year may be another one, and beyond what RFC 3339 can write.
		if t, err := time.Parse(layout, value); err == nil && t.UTC().Year() > 0 && t.UTC().Year() < 10_000 {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: Date can't be read", ErrHeader)
}
