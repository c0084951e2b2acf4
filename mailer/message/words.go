package message

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign/mailer/message/transfer"
)

const (
	maxWord     = 64      // of an encoded word that we write: with its field's name it fits a line
	longestWord = 8 << 10 // of one that we read: some programs put a whole subject in one

	maxDecoded = 64 << 10 // bytes of a text with such words; a longer one is left as it is
)

// decodeWords decodes the encoded words of RFC 2047 in s, also the common but
// wrong ones: too long, within quotation marks, a character split over two. What
// is not encoded and not UTF-8 is read as Windows-1252.
func decodeWords(s string) string {
	if len(s) > maxDecoded {
		return toUTF8("", []byte(s))
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "=?")
		if i < 0 {
			b.WriteString(toUTF8("", []byte(s)))
			return b.String()
		}
		charset, raw, n := cutWord(s[i:])
		if n == 0 {
			i += 2
			b.WriteString(toUTF8("", []byte(s[:i])))
			s = s[i:]
			continue
		}
		b.WriteString(toUTF8("", []byte(s[:i])))
		s = s[i+n:]
		// Neighbours are one text: the blanks between are not part of it, and a
		// character may begin in one and end in the next.
		for {
			next, more, n := cutWord(strings.TrimLeft(s, " \t"))
			if n == 0 {
				break
			}
			if s = strings.TrimLeft(s, " \t")[n:]; strings.EqualFold(next, charset) {
				raw = append(raw, more...)
				continue
			}
			b.WriteString(toUTF8(charset, raw))
			charset, raw = next, more
		}
		b.WriteString(toUTF8(charset, raw))
	}
}

// cutWord decodes the encoded word at the start of s; n is its length, 0 if
// there is none.
func cutWord(s string) (charset string, raw []byte, n int) {
	rest, ok := strings.CutPrefix(s, "=?")
	if !ok {
		return "", nil, 0
	}
	i := strings.IndexAny(rest[:min(len(rest), 64)], "? \t")
	if i < 1 || rest[i] != '?' || len(rest) < i+3 || rest[i+2] != '?' {
		return "", nil, 0
	}
	charset, _, _ = strings.Cut(rest[:i], "*") // RFC 2231, section 5: a language may follow
	text, _, ok := strings.Cut(rest[i+3:min(len(rest), longestWord)], "?=")
	if !ok {
		return "", nil, 0
	}
	n = len("=?") + i + len("?q?") + len(text) + len("?=")
	switch rest[i+1] {
	case 'b', 'B':
		raw = transfer.DecodeBase64(text)
	case 'q', 'Q':
		raw = transfer.Unescape(nil, strings.ReplaceAll(text, "_", " "), '=')
	default:
		return "", nil, 0
	}
	return charset, raw, n
}

// EncodeText is text as a field without structure holds it, such as Subject:
// encoded words where it is not plain ASCII. Control characters become blanks.
func EncodeText(text string) string {
	text = oneLine(text)
	// A line can be broken before blanks, but not among them.
	plain := !strings.Contains(text, "=?") && !strings.Contains(text, strings.Repeat(" ", maxLine/2)) && strings.IndexFunc(text, func(r rune) bool { return r > '~' }) < 0
	for _, word := range strings.Fields(text) {
		plain = plain && len(word) <= maxLine/2
	}
	if plain {
		return strings.TrimSpace(text)
	}
	return encodeWords(text)
}

// encodeWords is text as encoded words in UTF-8, by the shorter encoding, parted
// by blanks.
func encodeWords(text string) string {
	encode, kind := encodeQ, "q"
	if len(encodeQ([]byte(text))) > base64.StdEncoding.EncodedLen(len(text)) {
		encode, kind = base64.StdEncoding.EncodeToString, "b"
	}
	var words []string
	for text != "" {
		n, word := 0, ""
		for n < len(text) {
			_, size := utf8.DecodeRuneInString(text[n:])
			longer := "=?utf-8?" + kind + "?" + encode([]byte(text[:n+size])) + "?="
			if len(longer) > maxWord {
				break
			}
			n, word = n+size, longer
		}
		words, text = append(words, word), text[n:]
	}
	return strings.Join(words, " ")
}

// encodeQ is the Q encoding, so narrow that it may stand in a display name too
// (RFC 2047, section 5, rule 3).
func encodeQ(raw []byte) string {
	var word []byte
	for _, c := range raw {
		switch {
		case c == ' ':
			word = append(word, '_')
		case wordSafe(c):
			word = append(word, c)
		default:
			word = transfer.Escape(word, c, '=')
		}
	}
	return string(word)
}

func wordSafe(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!*+-/", c) >= 0
}

// oneLine is valid UTF-8 without control characters.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// readable is s on one line, without control characters and without those that
// embed, override or isolate a direction of writing (Unicode TR 36, section 2.8).
func readable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if '\u202A' <= r && r <= '\u202E' || '\u2066' <= r && r <= '\u2069' {
			return -1
		}
		return r
	}, oneLine(s)))
}
