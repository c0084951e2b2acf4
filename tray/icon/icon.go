// Package icon is the program countersign-tray: an icon in the desktop's tray, its menu, and
// notifications. It is a client of the agent's socket and knows nothing else: no key, no PIN
// and no word of a message comes here, only what tray/control says of how things stand.
//
// # What is shown
//
// The picture is a tick; with a dot where something needs doing; a padlock while Countersign
// is locked. The menu says what needs doing, how much mail waits, and which cards are in the
// readers and how they stand; it opens the page, locks the cards, locks and unlocks
// Countersign, and puts the icon away. What stands there is asked anew at each event of the
// agent, and once a minute.
//
// # What is told
//
// Notifications tell of mail that has come (unsecured mail apart), of somebody to whom nothing
// can be sent any more, of a card that waits for its PIN on the reader or for a touch, and of
// trouble that was not there before. A card that comes or goes changes the menu alone. Events
// that come together are told together. How far events were told is kept in the file "icon"
// of the profile, so that an icon which starts again misses nothing and repeats nothing; the
// first one ever tells what happens from then on.
//
// # How it ends
//
// Tray libraries never find a session bus again that has died, and some calls then panic. So
// this program ends with code 1 when its bus dies, and the agent starts another. The exit
// codes: 0 put away by its user, or the agent has gone; 1 failed, another start may help; 2
// wrong usage; 3 there can be no icon here, or there is one.
//
// Files: icon.go is the program; face.go follows the agent; view.go says what is shown, and
// news.go what is told; draw.go draws; tray.go is the library's side.
package icon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"countersign/platform"
	"countersign/platform/notify"
	"countersign/tray/control"
)

// The exit codes.
const (
	done       = 0
	failed     = 1
	wrongUsage = 2
	notHere    = 3
)

var (
	errGone    = errors.New("the desktop's session bus has gone")
	errNotHere = errors.New("there can be no icon here")
)

// quitLimit is how long the library may take to end.
const quitLimit = 2 * time.Second

// Main is the program. It has to be called on the main goroutine, as tray libraries demand,
// and returns the exit code.
func Main() int {
	set := flag.NewFlagSet("countersign-tray", flag.ContinueOnError)
	home := set.String("home", "", "the profile's `folder` (or COUNTERSIGN_HOME)")
	attached := set.Bool("attached", false, "end with standard input; given by the agent")
	if err := set.Parse(os.Args[1:]); err != nil || set.NArg() > 0 {
		return wrongUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *attached {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	err := run(ctx, *home, *attached)
	switch {
	case err == nil, ctx.Err() != nil:
		return done
	case errors.Is(err, platform.ErrRunning):
		err = errors.New("this profile has its icon already")
		fallthrough
	case errors.Is(err, errNotHere), errors.Is(err, control.ErrNotRunning):
		fmt.Fprintln(os.Stderr, "countersign-tray:", err)
		return notHere
	}
	fmt.Fprintln(os.Stderr, "countersign-tray:", err)
	return failed
}

func run(ctx context.Context, home string, attached bool) error {
	dirs, err := platform.FindDirs(home)
	if err != nil {
		return err
	}
	agent := control.At(dirs.Run)
	if _, err := agent.Settings.Status(ctx, control.None{}); !attached && errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("%w; countersign page starts it", err)
	}
	folder := filepath.Join(dirs.Run, "icon")
	if err := platform.MakePrivate(folder); err != nil {
		return err
	}
	only, err := platform.Lock(folder)
	if err != nil {
		return err
	}
	defer only.Close()
	gone, err := desktop(ctx)
	if err != nil {
		return err
	}
	tray, err := newTray()
	if err != nil {
		return err
	}
	clicked := make(chan struct{}, 1)
	notes, err := notify.Open(ctx, func(string) {
		select {
		case clicked <- struct{}{}:
		default:
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "countersign-tray:", err) // the icon is of use without
	} else {
		defer notes.Close()
	}
	f := &face{
		agent: agent, tray: tray, notes: notes, clicked: clicked, gone: gone, attached: attached,
		open:   func(address string) error { return platform.OpenPage(dirs, address) },
		cursor: filepath.Join(dirs.Data, "icon"), clock: time.Now,
	}
	return show(ctx, tray, f)
}

// show runs the tray on this goroutine, and the face on another until it ends.
func show(ctx context.Context, tray tray, f *face) error {
	ended := make(chan error, 1)
	tray.run(func() {
		go func() {
			err := f.run(ctx)
			ended <- err
			time.AfterFunc(quitLimit, func() {
				if err != nil && ctx.Err() == nil {
					os.Exit(failed)
				}
				os.Exit(done)
			})
			tray.quit()
		}()
	})
	return <-ended
}
