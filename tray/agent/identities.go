package agent

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"countersign/tray/control"
	"countersign/vault"
	"countersign/vault/pkcs12"
	"countersign/vault/trust"
)

// identities answers control.Identities.
type identities struct{ *Agent }

// List tells of each key set of the user's own, and whether it can be used.
func (s identities) List(ctx context.Context, _ control.None) ([]control.Identity, error) {
	own, err := s.vault.Identities(ctx)
	if err != nil {
		return nil, words(err)
	}
	list := make([]control.Identity, 0, len(own))
	for _, i := range own {
		list = append(list, s.identity(ctx, i))
	}
	return list, nil
}

func (s identities) identity(ctx context.Context, i vault.Identity) control.Identity {
	v := control.Identity{ID: i.ID, Address: i.Address, Name: i.Name, Retired: i.Retired, KeyPlace: i.KeyPlace, State: "good"}
	for _, half := range []struct {
		cert  *x509.Certificate
		usage trust.Usage
		name  string
	}{{i.Signing, trust.Sign, "signing"}, {i.Encryption, trust.Encrypt, "encryption"}} {
		if half.cert == nil {
			continue
		}
		v.Usage = strings.TrimPrefix(v.Usage+" and "+half.name, " and ")
		v.Issuer = half.cert.Issuer.CommonName
		v.Expires = earlier(v.Expires, half.cert.NotAfter)
		if i.Retired || v.State != "good" {
			continue
		}
		if verdict := s.mailer.Own(ctx, i, half.usage); !verdict.Good() {
			v.State, v.Problem = string(verdict.Status), verdict.Reason
		}
	}
	return v
}

// earlier is the earlier of two times, of which the first may not be set yet.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
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
		list = append(list, s.identity(ctx, i))
		if err := s.note(ctx, "identity", i.Address, "A certificate with its key was imported."); err != nil {
			return nil, err
		}
	}
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
