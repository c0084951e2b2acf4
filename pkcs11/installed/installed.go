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
	"unicode"

	"countersign/platform"
)

// Library is a maker's library found on this machine.
type Library struct {
	Path     string // as [Resolve] wants it
	Reserved string // its initialisation string; usually empty
}

// ErrNotAllowed is the cause where the administrator left a library out: nothing is wrong with it.
var ErrNotAllowed = errors.New("pkcs11: the policy does not name this library")

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
		return refuse("The administrator has not allowed this card software.", ErrNotAllowed)
	}
	return real, nil
}

// Find lists the libraries that are installed on this machine, each once: those that
// p11-kit knows (Linux), and those of well-known makers, but none that p11-kit was told
// to keep from this program.
func Find() []Library {
	found, barred := configured(moduleFiles(), libraryFolders())
	seen := map[string]bool{}
	for _, one := range barred {
		if real, err := filepath.EvalSymlinks(one.Path); err == nil {
			seen[real] = true
		}
	}
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
// Of files with one name the first goes before the next, line by line, so that the
// administrator's own adds to the maker's. Libraries kept from this program are barred.
func configured(files, folders []string) (found, barred []Library) {
	modules := map[string]module{}
	var order []string
	for _, file := range files {
		m, err := readModule(file)
		if err != nil {
			continue
		}
		name := filepath.Base(file)
		first, again := modules[name]
		if !again {
			modules[name], order = m, append(order, name)
			continue
		}
		for setting, value := range m {
			if _, set := first[setting]; !set {
				first[setting] = value
			}
		}
	}
	for _, name := range order {
		one, err := modules[name].library(folders)
		switch {
		case err != nil:
		case modules[name].here():
			found = append(found, one)
		default:
			barred = append(barred, one)
		}
	}
	return found, barred
}

// module is the settings of one module of p11-kit (pkcs11.conf(5)).
type module map[string]string

func readModule(file string) (module, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxModuleFile))
	if err != nil {
		return nil, err
	}
	return parseModule(text)
}

// parseModule reads a file of p11-kit: lines of a name, a colon and a value.
func parseModule(text []byte) (module, error) {
	m := module{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			m[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return m, lines.Err()
}

// errNoKeys is a module that names no library with keys of ours.
var errNoKeys = errors.New("pkcs11: no library with keys")

// library is what a module names. A store of trust anchors has no keys and is left out.
func (m module) library(folders []string) (Library, error) {
	one := Library{m["module"], m["x-init-reserved"]}
	_, remote := m["remote"] // a command to run
	if one.Path == "" || remote || m["trust-policy"] == "yes" || strings.ContainsRune(one.Path+one.Reserved, 0) {
		return Library{}, errNoKeys
	}
	if filepath.IsAbs(one.Path) {
		return one, nil
	}
	for _, folder := range folders {
		at := filepath.Join(folder, one.Path)
		if _, err := os.Stat(at); err == nil && filepath.IsLocal(one.Path) {
			return Library{at, one.Reserved}, nil
		}
	}
	return Library{}, errNoKeys
}

// programs are the names that p11-kit's files know this program by: the agent's, and that of the
// helper which loads libraries.
var programs = []string{"countersign-agent", "countersign-pkcs11"}

// here tells whether a module is meant for this program. Where a file says both which
// programs may and which may not, the former counts, as for p11-kit.
func (m module) here() bool {
	names := func(setting string) bool {
		return slices.ContainsFunc(strings.FieldsFunc(m[setting], func(r rune) bool { return r == ',' || unicode.IsSpace(r) }),
			func(name string) bool { return slices.Contains(programs, name) })
	}
	if _, set := m["enable-in"]; set {
		return names("enable-in")
	}
	return !names("disable-in")
}
