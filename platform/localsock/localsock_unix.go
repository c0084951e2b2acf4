//go:build unix

package localsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"countersign/platform"
)

// Listen listens in the private folder dir, which the caller has locked with
// [platform.Lock]: a socket that a killed program left there is replaced. The
// connections that it accepts come from this user; others are closed unseen.
func Listen(dir string) (net.Listener, error) {
	if err := platform.CheckPrivate(dir); err != nil {
		return nil, fmt.Errorf("listening for local programs: %w", err)
	}
	path := filepath.Join(dir, socketName)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		os.Remove(path)
	}
	short, done, err := shorten(dir)
	if err != nil {
		return nil, fmt.Errorf("listening for local programs: %w", err)
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listening for local programs: %w", err)
	}
	l.SetUnlinkOnClose(false) // its name may be the short one
	// Until now only the folder kept others out.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("listening for local programs: %w", err)
	}
	return &listener{l, path}, nil
}

// Dial connects to the program that listens in dir. It fails with [ErrNobody]
// where none does, and with [ErrStranger] where it is not this user's.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	short, done, err := shorten(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNobody
	}
	if err != nil {
		return nil, fmt.Errorf("reaching a local program: %w", err)
	}
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", short)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNobody
	}
	if err != nil {
		return nil, fmt.Errorf("reaching a local program: %w", err)
	}
	if err := checkPeer(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

const socketName = "agent.sock"

type listener struct {
	*net.UnixListener
	path string
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.UnixListener.Accept()
		if err != nil {
			return nil, err
		}
		if checkPeer(conn) == nil {
			return conn, nil
		}
		conn.Close()
	}
}

func (l *listener) Close() error {
	os.Remove(l.path)
	return l.UnixListener.Close()
}

// Addr is where the socket really lies.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// checkPeer asks the kernel who is at the other end.
func checkPeer(conn net.Conn) error {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return fmt.Errorf("asking who is at the other end: %w", err)
	}
	var uid int
	var uidErr error
	if err := raw.Control(func(fd uintptr) { uid, uidErr = peerUID(int(fd)) }); err != nil {
		return fmt.Errorf("asking who is at the other end: %w", err)
	}
	if uidErr != nil {
		return fmt.Errorf("asking who is at the other end: %w", uidErr)
	}
	if uid != os.Geteuid() {
		return ErrStranger
	}
	return nil
}
