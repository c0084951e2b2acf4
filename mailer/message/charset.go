package message

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// toUTF8 reads raw in the named character set. UTF-8 is believed wherever the
// bytes are valid UTF-8 and the name is missing, unknown or US-ASCII, because
// other programs mislabel it; what remains is Windows-1252, as browsers hold.
func toUTF8(charset string, raw []byte) string {
	charset = strings.ToLower(strings.TrimSpace(charset))
	enc, err := htmlindex.Get(charset)
	if err != nil || charset == "us-ascii" || charset == "ascii" {
		if utf8.Valid(raw) {
			return string(raw)
		}
		enc = charmap.Windows1252
	}
	text, err := enc.NewDecoder().Bytes(raw)
	if err != nil {
		text = raw
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}

// MaxExpansion is how many bytes the encoding of one byte of text takes at most, where it is
// honest: quoted-printable takes three, and soft line breaks.
const MaxExpansion = 8

// Text returns the part's content as UTF-8 with lines ending in LF, for parts
// whose type is text. At most max bytes of the content are read, and of its encoding
// MaxExpansion for each; where there are more, the text is cut and comes with ErrLimit.
// What can't be decoded is U+FFFD.
func (p *Part) Text(max int64) (string, error) {
	read, most := *p, p.Body+MaxExpansion*(max+1)
	read.End = min(p.End, most)
	r, err := read.Open()
	if err != nil {
		return "", fmt.Errorf("opening text: %w", err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return "", fmt.Errorf("reading text: %w", err)
	}
	if int64(len(raw)) > max || p.End > most {
		raw, err = raw[:min(int64(len(raw)), max)], ErrLimit
	}
	text := strings.TrimPrefix(toUTF8(p.Params["charset"], raw), "\uFEFF") // a byte order mark
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if p.HeaderCopy && p.Type == "text/plain" {
		text = withoutCopy(text)
	}
	return text, err
}

// withoutCopy is text without its first lines up to and including the first that is
// empty (RFC 9788, section 4.5.3.2). Where there is none the text is all there is.
func withoutCopy(text string) string {
	if rest, ok := strings.CutPrefix(text, "\n"); ok {
		return rest
	}
	if _, rest, ok := strings.Cut(text, "\n\n"); ok {
		return rest
	}
	return text
}
