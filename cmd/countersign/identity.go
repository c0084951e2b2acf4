package main

import (
	"context"

	"github.com/spf13/cobra"

	"countersign/tray/control"
)

func (c *cli) identityCommand() *cobra.Command {
	return c.group("identity", "Your own keys and certificates", c.identityImport(), c.identityList())
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
			password, err := c.secret(passwordFile, "password-file", "Password of "+line(args[0])+": ")
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
		return show(c, got, err, c.printIdentities)
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
		if i.Retired {
			state = "retired"
		}
		rows = append(rows, []string{named(i.Name, i.Address), i.Usage, state, "until " + day(i.Expires), "by " + i.Issuer, "key: " + i.KeyPlace})
	}
	c.table(rows...)
	for _, i := range all {
		c.para("  ", i.Problem)
	}
}
