// Package pinprompttest makes terminals for tests of who is asked at one.
package pinprompttest

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Terminal makes a terminal of 24 lines, and returns its path and the side where a person sits,
// which the caller closes.
func Terminal() (path string, person *os.File, err error) {
	if person, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		return "", nil, fmt.Errorf("making a terminal: %w", err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		person.Close()
		return "", nil, fmt.Errorf("making a terminal: %w", err)
	}
	return fmt.Sprintf("/dev/pts/%d", n), person, nil
}

// State is how a terminal is set, such as whether it shows what is typed.
func State(terminal *os.File) (unix.Termios, error) {
	s, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		return unix.Termios{}, fmt.Errorf("reading the terminal's state: %w", err)
	}
	return *s, nil
}

// See reads what a terminal shows up to a text. It fails where the terminal ends before.
func See(person *os.File, text string) ([]byte, error) {
	var all []byte
	for buffer := make([]byte, 4096); !bytes.Contains(all, []byte(text)); {
		n, err := person.Read(buffer)
		if all = append(all, buffer[:n]...); err != nil {
			return all, fmt.Errorf("%q is not shown, but %q: %w", text, all, err)
		}
	}
	return all, nil
}
