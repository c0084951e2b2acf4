package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"countersign/platform"
	"countersign/platform/keychain"
	"countersign/tray/control"
	"countersign/vault"
	"countersign/vault/contacts/keyset"
)

// maxRecovery bounds a recovery file, in octets.
const maxRecovery = 4 << 20

// restore brings a profile back from its recovery file: the keys into the keychain,
// and the database from the copy named, else the one that lies there, else a new
// one. The eight words come by standard input.
func restore(ctx context.Context, f flags, dirs platform.Dirs, store keychain.Store) error {
	in, err := os.Open(f.restore)
	if err != nil {
		return fmt.Errorf("opening the recovery file: %w", err)
	}
	defer in.Close()
	file, err := readSmall(in, maxRecovery, "recovery file")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "Type the eight words, then Enter.")
	typed, err := readWords(os.Stdin, 8)
	if err != nil {
		return err
	}
	list := keyset.Words()
	opened, err := vault.OpenRecovery(file, typed, list[:])
	if err != nil {
		return err
	}
	if err := opened.Restore(ctx, dirs.Data, store, f.database); err != nil {
		return err
	}
	fmt.Println("Your keys are back. What was on its way out is held for you to look at, and tests in progress are void.")
	return nil
}

// readWords reads n words, on one line or several.
func readWords(r io.Reader, n int) ([]string, error) {
	words := make([]string, 0, n)
	for s := bufio.NewScanner(io.LimitReader(r, 4096)); len(words) < n && s.Scan(); {
		words = append(words, strings.Fields(s.Text())...)
	}
	if len(words) != n {
		return nil, fmt.Errorf("%d words are needed, and %d came", n, len(words))
	}
	return words, nil
}

// sentence joins what an error says and what to do about it, on one line.
func sentence(err error) error {
	var e *control.Error
	if errors.As(err, &e) {
		return errors.New(strings.TrimSpace(e.Says + " " + e.Next))
	}
	return err
}
