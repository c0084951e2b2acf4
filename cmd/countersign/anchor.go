package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

func (c *cli) anchorCommand() *cobra.Command {
	return c.group("anchor", "The authorities that you trust", c.anchorAdd(), c.anchorList(), c.anchorRemove(),
		c.anchorFollow(), c.anchorFollowed(), c.anchorRefresh(), c.anchorAccept(), c.anchorLeave())
}

func (c *cli) anchorAdd() *cobra.Command {
	var confirmed confirmation
	var order control.AnchorOrder
	cmd := c.command("add FILE", "Trust the authorities in a certificate file", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			found, err := c.previewAnchors(ctx, s, args[0])
			if err != nil {
				return err
			}
			if order.Confirm, err = c.confirmed(confirmed, found); err != nil {
				return err
			}
			f, err := c.open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			got, err := s.Anchors.Add(ctx, order, f)
			return show(c, got, err, c.printAnchors)
		})
	cmd.Long = "Trust the authorities in a certificate file (PEM, DER or PKCS #7) or a signed list of them. Compare\neach fingerprint with the one that the authority itself publishes before you say yes. One that you\ntrust already is trusted from then on for what you say now."
	cmd.Example = "  countersign anchor add clinic-root.pem\n  countersign anchor add clinic-root.pem --confirm 3f0c...e1"
	confirmed.flags(cmd)
	scopeFlags(cmd, &order.For, &order.Domains)
	return cmd
}

// confirmation is how fingerprints are confirmed without being asked.
type confirmation struct {
	yes  bool
	list []string
}

func (o *confirmation) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.list, "confirm", nil, "trust the certificate with this SHA-256 `fingerprint`, already compared")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "trust all of them without asking")
	cmd.MarkFlagsMutuallyExclusive("confirm", "yes")
}

// scopeFlags say what authorities are trusted for.
func scopeFlags(cmd *cobra.Command, use *string, domains *[]string) {
	cmd.Flags().StringVar(use, "for", "", "trust it for `sending` or receiving only")
	cmd.Flags().StringArrayVar(domains, "domain", nil, "trust it for addresses at this `domain` only, or with a dot before it at all below; may be repeated")
}

// confirmed returns the fingerprints that were confirmed, asking if none was named.
func (c *cli) confirmed(o confirmation, found []control.Anchor) ([]string, error) {
	if o.yes {
		for _, a := range found {
			o.list = append(o.list, a.Fingerprint)
		}
	}
	if len(o.list) == 0 {
		return c.confirmAnchors(found)
	}
	return o.list, nil
}

func (c *cli) previewAnchors(ctx context.Context, s *control.Service, name string) ([]control.Anchor, error) {
	f, err := os.Open(name) // twice, so it can't be standard input
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return s.Anchors.Preview(ctx, control.None{}, io.Reader(f))
}

func (c *cli) confirmAnchors(found []control.Anchor) (confirmed []string, err error) {
	if c.ask == nil {
		return nil, usage("nobody is at the terminal to compare fingerprints: use --confirm or --yes")
	}
	for _, a := range found {
		c.remark("%s, until %s", a.Name, plain.Day(a.Expires))
		c.remark("  SHA-256 %s", plain.Groups(a.Fingerprint))
		yes, err := c.confirm("Is this the fingerprint that the authority publishes?")
		if err != nil {
			return nil, err
		}
		if yes {
			confirmed = append(confirmed, a.Fingerprint)
		}
	}
	return confirmed, nil
}

func (c *cli) anchorList() *cobra.Command {
	return c.command("list", "List the authorities that you trust", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Anchors.List(ctx, control.None{})
		return show(c, got, err, c.printAnchors)
	})
}

func (c *cli) anchorRemove() *cobra.Command {
	cmd := c.command("remove FINGERPRINT", "Trust an authority no longer", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		fingerprint, err := findAnchor(ctx, s, args[0])
		if err != nil {
			return err
		}
		_, err = s.Anchors.Remove(ctx, control.AnchorQuery{Fingerprint: fingerprint})
		return err
	})
	cmd.Long = "Trust an authority no longer. The first eight digits of its fingerprint are enough where\nonly one begins with them."
	return cmd
}

// findAnchor completes a fingerprint. What fits none, or several, goes to the
// agent as it is, which knows what to say.
func findAnchor(ctx context.Context, s *control.Service, start string) (string, error) {
	start = strings.ToLower(strings.NewReplacer(" ", "", ":", "").Replace(start))
	all, err := s.Anchors.List(ctx, control.None{})
	if err != nil {
		return "", err
	}
	var found []string
	for _, a := range all {
		if len(start) >= 8 && strings.HasPrefix(strings.ToLower(a.Fingerprint), start) {
			found = append(found, a.Fingerprint)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return start, nil
}

func (c *cli) printAnchors(all []control.Anchor) {
	if len(all) == 0 {
		c.say("You trust no authority yet: countersign anchor add FILE.pem")
	}
	for _, a := range all {
		c.say("%s, until %s%s", a.Name, plain.Day(a.Expires), goodFor(a.For, a.Domains))
		c.say("  %s", a.Fingerprint)
		if a.Bundle != "" {
			c.para("  ", "from the list at "+a.Bundle)
		}
	}
}

// goodFor says what an authority is trusted for, if not for everything.
func goodFor(use string, domains []string) string {
	says := ""
	if use != "" {
		says = ", for " + use + " only"
	}
	if len(domains) > 0 {
		says += ", for addresses at " + strings.Join(domains, ", ")
	}
	return says
}
