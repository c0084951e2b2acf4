package main

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/tray/demo/authority"
)

// storyClock is ahead of the time by what a story says in STORY_LATER, as agents that
// start then see it; nil where it says nothing.
func storyClock() func() time.Time {
	later := os.Getenv("STORY_LATER")
	if later == "" {
		return nil
	}
	ahead, err := time.ParseDuration(later)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return time.Now().Add(ahead) }
}

// TestRevocationStories runs testdata/revocation/*.txtar: certificates that are
// withdrawn, and authorities that cannot be asked whether they are.
func TestRevocationStories(t *testing.T) {
	long(t)
	p := stories(func(ca *authority.Authority) (office, error) { return openEmbedded(ca) })
	p.Dir = "testdata/revocation"
	p.Cmds["unplug"], p.Cmds["relist"] = unplug, relist
	testscript.Run(t, p)
}

// unplug keeps the authority's lists from everybody; ! unplug brings them back.
func unplug(ts *testscript.TestScript, neg bool, _ []string) { theWorld(ts).ca.Unplug(!neg) }

// relist HOURS has the authority make its lists anew, so many hours from now; they are
// good for seven days.
func relist(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: relist HOURS")
	}
	hours, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(theWorld(ts).ca.Publish(time.Now().Add(time.Duration(hours) * time.Hour)))
}
