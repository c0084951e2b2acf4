package platform_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"countersign/platform"
)

func TestMakePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above", "dir")
	for range 2 {
		if err := platform.MakePrivate(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := platform.CheckPrivate(dir); err != nil {
		t.Error(err)
	}
}

func TestProcessIsMine(t *testing.T) {
	if mine, err := platform.ProcessIsMine(windows.GetCurrentProcessId()); err != nil || !mine {
		t.Errorf("this process: %v, %v", mine, err)
	}
	if mine, err := platform.ProcessIsMine(0xfffffff0); err != nil || mine {
		t.Errorf("no process: %v, %v", mine, err)
	}
}

func TestHarden(t *testing.T) {
	if err := platform.Harden(); err != nil {
		t.Skip("this Windows has no error reporting: ", err)
	}
}

func TestNoPolicyFile(t *testing.T) {
	if data, err := platform.PolicyFile(platform.PolicyPath()); data != nil || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}
