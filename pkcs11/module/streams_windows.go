package module

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// takeStreams keeps the protocol to ourselves: the library, whose run-time library
// asks for the standard handles when it is loaded, finds an empty input, and the standard
// error as output. Windows inherits only the handles that the agent names.
func takeStreams() (in, out *os.File, err error) {
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0) // never closed
	if err != nil {
		return nil, nil, fmt.Errorf("moving the streams: %w", err)
	}
	err = windows.SetStdHandle(windows.STD_INPUT_HANDLE, windows.Handle(null))
	if err == nil {
		err = windows.SetStdHandle(windows.STD_OUTPUT_HANDLE, windows.Handle(os.Stderr.Fd()))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("moving the streams: %w", err)
	}
	return os.Stdin, os.Stdout, nil
}
