package policy

import (
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Bounds of PlainText. A page of HTML mail is far below both.
const (
	maxPlain  = 1 << 20 // bytes of text returned
	maxToken  = 1 << 20 // bytes of one tag, comment or text: a tag costs many times its size
	maxTokens = 1 << 19

	longestWord = 1000 // bytes: what is longer, and could be base64, is no word
	maxLine     = 2000 // bytes of [CleanLine]
)

// PlainText returns the text that an HTML body shows, as plain text: no markup,
// no scripts or styles, nothing loaded, no hidden elements. The true target of a
// link stands behind its words. At most 1 MiB is returned; what is longer ends in
// a line that says so.
//
// It is a rendering for reading, not a filter: its result is still text that a
// face escapes.
func PlainText(body string) string { return (&plain{}).read(body) }

// PlainTextOnly is [PlainText] without the elements that only say again what the
// header says (RFC 9788, section 4.5.3.3). It is for message.Part.HeaderCopy.
func PlainTextOnly(body string) string { return (&plain{only: true}).read(body) }

func (p *plain) read(body string) string {
	z := html.NewTokenizer(strings.NewReader(withoutData(body)))
	z.SetMaxBuf(maxToken)
	for range maxTokens {
		kind := z.Next()
		if kind == html.ErrorToken {
			if errors.Is(z.Err(), io.EOF) {
				return CleanText(p.text())
			}
			break
		}
		p.take(kind, z)
		if p.out.Len() >= maxPlain {
			break
		}
	}
	return CleanText(p.text() + "\n\n[The rest of this message is too long to show here.]")
}

// CleanText makes text safe to show as text: line breaks become "\n", control and
// invisible formatting characters go (a right-to-left override can make one file
// name or address look like another), bytes that are not UTF-8 become U+FFFD.
func CleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r == '\n' || r == '\t':
			return r
		case r == '\u200d' || r == '\u200c': // joiners: letters of several scripts need them
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			return -1
		}
		return r
	}, s)
}

// CleanLine is [CleanText] for one line: a subject, a name. It is cut where no honest
// one ends, since each line of a list holds some.
func CleanLine(s string) string {
	line := strings.Join(strings.Fields(CleanText(s)), " ")
	if len(line) > maxLine {
		line = strings.ToValidUTF8(line[:maxLine], "") + " ..."
	}
	return line
}

// plain gathers text while elements open and close. Elements are counted, never
// nested in memory, so depth costs nothing.
type plain struct {
	out    strings.Builder
	breaks int       // line breaks owed before the next word
	space  bool      // white space owed before the next word
	skip   atom.Atom // the element whose content is not shown; 0: none
	depth  int       // how many of skip are open
	link   string    // the target of the link that is open
	label  int       // where the words of that link begin
	only   bool      // legacy display elements are not shown
}

func (p *plain) take(kind html.TokenType, z *html.Tokenizer) {
	if kind == html.TextToken {
		if p.skip == 0 {
			p.words(string(z.Text()))
		}
		return
	}
	if kind != html.StartTagToken && kind != html.EndTagToken && kind != html.SelfClosingTagToken {
		return
	}
	name, more := z.TagName()
	tag := atom.Lookup(name)
	attrs := attributes(z, more)
	if p.skip != 0 && !ended(p.skip, tag, kind) {
		p.skipping(tag, kind)
		return
	}
	p.skip = 0
	switch kind {
	case html.StartTagToken, html.SelfClosingTagToken:
		p.open(tag, attrs, kind)
	case html.EndTagToken:
		p.close(tag)
	}
}

// skipping passes over what is not shown until the element that began it closes.
func (p *plain) skipping(tag atom.Atom, kind html.TokenType) {
	if tag != p.skip {
		return
	}
	switch kind {
	case html.StartTagToken:
		p.depth++
	case html.EndTagToken:
		if p.depth--; p.depth == 0 {
			p.skip = 0
		}
	}
}

// ended tells whether a tag ends an element whose own end may be left out: else what
// follows one that is not shown would not be shown either. Too much is the honest side.
func ended(open, tag atom.Atom, kind html.TokenType) bool {
	start := kind != html.EndTagToken
	switch open {
	case atom.Head:
		return tag == atom.Body || before(tag) > 0
	case atom.P:
		return before(tag) > 0 && (start || tag != open)
	case atom.Li, atom.Dt, atom.Dd, atom.Td, atom.Th, atom.Tr:
		return tag == open && start || tag != open && !start && before(tag) > 0
	}
	return false
}

func (p *plain) open(tag atom.Atom, attrs map[string]string, kind html.TokenType) {
	if kind == html.StartTagToken && tag != 0 && !void(tag) && (unseen(tag) || hidden(attrs) || p.only && repeats(tag, attrs)) {
		p.skip, p.depth = tag, 1
		return
	}
	switch tag {
	case atom.Br:
		p.breaks++
	case atom.Li:
		p.lines(1)
		p.words("- ")
		p.space = true
	case atom.Td, atom.Th:
		p.space = true
	case atom.Hr:
		p.lines(1)
		p.words("---")
		p.lines(1)
	case atom.Img:
		if alt := strings.TrimSpace(attrs["alt"]); alt != "" {
			p.words("[" + alt + "]")
		}
	case atom.A:
		p.closeLink()
		p.link, p.label = target(attrs["href"]), p.out.Len()
	default:
		p.lines(before(tag))
	}
}

func (p *plain) close(tag atom.Atom) {
	if tag == atom.A {
		p.closeLink()
		return
	}
	p.lines(before(tag))
}

// closeLink writes the target of a link unless its words are the target.
func (p *plain) closeLink() {
	link := p.link
	p.link = ""
	if link == "" {
		return
	}
	label := strings.TrimSpace(p.out.String()[p.label:])
	if label == link || "mailto:"+label == link || label+"/" == link {
		return
	}
	p.space = label != ""
	p.words("<" + link + ">")
}

func (p *plain) lines(n int) { p.breaks = max(p.breaks, n) }

// words adds text with its white space collapsed.
func (p *plain) words(s string) {
	if first, _ := utf8.DecodeRuneInString(s); blank(first) {
		p.space = true
	}
	for word := range strings.FieldsFuncSeq(s, blank) {
		if p.out.Len() > 0 {
			if p.breaks > 0 {
				p.out.WriteString(strings.Repeat("\n", min(p.breaks, 2)))
			} else if p.space {
				p.out.WriteByte(' ')
			}
		}
		p.breaks, p.space = 0, true
		p.out.WriteString(word)
		if p.out.Len() >= maxPlain { // take then stops
			break
		}
	}
	if last, _ := utf8.DecodeLastRuneInString(s); s != "" {
		p.space = blank(last)
	}
}

// text returns what was gathered, closing a link that the body left open.
func (p *plain) text() string {
	p.closeLink()
	return p.out.String()
}

func blank(r rune) bool {
	return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' || r == '\u00a0'
}

// before is how many line breaks an element's edge makes.
func before(tag atom.Atom) int {
	switch tag {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Table, atom.Blockquote, atom.Pre:
		return 2
	case atom.Div, atom.Tr, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Center, atom.Dt, atom.Dd, atom.Dl, atom.Address, atom.Form:
		return 1
	}
	return 0
}

// unseen elements hold nothing to read.
func unseen(tag atom.Atom) bool {
	switch tag {
	case atom.Script, atom.Style, atom.Head, atom.Title, atom.Template, atom.Noscript, atom.Iframe, atom.Object,
		atom.Svg, atom.Math, atom.Textarea, atom.Select, atom.Noembed, atom.Noframes, atom.Audio, atom.Video, atom.Canvas:
		return true
	}
	return false
}

// void elements have no end, so nothing inside them can be passed over.
func void(tag atom.Atom) bool {
	switch tag {
	case atom.Br, atom.Hr, atom.Img, atom.Input, atom.Meta, atom.Link, atom.Area, atom.Base, atom.Col, atom.Embed,
		atom.Source, atom.Track, atom.Wbr, atom.Param:
		return true
	}
	return false
}

// hidden tells whether the sender meant the element not to be seen. What its style
// sheet hides by class is shown: too much is the honest side.
func hidden(attrs map[string]string) bool {
	if _, ok := attrs["hidden"]; ok {
		return true
	}
	style := strings.ToLower(strings.Join(strings.Fields(attrs["style"]), ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden")
}

// withoutData leaves out what pictures inside of the page consist of: it is long, and
// nothing in it is a mark that could end a tag or begin one.
func withoutData(body string) string {
	const mark = "base64,"
	before, rest, found := strings.Cut(body, mark)
	if !found {
		return body
	}
	var b strings.Builder
	for ; found; before, rest, found = strings.Cut(rest, mark) {
		b.WriteString(before)
		b.WriteString(mark)
		after := strings.TrimLeft(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
		if len(rest)-len(after) > longestWord {
			rest = after
		}
	}
	b.WriteString(before)
	return b.String()
}

// repeats tells whether the element is a legacy display element.
func repeats(tag atom.Atom, attrs map[string]string) bool {
	return tag == atom.Div && slices.Contains(strings.Fields(attrs["class"]), "header-protection-legacy-display")
}

// target returns a link's address where it is of a kind that people follow.
func target(href string) string {
	href = strings.TrimSpace(href)
	low := strings.ToLower(href)
	for _, scheme := range []string{"http://", "https://", "mailto:", "tel:"} {
		if strings.HasPrefix(low, scheme) {
			return strings.Join(strings.Fields(href), "")
		}
	}
	return ""
}

func attributes(z *html.Tokenizer, more bool) map[string]string {
	var m map[string]string
	for range 64 {
		if !more {
			break
		}
		var k, v []byte
		k, v, more = z.TagAttr()
		switch string(k) {
		case "href", "alt", "style", "hidden", "class":
			if m == nil {
				m = map[string]string{}
			}
			if _, ok := m[string(k)]; !ok { // the first counts, as in browsers
				m[string(k)] = string(v)
			}
		}
	}
	return m
}
