package message

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of the parser itself.
const (
	lineBuffer  = 64 << 10 // a longer line is read in pieces
	maxBoundary = 998      // RFC 2046 says 70; a delimiter is a line
)

// Parse reads the structure of the message in src. The parts refer to src, which
// is opened again for their content. Errors are those of reading and ErrLimit;
// what was read of the root comes with them, if its header was whole.
func Parse(src Source, lim Limits) (*Part, error) { return ParseBeside(src, lim, nil) }

// ParseBeside is Parse, and writes the exact bytes of the parts directly in a
// multipart root, as Entity would give them, to the writers that beside returns for
// them: what is to be done with these bytes needs no pass of its own. Beside is
// told the root's header and a part's index; it may return nil. What a writer
// returns is passed over. Nothing may be used of what it got if Parse fails.
func ParseBeside(src Source, lim Limits, beside func(root *Part, i int) io.Writer) (*Part, error) {
	r, err := src.Open()
	if err != nil {
		return nil, fmt.Errorf("opening message: %w", err)
	}
	defer r.Close()
	p := &parser{src: src, lim: lim.orDefault(), raw: r, in: bufio.NewReaderSize(r, lineBufferFor(r)), beside: beside}
	root, _, err := p.entity("text/plain", p.lim.Depth)
	if err != nil {
		err = fmt.Errorf("reading message: %w", err)
	}
	return root, err
}

// lineBufferFor is no larger than what there is to read, where that can be told.
func lineBufferFor(r io.Reader) int {
	at, ok := r.(io.Seeker)
	if !ok {
		return lineBuffer
	}
	end, err := at.Seek(0, io.SeekEnd)
	if _, back := at.Seek(0, io.SeekStart); err != nil || back != nil {
		return lineBuffer // reading will say what is wrong
	}
	return int(min(end+1, lineBuffer))
}

type parser struct {
	src Source
	lim Limits
	raw io.Reader
	in  *bufio.Reader

	line   line
	held   bool     // line is to be given again
	bounds [][]byte // boundaries of the multiparts around, outermost first

	beside        func(root *Part, i int) io.Writer
	tee           tee
	parts, fields int
	header        int64
}

// line is a line, or a piece of one that is longer than the buffer.
type line struct {
	raw    []byte // good until the next line
	text   []byte // without its line break; good until the next line
	start  int64  // offset in the source
	end    int64  // offset of what follows, line break included
	before int64  // bytes of the line break that ends just before start
	brk    int64  // bytes of its own line break, 0 at the end and within a line
	first  bool   // a line begins here
}

// next reads a line into p.line. At the end of the source it is io.EOF.
func (p *parser) next() error {
	if p.held {
		p.held = false
		return nil
	}
	p.tee.take(p.line.raw)
	p.line.raw = nil
	raw, err := p.in.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF) && len(raw) > 0, errors.Is(err, bufio.ErrBufferFull):
	case err != nil:
		return err
	}
	last := p.line
	now := line{raw: raw, text: raw, start: last.end, end: last.end + int64(len(raw)), before: last.brk, first: last.brk > 0 || last.end == 0}
	if n := len(raw); n > 0 && raw[n-1] == '\n' {
		now.brk = 1
		switch {
		case n > 1 && raw[n-2] == '\r':
			now.brk = 2
		case n == 1 && !now.first && bytes.HasSuffix(last.text, []byte("\r")):
			now.brk = 2 // the break itself was torn apart
		}
		now.text = raw[:max(0, n-int(now.brk))]
	}
	p.line = now
	return nil
}

// stop is where an entity ended.
type stop struct {
	at    int64 // end of its bytes: before the delimiter and its line break
	level int   // whose delimiter it was, an index in bounds; -1 at the end of the source
	final bool  // it was a closing delimiter
}

// delimiter tells whether the current line ends what is being read. Outer
// multiparts are asked first.
func (p *parser) delimiter() (stop, bool) {
	l := p.line
	if len(p.bounds) == 0 || !l.first || len(l.text) < 2 || l.text[0] != '-' || l.text[1] != '-' {
		return stop{}, false
	}
	text := bytes.TrimRight(l.text[2:], " \t")
	for level, bound := range p.bounds {
		rest, ok := bytes.CutPrefix(text, bound)
		if ok && (len(rest) == 0 || string(rest) == "--") {
			return stop{at: l.start - l.before, level: level, final: len(rest) > 0}, true
		}
	}
	return stop{}, false
}

func (p *parser) atEnd() stop { return stop{at: p.line.end, level: -1} }

// skip reads to the next delimiter or to the end of the source.
func (p *parser) skip() (stop, error) {
	if len(p.bounds) == 0 {
		return p.skipAll()
	}
	for {
		if err := p.next(); errors.Is(err, io.EOF) {
			return p.atEnd(), nil
		} else if err != nil {
			return stop{}, err
		}
		if s, ok := p.delimiter(); ok {
			return s, nil
		}
		p.leap()
	}
}

// leap passes over the lines at hand up to the first with two hyphens in it: no
// other can be a delimiter.
func (p *parser) leap() {
	p.tee.take(p.line.raw)
	p.line.raw = nil
	_, _ = p.in.Peek(1) // fills the buffer; next sees its error
	ahead, _ := p.in.Peek(p.in.Buffered())
	if i := bytes.Index(ahead, []byte("--")); i >= 0 {
		ahead = ahead[:i]
	}
	n := bytes.LastIndexByte(ahead, '\n') + 1
	if n < 2 {
		return
	}
	now := line{start: p.line.end, end: p.line.end + int64(n), brk: 1}
	if ahead[n-2] == '\r' {
		now.brk = 2
	}
	p.tee.take(ahead[:n])
	p.line = now
	_, _ = p.in.Discard(n)
}

// skipAll passes over the rest of the source, where no delimiter can come.
func (p *parser) skipAll() (stop, error) {
	p.held = false
	if at, ok := p.raw.(io.Seeker); ok {
		end, err := at.Seek(0, io.SeekEnd)
		return stop{at: end, level: -1}, err
	}
	n, err := io.Copy(io.Discard, p.in)
	return stop{at: p.line.end + n, level: -1}, err
}

// entity reads one entity of the given default type up to where it stops.
func (p *parser) entity(kind string, depth int) (*Part, stop, error) {
	if p.parts++; p.parts > p.lim.Parts {
		return nil, stop{}, fmt.Errorf("%w: more than %d parts", ErrLimit, p.lim.Parts)
	}
	part := &Part{src: p.src, Start: p.line.end}
	if p.held {
		part.Start = p.line.start
	}
	end, ended, err := p.readHeader(part)
	if err != nil {
		return nil, stop{}, err
	}
	if p.fields += part.describe(kind, p.lim.Fields-p.fields); p.fields > p.lim.Fields {
		return nil, stop{}, fmt.Errorf("%w: more than %d header fields and parameters", ErrLimit, p.lim.Fields)
	}
	bound := part.Params["boundary"]
	switch {
	case ended:
	case isMultipart(part.Type) && depth > 0 && bound != "" && len(bound) <= maxBoundary:
		end, err = p.multipart(part, bound, depth-1)
	case isMessage(part.Type) && depth > 0 && isIdentity(part.Encoding):
		var child *Part
		if child, end, err = p.entity("text/plain", depth-1); err == nil {
			part.Parts = []*Part{child}
		}
	default:
		end, err = p.skip()
	}
	// The line break before a delimiter is the delimiter's even where it was read
	// as the end of a header or of the delimiter before.
	if err == nil {
		part.Start, part.Body, part.End = min(part.Start, end.at), min(part.Body, end.at), end.at
	}
	return part, end, err
}

func (p *parser) multipart(part *Part, bound string, depth int) (stop, error) {
	level := len(p.bounds)
	p.bounds = append(p.bounds, []byte(bound))
	kind := "text/plain"
	if part.Type == "multipart/digest" {
		kind = "message/rfc822"
	}
	end, err := p.skip()
	for err == nil && end.level == level && !end.final {
		if depth == p.lim.Depth-1 && p.beside != nil {
			p.line.raw, p.tee = nil, tee{w: p.beside(part, len(part.Parts))}
		}
		var child *Part
		if child, end, err = p.entity(kind, depth); err == nil {
			part.Parts = append(part.Parts, child)
		}
		if depth == p.lim.Depth-1 {
			p.tee.end(end.level < 0)
		}
	}
	p.bounds = p.bounds[:level]
	if err == nil && end.level == level {
		end, err = p.skip()
	}
	return end, err
}

// readHeader reads fields up to the body. It says where the entity ended, if it
// ended within its header.
func (p *parser) readHeader(part *Part) (end stop, ended bool, err error) {
	var field []byte // the field being read, unfolded
	finish := func() error {
		name, value, ok := strings.Cut(string(field), ":")
		if !ok {
			return nil
		}
		field = field[:0]
		if p.fields++; p.fields > p.lim.Fields {
			return fmt.Errorf("%w: more than %d header fields and parameters", ErrLimit, p.lim.Fields)
		}
		part.Fields = append(part.Fields, Field{strings.TrimRight(name, " \t"), plainValue(value)})
		return nil
	}
	for {
		if err := p.next(); errors.Is(err, io.EOF) {
			part.Body = p.line.end
			return p.atEnd(), true, finish()
		} else if err != nil {
			return stop{}, false, err
		}
		if s, ok := p.delimiter(); ok {
			part.Body = s.at
			return s, true, finish()
		}
		l := p.line
		mbox := l.first && l.start == 0 && !isField(l.text) && (bytes.HasPrefix(l.text, []byte("From ")) || bytes.HasPrefix(l.text, []byte(">From ")))
		switch {
		case l.first && len(l.text) == 0 && l.brk > 0:
			part.Body = l.end
			return stop{}, false, finish()
		case mbox:
		case !l.first, len(field) > 0 && (l.text[0] == ' ' || l.text[0] == '\t'):
			if len(field) > 0 {
				field = append(field, l.text...)
			}
		case isField(l.text):
			if err := finish(); err != nil {
				return stop{}, false, err
			}
			field = append(field, l.text...)
		default:
			p.held, part.Body = true, l.start
			return stop{}, false, finish()
		}
		if p.header += l.end - l.start; p.header > p.lim.HeaderBytes {
			return stop{}, false, fmt.Errorf("%w: more than %d bytes of headers", ErrLimit, p.lim.HeaderBytes)
		}
	}
}

// isField tells whether a line begins a header field: visible ASCII, then a
// colon, perhaps after blanks (RFC 5322, section 4.5).
func isField(text []byte) bool {
	name, _, ok := bytes.Cut(text, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	return ok && isFieldName(string(name))
}

func isFieldName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) < 0
}

// plainValue is a field's value with blanks in place of the control characters
// that no field may carry, and none around it. Other bytes stay as they are.
func plainValue(raw string) string {
	value := strings.Trim(raw, " \t")
	if !hasControl(value) {
		return value
	}
	plain := []byte(value)
	for i, c := range plain {
		if isControl(c) {
			plain[i] = ' '
		}
	}
	return strings.Trim(string(plain), " \t")
}

// hasControl tells whether there is a control character that no field may carry.
func hasControl(value string) bool {
	for i := range len(value) {
		if isControl(value[i]) {
			return true
		}
	}
	return false
}

func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

func isMultipart(kind string) bool { return strings.HasPrefix(kind, "multipart/") }

func isMessage(kind string) bool { return kind == "message/rfc822" || kind == "message/global" }

func isIdentity(encoding string) bool {
	switch encoding {
	case "", "7bit", "8bit", "binary":
		return true
	}
	return false
}
