package main

import (
	"context"
	"errors"
	"html"
	"path/filepath"

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

// openPage opens the browser on a private file that leads to the address: an
// address in an argument list could be read by others, and this one signs in.
func (c *cli) openPage(address string) error {
	dirs, err := platform.FindDirs(c.home)
	if err != nil {
		return err
	}
	file := filepath.Join(dirs.Run, "open.html")
	page := `<!doctype html><meta charset="utf-8"><title>Countersign</title><meta http-equiv="refresh" content="0;url=` +
		html.EscapeString(address) + `">`
	if err := platform.WriteFile(file, []byte(page)); err != nil {
		return err
	}
	return platform.OpenBrowser(file, filepath.Join(dirs.Data, "browser"))
}
