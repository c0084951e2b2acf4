package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

// eventsApart is how far the agent's clock may be behind ours.
const eventsApart = 2 * time.Second

func (c *cli) tokenCommand() *cobra.Command {
	return c.group("token", "Smartcards and security tokens", c.tokenList(), c.tokenWatch(), c.tokenUnlock(), c.tokenLock(), c.tokenMove())
}

func (c *cli) tokenList() *cobra.Command {
	cmd := c.command("list", "List the cards in the readers, and what is on them", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Tokens.List(ctx, control.None{})
		return show(c, got, err, c.printTokens)
	})
	cmd.Long = "List the cards and tokens in the readers with their certificates and keys. No PIN is asked for."
	return cmd
}

func (c *cli) tokenWatch() *cobra.Command {
	cmd := c.command("watch", "Follow which cards come and go, until you press Ctrl-C", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		since := c.now().Add(-eventsApart)
		if !c.json {
			got, err := s.Tokens.List(ctx, control.None{})
			if err != nil {
				return err
			}
			c.printTokens(got)
		}
		err := s.Events.Watch(ctx, 0, func(e control.Event) error {
			if !strings.HasPrefix(e.Kind, "token-") || e.Time.Before(since) {
				return nil
			}
			return c.printEvent(e)
		})
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	cmd.Long = "Follow which cards come and go, until you press Ctrl-C. With --json each event is one line of JSON."
	return cmd
}

func (c *cli) tokenUnlock() *cobra.Command {
	cmd := c.command("unlock [CARD]", "Enter the PIN once, and open all mail that waits for the card", cobra.MaximumNArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			var q control.TokenQuery
			if len(args) > 0 {
				var err error
				if q.ID, err = findToken(ctx, s, args[0]); err != nil {
					return err
				}
			}
			got, err := s.Tokens.Unlock(ctx, q)
			return show(c, got, err, func(u control.Unlocked) {
				c.say("The card “%s” is unlocked.", u.Label)
				if u.Opened > 0 {
					c.say("%s opened.", plain.Count(u.Opened, "message"))
				}
				if u.Left > 0 {
					c.say("%s still locked.", plain.Count(u.Left, "message"))
				}
			})
		})
	cmd.Long = "Enter the PIN of a card once, and open all mail that waits for it. The PIN is asked for in a\nwindow of its own, on the reader, or at this terminal where there is no screen. CARD is its\nlabel or serial number; one card that is there needs no name."
	cmd.Example = "  countersign token unlock\n  countersign token unlock \"Dr Ada Osei\""
	return cmd
}

func (c *cli) tokenLock() *cobra.Command {
	cmd := c.command("lock", "Forget every PIN and lock every card", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Tokens.Lock(ctx, control.None{})
		return show(c, got, err, func(control.None) { c.say("Every card is locked.") })
	})
	cmd.Long = "Forget every PIN and lock every card. The next thing that needs a card asks for its PIN again.\nMail that you opened before stays readable; countersign lock closes that as well."
	return cmd
}

func (c *cli) tokenMove() *cobra.Command {
	cmd := c.command("move ADDRESS [CARD]", "Put your key for opening mail on a card", cobra.RangeArgs(1, 2),
		func(ctx context.Context, s *control.Service, args []string) error {
			all, err := s.Identities.List(ctx, control.None{})
			if err != nil {
				return err
			}
			i, err := oneInUse(all, args[0])
			if err != nil {
				return err
			}
			q := control.TokenMove{Identity: i.ID}
			if len(args) > 1 {
				if q.Token, err = findToken(ctx, s, args[1]); err != nil {
					return err
				}
			}
			got, err := s.Tokens.Move(ctx, q)
			return show(c, got, err, c.printInstalled)
		})
	cmd.Long = "Put your key for opening mail on a card, once it is in the recovery file, and take it off this\ncomputer. If the card dies, the recovery file brings the key back."
	cmd.Example = "  countersign token move ada@harbour.example\n  countersign token move ada@harbour.example \"Dr Ada Osei\""
	return cmd
}

// findToken is the identifier of the card that is meant.
func findToken(ctx context.Context, s *control.Service, name string) (string, error) {
	list, err := s.Tokens.List(ctx, control.None{})
	if err != nil {
		return "", err
	}
	return oneToken(list, name)
}

// oneToken finds the token that is meant, by its label, serial number or identifier.
func oneToken(list control.TokenList, name string) (string, error) {
	var found []control.Token
	for _, t := range list.Tokens {
		if t.ID == name || t.Serial == name || strings.EqualFold(t.Label, name) {
			found = append(found, t)
		}
	}
	switch {
	case len(found) == 1:
		return found[0].ID, nil
	case len(found) > 1:
		return "", &control.Error{Code: control.CodeInvalid, Says: "Several cards have that name.", Next: "Name the one you mean by its serial number: countersign token list"}
	case len(list.Problems) > 0: // it may be in a reader all the same
		return "", &control.Error{Code: control.CodeNotFound, Says: "No such card answers.", Next: strings.Join(list.Problems, " ")}
	}
	return "", &control.Error{Code: control.CodeNotFound, Says: "No such card is in a reader.", Next: "Look at the list: countersign token list"}
}

func (c *cli) printTokens(list control.TokenList) {
	if len(list.Tokens) == 0 {
		c.say("No card or token is in a reader.")
	}
	for i, t := range list.Tokens {
		if i > 0 {
			c.gap()
		}
		c.say("%s", cardName(t))
		c.para("  ", lockState(t))
		c.para("  ", t.Problem)
		var rows [][]string
		for _, k := range t.Keys {
			rows = append(rows, []string{"", strconv.Itoa(k.Number), keyName(k), k.Usage, k.Key, until(k), inUse(k)})
		}
		c.table(rows...)
		if t.More {
			c.say("It holds more than is listed.")
		}
		if len(t.Keys) == 0 && t.Problem == "" {
			c.say("No certificate is on it.")
		}
	}
	for _, p := range list.Problems {
		c.say("! %s", p)
	}
	if list.Waiting > 0 {
		c.say("%s waiting for a card: countersign token unlock", plain.Count(list.Waiting, "message"))
	}
}

// cardName is a token as people tell it from others.
func cardName(t control.Token) string {
	if t.ID == "windows" {
		return "Windows' own certificate store"
	}
	name := "“" + t.Label + "”"
	for _, part := range [][2]string{{"", strings.TrimSpace(t.Maker + " " + t.Model)}, {"serial number ", t.Serial}, {"in ", t.Reader}} {
		if part[1] != "" {
			name += ", " + part[0] + part[1]
		}
	}
	return name
}

// lockState says whether the PIN of a token will be asked for.
func lockState(t control.Token) string {
	switch {
	case t.Lock == "unlocked" && t.Until.IsZero():
		return "Unlocked."
	case t.Lock == "unlocked":
		return "Unlocked until " + t.Until.Local().Format("15:04") + ", or longer while you use it."
	case t.Lock == "locked" && t.State != "pin-locked" && t.State != "no-pin":
		return "Locked: you are asked for its PIN when it is needed."
	}
	return ""
}

func keyName(k control.TokenKey) string {
	if len(k.Addresses) > 0 {
		return plain.Person(k.Name, k.Addresses[0])
	}
	if k.Name != "" {
		return k.Name
	}
	return "“" + k.Label + "”"
}

func until(k control.TokenKey) string {
	if k.Fingerprint == "" {
		return "no certificate"
	}
	return "until " + plain.Day(k.Expires) + "  by " + k.Issuer
}

func inUse(k control.TokenKey) string {
	if k.InUse == "" {
		return ""
	}
	return "in use for " + k.InUse
}

// identityUse takes certificates on a card into use.
func (c *cli) identityUse() *cobra.Command {
	var o control.TokenUse
	cmd := c.command("use [CERTIFICATE]", "Use a certificate on a smartcard or token", cobra.MaximumNArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			if len(args) == 1 {
				if o.Signing != "" || o.Encryption != "" {
					return usage("name one certificate, or one each with --sign and --decrypt")
				}
				o.Signing, o.Encryption = args[0], args[0]
			}
			if o.Signing == "" && o.Encryption == "" {
				return usage("name a certificate by its number in countersign token list")
			}
			if err := c.resolveKeys(ctx, s, &o.Signing, &o.Encryption); err != nil {
				return err
			}
			got, err := s.Tokens.Use(ctx, o)
			var failure *control.Error
			if errors.As(err, &failure) && failure.Code == control.CodeOnlyCopy && c.ask != nil {
				c.remark("%s", failure.Says)
				sure, asked := c.confirm("Use it all the same?")
				if asked != nil {
					return asked
				}
				if !sure {
					return terminal.ErrLeft
				}
				o.OnlyCopy = true
				got, err = s.Tokens.Use(ctx, o)
			}
			return show(c, got, err, c.printInstalled)
		})
	cmd.Long = "Use a certificate whose key stays on a smartcard or security token. CERTIFICATE is its number\nin countersign token list, its fingerprint, or a pkcs11: URI. The card's PIN is asked for once."
	cmd.Example = "  countersign identity use 1\n  countersign identity use --sign 1 --decrypt 2"
	f := cmd.Flags()
	f.StringVar(&o.Signing, "sign", "", "the `certificate` to sign with")
	f.StringVar(&o.Encryption, "decrypt", "", "the `certificate` that others encrypt to")
	f.BoolVar(&o.OnlyCopy, "only-copy", false, "you know: if this card dies, mail encrypted to it is lost")
	return cmd
}

// resolveKeys puts URIs in place of numbers and fingerprints, by a list asked for now.
func (c *cli) resolveKeys(ctx context.Context, s *control.Service, names ...*string) error {
	list, err := s.Tokens.List(ctx, control.None{})
	if err != nil {
		return err
	}
	for _, name := range names {
		if *name == "" || strings.Contains(*name, ":") {
			continue
		}
		wanted, found := strings.ToLower(strings.ReplaceAll(*name, " ", "")), ""
		for _, t := range list.Tokens {
			for _, k := range t.Keys {
				if strconv.Itoa(k.Number) == wanted || k.Fingerprint != "" && k.Fingerprint == wanted {
					found = k.URI
				}
			}
		}
		if found == "" {
			return &control.Error{Code: control.CodeNotFound, Says: "There is no certificate " + *name + " on a card that is in a reader.", Next: "Look at the list: countersign token list"}
		}
		*name = found
	}
	return nil
}
