package installed

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/pkcs11/pkcs11test"
)

func refused(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Says != ""
}

func TestModule(t *testing.T) {
	x, err := filepath.Abs("/usr/lib/x.so") // on Windows with its drive
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]Library{
		"# a card\nmodule: " + x + "\n":                            {Path: x},
		"module:" + x + "\ncritical: no\nx-init-reserved: a='b:c'": {Path: x, Reserved: "a='b:c'"},
	} {
		m, err := parseModule([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.library(nil)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
	for _, text := range []string{"", "critical: no", "module:", "module: /trust.so\ntrust-policy: yes", "module: /x\nremote: |ssh host p11", "module: /a\x00b"} {
		m, err := parseModule([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.library(nil); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// TestHere: enable-in and disable-in of pkcs11.conf(5).
func TestHere(t *testing.T) {
	for text, want := range map[string]bool{
		"module: x":                                                   true,
		"disable-in: firefox, thunderbird-bin":                        true,
		"disable-in: firefox,countersign-pkcs11":                      false,
		"disable-in: firefox countersign-agent":                       false,
		"disable-in: countersign-agents":                              true,
		"enable-in: ssh, countersign-agent":                           true,
		"enable-in: ssh":                                              false,
		"enable-in:":                                                  false,
		"enable-in: ssh\ndisable-in: firefox":                         false,
		"enable-in: countersign-agent\ndisable-in: countersign-agent": true,
	} {
		if m, err := parseModule([]byte(text)); err != nil || m.here() != want {
			t.Errorf("%q: %v, %v", text, m.here(), err)
		}
	}
}

func TestConfigured(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	card, other := write("card.so", ""), write("other.so", "")
	files := []string{
		write("a.module", "module: card.so"), write("b.module", "module: ../card.so"), write("c.module", "module: absent.so"), filepath.Join(dir, "d.module"),
		write("other.module", "disable-in: countersign-agent"), write("off.module", "module:"),
		write("maker/a.module", "module: absent.so\nx-init-reserved: deep"), write("maker/other.module", "module: other.so"), write("maker/off.module", "module: card.so"),
	}
	found, barred := configured(files, []string{filepath.Join(dir, "absent"), dir})
	if diff := cmp.Diff([]Library{{Path: card, Reserved: "deep"}}, found); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Library{{Path: other}}, barred); diff != "" {
		t.Error(diff)
	}
}

func TestResolveRefuses(t *testing.T) {
	library := filepath.Join(t.TempDir(), "library.so") // where anybody may write
	if err := os.WriteFile(library, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{library, "library.so", "", filepath.Join(filepath.Dir(library), "absent.so"), filepath.Dir(library)} {
		if real, err := Resolve(path, nil); !refused(err) {
			t.Errorf("%q is taken as %q, %v", path, real, err)
		}
	}
}

// TestPeerResolve: what a Debian package installed is found and taken, unless the
// administrator allows another only.
func TestPeerResolve(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("packages are Debian's here")
	}
	library := pkcs11test.SoftHSM(t).Library
	if !slices.ContainsFunc(Find(), func(i Library) bool { return filepath.Base(i.Path) == filepath.Base(library) }) {
		t.Errorf("SoftHSM is not among %v", Find())
	}
	for _, allowed := range [][]string{nil, {"/usr/lib/"}, {"/elsewhere", library}} {
		if real, err := Resolve(library, allowed); err != nil || filepath.Base(real) != filepath.Base(library) {
			t.Errorf("allowed %v: %q, %v", allowed, real, err)
		}
	}
	for _, allowed := range [][]string{{"/usr/lib/soft"}, {"/elsewhere"}} {
		if real, err := Resolve(library, allowed); !refused(err) || !errors.Is(err, ErrNotAllowed) {
			t.Errorf("allowed %v: %q, %v", allowed, real, err)
		}
	}
}
