// Package terminal is what reaches a terminal and what comes from it: text without
// anything that a terminal would obey, set in columns and paragraphs, and lines that a
// person typed.
package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// ErrLeft is a person who pressed Ctrl-C or Ctrl-D instead of answering.
var ErrLeft = errors.New("stopped")

// Terminal is a person at a real terminal.
type Terminal struct{ in, out *os.File }

// New is the terminal at both ends of which somebody sits, if there is one.
func New(in, out *os.File) (Terminal, bool) {
	t := Terminal{in, out}
	return t, term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
}

// Line asks for a line. It has to be typed: pasted text is refused, and asked for again.
func (t Terminal) Line(prompt string) (string, error) {
	return t.raw(func(rw io.ReadWriter) (string, error) { return typedLine(rw, prompt) })
}

// raw has every key reach read, Ctrl-C and Ctrl-Z as well.
func (t Terminal) raw(read func(io.ReadWriter) (string, error)) (string, error) {
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return "", fmt.Errorf("reading from the terminal: %w", err)
	}
	defer term.Restore(int(t.in.Fd()), before)
	return read(struct {
		io.Reader
		io.Writer
	}{t.in, t.out})
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
			return "", ErrLeft
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

// Secret asks for a line that is not shown.
func (t Terminal) Secret(prompt string) ([]byte, error) {
	secret, err := t.raw(func(rw io.ReadWriter) (string, error) { return hiddenLine(rw, prompt) })
	return []byte(secret), err
}

// hiddenLine reads a line that is not shown, and leaves at Ctrl-C: a signal would not end the
// reading, and Ctrl-Z would leave a shell that shows nothing.
func hiddenLine(rw io.ReadWriter, prompt string) (string, error) {
	secret, err := term.NewTerminal(rw, "").ReadPassword(prompt)
	if errors.Is(err, io.EOF) {
		fmt.Fprint(rw, "\r\n")
		return "", ErrLeft
	}
	return secret, err
}

// Width is how many columns a terminal has; 0: it is none.
func Width(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		return 0
	}
	return width
}

// Table writes aligned columns; a column that is empty in every row is left
// out. With a width a row is one line: its last
// column is cut.
func Table(w io.Writer, width int, rows ...[]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			row[i] = Line(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		fmt.Fprintln(w, cut(strings.TrimRight(b.String(), " "), width))
	}
}

func cut(s string, width int) string {
	if runes := []rune(s); width > 0 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s
}

// Fields writes labels and values, leaving out the empty ones.
func Fields(w io.Writer, pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, utf8.RuneCountInString(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%-*s  %s\n", width, pairs[i], Line(pairs[i+1]))
		}
	}
}

// Paragraph writes a paragraph, broken at 78 columns, each line indented.
func Paragraph(w io.Writer, indent, text string) {
	at := 0
	for _, word := range strings.Fields(Line(text)) {
		n := utf8.RuneCountInString(word)
		switch {
		case at == 0:
			fmt.Fprint(w, indent, word)
			at = len(indent) + n
		case at+1+n > 78:
			fmt.Fprint(w, "\n", indent, word)
			at = len(indent) + n
		default:
			fmt.Fprint(w, " ", word)
			at += 1 + n
		}
	}
	if at > 0 {
		fmt.Fprintln(w)
	}
}
