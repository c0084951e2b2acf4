//go:build unix

package pinprompt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary a pinentry where it is called by the name of one: what
// follows in the name is how it behaves.
func TestMain(m *testing.M) {
	if how, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "pinentry-"); ok {
		fake(how)
		return
	}
	os.Exit(m.Run())
}

// fake is a pinentry. It writes down what it is told, and says through the pipe "shown" of
// its folder, if there is one, that it asks.
func fake(how string) {
	dir := filepath.Dir(os.Args[0])
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		os.Exit(1)
	}
	for _, v := range os.Environ() {
		fmt.Fprintln(log, "env", v)
	}
	switch how {
	case "mute":
		select {}
	case "rude":
		fmt.Println("ERR 83886081 no")
	case "gone":
		os.Exit(3)
	}
	fmt.Println("OK Pleased to meet you")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		line := lines.Text()
		fmt.Fprintln(log, line)
		switch name, _, _ := strings.Cut(line, " "); {
		case name == "GETPIN" || name == "MESSAGE":
			if f, err := os.OpenFile(filepath.Join(dir, "shown"), os.O_WRONLY, 0); err == nil {
				f.Close()
			}
			answer(how)
		case name == "SETDESC" && how == "wordless":
			fmt.Println("ERR 83886083 no")
		case name == "SETDESC" && how == "early":
			fmt.Println("D 1234\nOK")
		case name == "OPTION" || name == "SETTITLE":
			fmt.Println("ERR 83886254 Unknown option <Pinentry>")
		case name == "BYE" && how == "stubborn":
			select {}
		default:
			fmt.Println("OK")
		}
	}
}

// answer answers what a person answers.
func answer(how string) {
	switch how {
	case "cancel":
		fmt.Println("ERR 83886179 Operation cancelled <Pinentry>")
	case "slow":
		fmt.Println("ERR 83886142 Timeout <Pinentry>")
	case "blind":
		fmt.Println("ERR 83918950 Inappropriate ioctl for device <Pinentry>")
	case "empty":
		fmt.Println("OK")
	case "crash":
		fmt.Print("D 12")
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "hang":
		select {}
	case "family": // a child that holds the pipe
		child := exec.Command("/bin/sleep", "600")
		child.Stdout = os.Stdout
		_ = child.Start()
		select {}
	case "chatty":
		for {
			fmt.Println("# still here")
		}
	case "endless":
		for {
			fmt.Print("D 11111111111111111111111111111111")
		}
	default:
		fmt.Println("S NEEDPIN\nD 12%2534%20\nD é\nOK")
	}
}

// fakes are pinentries that behave so, in a folder of their own.
func fakes(t *testing.T, hows ...string) (dir string, p *Prompter) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	var programs []string
	for _, how := range hows {
		programs = append(programs, filepath.Join(dir, "pinentry-"+how))
		if how == "absent" {
			continue
		}
		if err := os.Symlink(self, programs[len(programs)-1]); err != nil {
			t.Fatal(err)
		}
	}
	return dir, New(Config{Programs: programs})
}

func told(t *testing.T, dir string) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

func TestAsk(t *testing.T) {
	const pin = "12%34 é"
	unavailable := func(err error) bool {
		var none *Unavailable
		return errors.As(err, &none) && strings.Contains(none.Says, "nstall")
	}
	for _, test := range []struct {
		hows  string
		pin   string
		wants func(error) bool
	}{
		{"fine", pin, nil},
		{"stubborn", pin, nil},
		{"absent blind wordless rude gone early fine", pin, nil},
		{"cancel fine", "", is(ErrCancelled)},
		{"slow fine", "", is(ErrTimeout)},
		{"empty fine", "", is(ErrCancelled)},
		{"hang fine", "", is(ErrTimeout)},
		{"family fine", "", is(ErrTimeout)},
		{"crash fine", "", is(errEnded)},
		{"chatty fine", "", is(errGarbled)},
		{"endless fine", "", is(errGarbled)},
		{"absent", "", unavailable},
		{"mute", "", func(err error) bool { return unavailable(err) && errors.Is(err, errHung) }},
		{"blind wordless gone", "", unavailable},
	} {
		t.Run(test.hows, func(t *testing.T) {
			t.Parallel()
			_, p := fakes(t, strings.Fields(test.hows)...)
			switch how, _, _ := strings.Cut(test.hows, " "); how {
			case "hang", "family":
				p.config.Timeout = 500 * time.Millisecond
			case "mute":
				p.prepare = 100 * time.Millisecond
			case "stubborn":
				p.end = 100 * time.Millisecond
			}
			got, err := p.Ask(t.Context(), Question{Token: "card"})
			if test.wants == nil && (err != nil || string(got) != test.pin) {
				t.Errorf("%q, %v", got, err)
			}
			if test.wants != nil && (got != nil || err == nil || !test.wants(err)) {
				t.Errorf("%q, %v", got, err)
			}
			if errors.Is(err, errEnded) && test.hows == "crash fine" && strings.Contains(err.Error(), "12") {
				t.Errorf("%v holds what was typed", err)
			}
		})
	}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// TestWhatPinentryLearns: what it is told, in one line each, and what of the environment.
func TestWhatPinentryLearns(t *testing.T) {
	t.Setenv("COUNTERSIGN_SECRET", "x")
	t.Setenv("GTK_MODULES", "x")
	t.Setenv("PATH", "/elsewhere")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	t.Setenv("DISPLAY", ":77")
	dir, p := fakes(t, "fine")
	pin, err := p.Ask(t.Context(), Question{Token: "a\nb%", Purpose: "signing", Again: AfterRefusal})
	if err != nil {
		t.Fatal(err)
	}
	clear(pin)
	got := told(t, dir)
	for _, want := range []string{
		"env PATH=/usr/bin:/bin", "env LC_ALL=de_DE.UTF-8", "env DISPLAY=:77", "OPTION lc-ctype=de_DE.UTF-8", "SETTITLE Countersign",
		"SETDESC Enter the PIN of the card “a b%25”.%0A%0AFor: signing", "SETPROMPT PIN:", "SETERROR That PIN was wrong.", "SETTIMEOUT 119", "GETPIN",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("it was not told %q", want)
		}
	}
	for _, never := range []string{"COUNTERSIGN", "GTK_MODULES", "/elsewhere", "ttyname", "external-password-cache", "KEYINFO"} {
		if strings.Contains(got, never) {
			t.Errorf("it was told %q", never)
		}
	}
}

// shown makes a pipe by which a fake in dir says that it asks; the function waits for that.
func shown(t *testing.T, dir string) func() {
	t.Helper()
	path := filepath.Join(dir, "shown")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		_, _ = io.ReadAll(f)
	}
}

// TestOneAtATime: while one prompt is shown no other is; one who gives up waiting never is;
// and when the first is taken away the next comes.
func TestOneAtATime(t *testing.T) {
	dir, p := fakes(t, "hang")
	isShown := shown(t, dir)
	first, takeAway := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		_, err := p.Ask(first, Question{})
		over <- err
	}()
	isShown()
	second, giveUp := context.WithCancel(t.Context())
	giveUp()
	if _, err := p.Ask(second, Question{}); !errors.Is(err, context.Canceled) {
		t.Errorf("one who gave up: %v", err)
	}
	if n := strings.Count(told(t, dir), "GETPIN"); n != 1 {
		t.Errorf("%d prompts at a time", n)
	}
	done := p.Tell(t.Context(), Question{})
	takeAway()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("one taken away: %v", err)
	}
	isShown()
	if err := done(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(told(t, dir), "MESSAGE"); n != 1 {
		t.Errorf("%d notices", n)
	}
}

// TestTell: the notice is gone when done returns, whatever pinentry does, and done tells only
// that there was none.
func TestTell(t *testing.T) {
	for how, wants := range map[string]bool{"hang": true, "fine": true, "cancel": true, "crash": true, "blind": false} {
		dir, p := fakes(t, how)
		isShown := shown(t, dir)
		done := p.Tell(t.Context(), Question{Token: "card"})
		isShown()
		if how == "blind" {
			p.turn <- struct{}{} // until it came to its end by itself
			<-p.turn
		}
		var none *Unavailable
		if err := done(); (err == nil) != wants || err != nil && !errors.As(err, &none) {
			t.Errorf("%s: %v", how, err)
		}
		if again := done(); (again == nil) != wants {
			t.Errorf("%s, once more: %v", how, again)
		}
	}
	_, p := fakes(t, "hang")
	p.turn <- struct{}{} // something else is shown
	if err := p.Tell(t.Context(), Question{})(); err != nil {
		t.Errorf("a notice whose time never came: %v", err)
	}
}
