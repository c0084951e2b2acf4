package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"countersign/cmd/countersign/terminal"
)

// asker asks the person at the terminal.
type asker interface {
	// Line asks for a line. It has to be typed: pasted text is refused, and
	// asked for again.
	Line(prompt string) (string, error)
	// Secret asks for a line that is not shown.
	Secret(prompt string) ([]byte, error)
}

// confirm asks a question whose answer is yes or no. Nobody there, or anything
// but a yes, is a no.
func (c *cli) confirm(question string) (bool, error) {
	if c.ask == nil {
		return false, nil
	}
	answer, err := c.ask.Line(terminal.Line(question) + " [y/N] ")
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
