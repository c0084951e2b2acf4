// Command countersign is the command line of Countersign. It does all that the
// page does, by asking the agent the same things; it holds no keys and no mail
// itself. Where no agent runs for the profile it starts one.
//
// # What goes where
//
// What was asked for goes to standard output; questions, remarks and failures
// go to standard error. With --json it is the agent's own value, named as in
// tray/control; a refusal or failure is then also written there, as
// {"refusals":[...]} or {"code":...,"says":...}.
//
// The exit code is 0 for done, 1 for failed, 2 for wrong usage and 3 for
// refused by policy.
//
// Nothing that came from outside reaches a terminal with control characters,
// escape sequences or marks that turn the direction of writing, and the text
// of a message stands behind a bar, so that it can't be taken for ours.
//
// Where the PIN of a card is needed and nobody sees the agent's screen, the agent asks for it at
// the terminal, by pinentry: the PIN does not pass through here.
//
// No secret is taken from the argument list, which other users can read:
// passwords come from a file or are asked for.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/start"
	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

// The exit codes.
const (
	done       = 0
	failed     = 1
	wrongUsage = 2
	refused    = 3
)

// Main runs the command line of this process and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, lent := seated(ctx, os.Stdin, os.Stderr, os.Stdout)
	lent.Suspend(stop)
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now, width: terminal.Width(os.Stdout), back: lent.Back}
	if a, ok := terminal.New(os.Stdin, os.Stderr); ok {
		c.ask = a
	}
	c.service = func() (*control.Service, error) { return start.Agent(c.profile()) }
	return c.run(ctx, os.Args[1:])
}

// seated says in ctx at which terminal of these the person sits, for the PIN of a card is asked
// for there if need be.
func seated(ctx context.Context, files ...*os.File) (context.Context, *terminal.Lent) {
	path := terminal.Path(files...)
	if path == "" {
		return ctx, nil
	}
	return control.WithTerminal(ctx, control.Terminal{Path: path, Kind: os.Getenv("TERM"), Screen: terminal.BeforeScreen(os.Getenv)}), terminal.Lend(path)
}

// profile is whose agent is meant, and who can be asked for a passphrase.
func (c *cli) profile() start.Options {
	return start.Options{Home: c.home, Keychain: c.keychain, PassphraseFile: c.passphraseFile, Secret: c.secret, Remark: c.remark, Usage: usage}
}

// cli is one run of the command line.
type cli struct {
	in    io.Reader
	out   io.Writer // what was asked for
	err   io.Writer // questions, remarks, failures
	ask   asker     // who sits at the terminal; nil: nobody
	now   func() time.Time
	width int // columns of the terminal; 0: none

	// service returns the agent, which runs afterwards.
	service func() (*control.Service, error)

	home, keychain, passphraseFile string
	json                           bool

	back  func() // waits until the terminal is the person's again; nil: it is
	began bool   // the command line was understood
	kept  string // what becomes of a message that was refused, or failed
}

// run does what the arguments say and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if c.back != nil { // something may still be asking there
		c.back()
	}
	return c.end(err)
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "countersign",
		Short: "E-mail that only the right person can read",
		Long: `Countersign sends and reads e-mail that only the right person can read. It keeps
your keys, and knows which certificates you confirmed by telephone.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by policy.`,
		Example: `  countersign status
  countersign contact add bea@clinic.example --name "Dr Bea Brandt"
  countersign verify start bea@clinic.example
  countersign verify call bea@clinic.example
  countersign send --to bea@clinic.example --subject "Results" < letter.txt`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&c.json, "json", false, "print JSON")
	flags.StringVar(&c.home, "home", "", "keep the whole profile in this `folder` (or COUNTERSIGN_HOME)")
	flags.StringVar(&c.keychain, "keychain", "", "the `place` of private keys: system, or file")
	flags.StringVar(&c.passphraseFile, "passphrase-file", "", "the `file` that holds the file keychain's passphrase")
	complete(root, "keychain", "system", "file")
	root.AddCommand(
		c.accountCommand(), c.anchorCommand(), c.contactCommand(), c.demoCommand(), c.draftCommand(), c.eventsCommand(),
		c.identityCommand(), c.inspectCommand(), c.journalCommand(), c.mailCommand(), c.outboxCommand(), c.pageCommand(),
		c.recoveryCommand(), c.sendCommand(), c.settingsCommand(), c.statusCommand(), c.stopCommand(), c.lockCommand(), c.unlockCommand(), c.tokenCommand(),
		c.verifyCommand(), c.versionCommand(),
	)
	return root
}

// group makes a command that only holds others.
func (c *cli) group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("there is no command %q in %s", args[0], cmd.CommandPath())
		}
		cmd.SetOut(c.err)
		cmd.Help()
		return usage("%s needs one of these commands", cmd.CommandPath())
	}}
	g.AddCommand(commands...)
	return g
}

// command makes a command that asks the agent.
func (c *cli) command(use, short string, args cobra.PositionalArgs, do func(ctx context.Context, s *control.Service, args []string) error) *cobra.Command {
	return c.local(use, short, args, func(ctx context.Context, args []string) error {
		s, err := c.service()
		if err != nil {
			return err
		}
		return do(ctx, s, args)
	})
}

// local makes a command that may not need the agent.
func (c *cli) local(use, short string, args cobra.PositionalArgs, do func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		c.began = true
		return do(cmd.Context(), args)
	}}
}

// complete lists what a flag may be, for the shell.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // there is no such flag
	}
}

// end tells the person how it ended and returns the exit code.
func (c *cli) end(err error) int {
	var asUsage *usageError
	var asRefused *control.Refused
	var asFailure *control.Error
	var asQuiet quiet
	switch {
	case err == nil:
		return done
	case errors.As(err, &asQuiet):
		return int(asQuiet)
	case errors.As(err, &asUsage), !c.began:
		c.remark("countersign: %s", err)
		c.remark("countersign --help tells more.")
		return wrongUsage
	case errors.As(err, &asRefused):
		c.printRefused(asRefused)
		return refused
	case errors.As(err, &asFailure):
		c.printFailure(asFailure)
	case errors.Is(err, context.Canceled), errors.Is(err, terminal.ErrLeft):
		c.remark("Stopped.")
	case errors.Is(err, control.ErrNotRunning):
		c.remark("countersign: the agent has gone. Try again.")
	default:
		c.remark("countersign: %s", err)
	}
	return failed
}

// quiet is an exit code whose reason was already told.
type quiet int

func (quiet) Error() string { return "told already" }

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }
