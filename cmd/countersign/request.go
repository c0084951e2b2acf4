package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

func (c *cli) identityRequest() *cobra.Command {
	var o control.RequestOrder
	var out, card string
	var bits int
	var p256, p384 bool
	cmd := c.command("request ADDRESS", "Make a new key, and the request that your authority certifies", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			o.Address = args[0]
			switch {
			case p256:
				o.Key = "p-256"
			case p384:
				o.Key = "p-384"
			case bits != 2048 && bits != 3072 && bits != 4096:
				return usage("an RSA key has 2048, 3072 or 4096 bits")
			default:
				o.Key = fmt.Sprintf("rsa-%d", bits)
			}
			if err := free(out); err != nil {
				return err
			}
			if card != "" {
				var err error
				if o.Token, err = findToken(ctx, s, card); err != nil {
					return err
				}
			}
			made, err := s.Identities.Request(ctx, o)
			if err == nil {
				err = saveTo(out, strings.NewReader(made.PEM))
			}
			return show(c, made, err, func(control.IdentityRequest) {
				c.say("%s is for your authority. Nothing in it is secret; the key itself stays where it was made.", out)
				c.gap()
				c.say("Make a new recovery file now, so that the new key is in it: countersign recovery make")
				c.say("When the certificate comes: countersign identity install FILE")
			})
		})
	cmd.Long = "Make a new key, in the keychain or with --card on a card, and a certification request\n(PKCS #10) for it, which your authority certifies. Until the certificate is installed everything goes on as before."
	cmd.Example = "  countersign identity request ada@harbour.example --out ada.csr\n  countersign identity request ada@harbour.example --p256 --separate --out ada.csr"
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "the `file` to write; it must not exist")
	f.StringVar(&o.Name, "name", "", "your `name` in the certificate; as in the present one if not given")
	f.IntVar(&bits, "rsa", 3072, "an RSA key of that many `bits`")
	f.BoolVar(&p256, "p256", false, "a key on the curve P-256")
	f.BoolVar(&p384, "p384", false, "a key on the curve P-384")
	f.BoolVar(&o.Separate, "separate", false, "one key for signing and another for encryption")
	f.StringVar(&card, "card", "", "the `card` that makes the key for signing; the other is made here, and put there by countersign token move")
	cmd.MarkFlagsMutuallyExclusive("rsa", "p256", "p384")
	_ = cmd.MarkFlagRequired("out") // it is a flag of this command
	return cmd
}

func (c *cli) identityRequests() *cobra.Command {
	return c.command("requests", "List the keys that wait for their certificate", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Identities.Requests(ctx, control.None{})
		return show(c, got, err, func(all []control.IdentityRequest) {
			if len(all) == 0 {
				c.say("No certificate was asked for: countersign identity request ADDRESS --out FILE")
			}
			c.printRequests(all)
		})
	})
}

func (c *cli) identityDiscard() *cobra.Command {
	var yes bool
	cmd := c.command("discard REQUEST", "Take a request back and destroy its key", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			if err := c.certain(yes, "Destroy the key of this request? A certificate issued for it will be of no use."); err != nil {
				return err
			}
			got, err := s.Identities.Discard(ctx, control.RequestQuery{ID: args[0]})
			return show(c, got, err, func(control.None) { c.say("The request and its key are gone.") })
		})
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (c *cli) identityInstall() *cobra.Command {
	cmd := c.command("install FILE", "Install the certificate that your authority issued", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			f, err := c.open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			got, err := s.Identities.Install(ctx, control.None{}, f)
			return show(c, got, err, c.printInstalled)
		})
	cmd.Long = "Install the certificate that your authority issued for a key that was made here: PEM, DER or\nPKCS #7 (.cer, .crt, .pem, .p7b). The one before is kept for old mail, and the people you\nwrote to are told of the new key."
	return cmd
}

func (c *cli) identitySwitch() *cobra.Command {
	cmd := c.command("switch ADDRESS", "Use a new key at once", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			all, err := s.Identities.List(ctx, control.None{})
			if err != nil {
				return err
			}
			n := slices.IndexFunc(all, func(i control.Identity) bool {
				return !i.From.IsZero() && (i.ID == args[0] || strings.EqualFold(i.Address, args[0]))
			})
			if n < 0 {
				return &control.Error{Code: control.CodeNotFound, Says: "No new key waits under that name.", Next: "Look at the list: countersign identity list"}
			}
			done, err := s.Identities.TakeOver(ctx, control.IdentityQuery{ID: all[n].ID})
			return show(c, done, err, func(control.None) { c.say("The new certificate is in use.") })
		})
	cmd.Long = "Use a new key at once. A new key is announced 30 days before it signs, so that nobody sees a\nkey that they do not know; whoever has not heard of it has to confirm you again."
	return cmd
}

func (c *cli) printInstalled(i control.Installed) {
	if len(i.Identities) > 0 {
		c.printIdentities(i.Identities)
	}
	for _, says := range i.Says {
		c.para("", says)
	}
}

func (c *cli) identityLost() *cobra.Command {
	var yes bool
	var out string
	cmd := c.command("lost ADDRESS", "Give up a key that is lost or in other hands", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			if err := free(out); err != nil {
				return err
			}
			all, err := s.Identities.List(ctx, control.None{})
			if err != nil {
				return err
			}
			i, err := oneInUse(all, args[0])
			if err != nil {
				return err
			}
			if err := c.certain(yes, "Give up the key of "+plain.Person(i.Name, i.Address)+" for good? Nothing will be signed with it again."); err != nil {
				return err
			}
			report, err := s.Identities.Lost(ctx, control.LostOrder{ID: i.ID})
			if err == nil && out != "" && report.Request != nil {
				err = saveTo(out, strings.NewReader(report.Request.PEM))
			}
			return show(c, report, err, func(r control.LostReport) { c.printLost(r, out) })
		})
	cmd.Long = "Give up a key that is lost or in other hands: nothing is signed with it any more. It still\nopens the mail that was encrypted to it. You are told what the authority's revocation desk\nneeds and whom to call, and a new key is made."
	cmd.Example = "  countersign identity lost ada@harbour.example --out ada.csr"
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&out, "out", "", "the `file` for the new key's request; it must not exist")
	return cmd
}

// free refuses, before anything is done, a file that is there already.
func free(path string) error {
	if _, err := os.Lstat(path); path != "" && err == nil {
		return &control.Error{Code: "exists", Says: "There is a file of that name already.", Next: "Choose another name."}
	}
	return nil
}

// oneInUse finds the identity that is meant: by its address the one in use, or by its id.
func oneInUse(all []control.Identity, name string) (found control.Identity, err error) {
	for _, i := range all {
		if i.ID == name || strings.EqualFold(i.Address, name) && !i.Retired {
			return i, nil
		}
	}
	return found, &control.Error{Code: control.CodeNotFound, Says: "You have no certificate in use under that name.", Next: "Look at the list: countersign identity list"}
}

// certain asks, unless the answer was given before.
func (c *cli) certain(yes bool, question string) error {
	if yes {
		return nil
	}
	if c.ask == nil {
		return usage("nobody is at the terminal to ask: use --yes")
	}
	sure, err := c.confirm(question)
	if err == nil && !sure {
		err = terminal.ErrLeft
	}
	return err
}

func (c *cli) printLost(r control.LostReport, out string) {
	for _, says := range r.Says {
		c.para("", says)
	}
	for _, k := range r.Certificates {
		c.gap()
		c.say("For the revocation desk, the certificate for %s:", k.Usage)
		c.fields("  Issued by", k.Issuer, "  Serial number", plain.Groups(k.Serial), "  Issued to", k.Subject,
			"  Addresses", strings.Join(k.Addresses, ", "), "  SHA-256", plain.Groups(k.Fingerprint), "  Given up", plain.Moment(r.At))
	}
	c.gap()
	if len(r.Call) == 0 {
		c.say("Nobody here was confirmed by you, so there is nobody to call.")
	} else {
		c.say("Call:")
		var rows [][]string
		for _, p := range r.Call {
			number := p.Number
			if number == "" {
				number = "(met in person)"
			}
			rows = append(rows, []string{number, plain.Person(p.Name, p.Address)})
		}
		c.table(rows...)
	}
	c.gap()
	switch {
	case r.Request == nil:
	case out != "":
		c.say("A new key was made. %s is for your authority; then: countersign identity install FILE", out)
	default:
		c.say("A new key was made. Its request is in: countersign identity requests --json")
	}
	c.say("Make a new recovery file: countersign recovery make")
}
