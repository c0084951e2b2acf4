// Package platform is what differs between operating systems and is not mail:
// the folders of a profile, one agent a profile, the browser, work in the background,
// and who is at the other end of a loopback connection.
//
// # Folders
//
// A profile is one folder, private to its user ([FindDirs]):
//
//	the folder given, else $COUNTERSIGN_HOME
//	$XDG_DATA_HOME/countersign, ~/.local/share/countersign   Linux
//	%LocalAppData%\Countersign                               Windows
//	~/Library/Application Support/Countersign                macOS
//
// The socket and the lock lie in its folder run, not in $XDG_RUNTIME_DIR: a
// command line started by cron or over ssh may have another value there, and
// would start a second agent instead of finding the first.
//
// # How far
//
// Linux is what this runs on and is tested on. Windows is complete. On macOS
// [PeerIsMe] is errors.ErrUnsupported.
package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// HomeVariable names the environment variable that puts a profile in one folder.
const HomeVariable = "COUNTERSIGN_HOME"

// Errors that callers tell apart.
var (
	ErrRunning   = errors.New("platform: another agent uses this profile")
	ErrNoDesktop = errors.New("platform: no desktop session to open a browser in")
	ErrExposed   = errors.New("platform: others can reach this folder")
)

// Dirs is the folders of one profile, as absolute paths.
type Dirs struct {
	Data string // what lasts: the database, the file keychain
	Run  string // what lasts while an agent runs: lock, socket, the page's opening file
}

// FindDirs returns the folders of the profile in home, or of the user's own
// profile where home is empty. It makes nothing.
func FindDirs(home string) (Dirs, error) {
	if home == "" {
		home = os.Getenv(HomeVariable)
	}
	if home == "" {
		var err error
		if home, err = defaultHome(); err != nil {
			return Dirs{}, fmt.Errorf("finding the profile's folder: %w", err)
		}
	}
	home, err := filepath.Abs(home)
	if err != nil {
		return Dirs{}, fmt.Errorf("finding the profile's folder: %w", err)
	}
	return Dirs{Data: home, Run: filepath.Join(home, "run")}, nil
}

// Make makes both folders, for this user alone. It fails with [ErrExposed]
// where one exists that belongs to somebody else, or that others can enter.
func (d Dirs) Make() error {
	for _, dir := range []string{d.Data, d.Run} {
		if err := MakePrivate(dir); err != nil {
			return err
		}
	}
	return nil
}

// MakePrivate makes a folder, and those above it, that only this user can
// enter, or makes sure that the one there is such a folder. An empty folder of
// the user's own is closed to others; one that holds something is left as it
// is and refused, for others may have put it there.
func MakePrivate(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("making a private folder: %w", err)
	}
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making a private folder: %w", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) == 0 {
		if err := closeFolder(dir); err != nil {
			return fmt.Errorf("making a private folder: %w", err)
		}
	}
	return CheckPrivate(dir)
}

// WriteFile writes a file for this user alone, so that after a crash at any
// moment either the old content or the new is there, whole.
func WriteFile(path string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", filepath.Base(path), err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// ownFolder refuses what is not a real folder: a link could lead elsewhere by
// the time that it is used.
func ownFolder(dir string) (fs.FileInfo, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("checking a private folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%w: %s is not a folder", ErrExposed, dir)
	}
	return info, nil
}
