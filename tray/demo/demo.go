// Package demo is the whole of Countersign on one machine, for somebody who
// wants to see it: two agents with a home each, an embedded mail server with TLS,
// a certification authority with revocation lists, and a simulated colleague who
// answers. Nothing is faked but her voice: her agent is the same agent, her keys
// are hers alone, and what she reads out on the telephone is what her own page
// shows her.
//
// The interactive demo opens the user's page; a panel there, marked as simulation,
// is the telephone. With Once the main path plays by itself, printing what a
// person would see and what a courier would, and fails unless every step held.
//
// All state lies in one temporary folder that is removed at the end. The demo
// makes the recovery file for its users and throws it away, which no real set-up
// may; it says so.
package demo

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"countersign/platform"
	"countersign/platform/harden"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
)

// Options says how to play.
type Options struct {
	Once     bool      // play the main path and end
	Headless bool      // open no browser
	In       io.Reader // each line asks for another address; nil: nobody asks
	Out      io.Writer // the transcript, or the page's address
}

// Main is `countersign-agent --demo`. It returns the exit code: 0 all held, 1 not,
// 2 wrong usage.
func Main() int {
	o := Options{In: os.Stdin, Out: os.Stdout}
	set := flag.NewFlagSet("countersign-agent", flag.ContinueOnError)
	set.Bool("demo", true, "run on an embedded mail server with a colleague to write to")
	set.BoolVar(&o.Once, "once", false, "play the main path, print it and end")
	set.BoolVar(&o.Headless, "headless", false, "open no browser")
	if err := set.Parse(os.Args[1:]); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "countersign-agent:", err)
		return 1
	}
	return 0
}

// Run plays the demo until it ends, or ctx does. The temporary folder goes with it.
func Run(ctx context.Context, o Options) (err error) {
	if err := harden.Process(); err != nil {
		return fmt.Errorf("keeping keys out of core dumps: %w", err)
	}
	_ = platform.Background() // as the agent does; in the foreground all is the same
	dir, err := os.MkdirTemp("", "countersign-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s, wait, err := raise(ctx, cancel, dir)
	if err != nil {
		return err
	}
	defer func() { cancel(nil); err = errors.Join(err, wait()) }()

	if o.Once {
		return (&script{stage: s, out: o.Out}).play(ctx)
	}
	return s.open(ctx, o)
}

// open prints the page's address, opens it, and waits for the end.
func (s *stage) open(ctx context.Context, o Options) error {
	fmt.Fprintf(o.Out, "Countersign is running with a simulated colleague, %s.\n", s.bea.Name)
	if err := s.printAddress(ctx, o.Out); err != nil {
		return err
	}
	fmt.Fprintln(o.Out, "The address signs one browser in, once, within two minutes. Press Enter for another.")
	fmt.Fprintln(o.Out, "The demo made recovery files and threw them away. Everything is in a temporary folder")
	fmt.Fprintln(o.Out, "and goes when you press Ctrl-C.")
	if o.In != nil {
		go func() { // it ends with the program: reading the keyboard cannot be broken off
			for asked := bufio.NewScanner(o.In); asked.Scan() && s.printAddress(ctx, o.Out) == nil; {
			}
		}()
	}
	if !o.Headless {
		if err := s.ada.agent.OpenPage(ctx); err != nil {
			fmt.Fprintf(o.Out, "No browser could be opened here (%v): open the address yourself.\n", err)
		}
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (s *stage) printAddress(ctx context.Context, out io.Writer) error {
	page, err := s.ada.svc.Settings.PageAddress(ctx, control.None{})
	if err == nil {
		_, err = fmt.Fprintf(out, "\n  %s\n\n", page.URL)
	}
	return err
}

// raise founds the authority, starts the mail server and brings both people on.
// The function returned waits for everything to have ended.
func raise(ctx context.Context, cancel context.CancelCauseFunc, dir string) (*stage, func() error, error) {
	ca, err := authority.New(ctx, time.Now())
	if err != nil {
		return nil, nil, err
	}
	s := &stage{wire: newWire(), now: time.Now}
	people := make([]*authority.Person, 3)
	for i, who := range []struct{ name, address string }{
		{"Dr Ada Osei", "ada.osei@harbour.example"},
		{"Dr Bea Brandt", "bea.brandt@northclinic.example"},
		{"Dr Bea Brandt", "bea.brandt@northclinic.example"}, // the impostor controlled her mailbox for a moment
	} {
		if people[i], err = ca.Admit(who.name, who.address); err != nil {
			return nil, nil, err
		}
	}
	s.ada = &actor{Person: people[0], number: "+44 20 7946 0101"}
	s.bea = &actor{Person: people[1], number: "+44 20 7946 0123"}
	s.mallory = people[2]

	post, err := s.startMail(ctx, ca)
	if err != nil {
		return nil, nil, err
	}
	troupe := &troupe{ctx: ctx, cancel: cancel, dir: dir, ca: ca, post: post}
	if err := troupe.enter(s.ada, s); err != nil {
		return nil, nil, errors.Join(err, troupe.wait())
	}
	if err := troupe.enter(s.bea, nil); err != nil {
		return nil, nil, errors.Join(err, troupe.wait())
	}
	// She has Ada in her address book already, with no certificate.
	if _, err := s.bea.svc.Contacts.Add(ctx, control.NewContact{Address: s.ada.Address, Name: s.ada.Name}); err != nil {
		return nil, nil, errors.Join(err, troupe.wait())
	}
	troupe.start((&colleague{actor: s.bea, answered: map[string]bool{}}).live)
	return s, troupe.wait, nil
}
