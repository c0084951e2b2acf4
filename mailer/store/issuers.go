package store

import (
	"context"
	"crypto/x509"
	"database/sql"

	"countersign/vault/sealed"
)

// Issuers is the remembered certificates of authorities.
type Issuers struct {
	DB *sealed.DB
}

// Migrate makes the tables that are missing.
func (i Issuers) Migrate() error {
	return i.DB.Migrate("issuers", `CREATE TABLE issuer (
		seq INTEGER PRIMARY KEY AUTOINCREMENT,
		der BLOB NOT NULL UNIQUE
	) STRICT`)
}

// maxIssuers is how many authorities' certificates are remembered, the latest.
const maxIssuers = 200

// List returns the certificates that were remembered. They are evidence, never
// anchors.
func (i Issuers) List(ctx context.Context) (list []*x509.Certificate, err error) {
	err = i.DB.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT der FROM issuer`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var der []byte
			if err := rows.Scan(&der); err != nil {
				return err
			}
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			list = append(list, c)
		}
		return rows.Err()
	})
	return list, err
}

// Add remembers the certificate of an authority.
func (i Issuers) Add(ctx context.Context, c *x509.Certificate) error {
	return i.DB.Update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO issuer (der) VALUES (?) ON CONFLICT DO NOTHING`, c.Raw); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM issuer WHERE seq <= (SELECT max(seq) FROM issuer) - ?`, maxIssuers)
		return err
	})
}
