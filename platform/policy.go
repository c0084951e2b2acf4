package platform

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxPolicy is how many bytes the administrator's policy file may have.
const maxPolicy = 1 << 20

// PolicyFile reads the administrator's policy file at path, of at most 1 MiB.
// Where there is none it returns nil. One that anybody but the administrator
// could have changed, in itself or by a folder above it, is [ErrExposed]; a
// link is not followed.
func PolicyFile(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the policy file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading the policy file: %w: %s is not a plain file", ErrExposed, path)
	}
	if err := AdministratorsOnly(path); err != nil {
		return nil, fmt.Errorf("reading the policy file: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the policy file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err != nil {
		return nil, fmt.Errorf("reading the policy file: %w", err)
	}
	if len(data) > maxPolicy {
		return nil, fmt.Errorf("reading the policy file: it has more than %d bytes", maxPolicy)
	}
	return data, nil
}

// AdministratorsOnly fails with [ErrExposed] unless what is at path, which is absolute, and
// every folder above it belong to the administrator and nobody else can change them. A link
// anywhere in path is refused: its end is to be asked about.
func AdministratorsOnly(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%w: %s is not an absolute path", ErrExposed, path)
	}
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		if err := checkAdministrators(at); err != nil {
			return err
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// AdministratorsFile resolves the links in path, which is absolute, and makes sure that it
// leads to a plain file that only the administrator can change ([AdministratorsOnly]). It
// returns where that is. Other errors than [ErrExposed] mean that there is no such file.
func AdministratorsFile(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%w: %s is not an absolute path", ErrExposed, path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a plain file", real)
	}
	return real, AdministratorsOnly(real)
}
