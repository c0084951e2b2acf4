// Package certification is what a key of the user says of a record key: that the records
// signed by it are the user's (SECURITY V8). It is CMS SignedData under a content type of
// our own.
package certification

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"countersign/mailer/cms"
)

// contentType is the content type of a certification of a record key. It
// is of our own, so that no program takes one for a signed message, nor a
// signed message for one. The arc is the one under which anybody may make an
// identifier from a UUID of theirs, in parts of at most 24 bits.
var contentType = asn1.ObjectIdentifier{1, 2, 840, 113556, 1, 8000, 2554,
	54383, 61900, 38140, 17716, 38798, 13055812, 3648931}

// head is the first line of the content. The second is the public
// key in base64.
const head = "countersign record key 1\n"

// Certification is what a key of the user said of a record key: that the
// records signed by it are the user's.
type Certification struct {
	Certificate *x509.Certificate // of the key that signed
	Record      ed25519.PublicKey
	Time        time.Time // as the signer says
}

// Make has a key certify a record key.
func Make(signer cms.Signer, record ed25519.PublicKey, at time.Time, random io.Reader) ([]byte, error) {
	content := head + base64.StdEncoding.EncodeToString(record) + "\n"
	var out bytes.Buffer
	w, err := cms.NewSigned(&out, int64(len(content)), []cms.Signer{signer}, cms.SignOptions{Time: at, Type: contentType, Rand: random})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

type inMemory []byte

func (b inMemory) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// Parse reads one certification of a record key. Whether its
// certificate is anybody's is for others to say.
func Parse(der []byte) (c Certification, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading the certification of a record key: %w", err)
		}
	}()
	signed, err := cms.ReadSigned(inMemory(der), nil)
	if err != nil {
		return c, err
	}
	if !signed.Type.Equal(contentType) || len(signed.Signers) != 1 {
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
	line, ok := strings.CutPrefix(string(text), head)
	key, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(line, "\n"))
	if !ok || err != nil || len(key) != ed25519.PublicKeySize {
		return c, errors.New("its content is not a record key")
	}
	return Certification{Certificate: signer.Certificate, Record: key, Time: signer.Time}, nil
}
