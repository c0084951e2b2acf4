package vault

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"

	"countersign/mailer/cms"
	"countersign/vault/certification"
	"countersign/vault/keyring"
)

// certify has the signing key of a certificate certify the record key, unless it has done
// so. Token is the reference of the key, if it is on one.
func (v *Vault) certify(ctx context.Context, cert *x509.Certificate, token string) error {
	id := keyring.ID(cert)
	var done int
	err := v.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM vault_certification WHERE key = ?`, id).Scan(&done)
	})
	if err != nil || done > 0 {
		return err
	}
	out, err := certification.Make(cms.Signer{Key: v.signer(ctx, cert, token), Certificate: cert}, v.records.Public(), v.o.Clock().UTC(), v.o.Rand)
	if err != nil {
		return fmt.Errorf("certifying the record key: %w", err)
	}
	return v.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO vault_certification VALUES (?, ?)`, id, out)
		return err
	})
}

// Certifications returns, as CMS SignedData in DER, what the user's signing keys
// said of this profile's record key (vault/certification).
func (v *Vault) Certifications(ctx context.Context) ([][]byte, error) {
	var all [][]byte
	err := v.db.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, `SELECT data FROM vault_certification ORDER BY key`, func(scan scanner) error {
			var data []byte
			err := scan(&data)
			all = append(all, data)
			return err
		})
	})
	return all, err
}
