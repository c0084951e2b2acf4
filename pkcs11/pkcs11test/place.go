package pkcs11test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"countersign/mailer/server/servertest"
)

// inside names the process whose place the helper enters before anything else.
const inside = "COUNTERSIGN_TEST_TOKEN_INSIDE"

// place is a corner of this machine with processes, network, mounts and shared memory of its
// own: what runs there neither meets the machine's services nor outlives the test, however
// that ends. It is a shell, asked one script after the other.
type place struct {
	in  io.WriteCloser
	out *bufio.Reader
	pid string // as seen from outside
}

// mark is what the shell says when a script is over.
const mark = "=== over: "

// newPlace makes a place whose /run and /dev/shm are empty, and whose loopback network is up.
// There, acknowledgements are not delayed: vpcd writes a length and what follows apart, and
// would wait 40 ms for one each time.
func newPlace(tb testing.TB) *place {
	tb.Helper()
	need(tb, "", "unshare", "nsenter", "ip", "ss")
	if os.Getuid() != 0 {
		servertest.Absent(tb, "a place for a service of its own can be made by root only")
	}
	cmd := exec.Command("unshare", "--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "sh")
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &place{in: in, out: bufio.NewReader(out)}
	tb.Cleanup(func() {
		in.Close() // the shell ends, and all else there with it
		_ = cmd.Wait()
	})
	p.do(tb, `mount -t tmpfs none /run && mount -t tmpfs none /dev/shm && mkdir -p /run/lock &&
ip link set lo up && ip route change table local local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1 quickack 1`)
	p.pid = strings.TrimSpace(p.do(tb, `read pid rest < /proc/self/stat; echo $pid`)) // /proc is that of the machine
	return p
}

// do runs a script and returns what it printed.
func (p *place) do(tb testing.TB, script string) string {
	tb.Helper()
	if _, err := fmt.Fprintf(p.in, "exec 2>&1\n%s\necho '%s'$?\n", script, mark); err != nil {
		tb.Fatal(err)
	}
	var said strings.Builder
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			tb.Fatalf("the place is gone: %v\n%s", err, said.String())
		}
		if result, ok := strings.CutPrefix(line, mark); ok {
			if code, err := strconv.Atoi(strings.TrimSpace(result)); err != nil || code != 0 {
				tb.Fatalf("%s\nended with %s%s", script, result, said.String())
			}
			return said.String()
		}
		said.WriteString(line)
	}
}

// await is a script that ends once the condition holds, and fails after a minute.
func await(condition string) string {
	return "for i in $(seq 3000); do " + condition + " && break; sleep 0.02; done; " + condition
}

// command is a program to be run in the place.
func (p *place) command(program string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", p.pid, "--net", "--mount", "--ipc", "--", program}, args...)...)
}

// enter runs this program anew in the place that the environment names, if it names one.
func enter() {
	pid := os.Getenv(inside)
	if pid == "" {
		return
	}
	p := &place{pid: pid}
	self, err := os.Executable()
	if err == nil {
		err = os.Unsetenv(inside)
	}
	if err == nil {
		cmd := p.command(self)
		err = cmd.Err
		if err == nil {
			err = syscall.Exec(cmd.Path, cmd.Args, os.Environ())
		}
	}
	fmt.Fprintln(os.Stderr, "entering a test's place:", err)
	os.Exit(1)
}
