package keychain

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"countersign/mailer/server/servertest"
)

func openTestService(t *testing.T, profile string) Store {
	t.Helper()
	s, err := OpenSystem(t.Context(), profile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.(bounded).Close() })
	return s
}

func TestGNOMEKeyring(t *testing.T) {
	startBus(t)
	startGNOME(t, connect(t), t.TempDir())
	suite(t, openTestService)
}

// lock locks the login collection; unlockGNOME opens it without a prompt, by
// an interface that GNOME Keyring keeps for its own tests.
func lock(t *testing.T, conn *dbus.Conn) {
	t.Helper()
	var done []dbus.ObjectPath
	var prompt dbus.ObjectPath
	err := conn.Object(busName, servicePath).Call(service+"Lock", 0, []dbus.ObjectPath{loginPath}).Store(&done, &prompt)
	if err != nil || len(done) != 1 {
		t.Fatalf("locking: %v, %v", done, err)
	}
}

func unlockGNOME(t *testing.T) {
	t.Helper()
	k, err := openSession(t.Context(), answerWait, promptWait)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	secret, err := k.seal([]byte(gnomePassword))
	if err != nil {
		t.Fatal(err)
	}
	err = k.call(t.Context(), servicePath, "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", loginPath, secret).Err
	if err != nil {
		t.Fatal(err)
	}
}

func TestGNOMEKeyringLocked(t *testing.T) {
	startBus(t)
	conn := connect(t)
	startGNOME(t, conn, t.TempDir())
	s := openTestService(t, "locked")
	if err := s.Set(t.Context(), "n", []byte("v")); err != nil {
		t.Fatal(err)
	}
	lock(t, conn)
	_, get := s.Get(t.Context(), "n")
	for doing, err := range map[string]error{
		"get": get, "change": s.Set(t.Context(), "n", nil), "add": s.Set(t.Context(), "new", nil),
	} {
		if !errors.Is(err, ErrLocked) {
			t.Errorf("%s: %v", doing, err)
		}
	}
	if names, err := s.List(t.Context()); err != nil || !slices.Equal(names, []string{"n"}) {
		t.Errorf("list: %q, %v", names, err)
	}
	unlockGNOME(t)
	if got, err := s.Get(t.Context(), "n"); err != nil || string(got) != "v" {
		t.Errorf("unlocked: %q, %v", got, err)
	}
}

// The service dies and comes back: no hang, no crash, nothing lost.
func TestGNOMEKeyringDies(t *testing.T) {
	startBus(t)
	conn := connect(t)
	home := t.TempDir()
	daemon := startGNOME(t, conn, home)
	s := openTestService(t, "dies")
	if err := s.Set(t.Context(), "n", []byte("v")); err != nil {
		t.Fatal(err)
	}
	awaitOwner(t, conn, false, func() { daemon.Process.Kill() })
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without it: %v", err)
	}
	startGNOME(t, conn, home)
	if got, err := s.Get(t.Context(), "n"); err != nil || string(got) != "v" {
		t.Errorf("back again: %q, %v", got, err)
	}
}

// libsecret's own tool finds what we keep: the items are ordinary ones.
func TestGNOMEKeyringIsShared(t *testing.T) {
	tool, err := exec.LookPath("secret-tool")
	if err != nil {
		servertest.Absent(t, "secret-tool is not installed: make setup installs libsecret-tools")
	}
	startBus(t)
	startGNOME(t, connect(t), t.TempDir())
	if err := openTestService(t, "shared").Set(t.Context(), "n", []byte("some-secret")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "lookup", "application", "countersign", "profile", "shared", "name", "n").Output()
	if err != nil || strings.TrimSpace(string(out)) != "some-secret" {
		t.Errorf("it finds %q, %v", out, err)
	}
}

// Nobody who listens on the bus sees a secret.
func TestNothingInClearOnTheBus(t *testing.T) {
	monitor, err := exec.LookPath("dbus-monitor")
	if err != nil {
		servertest.Absent(t, "dbus-monitor is not installed: make setup installs it")
	}
	startBus(t)
	startGNOME(t, connect(t), t.TempDir())
	log := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(monitor, "--session", "--binary")
	cmd.Stdout = f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	s := openTestService(t, "clear")
	recorded := func() []byte {
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	// The monitor starts when it starts: go on until it has seen our item named.
	for !strings.Contains(string(recorded()), "Countersign marker") {
		if err := s.Set(t.Context(), "marker", []byte("some-secret")); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), "marker"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Set(t.Context(), "n", []byte("some-secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(recorded()), "some-secret") {
		t.Error("a secret crossed the bus in clear")
	}
}
