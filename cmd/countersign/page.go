package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"countersign/platform"
	"countersign/tray/control"
)

func (c *cli) pageCommand() *cobra.Command {
	var print bool
	cmd := c.command("page", "Open the page in your browser", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Settings.PageAddress(ctx, control.None{})
		if err != nil {
			return err
		}
		if !print && !c.json {
			err := c.openPage(got.URL)
			if !errors.Is(err, platform.ErrNoDesktop) {
				return err
			}
			c.remark("There is no desktop here. This address signs you in once:")
		}
		return show(c, got, nil, func(a control.PageAddress) { c.say("%s", a.URL) })
	})
	cmd.Flags().BoolVar(&print, "print", false, "print an address that signs in once instead")
	return cmd
}

func (c *cli) openPage(address string) error {
	dirs, err := platform.FindDirs(c.home)
	if err != nil {
		return err
	}
	return platform.OpenPage(dirs, address)
}
