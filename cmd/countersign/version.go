package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is what this program was built from.
type version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

func (c *cli) versionCommand() *cobra.Command {
	return c.local("version", "Print the version", cobra.NoArgs, func(context.Context, []string) error {
		v := version{Version: "unknown", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			v.Version = info.Main.Version
		}
		return show(c, v, nil, func(v version) { c.say("countersign %s (%s, %s)", v.Version, v.Go, v.System) })
	})
}
