package localsock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"countersign/platform"
	"countersign/platform/harden"
	"countersign/platform/localsock"
)

// nobody is a user that the tests are not run as.
const nobody = 65534

// TestMain lets the test binary play somebody else.
func TestMain(m *testing.M) {
	roles := map[string]func(dir string) error{"dial": roleDial, "listen": roleListen, "hardened": roleHardened}
	if role := roles[os.Getenv("LOCALSOCK_TEST_ROLE")]; role != nil {
		if err := role(os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play starts the test binary as somebody else, through an open file so that
// they can run it wherever it lies.
func play(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can run a program as somebody else")
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { self.Close() })
	cmd := exec.Command("/proc/self/fd/3", dir)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LOCALSOCK_TEST_ROLE="+role)
	cmd.ExtraFiles = []*os.File{self}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

// openFolder returns a folder that everybody can enter.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "localsock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLongPath(t *testing.T) {
	stream(t, runFolder(t, 300))
}

func roleDial(dir string) error {
	conn, err := net.Dial("unix", filepath.Join(dir, "agent.sock"))
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, conn)
	if n > 0 || err != nil {
		return fmt.Errorf("got %d bytes, %v", n, err)
	}
	return nil
}

// Even when the modes were opened on purpose, a stranger gets nothing and
// does not stop the next of our own.
func TestStrangerIsClosedUnseen(t *testing.T) {
	dir := runFolder(t, 0)
	l, err := localsock.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	open := openFolder(t)
	if err := os.Rename(filepath.Join(dir, "agent.sock"), filepath.Join(open, "agent.sock")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(open, "agent.sock"), 0o777); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "a secret")
			conn.Close()
		}
	}()
	if out, err := play(t, "dial", open).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	conn, err := net.Dial("unix", filepath.Join(open, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, _ := io.ReadAll(conn); string(got) != "a secret" {
		t.Errorf("our own got %q", got)
	}
}

func roleListen(dir string) error {
	l, err := net.Listen("unix", filepath.Join(dir, "agent.sock"))
	if err != nil {
		return err
	}
	os.Chmod(filepath.Join(dir, "agent.sock"), 0o777)
	fmt.Println("ready")
	l.(*net.UnixListener).SetDeadline(time.Now().Add(time.Minute))
	_, err = l.Accept()
	return err
}

func TestStrangerCannotListenForUs(t *testing.T) {
	dir := openFolder(t)
	cmd := play(t, "listen", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	io.ReadFull(out, make([]byte, 6)) // "ready\n"
	if _, err := localsock.Dial(t.Context(), dir); !errors.Is(err, localsock.ErrStranger) {
		t.Errorf("got %v", err)
	}
}

// roleHardened listens and dials on a long path in a process that the kernel
// restricts: /proc/self belongs to root then.
func roleHardened(dir string) error {
	if err := harden.Process(); err != nil {
		return err
	}
	for len(dir) < 200 {
		dir = filepath.Join(dir, "a-folder-with-a-long-name")
	}
	if err := platform.MakePrivate(dir); err != nil {
		return err
	}
	l, err := localsock.Listen(dir)
	if err != nil {
		return err
	}
	go l.Accept()
	conn, err := localsock.Dial(context.Background(), dir)
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestHardened(t *testing.T) {
	if out, err := play(t, "hardened", openFolder(t)).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
