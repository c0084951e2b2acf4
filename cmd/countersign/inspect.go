package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/tray/control"
)

func (c *cli) inspectCommand() *cobra.Command {
	var at string
	cmd := c.command("inspect FILE.eml", "Take a message file apart: layers, algorithms, verdict", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			var q control.InspectQuery
			var err error
			if q.At, err = parseTime(at); err != nil {
				return err
			}
			f, err := c.open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			got, err := s.Mail.Inspect(ctx, q, f)
			return show(c, got, err, c.printInspection)
		})
	cmd.Long = "Take a message file apart: its layers and algorithms, and what may be said of it. It is not\nstored. - is standard input."
	cmd.Example = "  countersign inspect message.eml\n  countersign inspect message.eml --at 2026-03-01 --json"
	cmd.Flags().StringVar(&at, "at", "", "judge as of this `time`: 2026-03-01 or 2026-03-01T09:00:00Z")
	return cmd
}

// parseTime reads a date, or a time of RFC 3339. Empty is no time.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("%q is no time: write 2026-03-01 or 2026-03-01T09:00:00Z", s)
}

func (c *cli) printInspection(i control.Inspection) {
	c.printVerdict(i.Verdict)
	v := i.Verdict
	c.gap()
	c.fields("Protection", v.Protection, "Signature", v.Signature, "Signer", v.Signer, "Chain", v.Chain, "From", v.From, "Contact", v.Contact)
	for n, l := range i.Layers {
		c.gap()
		c.say("Layer %d: %s, %s", n+1, l.Kind, l.Form)
		c.para("  ", strings.Join(l.Algorithms, ", "))
		for _, p := range l.People {
			c.para("  ", p)
		}
		c.para("  ", l.Problem)
	}
	if len(i.Outer) > 0 {
		c.gap()
		c.say("What everyone on the way can read")
		var pairs []string
		for _, f := range i.Outer {
			pairs = append(pairs, "  "+line(f.Name), f.Value)
		}
		c.fields(pairs...)
	}
	c.gap()
	c.fields("From", i.From, "To", strings.Join(i.To, ", "), "Date", moment(i.Date), "Subject", i.Subject)
	c.printFiles(i.Files)
	if i.Problem != "" {
		c.para("", i.Problem)
	}
	if i.Text != "" {
		c.gap()
		c.quote(i.Text)
	}
}
