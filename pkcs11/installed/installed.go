// Package installed finds the PKCS#11 libraries of card makers on this machine, so that no
// clinician types a path, and says which of them may be loaded ([Resolve], rule F2).
package installed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"countersign/platform"
)

// Library is a maker's library found on this machine.
type Library struct {
	Path     string // as [Resolve] wants it
	Reserved string // its initialisation string; usually empty
}

// Refusal is why a library is not loaded.
type Refusal struct {
	Says string // a sentence for a person
	Err  error  // the cause, for a log; may be nil
}

// Error returns the sentence and its cause.
func (r *Refusal) Error() string {
	if r.Err == nil {
		return "pkcs11: " + r.Says
	}
	return fmt.Sprintf("pkcs11: %s (%v)", r.Says, r.Err)
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Resolve checks that the library at path may be loaded, and returns its path without
// links: it and every folder above must belong to the administrator alone, and where allowed
// is not empty, it must be one of these files or below one of these folders. It fails with
// a [*Refusal].
func Resolve(path string, allowed []string) (string, error) {
	refuse := func(says string, err error) (string, error) {
		return "", &Refusal{says, err}
	}
	if !filepath.IsAbs(path) {
		return refuse("The software of a card is named by its full path.", nil)
	}
	real, err := platform.AdministratorsFile(path)
	if errors.Is(err, platform.ErrExposed) {
		return refuse("The software of the card's maker lies where others than the administrator could change it, so it is not used.", err)
	}
	if err != nil {
		return refuse("The software of the card's maker is not installed.", err)
	}
	within := func(place string) bool {
		place, err := filepath.EvalSymlinks(place)
		return err == nil && (real == place || strings.HasPrefix(real, strings.TrimSuffix(place, string(filepath.Separator))+string(filepath.Separator)))
	}
	if len(allowed) > 0 && !slices.ContainsFunc(allowed, within) {
		return refuse("The administrator has not allowed this card software.", nil)
	}
	return real, nil
}

// Find lists the libraries that are installed on this machine, each once: those that
// p11-kit knows (Linux), and those of well-known makers.
func Find() []Library {
	found := configured(moduleFiles(), libraryFolders())
	for _, pattern := range wellKnown() {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, path := range paths {
			found = append(found, Library{Path: path})
		}
	}
	var all []Library
	seen := map[string]bool{}
	for _, one := range found {
		real, err := filepath.EvalSymlinks(one.Path)
		if err == nil && !seen[real] {
			seen[real] = true
			all = append(all, one)
		}
	}
	return all
}

// maxModuleFile is how many bytes of a p11-kit file are read.
const maxModuleFile = 16 << 10

// configured reads p11-kit's files; a library named without a folder is sought in folders.
func configured(files, folders []string) []Library {
	var found []Library
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(f, maxModuleFile))
		f.Close()
		if err != nil {
			continue
		}
		one, err := parseModule(text)
		if err != nil {
			continue
		}
		if filepath.IsAbs(one.Path) {
			found = append(found, one)
			continue
		}
		for _, folder := range folders {
			at := filepath.Join(folder, one.Path)
			if _, err := os.Stat(at); err == nil && filepath.IsLocal(one.Path) {
				found = append(found, Library{at, one.Reserved})
				break
			}
		}
	}
	return found
}

// errNoKeys is a module file that names no library with keys of ours.
var errNoKeys = errors.New("pkcs11: no library with keys")

// parseModule reads one file of p11-kit (pkcs11.conf(5)): lines of a name, a colon and a
// value. A store of trust anchors has no keys and is left out.
func parseModule(text []byte) (Library, error) {
	var one Library
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
		case "module":
			one.Path = value
		case "x-init-reserved":
			one.Reserved = value
		case "remote":
			return Library{}, errNoKeys // a command to run
		case "trust-policy":
			if value == "yes" {
				return Library{}, errNoKeys
			}
		}
	}
	if one.Path == "" || strings.ContainsRune(one.Path+one.Reserved, 0) {
		return Library{}, errNoKeys
	}
	return one, lines.Err()
}
