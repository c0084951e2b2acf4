package agent

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"countersign/tray/agent/keys"
	"countersign/tray/control"
	"countersign/vault"
	"countersign/vault/pkcs12"
)

// identities answers control.Identities; what is not here, the room keys answers.
type identities struct {
	*Agent
	*keys.Keys
}

// ImportPKCS12 reads a PKCS #12 file.
func (s identities) ImportPKCS12(ctx context.Context, order control.PKCS12Order, file io.Reader) ([]control.Identity, error) {
	data, err := readSmall(file, pkcs12.MaxSize, "certificate file")
	if err != nil {
		return nil, err
	}
	made, err := s.vault.ImportPKCS12(ctx, data, order.Password)
	if err != nil {
		return nil, words(err)
	}
	all, err := s.vault.Identities(ctx) // they say where the keys came to lie
	if err != nil {
		return nil, words(err)
	}
	list := make([]control.Identity, 0, len(made))
	for _, i := range made {
		if n := slices.IndexFunc(all, func(o vault.Identity) bool { return o.ID == i.ID }); n >= 0 {
			i = all[n]
		}
		list = append(list, s.Describe(ctx, i, all))
		if err := s.note(ctx, "identity", i.Address, "A certificate with its key was imported."); err != nil {
			return nil, err
		}
	}
	s.Announce(ctx)
	return list, s.tell(ctx, "status", "", "Your certificates have changed.")
}

// readSmall reads a whole file of at most limit bytes.
func readSmall(r io.Reader, limit int64, what string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", what, err)
	}
	if int64(len(data)) > limit {
		return nil, &control.Error{Code: "too-large", Says: "That file is too large to be a " + what + ".", Next: "Choose the right file."}
	}
	return data, nil
}

// Recovery tells whether the recovery file is made and tested.
func (s identities) Recovery(ctx context.Context, _ control.None) (control.Recovery, error) {
	r, err := s.vault.Recovery(ctx)
	if err != nil {
		return control.Recovery{}, words(err)
	}
	return control.Recovery{State: string(r.State), Made: r.Made, Ask: r.Ask}, nil
}

// MakeRecovery makes the recovery file and the words that open it.
func (s identities) MakeRecovery(ctx context.Context, _ control.None) (control.RecoveryFile, error) {
	f, err := s.vault.MakeRecovery(ctx, false)
	if err != nil {
		return control.RecoveryFile{}, words(err)
	}
	return control.RecoveryFile{Name: f.Name, Bytes: f.Bytes, Words: f.Words, Ask: f.Ask},
		s.note(ctx, "recovery", "", "A recovery file was made.")
}

// ConfirmRecovery takes two of the words back and opens the file once as a test.
func (s identities) ConfirmRecovery(ctx context.Context, check control.RecoveryCheck) (control.Recovery, error) {
	if err := s.vault.ConfirmRecovery(ctx, check.Words); err != nil {
		return control.Recovery{}, words(err)
	}
	if err := s.note(ctx, "recovery", "", "The recovery file was opened as a test."); err != nil {
		return control.Recovery{}, err
	}
	if err := s.tell(ctx, "status", "", "Your recovery file is ready."); err != nil {
		return control.Recovery{}, err
	}
	s.Announce(ctx) // a new key had to wait for it (K1)
	return s.Recovery(ctx, control.None{})
}

// Backup writes a copy of the database, still encrypted.
func (s identities) Backup(ctx context.Context, o control.BackupOrder) (control.None, error) {
	if !filepath.IsAbs(o.Path) {
		return control.None{}, &control.Error{Code: control.CodeInvalid, Says: "The copy needs a whole path."}
	}
	if _, err := os.Lstat(o.Path); err == nil {
		return control.None{}, &control.Error{Code: "exists", Says: "There is a file of that name already.", Next: "Choose another name."}
	}
	if err := s.vault.DB().Backup(ctx, o.Path); err != nil {
		return control.None{}, err
	}
	return control.None{}, s.note(ctx, "recovery", "", "The database was copied to a file, still encrypted.")
}
