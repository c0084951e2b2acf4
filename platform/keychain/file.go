package keychain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"filippo.io/age"
	"filippo.io/age/armor"

	"countersign/platform"
)

// The file is text in two parts, each an age file (age-encryption.org/v1) in
// its armour. The first, under the passphrase, holds an age identity made for
// this file; the second, for that identity, holds the items as JSON. So the
// passphrase costs its second of scrypt once, when the file is opened, and a
// change costs none. The identity's public half stands nowhere in clear: who
// does not know the passphrase cannot make a second part either.

const (
	// DefaultWork is scrypt's work factor for a passphrase: N = 2^18, about a
	// second and 256 MiB. The file records the one that it was made with.
	DefaultWork = 18
	// maxWork is what a file may ask for: about 16 seconds and 4 GiB.
	maxWork = 22
	// maxFile is how many bytes a file may have.
	maxFile = 16 << 20
)

// OpenFile opens the keychain in a file, or makes one where there is none,
// with scrypt work factor work (0 means [DefaultWork]). It fails with
// [ErrPassphrase] where the passphrase is another. Only one process may use
// the file at a time. Every change is on the disc when Set or Delete returns.
func OpenFile(path string, passphrase []byte, work int) (Store, error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("opening the keychain file: %w: it is empty", ErrPassphrase)
	}
	if work == 0 {
		work = DefaultWork
	}
	if work < 1 || work > maxWork {
		return nil, fmt.Errorf("opening the keychain file: work factor %d is not between 1 and %d", work, maxWork)
	}
	head, _, err := readParts(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newFile(path, string(passphrase), work)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the keychain file: %w", err)
	}
	id, err := unlockHead(head, string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("opening the keychain file: %w", err)
	}
	f := &file{path: path, head: head, id: id}
	if _, err := f.load(); err != nil {
		return nil, fmt.Errorf("opening the keychain file: %w", err)
	}
	return bounded{f}, nil
}

// FileWork returns the scrypt work factor that a keychain file was made with.
func FileWork(path string) (int, error) {
	head, _, err := readParts(path)
	if err != nil {
		return 0, fmt.Errorf("reading the keychain file: %w", err)
	}
	var work workFactor
	if _, err := age.Decrypt(armor.NewReader(strings.NewReader(head)), &work); work == 0 {
		return 0, fmt.Errorf("reading the keychain file: %w", err)
	}
	return int(work), nil
}

// workFactor is an identity that opens nothing: it looks at the recipient
// stanza "scrypt SALT WORK".
type workFactor int

func (w *workFactor) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type == "scrypt" && len(s.Args) == 2 {
			n, err := strconv.Atoi(s.Args[1])
			if err != nil {
				return nil, err
			}
			*w = workFactor(n)
		}
	}
	return nil, age.ErrIncorrectIdentity
}

type file struct {
	path string
	head string // the first part, as it stands in the file
	id   *age.X25519Identity
	mu   sync.Mutex // a change is read, made and written under it
}

func newFile(path, passphrase string, work int) (Store, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("making the keychain file: %w", err)
	}
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("making the keychain file: %w", err)
	}
	r.SetWorkFactor(work)
	head, err := encrypt([]byte(id.String()), r)
	if err != nil {
		return nil, fmt.Errorf("making the keychain file: %w", err)
	}
	f := &file{path: path, head: head, id: id}
	if err := f.save(nil); err != nil {
		return nil, fmt.Errorf("making the keychain file: %w", err)
	}
	return bounded{f}, nil
}

func unlockHead(head, passphrase string) (*age.X25519Identity, error) {
	i, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	i.SetMaxWorkFactor(maxWork)
	text, err := decrypt(head, i)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, err
	}
	return age.ParseX25519Identity(string(text))
}

func (f *file) Get(ctx context.Context, name string) ([]byte, error) {
	items, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	value, ok := items[name]
	if !ok {
		return nil, ErrNotFound
	}
	return value, nil
}

func (f *file) List(ctx context.Context) ([]string, error) {
	items, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(items)), nil
}

func (f *file) Set(ctx context.Context, name string, value []byte) error {
	return f.change(ctx, func(items map[string][]byte) error {
		items[name] = value
		return nil
	})
}

func (f *file) Delete(ctx context.Context, name string) error {
	return f.change(ctx, func(items map[string][]byte) error {
		if _, ok := items[name]; !ok {
			return ErrNotFound
		}
		delete(items, name)
		return nil
	})
}

func (f *file) read(ctx context.Context) (map[string][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	items, err := f.load()
	if err != nil {
		return nil, fmt.Errorf("reading the keychain file: %w", err)
	}
	return items, nil
}

func (f *file) change(ctx context.Context, do func(map[string][]byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	items, err := f.load()
	if err != nil {
		return fmt.Errorf("reading the keychain file: %w", err)
	}
	if err := do(items); err != nil {
		return err
	}
	if err := f.save(items); err != nil {
		return fmt.Errorf("writing the keychain file: %w", err)
	}
	return nil
}

func (f *file) load() (map[string][]byte, error) {
	_, body, err := readParts(f.path)
	if err != nil {
		return nil, err
	}
	data, err := decrypt(body, f.id)
	if err != nil {
		return nil, err
	}
	items := map[string][]byte{}
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, err
	}
	if items == nil {
		items = map[string][]byte{}
	}
	return items, nil
}

func (f *file) save(items map[string][]byte) error {
	data, err := json.Marshal(items)
	if err != nil {
		return err
	}
	body, err := encrypt(data, f.id.Recipient())
	if err != nil {
		return err
	}
	return platform.WriteFile(f.path, []byte(f.head+body))
}

// readParts returns the two parts of a keychain file.
func readParts(path string) (head, body string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", "", err
	}
	head, body, ok := strings.Cut(string(data), armor.Footer+"\n")
	if !ok || body == "" || len(data) > maxFile {
		return "", "", fmt.Errorf("%s is not a keychain file", filepath.Base(path))
	}
	return head + armor.Footer + "\n", body, nil
}

func encrypt(data []byte, to age.Recipient) (string, error) {
	var text strings.Builder
	a := armor.NewWriter(&text)
	w, err := age.Encrypt(a, to)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if err := a.Close(); err != nil {
		return "", err
	}
	return text.String(), nil
}

func decrypt(text string, with age.Identity) ([]byte, error) {
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(text)), with)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	if _, err := data.ReadFrom(r); err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}
