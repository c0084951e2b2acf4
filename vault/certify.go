package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"countersign/mailer/cms"
	"countersign/vault/keyring"
)

// oidCertification is the content type of a certification of a record key. It
// is of our own, so that no program takes one for a signed message, nor a
// signed message for one. The arc is the one under which anybody may make an
// identifier from a UUID of theirs, in parts of at most 24 bits.
var oidCertification = asn1.ObjectIdentifier{1, 2, 840, 113556, 1, 8000, 2554,
	54383, 61900, 38140, 17716, 38798, 13055812, 3648931}

// certificationHead is the first line of the content. The second is the public
// key in base64.
const certificationHead = "countersign record key 1\n"

// Certification is what a key of the user said of a record key: that the
// records signed by it are the user's.
type Certification struct {
	Certificate *x509.Certificate // of the key that signed
	Record      ed25519.PublicKey
	Time        time.Time // as the signer says
}

// certify has the signing key of a certificate certify the record key, unless it has done so.
func (v *Vault) certify(ctx context.Context, cert *x509.Certificate) error {
	id := keyring.ID(cert)
	var done int
	err := v.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM vault_certification WHERE key = ?`, id).Scan(&done)
	})
	if err != nil || done > 0 {
		return err
	}
	content := certificationHead + base64.StdEncoding.EncodeToString(v.records.Public()) + "\n"
	var out bytes.Buffer
	w, err := cms.NewSigned(&out, int64(len(content)), []cms.Signer{{Key: v.keys.Signer(ctx, cert), Certificate: cert}},
		cms.SignOptions{Time: v.o.Clock().UTC(), Type: oidCertification, Rand: v.o.Rand})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("certifying the record key: %w", err)
	}
	return v.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO vault_certification VALUES (?, ?)`, id, out.Bytes())
		return err
	})
}

// Certifications returns, as CMS SignedData in DER, what the user's signing keys
// said of this profile's record key.
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

type inMemory []byte

func (b inMemory) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// ParseCertification reads one certification of a record key. Whether its
// certificate is anybody's is for others to say.
func ParseCertification(der []byte) (c Certification, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading the certification of a record key: %w", err)
		}
	}()
	signed, err := cms.ReadSigned(inMemory(der), nil)
	if err != nil {
		return c, err
	}
	if !signed.Type.Equal(oidCertification) || len(signed.Signers) != 1 {
		return c, errors.New("it is another kind of signature")
	}
	signer := signed.Signers[0]
	if signer.Err != nil {
		return c, signer.Err
	}
	content, err := signed.Open()
	if err != nil {
		return c, err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, 1024))
	if err != nil {
		return c, err
	}
	line, ok := strings.CutPrefix(string(text), certificationHead)
	key, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(line, "\n"))
	if !ok || err != nil || len(key) != ed25519.PublicKeySize {
		return c, errors.New("its content is not a record key")
	}
	return Certification{Certificate: signer.Certificate, Record: key, Time: signer.Time}, nil
}
