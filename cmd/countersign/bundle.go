package main

import (
	"context"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

// anchorFollow shows who signs a list before it is followed.
func (c *cli) anchorFollow() *cobra.Command {
	var order control.BundleOrder
	cmd := c.command("follow URL", "Follow a signed list of authorities that is published", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			order.URL = args[0]
			signer := order.Signer
			order.Signer = ""
			found, err := s.Anchors.Follow(ctx, order)
			if err != nil {
				return err
			}
			if order.Signer = signer; signer == "" {
				if c.ask == nil {
					return usage("nobody is at the terminal to compare fingerprints: use --signer")
				}
				c.remark("The list holds %d authorities, and is signed by %s", len(found.Waiting), found.SignerName)
				c.remark("  SHA-256 %s", plain.Groups(found.Signer))
				yes, err := c.confirm("Is this the fingerprint of whoever publishes the list?")
				if err != nil {
					return err
				}
				if !yes {
					return usage("the list is not followed")
				}
				order.Signer = found.Signer
			}
			got, err := s.Anchors.Follow(ctx, order)
			return show(c, got, err, c.printBundle)
		})
	cmd.Long = "Follow a signed list of authorities (a trust bundle). It is fetched once a day. Whoever is gone from it is\ntrusted no longer, at once; whoever is new waits until you accept them."
	cmd.Example = "  countersign anchor follow https://bundles.example/community.p7m --for receiving"
	cmd.Flags().StringVar(&order.Signer, "signer", "", "the SHA-256 `fingerprint` of who signs it, already compared")
	scopeFlags(cmd, &order.For, &order.Domains)
	return cmd
}

func (c *cli) anchorFollowed() *cobra.Command {
	return c.command("followed", "List the lists of authorities that you follow", cobra.NoArgs,
		func(ctx context.Context, s *control.Service, _ []string) error {
			got, err := s.Anchors.Bundles(ctx, control.None{})
			return show(c, got, err, c.printBundles)
		})
}

func (c *cli) anchorRefresh() *cobra.Command {
	return c.command("refresh", "Fetch the lists of authorities that you follow now", cobra.NoArgs,
		func(ctx context.Context, s *control.Service, _ []string) error {
			got, err := s.Anchors.Refresh(ctx, control.None{})
			return show(c, got, err, c.printBundles)
		})
}

func (c *cli) anchorAccept() *cobra.Command {
	var confirmed confirmation
	cmd := c.command("accept URL", "Trust authorities that wait in a list that you follow", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			all, err := s.Anchors.Bundles(ctx, control.None{})
			if err != nil {
				return err
			}
			var waiting []control.Anchor
			for _, b := range all {
				if b.URL == args[0] {
					waiting = b.Waiting
				}
			}
			if len(waiting) == 0 && len(confirmed.list) == 0 {
				c.remark("Nobody waits in this list.")
				return show(c, waiting, nil, func([]control.Anchor) {})
			}
			order := control.BundleConfirm{URL: args[0]}
			if order.Confirm, err = c.confirmed(confirmed, waiting); err != nil {
				return err
			}
			got, err := s.Anchors.Accept(ctx, order)
			return show(c, got, err, c.printAnchors)
		})
	confirmed.flags(cmd)
	return cmd
}

func (c *cli) anchorLeave() *cobra.Command {
	cmd := c.command("leave URL", "Follow a list of authorities no longer", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			_, err := s.Anchors.Leave(ctx, control.BundleQuery{URL: args[0]})
			return err
		})
	cmd.Long = "Follow a list of authorities no longer. Those that came from it stay trusted until you remove them."
	return cmd
}

func (c *cli) printBundles(all []control.Bundle) {
	if len(all) == 0 {
		c.say("You follow no list of authorities.")
	}
	for _, b := range all {
		c.printBundle(b)
	}
}

func (c *cli) printBundle(b control.Bundle) {
	c.say("%s%s", b.URL, goodFor(b.For, b.Domains))
	c.para("  ", "Signed by "+b.SignerName+" on "+plain.Moment(b.Signed))
	c.para("  ", b.Problem)
	if len(b.Waiting) > 0 {
		c.para("  ", "Waiting for you: countersign anchor accept "+b.URL)
	}
	for _, a := range b.Waiting {
		c.say("  %s, until %s", a.Name, plain.Day(a.Expires))
		c.say("    %s", a.Fingerprint)
	}
}
