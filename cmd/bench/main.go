//go:build unix

// Command bench measures what people wait for beside a peer doing the same work
// in the same run, as whole processes, and prints one line a case:
//
//	bench NAME ratio=R ours=SECONDS peer=SECONDS rss_ours=MIB rss_peer=MIB
//
// Seconds are CPU seconds (user and system), the median of interleaved rounds;
// the ratio is ours to the peer's, so it travels between machines where seconds
// do not. peer=none stands where the peer is not installed or fails at the task.
// Memory is the peak of each process; none is told below bench's own, from which both start.
//
// The peer of the S/MIME cases is OpenSSL's cms command with -binary -stream. It
// is given the finished MIME part; ours starts from the attachment and so also
// pays for the inner base64.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// rounds is odd, for a median.
const rounds = 5

// bout is one case: the same work by us and by the peer, on the same files.
type bout struct {
	name   string
	rounds int
	ours   []string // arguments of this program's own child
	peer   string   // a shell line run in the folder of the fixture, or ""
	size   int64    // bytes of the attachment
}

type figure struct {
	cpu time.Duration
	rss int64 // KiB
}

func main() {
	child := flag.String("child", "", "run one piece of work in this process (used by bench itself)")
	dir := flag.String("dir", "", "the folder of the fixture")
	flag.Parse()
	if *child != "" {
		if err := work(*child, *dir); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	tmp, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	known := false
	for _, b := range bouts {
		if len(names) > 0 && !slices.Contains(names, b.name) {
			continue
		}
		known = true
		dir := filepath.Join(tmp, fmt.Sprint(b.size))
		if err := fixture(dir, b.size); err != nil {
			return fmt.Errorf("preparing %s: %w", b.name, err)
		}
		if err := b.run(self, dir); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	if !known {
		return fmt.Errorf("no case is named %q", names)
	}
	return nil
}

func (b bout) run(self, dir string) error {
	var ours, peer []figure
	for range b.rounds {
		f, err := measure(dir, self, append([]string{"-dir", dir, "-child"}, b.ours...)...)
		if err != nil {
			return err
		}
		ours = append(ours, f)
		if b.peer == "" {
			continue
		}
		if f, err = measure(dir, "sh", "-ec", b.peer); err != nil {
			b.peer = ""
			continue
		}
		peer = append(peer, f)
	}
	o := median(ours)
	if b.peer == "" {
		fmt.Printf("bench %s ratio=none ours=%.3f peer=none rss_ours=%d rss_peer=none\n", b.name, o.cpu.Seconds(), o.rss>>10)
		return nil
	}
	p := median(peer)
	fmt.Printf("bench %s ratio=%.2f ours=%.3f peer=%.3f rss_ours=%d rss_peer=%d\n",
		b.name, o.cpu.Seconds()/p.cpu.Seconds(), o.cpu.Seconds(), p.cpu.Seconds(), o.rss>>10, p.rss>>10)
	return nil
}

// measure runs a program to its end and reads what it and its children used.
func measure(dir, name string, args ...string) (figure, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return figure{}, fmt.Errorf("%w: %s", err, out)
	}
	s := cmd.ProcessState
	f := figure{cpu: s.UserTime() + s.SystemTime()}
	if use, ok := s.SysUsage().(*syscall.Rusage); ok {
		f.rss = use.Maxrss
	}
	return f, nil
}

func median(all []figure) figure {
	slices.SortFunc(all, func(a, b figure) int { return int(a.cpu - b.cpu) })
	m := all[len(all)/2]
	for _, f := range all {
		m.rss = max(m.rss, f.rss)
	}
	return m
}
