package platform_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"countersign/platform"
	"countersign/platform/harden"
)

func TestDefaultHome(t *testing.T) {
	t.Setenv(platform.HomeVariable, "")
	t.Setenv("HOME", "/home/a")
	for env, want := range map[string]string{
		"":         "/home/a/.local/share/countersign",
		"relative": "/home/a/.local/share/countersign",
		"/data":    "/data/countersign",
	} {
		t.Setenv("XDG_DATA_HOME", env)
		if dirs, err := platform.FindDirs(""); err != nil || dirs.Data != want {
			t.Errorf("%q: %v, %v", env, dirs, err)
		}
	}
}

// TestMain lets the test binary play a second process.
func TestMain(m *testing.M) {
	roles := map[string]func(args []string) error{"lock": roleLock, "dial": roleDial, "hardened": roleHardened, "echo": roleEcho, "background": roleBackground, "policy": rolePolicy}
	if role := roles[os.Getenv("PLATFORM_TEST_ROLE")]; role != nil {
		if err := role(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play starts the test binary in a role. It is run through an open file, so
// that another user can run it wherever it lies.
func play(t *testing.T, role string, uid uint32, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { self.Close() })
	cmd := exec.Command("/proc/self/fd/3", args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "PLATFORM_TEST_ROLE="+role)
	cmd.ExtraFiles = []*os.File{self}
	if uid != uint32(os.Getuid()) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	var out bytes.Buffer
	cmd.Stderr = &out
	return cmd, &out
}

func roleLock(args []string) error {
	if _, err := platform.Lock(args[0]); err != nil {
		return err
	}
	fmt.Println("locked")
	_, err := io.Copy(io.Discard, os.Stdin) // until killed
	return err
}

// A lock ends with its process, however that ends.
func TestLockOfAKilledAgent(t *testing.T) {
	dir := t.TempDir()
	cmd, stderr := play(t, "lock", uint32(os.Getuid()), dir)
	stdin, _ := cmd.StdinPipe()
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := io.ReadAll(io.LimitReader(stdout, 7)); string(line) != "locked\n" {
		t.Fatalf("the other agent says %q %s", line, stderr)
	}
	if _, err := platform.Lock(dir); !errors.Is(err, platform.ErrRunning) {
		t.Errorf("beside it: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	lock, err := platform.Lock(dir)
	if err != nil {
		t.Fatalf("after it: %v", err)
	}
	lock.Close()
}

func roleDial(args []string) error {
	conn, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn) // until the test has looked
	return err
}

// An IPv4 address reached through an IPv6 socket stands in the other table.
func TestPeerOnAMappedAddress(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	defer unix.Close(fd)
	to := &unix.SockaddrInet6{Port: l.Addr().(*net.TCPAddr).Port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
	if err := unix.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if me, err := platform.PeerIsMe(server); err != nil || !me {
		t.Errorf("it is me: %v, %v", me, err)
	}
}

func TestPeerIsSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can run a program as somebody else")
	}
	l := listen(t, "127.0.0.1:0")
	cmd, stderr := play(t, "dial", nobody, l.Addr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	me, err := platform.PeerIsMe(server)
	server.Close()
	if werr := cmd.Wait(); werr != nil {
		t.Fatalf("%v: %s", werr, stderr)
	}
	if err != nil || me {
		t.Errorf("a stranger is me: %v, %v", me, err)
	}
}

// roleHardened tells, after Harden, what the kernel thinks of this process,
// and whether PeerIsMe still works in it.
func roleHardened([]string) error {
	if err := harden.Process(); err != nil {
		return err
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		return err
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err != nil {
		return err
	}
	server, err := l.Accept()
	if err != nil {
		return err
	}
	me, err := platform.PeerIsMe(server)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode([]any{core.Cur, core.Max, dumpable, me})
}

func TestHarden(t *testing.T) {
	users := []uint32{uint32(os.Getuid())}
	if users[0] == 0 {
		users = append(users, nobody) // whom the kernel restricts more
	}
	for _, uid := range users {
		cmd, stderr := play(t, "hardened", uid)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("user %d: %v: %s", uid, err, stderr)
		}
		if got := strings.TrimSpace(string(out)); got != "[0,0,0,true]" {
			t.Errorf("user %d: core limits, dumpable, PeerIsMe: %s", uid, got)
		}
	}
}

// policies tells what the threads of this process are under, each once.
func policies() (found []uint32, err error) {
	tasks, err := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			return nil, err
		}
		if a, err := unix.SchedGetAttr(id, 0); err == nil && !slices.Contains(found, a.Policy) { // else it ended
			found = append(found, a.Policy)
		}
	}
	return found, err
}

// rolePolicy writes them into a file.
func rolePolicy(args []string) error {
	found, err := policies()
	return errors.Join(err, os.WriteFile(args[0], fmt.Append(nil, found), 0o600))
}

// roleBackground tells what its threads are under after Background, and then what a program is under that it
// starts, after which its own are as before.
func roleBackground(args []string) error {
	if err := harden.Process(); err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	for range 8 {
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread() // a thread of its own
			close(locked)
			<-done
		}()
		<-locked
	}
	if err := platform.Background(); err != nil {
		return err
	}
	ours, err := policies()
	if err != nil {
		return err
	}
	if err := os.Setenv("PLATFORM_TEST_ROLE", "policy"); err != nil {
		return err
	}
	ended, err := platform.Program{Path: args[0], Args: args[1:]}.Start()
	if err != nil {
		return err
	}
	if err := <-ended; err != nil {
		return err
	}
	program, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	after, err := policies()
	fmt.Println(ours, string(program), after)
	return err
}

func TestBackground(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before, err := policies()
	if err != nil || !slices.Equal(before, []uint32{unix.SCHED_NORMAL}) {
		t.Skipf("this process is under another policy: %v, %v", before, err)
	}
	cmd, stderr := play(t, "background", uint32(os.Getuid()), self, filepath.Join(t.TempDir(), "policy"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if got := strings.TrimSpace(string(out)); got != "[3] [0] [3]" {
		t.Errorf("its threads, a program's that it starts, and its own again: %s", got)
	}
}

func roleEcho(args []string) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	session, err := unix.Getsid(0)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode([]any{string(input), args, session == os.Getpid()})
}

func TestProgramOutlives(t *testing.T) {
	t.Setenv("PLATFORM_TEST_ROLE", "echo")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ended, err := platform.Program{Path: "/proc/self/exe", Args: []string{"--a", "b c"}, Input: []byte("secret"), Output: out}.Start()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out.Name())
	if err != nil || string(got) != `["secret",["--a","b c"],true]`+"\n" {
		t.Errorf("it says %s, %v", got, err)
	}
	if _, err := (platform.Program{Path: "/missing"}).Start(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, err := (platform.Program{Path: "/proc/self/exe", Input: make([]byte, 5<<10)}).Start(); err == nil {
		t.Error("more input than a pipe is sure to hold")
	}
}

func TestOpenBrowser(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	if err := platform.OpenBrowser("/x.html", ""); !errors.Is(err, platform.ErrNoDesktop) {
		t.Errorf("without a screen: %v", err)
	}
	dir := t.TempDir()
	told := filepath.Join(dir, "told")
	if err := unix.Mkfifo(told, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" >" + told + "\n"
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DISPLAY", ":99")
	t.Setenv("PATH", dir)
	if err := platform.OpenBrowser("/home/a b/run/open.html", ""); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(told) // waits for the writer
	if err != nil || string(got) != "/home/a b/run/open.html\n" {
		t.Errorf("it was given %q, %v", got, err)
	}
	t.Setenv("PATH", "")
	if err := platform.OpenBrowser("/x.html", ""); !errors.Is(err, platform.ErrNoDesktop) {
		t.Errorf("without a browser: %v", err)
	}
}

func TestAppWindow(t *testing.T) {
	p := platform.AppWindow("/usr/bin/chromium", "/home/a b/run/open#1.html", "/home/a b/browser")
	for _, want := range []string{"--app=file:///home/a%20b/run/open%231.html", "--user-data-dir=/home/a b/browser", "--incognito", "--disable-extensions", "--disable-sync"} {
		if !slices.Contains(p.Args, want) {
			t.Errorf("no %s in %q", want, p.Args)
		}
	}
	if got := platform.FileURL(`C:/Users/a/open.html`); got != "file:///C:/Users/a/open.html" {
		t.Errorf("on Windows: %s", got)
	}
}
