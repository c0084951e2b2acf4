package main

import (
	"context"

	"github.com/spf13/cobra"

	"countersign/tray/control"
)

func (c *cli) demoCommand() *cobra.Command {
	g := c.group("demo", "The simulated colleague of countersign-agent --demo", c.demoStage(), c.demoCall(), c.demoPlay())
	g.Example = "  countersign demo stage --home HOME\n  countersign demo call \"+44 20 7946 0018\" --home HOME"
	return g
}

func (c *cli) demoStage() *cobra.Command {
	return c.command("stage", "Tell who can be called, and what can be made to happen", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Simulation.Stage(ctx, control.None{})
		return show(c, got, err, func(st control.Stage) {
			c.say("%s, %s", st.Name, st.Number)
			var rows [][]string
			for _, a := range st.Acts {
				rows = append(rows, []string{"  " + a.Name, a.Title})
			}
			c.table(rows...)
		})
	})
}

func (c *cli) demoCall() *cobra.Command {
	return c.command("call NUMBER", "Dial a number, and hear what is said", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		got, err := s.Simulation.Dial(ctx, control.DialOrder{Number: args[0]})
		return show(c, got, err, func(talk control.Conversation) {
			if !talk.Answered {
				c.say("Nobody answers.")
			}
			for _, l := range talk.Lines {
				c.say("  “%s”", l)
			}
		})
	})
}

func (c *cli) demoPlay() *cobra.Command {
	return c.command("play ACT", "Make something happen", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		_, err := s.Simulation.Play(ctx, control.ActQuery{Name: args[0]})
		return err
	})
}
