package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

func (c *cli) identityCommand() *cobra.Command {
	return c.group("identity", "Your own keys and certificates",
		c.identityImport(), c.identityUse(), c.identityList(), c.identityRequest(), c.identityRequests(), c.identityDiscard(), c.identityInstall(), c.identitySwitch(), c.identityLost())
}

func (c *cli) identityImport() *cobra.Command {
	var passwordFile string
	cmd := c.command("import FILE.p12", "Take over a certificate and its key from a file", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			f, err := c.open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			password, err := c.secret(passwordFile, "password-file", "Password of "+terminal.Line(args[0])+": ")
			if err != nil {
				return err
			}
			got, err := s.Identities.ImportPKCS12(ctx, control.PKCS12Order{Password: string(password)}, f)
			return show(c, got, err, c.printIdentities)
		})
	cmd.Long = "Take over a certificate and its private key from a PKCS #12 file (.p12 or .pfx), as\nauthorities hand them out. The key goes to the keychain; the file stays as it is."
	cmd.Example = "  countersign identity import ada.p12\n  countersign identity import ada.p12 --password-file secret.txt"
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "the `file` that holds the password (- is standard input)")
	return cmd
}

func (c *cli) identityList() *cobra.Command {
	return c.command("list", "List your certificates", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Identities.List(ctx, control.None{})
		if err != nil || c.json {
			return show(c, got, err, c.printIdentities)
		}
		waiting, err := s.Identities.Requests(ctx, control.None{})
		return show(c, got, err, func(all []control.Identity) {
			c.printIdentities(all)
			c.printRequests(waiting)
		})
	})
}

func (c *cli) printIdentities(all []control.Identity) {
	if len(all) == 0 {
		c.say("You have no certificate yet: countersign identity import FILE.p12")
		return
	}
	var rows [][]string
	for _, i := range all {
		state := i.State
		switch {
		case !i.Lost.IsZero():
			state = "given up " + plain.Day(i.Lost)
		case i.Retired:
			state = "retired"
		case !i.From.IsZero():
			state = "in use from " + plain.Day(i.From)
		}
		rows = append(rows, []string{plain.Person(i.Name, i.Address), uses(i), state, "until " + plain.Day(i.Expires), "by " + i.Issuer, "key: " + i.KeyPlace})
	}
	c.table(rows...)
	for _, i := range all {
		c.para("  ", i.Problem)
	}
}

// uses tells what the certificates of an identity are for, and which where there are two.
func uses(i control.Identity) string {
	if len(i.Certificates) < 2 || i.Retired {
		return i.Usage
	}
	var list []string
	for _, k := range i.Certificates {
		list = append(list, k.Usage+" ("+k.Key+")")
	}
	return strings.Join(list, ", ")
}

func (c *cli) printRequests(all []control.IdentityRequest) {
	for _, r := range all {
		state := "waits for its certificate"
		if r.Half {
			state = "waits for the second of two certificates"
		}
		c.say("Asked for on %s: %s, %s, %s.", plain.Day(r.Made), plain.Person(r.Name, r.Address), r.Key, state)
		c.para("  ", "countersign identity install FILE, or countersign identity discard "+r.ID)
	}
}
