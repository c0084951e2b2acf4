package platform

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program is another program to start.
type Program struct {
	Path   string // absolute
	Args   []string
	Input  []byte   // its standard input, at most 4 KiB: a way to hand over a secret that no argument list shows
	Output *os.File // where its output and errors go; nil: nowhere
}

// Start starts a program that outlives this one and its terminal, and is not in the
// background where this one is. The channel gives how it ended, if it ends while this program still runs.
func (p Program) Start() (<-chan error, error) {
	a, err := p.Attach()
	if err != nil {
		return nil, err
	}
	a.Release() // what is in the pipe stays there until it is read, even after this program's end
	return a.Ended, nil
}

// Attached is a program whose standard input this one holds open.
type Attached struct {
	Ended <-chan error // how it ended, once
	cmd   *exec.Cmd
	in    *os.File
}

// Attach is Start for a program that is to live no longer than this one: its standard input
// ends with [Attached.Release], or with this program in whatever way, and tells it to end.
func (p Program) Attach() (*Attached, error) {
	if len(p.Input) > 4<<10 {
		return nil, fmt.Errorf("starting %s: input of %d bytes", p.Path, len(p.Input))
	}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.SysProcAttr = detached()
	cmd.Dir = string(filepath.Separator) // so that it keeps no folder, and no stick, from going away
	if p.Output != nil {
		cmd.Stdout, cmd.Stderr = p.Output, p.Output
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Path, err)
	}
	defer r.Close()
	cmd.Stdin = r
	if _, err = w.Write(p.Input); err == nil {
		err = foreground(cmd.Start)
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("starting %s: %w", p.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return &Attached{Ended: ended, cmd: cmd, in: w}, nil
}

// Release tells the program to end.
func (a *Attached) Release() { a.in.Close() }

// Kill ends it at once.
func (a *Attached) Kill() { _ = a.cmd.Process.Kill() }
