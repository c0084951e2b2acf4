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
	if len(p.Input) > 4<<10 {
		return nil, fmt.Errorf("starting %s: input of %d bytes", p.Path, len(p.Input))
	}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.SysProcAttr = detached()
	cmd.Dir = string(filepath.Separator) // so that it keeps no folder, and no stick, from going away
	if p.Output != nil {
		cmd.Stdout, cmd.Stderr = p.Output, p.Output
	}
	// A pipe holds the input until it is read, even after this program's end.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Path, err)
	}
	defer r.Close()
	defer w.Close()
	cmd.Stdin = r
	if _, err := w.Write(p.Input); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Path, err)
	}
	if err := foreground(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended, nil
}

// Attached is a program that is to live no longer than this one.
type Attached struct {
	Ended <-chan error // how it ended, once
	cmd   *exec.Cmd
	in    *os.File
}

// Attach starts a program whose standard input stays open, and empty, until [Attached.Release]
// or the end of this program, in whatever way: that tells it to end. Input is not used.
func (p Program) Attach() (*Attached, error) {
	cmd := exec.Command(p.Path, p.Args...)
	cmd.SysProcAttr = detached()
	cmd.Dir = string(filepath.Separator)
	if p.Output != nil {
		cmd.Stdout, cmd.Stderr = p.Output, p.Output
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Path, err)
	}
	defer r.Close()
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
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
