package main

import (
	"context"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

func (c *cli) accountCommand() *cobra.Command {
	return c.group("account", "Your mailboxes", c.accountAdd(), c.accountList(), c.accountRemove())
}

func (c *cli) accountAdd() *cobra.Command {
	var imap, smtp, user, passwordFile, roots string
	var yes bool
	cmd := c.command("add ADDRESS", "Add a mailbox", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) (err error) {
		order := control.NewAccount{Account: control.Account{Address: args[0]}, User: user, Confirmed: yes}
		if order.IMAP, err = parseServer(imap, 993, 143); err != nil {
			return err
		}
		if order.SMTP, err = parseServer(smtp, 465, 587); err != nil {
			return err
		}
		if order.User == "" {
			order.User = args[0]
		}
		if roots != "" {
			pem, err := os.ReadFile(roots)
			if err != nil {
				return err
			}
			order.RootsPEM = string(pem)
		}
		if !yes && c.ask != nil {
			c.remark("Your password goes to %s and %s.", order.IMAP.Host, order.SMTP.Host)
			if order.Confirmed, err = c.confirm("Are these your mail servers?"); err != nil {
				return err
			}
		}
		password, err := c.secret(passwordFile, "password-file", "Password of "+terminal.Line(order.User)+": ")
		if err != nil {
			return err
		}
		order.Password = string(password)
		got, err := s.Accounts.Add(ctx, order)
		return show(c, got, err, func(a control.Account) { c.printAccounts([]control.Account{a}) })
	})
	cmd.Long = `Add a mailbox, once both servers have taken your name and password. TLS is always used:
from the first byte, or by STARTTLS on the ports 143, 587 and 25.`
	cmd.Example = "  countersign account add ada@clinic.example --imap imap.clinic.example --smtp smtp.clinic.example"
	f := cmd.Flags()
	f.StringVar(&imap, "imap", "", "the server that holds your mail: `host[:port]`, port 993 unless given")
	f.StringVar(&smtp, "smtp", "", "the server that sends your mail: `host[:port]`, port 465 unless given")
	f.StringVar(&user, "user", "", "the `name` to sign in with, if not the address")
	f.StringVar(&passwordFile, "password-file", "", "the `file` that holds the password (- is standard input)")
	f.StringVar(&roots, "roots", "", "a PEM `file` with the authorities of a private mail server")
	f.BoolVar(&yes, "yes", false, "these are my mail servers: do not ask")
	cmd.MarkFlagRequired("imap")
	cmd.MarkFlagRequired("smtp")
	return cmd
}

// parseServer reads host[:port]; the port says how TLS begins.
func parseServer(text string, implicit, starttls int) (control.Server, error) {
	s := control.Server{Host: text, Port: implicit, TLS: "implicit"}
	if host, port, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return s, usage("%q is no port", port)
		}
		s.Host, s.Port = host, n
	}
	if s.Host == "" {
		return s, usage("a server needs a name")
	}
	if s.Port == starttls || s.Port == 25 {
		s.TLS = "starttls"
	}
	return s, nil
}

func (c *cli) accountList() *cobra.Command {
	return c.command("list", "List your mailboxes", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Accounts.List(ctx, control.None{})
		return show(c, got, err, c.printAccounts)
	})
}

func (c *cli) accountRemove() *cobra.Command {
	return c.command("remove ADDRESS", "Forget a mailbox and its password", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		_, err := s.Accounts.Remove(ctx, control.AccountQuery{Address: args[0]})
		return err
	})
}

func (c *cli) printAccounts(all []control.Account) {
	if len(all) == 0 {
		c.say("You have no mailbox here yet: countersign account add ADDRESS")
		return
	}
	var rows [][]string
	for _, a := range all {
		fetched := plain.Moment(a.LastFetch)
		if fetched != "" {
			fetched = "fetched " + fetched
		}
		rows = append(rows, []string{a.Address, hostPort(a.IMAP), hostPort(a.SMTP), fetched})
	}
	c.table(rows...)
	for _, a := range all {
		c.para("  ", a.Problem)
	}
}

func hostPort(s control.Server) string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }
