//go:build unix

package pinprompt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of the Assuan protocol, and ours.
const (
	maxLine  = 1000 // bytes of a line, without its end
	maxLines = 64   // of the answer to one command
)

var (
	errGarbled = errors.New("pinprompt: pinentry talks nonsense")
	errEnded   = errors.New("pinprompt: pinentry ended")
)

// refusal is pinentry's answer that it did not do as told: an error code of libgpg-error.
type refusal uint16

const (
	refusedTimeout      refusal = 62
	refusedCancelled    refusal = 99
	refusedNotConfirmed refusal = 114
	refusedAllCancelled refusal = 198 // "and all that follows"
)

func (r refusal) Error() string { return fmt.Sprintf("pinprompt: pinentry's error %d", uint16(r)) }

// Is makes the refusals that a person or the time caused known to [errors.Is].
func (r refusal) Is(target error) bool {
	switch r {
	case refusedTimeout:
		return target == ErrTimeout
	case refusedCancelled, refusedNotConfirmed, refusedAllCancelled:
		return target == ErrCancelled
	}
	return false
}

// conversation is our side of an Assuan dialogue (Developing with libassuan, "Client
// requests" and "Server responses").
type conversation struct {
	to     io.Writer
	from   io.Reader
	buffer [maxLine + 2]byte
	begin  int // of what was read and not yet used
	end    int
}

// command sends a command and waits for its OK. What the answer holds as data is added to
// data, up to its capacity; nil allows none.
func (c *conversation) command(data *[]byte, name, argument string) error {
	line := strings.TrimSuffix(name+" "+escape(argument), " ")
	if len(line) > maxLine {
		return fmt.Errorf("%w: our %s is too long", errGarbled, name)
	}
	if _, err := io.WriteString(c.to, line+"\n"); err != nil {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return c.answer(data)
}

// answer reads lines up to OK or ERR.
func (c *conversation) answer(data *[]byte) error {
	for range maxLines {
		line, err := c.line()
		if err != nil {
			return err
		}
		name, argument, _ := bytes.Cut(line, []byte(" "))
		switch string(name[:min(len(name), 8)]) { // never data
		case "OK":
			return nil
		case "ERR":
			code, _, _ := bytes.Cut(argument, []byte(" "))
			n, err := strconv.ParseUint(string(code), 10, 32)
			if err != nil {
				return errGarbled
			}
			return refusal(n) // the upper half says which program erred
		case "D":
			if data == nil {
				return errGarbled
			}
			if err := unescape(data, argument); err != nil {
				return err
			}
		case "S":
			if bytes.HasPrefix(argument, []byte("PASSWORD_FROM_CACHE")) {
				return errGarbled // nobody typed it
			}
		default:
			if !bytes.HasPrefix(name, []byte("#")) {
				return errGarbled // an INQUIRE too: nothing that we say makes it ask
			}
		}
	}
	return errGarbled
}

// line reads a line. It is good until the next is read.
func (c *conversation) line() ([]byte, error) {
	for {
		held := c.buffer[c.begin:c.end]
		if i := bytes.IndexByte(held, '\n'); i >= 0 {
			c.begin += i + 1
			return bytes.TrimSuffix(held[:i], []byte("\r")), nil
		}
		if c.begin > 0 {
			c.end = copy(c.buffer[:], held)
			clear(c.buffer[c.end:])
			c.begin = 0
		}
		if c.end == len(c.buffer) {
			return nil, errGarbled
		}
		n, err := c.from.Read(c.buffer[c.end:])
		c.end += n
		if n == 0 && err != nil {
			return nil, errEnded
		}
	}
}

// wipe forgets what was read.
func (c *conversation) wipe() {
	clear(c.buffer[:])
	c.begin, c.end = 0, 0
}

// escape writes an argument so that it is one line.
func escape(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// unescape adds what is written so to data, within its capacity: it never moves.
func unescape(data *[]byte, escaped []byte) error {
	for i := 0; i < len(escaped); i++ {
		b := escaped[i]
		if b == '%' {
			if i+2 >= len(escaped) {
				return errGarbled
			}
			high, low := digit(escaped[i+1]), digit(escaped[i+2])
			if high > 15 || low > 15 {
				return errGarbled
			}
			b = high<<4 | low
			i += 2
		}
		if len(*data) == cap(*data) {
			return errGarbled
		}
		*data = append(*data, b)
	}
	return nil
}

// digit is the value of a hexadecimal digit; of anything else, more than 15.
func digit(b byte) byte {
	switch {
	case '0' <= b && b <= '9':
		return b - '0'
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10
	}
	return 0xff
}
