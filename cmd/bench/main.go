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
// pays for the inner base64. A case cms/open is a first opening, with nothing known but
// the key: the pass that decrypts and verifies, for GCM the one before it that checks the tag, and
// the one that gives out the attachment. A case cms/arrive computes besides the digest by which
// duplicates are known, as once for each message; for that the peer has no like. Small cases
// end in key_ratio=R: the same work within one process, as a multiple of the private and the
// public operation that it needs. In cases contacts/ seconds are those on the clock for one
// look-up or search, the median of thousands; p50_us, p99_us and worst_us tell more of ours.
// Preparing them takes a minute of CPU. In cases token/ seconds are on the clock, too, at the median: of
// one signature by a P-256 key through the token helper, the peer being the same library called within
// bench, and added_us what the helper adds, at most 200; and of a hundred letters, the peer being their
// hundred operations with the key alone: ours are to take at most 1.3 times as long; whole_ratio is of
// the same by the whole mailer, which also judges the signer, looks at the address book and commits each
// letter, and has no bound. As the agent does, these work in the background (platform.Background) and
// need both processors, so that any other work on the machine shows in the ratios.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"countersign/pkcs11/module"
)

// bout is one case: the same work by us and by the peer, on the same files.
type bout struct {
	name       string
	work, mode string // what this program's own child is to do
	peer       string // a shell line run in the folder of the fixture
	size       int64  // bytes of the attachment
	makes      []string
}

// rounds is odd, for a median; what is soon done is done more often.
func (b bout) rounds() int {
	switch {
	case b.size < miB:
		return 25
	case b.size <= 25*miB:
		return 7
	case b.size <= 200*miB:
		return 3
	}
	return 1
}

type figure struct {
	cpu time.Duration
	rss int64 // KiB
}

func main() {
	if os.Getenv(tokenHelper) != "" {
		os.Exit(module.Main())
	}
	child := flag.String("child", "", "run one piece of work in this process (used by bench itself)")
	dir := flag.String("dir", "", "the folder of the fixture")
	flag.Parse()
	if *child != "" {
		err := error(nil)
		switch {
		case slices.Contains(trustWorks, *child):
			err = trustWork(*child, *dir)
		case slices.Contains(contactWorks, *child):
			err = contactWork(*child, *dir)
		case strings.HasPrefix(*child, "token/"):
			err = tokenWork(*child, *dir)
		default:
			err = work(*child, flag.Arg(0), *dir)
		}
		if err != nil {
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
	known, err := runTrust(self, tmp, names)
	if err != nil {
		return err
	}
	met, err := runContacts(self, tmp, names)
	if err != nil {
		return err
	}
	touched, err := runTokens(self, tmp, names)
	if err != nil {
		return err
	}
	known = known || met || touched
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
	if _, err := os.Stat(sealed(dir, b.mode)); err != nil {
		// In a process of its own: a child begins with its parent's peak of memory.
		if _, err := b.measure(dir, self, "-dir", dir, "-child", "seal", b.mode); err != nil {
			return err
		}
	}
	var ours, peer []figure
	for range b.rounds() {
		f, err := b.measure(dir, self, "-dir", dir, "-child", b.work, b.mode)
		if err != nil {
			return err
		}
		ours = append(ours, f)
		if b.peer == "" {
			continue
		}
		if f, err = b.measure(dir, "sh", "-ec", b.peer); err != nil {
			b.peer = ""
			continue
		}
		peer = append(peer, f)
	}
	o := median(ours)
	line := fmt.Sprintf("bench %s ratio=none ours=%.3f peer=none rss_ours=%d rss_peer=none", b.name, o.cpu.Seconds(), o.rss>>10)
	if b.peer != "" {
		p := median(peer)
		line = fmt.Sprintf("bench %s ratio=%.3f ours=%.3f peer=%.3f rss_ours=%d rss_peer=%d",
			b.name, o.cpu.Seconds()/p.cpu.Seconds(), o.cpu.Seconds(), p.cpu.Seconds(), o.rss>>10, p.rss>>10)
	}
	if b.size < miB {
		out, err := exec.Command(self, "-dir", dir, "-child", "key", b.work).Output()
		if err != nil {
			return err
		}
		line += " " + string(out)
	}
	fmt.Println(line)
	return nil
}

// measure runs a program to its end and reads what it and its children used. What it
// makes is new: nobody has to empty an old file first.
func (b bout) measure(dir, name string, args ...string) (figure, error) {
	for _, made := range b.makes {
		if err := os.RemoveAll(filepath.Join(dir, made)); err != nil {
			return figure{}, err
		}
	}
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
