package main

import (
	"context"
	"os"
	"runtime"

	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

// seated says in ctx at which terminal of these the person sits, for the PIN of a card is asked
// for there if need be.
func seated(ctx context.Context, files ...*os.File) (context.Context, *terminal.Lent) {
	path := terminal.Path(files...)
	if path == "" {
		return ctx, nil
	}
	return control.WithTerminal(ctx, control.Terminal{Path: path, Kind: os.Getenv("TERM"), Screen: beforeScreen(os.Getenv)}), terminal.Lend(path)
}

// beforeScreen tells whether the person at this terminal sees this computer's screen.
func beforeScreen(env func(string) string) bool {
	if env("SSH_CONNECTION") != "" || env("SSH_TTY") != "" {
		return false // a screen that ssh(1) passes on is not the one that the agent knows
	}
	return runtime.GOOS == "darwin" || env("DISPLAY") != "" || env("WAYLAND_DISPLAY") != ""
}
