// Package message reads mail from hostile bytes, within limits, and writes mail
// that other programs read without surprise. It knows no cryptography.
//
// # Reading
//
// Parse finds the structure of a message in one pass over a Source and keeps no
// body in memory: a Part is a header and three offsets. Entity gives the exact
// bytes of a part, as a signature covers them; Open gives its content, decoded.
//
// Parse is tolerant, because people's mail is what it is, and one rule keeps the
// tolerance safe: the delimiter of an enclosing multipart always ends what is
// inside it, whatever the inside claims (RFC 2046, section 5.1.2). The bytes of a
// part therefore do not depend on how deep one looks, so what is verified and
// what is shown are the same. Besides:
//
//   - lines end in CRLF or LF; a CR alone is an ordinary byte;
//   - a line that is no header field ends the header and begins the body: better
//     shown than hidden. An mbox "From " line before the first field is passed over;
//   - a delimiter is "--", the boundary, perhaps "--", and trailing blanks, and
//     nothing else; the line break before it belongs to it;
//   - a multipart without a usable boundary is one piece, a multipart without its
//     closing delimiter ends where its surroundings end;
//   - an encoding on multipart or message/rfc822 is ignored on the first (RFC
//     2045, section 6.4); the second is then one piece;
//   - repeated parameters and fields: the first counts, except that Addresses
//     gives those of every such field, so that a second From is not overlooked.
//
// Limits bound memory and work; what exceeds them is ErrLimit, except that
// multiparts nested deeper than Depth are left whole. Work is linear in the bytes
// read: an address too long to be one is not converted, a text of more than 64 KiB
// keeps its encoded words, a list ends after 10,000 addresses.
//
// # Writing
//
// Entity.WriteTo writes canonical MIME: CRLF, lines within 76 columns (but for
// a single longer word, below 998), seven-bit characters (but for addresses that
// are not ASCII, RFC 6532), text as quoted-printable where its lines could be
// changed on the way (RFC 8551, section 3.1.3), everything else as base64.
//
// # Standards
//
// RFC 5322 with the obsolete forms met in practice, RFC 2045, 2046, 2047, 2231,
// 6532 (UTF-8 in headers). Character sets are those of the WHATWG Encoding
// Standard. Not done: message/partial, message/external-body, uuencode, UTF-7.
package message

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"countersign/mailer/message/transfer"
)

var (
	// ErrLimit says that a message, or a text asked for, exceeds a limit.
	ErrLimit = errors.New("message: larger than the limits allow")
	// ErrAddress says that something is not a mail address.
	ErrAddress = errors.New("message: not a mail address")
	// ErrHeader says that a header field is missing, or can't be read or written.
	ErrHeader = errors.New("message: not a usable header field")
)

// Limits bound what Parse reads. A zero field stands for the default.
type Limits struct {
	Depth       int   // levels of multipart and message/rfc822 looked into; deeper ones are left whole
	Parts       int   // parts, at all levels
	Fields      int   // header fields and their parameters, of all parts
	HeaderBytes int64 // bytes of all headers
}

// DefaultLimits are far above any honest message: 32 levels, 1,000 parts, 10,000
// fields, 2 MiB of headers.
func DefaultLimits() Limits {
	return Limits{Depth: 32, Parts: 1000, Fields: 10_000, HeaderBytes: 2 << 20}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	return Limits{cmp.Or(l.Depth, d.Depth), cmp.Or(l.Parts, d.Parts), cmp.Or(l.Fields, d.Fields), cmp.Or(l.HeaderBytes, d.HeaderBytes)}
}

// A Part is one MIME entity: a whole message or a part of one.
type Part struct {
	Header
	Type        string            // lower case, "text/plain" where nothing is said
	Params      map[string]string // of Content-Type, names in lower case, values by RFC 2231
	Encoding    string            // Content-Transfer-Encoding, lower case, "" where nothing is said
	Disposition string            // "inline", "attachment" or "", lower case
	Filename    string            // safe to create in any folder; "" if the part has no name

	// The header is [Start, Body), the body [Body, End), in bytes of the Source
	// that was parsed.
	Start, Body, End int64

	Parts []*Part // of a multipart; of message/rfc822 the one message inside

	// HeaderCopy says that the text holds a copy of header fields for programs that
	// don't show the true ones (RFC 9788, section 5.2). Text leaves it out of
	// text/plain; of text/html it is for whoever reads HTML to leave it out. Parse
	// never sets it: whether there is a true header is not for a part to say.
	HeaderCopy bool

	src Source
}

// Entity gives the part's exact bytes, header and body: what a signature covers.
func (p *Part) Entity() Source { return Section(p.src, p.Start, p.End-p.Start) }

// Over is the part, and all in it, as it stands in src, which holds exactly the
// bytes of Entity, perhaps after a check.
func (p *Part) Over(src Source) *Part { return p.over(src, p.Start) }

func (p *Part) over(src Source, off int64) *Part {
	moved := *p
	moved.src, moved.Start, moved.Body, moved.End = src, p.Start-off, p.Body-off, p.End-off
	moved.Parts = slices.Clone(p.Parts)
	for i, child := range moved.Parts {
		moved.Parts[i] = child.over(src, off)
	}
	return &moved
}

// Walk calls visit for p and all parts in it, in the order of the message, until
// visit returns an error, which Walk returns.
func (p *Part) Walk(visit func(*Part) error) error {
	if err := visit(p); err != nil {
		return err
	}
	for _, child := range p.Parts {
		if err := child.Walk(visit); err != nil {
			return err
		}
	}
	return nil
}

// Open gives the part's content with its transfer encoding removed. Characters
// that don't belong in an encoding are passed over. A multipart is not decoded.
func (p *Part) Open() (io.ReadCloser, error) {
	r, err := Section(p.src, p.Body, p.End-p.Body).Open()
	if err != nil {
		return nil, err
	}
	switch {
	case isMultipart(p.Type):
		return r, nil
	case p.Encoding == "base64":
		return decoding{transfer.NewBase64Reader(r), r}, nil
	case p.Encoding == "quoted-printable":
		return decoding{transfer.NewQuotedReader(r), r}, nil
	}
	return r, nil
}

// decoding is a decoder that closes what it reads from.
type decoding struct {
	io.Reader
	io.Closer
}

// WriteTo lets the decoder write if it can.
func (d decoding) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, d.Reader) }
