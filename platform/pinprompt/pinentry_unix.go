//go:build unix

package pinprompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

var (
	errHung  = errors.New("pinprompt: pinentry does not answer")
	errStart = errors.New("pinprompt: pinentry cannot begin")
)

func (p *Prompter) ask(ctx context.Context, q Question, w words) ([]byte, error) {
	pin := make([]byte, 0, MaxPIN)
	err := p.converse(ctx, q, w, func(c *conversation) error { return c.command(&pin, "GETPIN", "") })
	if err != nil {
		clear(pin[:cap(pin)])
		return nil, err
	}
	return pin, nil
}

func (p *Prompter) tell(ctx context.Context, q Question, w words) error {
	return p.converse(ctx, q, w, func(c *conversation) error { return c.command(nil, "MESSAGE", "") })
}

// converse asks one pinentry after the other until one could show it.
func (p *Prompter) converse(ctx context.Context, q Question, w words, show func(*conversation) error) error {
	place, err := openPlace(q)
	if err != nil {
		return err
	}
	defer place.leave()
	programs := p.config.Programs
	if programs == nil {
		if programs, err = place.programs(); err != nil {
			return err
		}
	}
	var failed error
	for _, program := range programs {
		err := p.with(ctx, program, place, w, show)
		switch {
		case err == nil, ctx.Err() != nil, !unable(err):
			return err
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", program, err))
	}
	return &Unavailable{"The program that asks for PINs does not work here. Install " + place.needs() + ".", failed}
}

// unable tells whether a pinentry could not show its prompt: then nobody has seen it.
func unable(err error) bool {
	var r refusal
	return errors.Is(err, errStart) || errors.Is(err, errHung) || errors.As(err, &r) && !errors.Is(err, ErrCancelled) && !errors.Is(err, ErrTimeout)
}

// with asks one pinentry, and returns when its process has ended.
func (p *Prompter) with(ctx context.Context, program string, at *place, w words, show func(*conversation) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = environment()
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not under our terminal, and a group to end as a whole
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	var late *time.Timer // kills what was told to leave
	kill := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = func() (err error) {
		if at.terminal == "" {
			err = kill()
		} else { // it clears what it drew
			late = time.AfterFunc(p.end, func() { _ = kill() })
			err = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		}
		out.Close() // what it started may hold the other end
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	c := &conversation{to: in, from: out}
	defer c.wipe()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		_, _ = io.WriteString(in, "BYE\n") // it may be gone
		in.Close()
		slow := time.AfterFunc(p.end, func() { cancel(nil) })
		defer slow.Stop()
		if err != nil {
			cancel(nil) // whatever it still shows
		}
		_ = cmd.Wait() // how it ended does not matter
		if late != nil {
			late.Stop()
		}
	}()
	hung := time.AfterFunc(p.prepare, func() { cancel(errHung) })
	defer hung.Stop()
	if err := c.prepare(at, w, p.config.Timeout-p.end); err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	hung.Stop()
	return show(c)
}

// prepare says what is to be shown, and where.
func (c *conversation) prepare(at *place, w words, limit time.Duration) error {
	if err := c.answer(nil); err != nil { // its greeting
		return err
	}
	for _, command := range []struct {
		name, argument string
		must           bool // else it may be unknown to this pinentry
	}{
		{"OPTION", "ttyname=" + at.terminal, at.terminal != ""},
		{"OPTION", "ttytype=" + at.kind, at.terminal != ""},
		{"OPTION", "lc-ctype=" + locale("LC_CTYPE"), false},
		{"OPTION", "lc-messages=" + locale("LC_MESSAGES"), false},
		{"SETTITLE", "Countersign", false},
		{"SETDESC", w.text, true},
		{"SETPROMPT", "PIN:", true},
		{"SETERROR", w.fault, w.fault != ""},
		{"SETOK", "OK", false},
		{"SETCANCEL", "Cancel", false},
		{"SETTIMEOUT", strconv.Itoa(int(limit / time.Second)), false}, // before we end it: it leaves tidily
	} {
		if command.argument == "" || command.argument == "ttyname=" || command.argument == "ttytype=" {
			continue
		}
		var r refusal
		if err := c.command(nil, command.name, command.argument); err != nil && (command.must || !errors.As(err, &r)) {
			return err
		}
	}
	return nil
}

// locale is what the environment says of a category, in the order of setlocale(3); UTF-8
// where it says nothing, so that a PIN arrives as it was typed.
func locale(category string) string {
	for _, name := range []string{"LC_ALL", category, "LANG"} {
		if v := os.Getenv(name); v != "" {
			return clean(v, maxLabel)
		}
	}
	return "C.UTF-8"
}

// environment is all that pinentry learns of ours.
func environment() []string {
	env := []string{"PATH=/usr/bin:/bin"}
	for _, name := range []string{
		"DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE", "DBUS_SESSION_BUS_ADDRESS",
		"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES",
	} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}
