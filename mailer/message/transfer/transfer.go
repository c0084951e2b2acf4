// Package transfer is the two transfer encodings of mail, base64 and
// quoted-printable (RFC 2045, section 6), in both directions, as streams.
//
// Writing is canonical: CRLF, 76 columns. Reading takes what there is: characters
// that don't belong are passed over in base64 and left alone in
// quoted-printable, padding may be missing or come early, lines may be of any
// length and end in LF. No input is an error; errors are those of the stream.
package transfer

const (
	columns = 76       // of a line that is written (RFC 2045, section 6.7 and 6.8)
	buffer  = 64 << 10 // bytes read at once
)

// Unescape appends s to dst with each mark and two hexadecimal digits replaced by
// the byte they stand for.
func Unescape(dst []byte, s string, mark byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == mark && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				dst = append(dst, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

// Escape appends mark and the two digits of c.
func Escape(dst []byte, c, mark byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, mark, digits[c>>4], digits[c&15])
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
