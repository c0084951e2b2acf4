package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// asker asks the person at the terminal.
type asker interface {
	// Line asks for a line. It has to be typed: pasted text is refused, and
	// asked for again.
	Line(prompt string) (string, error)
	// Secret asks for a line that is not shown.
	Secret(prompt string) ([]byte, error)
}

// errLeft is a person who pressed Ctrl-C or Ctrl-D instead of answering.
var errLeft = errors.New("stopped")

// terminal is a person at a real terminal.
type terminal struct{ in, out *os.File }

func newTerminal(in, out *os.File) (terminal, bool) {
	t := terminal{in, out}
	return t, term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
}

func (t terminal) Line(prompt string) (string, error) {
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return "", fmt.Errorf("reading from the terminal: %w", err)
	}
	defer term.Restore(int(t.in.Fd()), before)
	return typedLine(struct {
		io.Reader
		io.Writer
	}{t.in, t.out}, prompt)
}

// typedLine reads a line that was typed. The terminal is asked to mark what is
// pasted; a line with any of it is refused.
func typedLine(rw io.ReadWriter, prompt string) (string, error) {
	watch := &pasteWatch{ReadWriter: rw}
	t := term.NewTerminal(watch, prompt)
	t.SetBracketedPasteMode(true)
	defer t.SetBracketedPasteMode(false)
	for {
		text, err := t.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			return "", errLeft
		case err != nil && !errors.Is(err, term.ErrPasteIndicator):
			return "", fmt.Errorf("reading from the terminal: %w", err)
		case !watch.pasted:
			return strings.TrimSpace(text), nil
		}
		watch.pasted = false
		fmt.Fprint(t, "Please type it: what is pasted does not count.\n")
	}
}

// pasteWatch sees that something was pasted. The terminal's own indicator is
// silent where the line's end was typed.
type pasteWatch struct {
	io.ReadWriter
	pasted bool
	tail   []byte
}

var pasteStart = []byte("\x1b[200~")

func (w *pasteWatch) Read(p []byte) (int, error) {
	n, err := w.ReadWriter.Read(p)
	w.tail = append(w.tail, p[:n]...)
	w.pasted = w.pasted || bytes.Contains(w.tail, pasteStart)
	w.tail = w.tail[max(0, len(w.tail)-len(pasteStart)+1):]
	return n, err
}

func (t terminal) Secret(prompt string) ([]byte, error) {
	fmt.Fprint(t.out, prompt)
	defer fmt.Fprintln(t.out)
	secret, err := term.ReadPassword(int(t.in.Fd()))
	if errors.Is(err, io.EOF) {
		return nil, errLeft
	}
	return secret, err
}

// confirm asks a question whose answer is yes or no. Nobody there, or anything
// but a yes, is a no.
func (c *cli) confirm(question string) (bool, error) {
	if c.ask == nil {
		return false, nil
	}
	answer, err := c.ask.Line(line(question) + " [y/N] ")
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

// secret takes a secret from the first line of a file ("-" is standard input),
// or asks for it.
func (c *cli) secret(file, flag, prompt string) ([]byte, error) {
	switch {
	case file != "":
		return c.firstLine(file)
	case c.ask != nil:
		return c.ask.Secret(prompt)
	}
	return nil, usage("there is no terminal to ask on: name a file with --%s", flag)
}

func (c *cli) firstLine(name string) ([]byte, error) {
	f, err := c.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return bytes.TrimRight(text, "\r\n"), nil
}

// open opens a file; "-" is standard input.
func (c *cli) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.in), nil
	}
	return os.Open(name)
}
