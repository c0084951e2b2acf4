package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/cmd/countersign/terminal"
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
	cmd.Long = `Take a message file apart: its layers and algorithms, who signed it and who can open it,
and what may be said of it. It is not stored. - is standard input.

It opens what is encrypted to your own keys (countersign identity import FILE.p12), and
judges signers by the authorities that you trust (countersign anchor add FILE). Without
either it still takes the message apart.

With --json, programs get the same and more. These stay the same from version to version:

  verdict.protection  none, signed, encrypted, encrypted-and-signed
  verdict.signature   none; valid: it holds for exactly the content shown; invalid
  verdict.chain       who vouches for the signer: trusted, untrusted, expired (or not yet valid),
                      revoked, unknown
  verdict.from        match: the signer is the one that From names; mismatch. Both say
                      something only where verdict.signature is valid
  verdict.contact     unknown, has-certificate, test-sent, answered, verified, mismatch, suspended
  layers              outermost first: kind, form, cipher, recipients, signers, certificates
  findings            not-encrypted, signature-weak, encryption-weak, header-unprotected ...
  code                why it cannot be opened or no signature counts: no-key, key-unavailable,
                      password, changed, forged, attributes, no-certificate, weak, unsupported,
                      no-content, form, limit, damaged
  protected           the header fields that the layers cover; unprotected: those they do not

Sentences (label, reasons, problem) may be reworded.`
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
	if v.Signature != "valid" { // there is nobody to speak of
		v.Chain, v.From = "", ""
	}
	c.fields("Protection", v.Protection, "Signature", v.Signature, "Signer", v.Signer, "Chain", v.Chain, "From", v.From, "Contact", v.Contact)
	for n, l := range i.Layers {
		c.gap()
		c.printLayer(n+1, l)
	}
	if len(i.Outer) > 0 {
		c.gap()
		c.say("What everyone on the way can read")
		var pairs []string
		for _, f := range i.Outer {
			pairs = append(pairs, "  "+terminal.Line(f.Name), f.Value)
		}
		c.fields(pairs...)
	}
	c.gap()
	c.fields("From", i.From, "To", strings.Join(i.To, ", "), "Cc", strings.Join(i.Cc, ", "), "Date", plain.Moment(i.Date), "Subject", i.Subject)
	c.printFiles(i.Files)
	if i.Problem != "" {
		c.para("", i.Problem)
	}
	if i.Text != "" {
		c.gap()
		c.quote(i.Text)
	}
}

// printLayer prints what a person would compare; --json has the rest.
func (c *cli) printLayer(n int, l control.InspectedLayer) {
	c.say("Layer %d: %s", n, strings.Join(strings.FieldsFunc(l.Kind+","+l.Form, func(r rune) bool { return r == ',' }), ", "))
	c.para("  ", strings.Join(l.Algorithms, ", "))
	if l.Weak {
		c.para("  ", "This method of encryption is no longer safe.")
	}
	if len(l.Signers) == 0 {
		for _, p := range l.People {
			c.para("  ", p)
		}
	}
	for _, s := range l.Signers {
		if s.Certificate == nil {
			c.para("  ", "somebody who did not say")
			continue
		}
		d := s.Certificate
		c.para("  ", d.Name)
		c.fields("    Signed", plain.Moment(s.Time), "    Key", d.Key, "    Certificate", d.Serial+" by "+d.Issuer,
			"    Valid", plain.Moment(d.From)+" to "+plain.Moment(d.Until), "    SHA-256", d.SHA256)
		c.para("    ", s.Reason)
	}
	if others := slices.DeleteFunc(slices.Clone(l.Recipients), func(r control.InspectedRecipient) bool { return r.Opened }); len(others) > 0 {
		if len(others) < len(l.Recipients) {
			c.say("  Others who can open it: %d", len(others))
		} else {
			c.say("  Who can open it: %d", len(others))
		}
		for _, r := range others[:min(len(others), 20)] {
			c.para("    ", recipientWords(r))
		}
	}
	c.para("  ", l.Problem)
}

// recipientWords names somebody of whom an envelope tells a certificate's number only.
func recipientWords(r control.InspectedRecipient) string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Serial != "":
		return "certificate " + r.Serial + " by " + r.Issuer
	case r.KeyID != "":
		return "key " + r.KeyID
	}
	return "by " + r.Method
}
