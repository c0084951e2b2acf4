package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"countersign/cmd/countersign/plain"
	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

// Everything is printed by these, which neutralise what they print.

// remark tells something beside what was asked for.
func (c *cli) remark(format string, args ...any) {
	fmt.Fprintln(c.err, terminal.Line(fmt.Sprintf(format, args...)))
}

// say prints one line.
func (c *cli) say(format string, args ...any) {
	fmt.Fprintln(c.out, terminal.Line(fmt.Sprintf(format, args...)))
}

// gap prints an empty line.
func (c *cli) gap() { fmt.Fprintln(c.out) }

// table prints aligned columns.
func (c *cli) table(rows ...[]string) { terminal.Table(c.out, c.width, rows...) }

// fields prints labels and values, leaving out the empty ones.
func (c *cli) fields(pairs ...string) { terminal.Fields(c.out, pairs...) }

// para prints a paragraph, broken at 78 columns, each line indented.
func (c *cli) para(indent, text string) { terminal.Paragraph(c.out, indent, text) }

// quote prints the text of a message behind a bar: no line of it can be taken
// for one of ours.
func (c *cli) quote(text string) {
	for l := range strings.SplitSeq(strings.TrimRight(terminal.Clean(text), "\n"), "\n") {
		fmt.Fprintln(c.out, strings.TrimRight("│ "+l, " "))
	}
}

// show prints an answer: as JSON, or by text.
func show[A any](c *cli, answer A, err error, text func(A)) error {
	if err != nil {
		return err
	}
	if c.json {
		return c.writeJSON(answer)
	}
	text(answer)
	return nil
}

func (c *cli) writeJSON(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	data := terminal.JSON(b.Bytes())
	if string(data) == "null\n" {
		data = []byte("[]\n") // an empty list
	}
	_, err := c.out.Write(data)
	return err
}

// printRefused prints each refusal: whom it concerns, why, what to do, and the
// command that does it.
func (c *cli) printRefused(r *control.Refused) {
	if c.json {
		c.writeJSON(r)
	}
	c.remark("Refused. Nothing was sent or changed.")
	for _, f := range r.Refusals {
		fmt.Fprintln(c.err)
		c.remark("%s", plain.Person(f.Person, f.Address))
		terminal.Paragraph(c.err, "  ", f.Reason)
		terminal.Paragraph(c.err, "  ", f.Next)
		if f.Command != "" {
			fmt.Fprintln(c.err, "    "+terminal.Line(f.Command))
		}
	}
	c.printKept()
}

// printKept says what becomes of a message that did not go.
func (c *cli) printKept() {
	if c.kept != "" {
		fmt.Fprintln(c.err)
		c.remark("%s", c.kept)
	}
}

func (c *cli) printFailure(e *control.Error) {
	if c.json {
		c.writeJSON(e)
	}
	c.remark("countersign: %s", e.Says)
	next := e.Next
	if e.Code == control.CodeOnlyCopy {
		next = "If you accept that, add --only-copy. Or have the key made here and backed up before it is put on the card."
	}
	terminal.Paragraph(c.err, "  ", next)
	c.printKept()
}

// shape is a level without colour.
func shape(level string) string {
	switch level {
	case "good":
		return "✓"
	case "stop":
		return "✗"
	}
	return "!"
}
