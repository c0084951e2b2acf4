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

func TestParseModule(t *testing.T) {
	for text, want := range map[string]Library{
		"# a card\nmodule: opensc-pkcs11.so\n":                         {Path: "opensc-pkcs11.so"},
		"module:/usr/lib/x.so\ncritical: no\nx-init-reserved: a='b:c'": {Path: "/usr/lib/x.so", Reserved: "a='b:c'"},
	} {
		got, err := parseModule([]byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
	for _, text := range []string{"", "critical: no", "module: trust.so\ntrust-policy: yes", "module: x\nremote: |ssh host p11", "module: a\x00b"} {
		if got, err := parseModule([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestConfigured(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"card.so": "", "a.module": "module: card.so", "b.module": "module: ../card.so", "c.module": "module: absent.so"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := []string{filepath.Join(dir, "a.module"), filepath.Join(dir, "b.module"), filepath.Join(dir, "c.module"), filepath.Join(dir, "d.module")}
	want := []Library{{Path: filepath.Join(dir, "card.so")}}
	if diff := cmp.Diff(want, configured(files, []string{filepath.Join(dir, "absent"), dir})); diff != "" {
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
		if real, err := Resolve(library, allowed); !refused(err) {
			t.Errorf("allowed %v: %q, %v", allowed, real, err)
		}
	}
}
