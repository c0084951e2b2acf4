package module

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// takeStreams keeps the protocol to ourselves: the library, whose run-time library
// asks for the standard handles when it is loaded, finds an empty input, and the standard
// error as output. One that the system loaded before asked already, and is told anew.
// Windows inherits only the handles that the agent names.
func takeStreams() (in, out *os.File, err error) {
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0) // never closed
	if err != nil {
		return nil, nil, fmt.Errorf("moving the streams: %w", err)
	}
	if out, err = copied(os.Stdout); err != nil {
		return nil, nil, fmt.Errorf("moving the streams: %w", err)
	}
	err = windows.SetStdHandle(windows.STD_INPUT_HANDLE, windows.Handle(null))
	if err == nil {
		err = windows.SetStdHandle(windows.STD_OUTPUT_HANDLE, windows.Handle(os.Stderr.Fd()))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("moving the streams: %w", err)
	}
	for _, name := range []string{"msvcrt.dll", "ucrtbase.dll"} {
		redirect(name)
	}
	return os.Stdin, out, nil
}

// copied is a file under a handle of its own.
func copied(f *os.File) (*os.File, error) {
	self := windows.CurrentProcess()
	var handle windows.Handle
	err := windows.DuplicateHandle(self, windows.Handle(f.Fd()), self, &handle, 0, false, windows.DUPLICATE_SAME_ACCESS)
	return os.NewFile(uintptr(handle), f.Name()), err
}

// redirect has a run-time library, if it is loaded, print on its standard error in place of its
// standard output, which it closes.
func redirect(name string) {
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return
	}
	var loaded windows.Handle
	if windows.GetModuleHandleEx(windows.GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, text, &loaded) != nil {
		return
	}
	if dup2, err := windows.GetProcAddress(loaded, "_dup2"); err == nil {
		const stdout, stderr = 1, 2
		syscall.SyscallN(dup2, stderr, stdout)
	}
}
