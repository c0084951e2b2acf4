// Command countersign-agent is the service, one per user: it holds the vault,
// sends, receives, answers on a local socket and serves the loopback page. With
// --demo it runs on an embedded mail server, with a colleague to write to.
package main

import (
	"os"
	"slices"

	"countersign/tray/agent"
	"countersign/tray/demo"
)

func main() {
	if slices.Contains(os.Args[1:], "--demo") || slices.Contains(os.Args[1:], "-demo") {
		os.Exit(demo.Main())
	}
	os.Exit(agent.Main(agent.Options{Work: agent.Work}))
}
