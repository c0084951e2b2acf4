package localsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"countersign/platform"
)

// A pipe's listener greets each client with one byte: the first client of a
// new pipe can meet an instance that nobody serves (measured with go-winio
// under wine), would wait for ever, and dials again instead.
const (
	greeting     = 'C'
	greetingWait = time.Second
	dials        = 3
)

// Listen listens for the profile whose run folder is dir, which the caller
// has locked with [platform.Lock].
func Listen(dir string) (net.Listener, error) {
	path, err := pipePath(dir)
	if err != nil {
		return nil, fmt.Errorf("listening for local programs: %w", err)
	}
	sid, err := platform.UserSID()
	if err != nil {
		return nil, fmt.Errorf("listening for local programs: %w", err)
	}
	l, err := winio.ListenPipe(path, &winio.PipeConfig{
		SecurityDescriptor: "D:P(A;;GA;;;" + sid + ")",
		InputBufferSize:    64 << 10,
		OutputBufferSize:   64 << 10,
	})
	if err != nil {
		return nil, fmt.Errorf("listening for local programs: %w", err)
	}
	return listener{l}, nil
}

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn.SetWriteDeadline(time.Now().Add(greetingWait))
		if _, err := conn.Write([]byte{greeting}); err == nil {
			conn.SetWriteDeadline(time.Time{})
			return conn, nil
		}
		conn.Close()
	}
}

// Dial connects to the program that listens for dir. It fails with [ErrNobody]
// where none does, and with [ErrStranger] where it is not this user's.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	path, err := pipePath(dir)
	if err != nil {
		return nil, fmt.Errorf("reaching a local program: %w", err)
	}
	for range dials {
		var conn net.Conn
		if conn, err = winio.DialPipeContext(ctx, path); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil, ErrNobody
			}
			return nil, fmt.Errorf("reaching a local program: %w", err)
		}
		if err = greeted(conn); err == nil {
			return conn, nil
		}
		conn.Close()
		if errors.Is(err, ErrStranger) || ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("reaching a local program: %w", err)
}

// greeted checks whose process serves the pipe, then waits for its greeting.
func greeted(conn net.Conn) error {
	pipe, ok := conn.(interface{ Fd() uintptr })
	if !ok {
		return errors.New("a pipe without a handle")
	}
	var pid uint32
	if err := windows.GetNamedPipeServerProcessId(windows.Handle(pipe.Fd()), &pid); err != nil {
		return fmt.Errorf("asking who is at the other end: %w", err)
	}
	mine, err := platform.ProcessIsMine(pid)
	if err != nil {
		return fmt.Errorf("asking who is at the other end: %w", err)
	}
	if !mine {
		return ErrStranger
	}
	conn.SetReadDeadline(time.Now().Add(greetingWait))
	var b [1]byte
	if _, err := conn.Read(b[:]); err != nil {
		return fmt.Errorf("waiting for a greeting: %w", err)
	}
	return conn.SetReadDeadline(time.Time{})
}

func pipePath(dir string) (string, error) {
	name, err := platform.ObjectName(dir)
	return `\\.\pipe\` + name, err
}
