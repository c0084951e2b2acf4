package platform

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// Lock makes this process the only agent of the profile whose run folder is
// dir, until the lock is closed or the process ends in any way. Where another
// is, it fails at once with [ErrRunning].
func Lock(dir string) (io.Closer, error) {
	name, err := ObjectName(dir)
	if err != nil {
		return nil, fmt.Errorf("locking the profile: %w", err)
	}
	name16, err := windows.UTF16PtrFromString(`Local\` + name)
	if err != nil {
		return nil, fmt.Errorf("locking the profile: %w", err)
	}
	handle, err := windows.CreateMutex(nil, false, name16)
	if errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		windows.CloseHandle(handle)
		return nil, ErrRunning
	}
	if err != nil {
		return nil, fmt.Errorf("locking the profile: %w", err)
	}
	return mutex(handle), nil
}

type mutex windows.Handle

func (m mutex) Close() error { return windows.CloseHandle(windows.Handle(m)) }

// ObjectName names what belongs to one profile in the kernel's name space: the
// user and a digest of the folder, in which letter case does not count.
func ObjectName(dir string) (string, error) {
	sid, err := UserSID()
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(strings.ToLower(abs)))
	return "countersign-" + sid + "-" + hex.EncodeToString(digest[:8]), nil
}
