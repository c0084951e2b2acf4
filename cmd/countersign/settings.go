package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"countersign/tray/control"
)

func (c *cli) settingsCommand() *cobra.Command {
	get := func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Settings.Get(ctx, control.None{})
		return show(c, got, err, c.printSettings)
	}
	cmd := c.command("settings", "The few things that can be set", cobra.NoArgs, get)
	cmd.AddCommand(c.command("show", "Show the settings", cobra.NoArgs, get), c.settingsSet())
	return cmd
}

func (c *cli) settingsSet() *cobra.Command {
	cmd := c.command("set NAME=VALUE...", "Change settings", cobra.MinimumNArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		p, err := s.Settings.Get(ctx, control.None{})
		if err != nil {
			return err
		}
		for _, arg := range args {
			if err := setting(&p, arg); err != nil {
				return err
			}
		}
		got, err := s.Settings.Set(ctx, p)
		return show(c, got, err, c.printSettings)
	})
	cmd.Long = `Change settings:

  fetch-minutes   how often mail is fetched, 1 to 60
  allow-private   yes: authorities and directories at private addresses are asked too (a clinic's own)
  grace-hours     how long past its date a revocation list still counts, 0 to 168
  keep-summaries  yes: sealed summaries are kept, so that the inbox opens at once
  directories     where certificates of people are looked for as well, with spaces between:
                  ldaps://host or ldap://host; empty: nowhere else
  lock-with-screen  yes: keys are dropped when the screen is locked or the computer sleeps`
	cmd.Example = "  countersign settings set fetch-minutes=5 keep-summaries=no"
	return cmd
}

// setting changes the one that "name=value" names. The names are those of
// control.Preferences in JSON, with a hyphen.
func setting(p *control.Preferences, arg string) error {
	name, value, ok := strings.Cut(arg, "=")
	if !ok {
		return usage("write %s=VALUE", arg)
	}
	all, err := preferences(*p)
	if err != nil {
		return err
	}
	key := strings.ReplaceAll(name, "-", "_")
	switch all[key].(type) {
	case float64:
		n, err := strconv.Atoi(value)
		if err != nil {
			return usage("%s is a number, not %q", name, value)
		}
		all[key] = n
	case bool:
		yes, ok := map[string]bool{"yes": true, "true": true, "on": true, "no": false, "false": false, "off": false}[strings.ToLower(value)]
		if !ok {
			return usage("%s is yes or no, not %q", name, value)
		}
		all[key] = yes
	case string:
		all[key] = value
	default:
		return usage("there is no setting %q", name)
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, p)
}

func preferences(p control.Preferences) (map[string]any, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var all map[string]any
	err = json.Unmarshal(data, &all)
	return all, err
}

func (c *cli) printSettings(p control.Preferences) {
	yes := map[bool]string{true: "yes", false: "no"}
	c.fields(
		"fetch-minutes", strconv.Itoa(p.FetchMinutes), "allow-private", yes[p.AllowPrivate],
		"grace-hours", strconv.Itoa(p.GraceHours), "keep-summaries", yes[p.KeepSummaries], "directories", p.Directories,
		"lock-with-screen", yes[p.LockWithScreen],
	)
}
