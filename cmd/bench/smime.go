//go:build unix

package main

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

const (
	kiB = 1 << 10
	miB = 1 << 20
	giB = 1 << 30
)

// What the peer is asked for, with the cipher.
const (
	opensslSeal = `openssl cms -sign -binary -stream -signer me.pem -inkey me.key -in part -outform SMIME |
		openssl cms -encrypt -binary -stream -aes-256-%[1]s -outform SMIME -out theirs.eml me.pem`
	opensslOpen = `openssl cms -decrypt -recip me.pem -inkey me.key -in ours-%[1]s.eml -out theirs.signed &&
		openssl cms -verify -noverify -in theirs.signed -out theirs.part`
)

var bouts = []bout{
	{"cms/seal-cbc-25MiB", rounds, []string{"seal-cbc"}, fmt.Sprintf(opensslSeal, "cbc"), 25 * miB},
	{"cms/seal-gcm-25MiB", rounds, []string{"seal-gcm"}, fmt.Sprintf(opensslSeal, "gcm"), 25 * miB},
	{"cms/open-cbc-25MiB", rounds, []string{"open-cbc"}, fmt.Sprintf(opensslOpen, "cbc"), 25 * miB},
	{"cms/open-gcm-25MiB", rounds, []string{"open-gcm"}, fmt.Sprintf(opensslOpen, "gcm"), 25 * miB},
	{"cms/seal-1KiB", rounds, []string{"seal-cbc"}, fmt.Sprintf(opensslSeal, "cbc"), kiB},
	{"cms/seal-1GiB", 1, []string{"seal-cbc"}, fmt.Sprintf(opensslSeal, "cbc"), giB},
	{"cms/open-1GiB", 1, []string{"open-cbc"}, fmt.Sprintf(opensslOpen, "cbc"), giB},
}

// file is a message or an attachment on disk.
type file string

func (f file) Open() (io.ReadCloser, error) { return os.Open(string(f)) }

// work is one piece of work, done in a process of its own.
func work(what, dir string) error {
	key, cert, err := load(dir)
	if err != nil {
		return err
	}
	switch what {
	case "seal-cbc":
		return seal(dir, "ours-cbc.eml", smime.Envelope{Cipher: cms.AES256CBC}, key, cert)
	case "seal-gcm":
		return seal(dir, "ours-gcm.eml", smime.Envelope{Cipher: cms.AES256GCM}, key, cert)
	case "open-cbc":
		return open(dir, "ours-cbc.eml", key, cert)
	case "open-gcm":
		return open(dir, "ours-gcm.eml", key, cert)
	}
	return fmt.Errorf("no work is named %q", what)
}

func seal(dir, name string, e smime.Envelope, key *rsa.PrivateKey, cert *x509.Certificate) error {
	out, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	me := message.Address{Addr: cert.EmailAddresses[0]}
	w := bufio.NewWriterSize(out, 64*kiB)
	e.To = []*x509.Certificate{cert}
	err = e.Seal(w, smime.Letter{
		From: me, To: []message.Address{me}, Subject: "bench", Date: time.Now().UTC(), MessageID: "<bench@example.org>",
		Text: "One attachment.\n", Attachments: []smime.Attachment{{
			Name: "scan.bin", Type: "application/octet-stream", Content: file(filepath.Join(dir, "attachment")),
		}},
	}, smime.Keys{Signer: cms.Signer{Key: key, Certificate: cert}, Encryption: cert})
	return errors.Join(err, w.Flush(), out.Close())
}

// open reads a message as its reader's program must: both passes, and every byte
// of the attachment. It is one that came some time ago, so its digest, by which
// duplicates are known and for which the peer has no like, is on record.
func open(dir, name string, key *rsa.PrivateKey, cert *x509.Certificate) error {
	o, err := smime.Open(file(filepath.Join(dir, name)), []cms.Key{{Certificate: cert, Decrypter: key}}, smime.Options{Digest: [32]byte{1}})
	if err != nil {
		return err
	}
	if o.Problem != nil {
		return o.Problem
	}
	return o.Payload.Walk(func(p *message.Part) error {
		if p.Filename == "" {
			return nil
		}
		return save(p, filepath.Join(dir, "saved"))
	})
}

func save(p *message.Part, path string) error {
	body, err := p.Open()
	if err != nil {
		return err
	}
	defer body.Close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, body, make([]byte, 64*kiB))
	return errors.Join(err, out.Close())
}

// fixture makes, once a size, the keys, the attachment, the MIME part that the
// peer is given, and a sealed message for both to open.
func fixture(dir string, size int64) error {
	if _, err := os.Stat(filepath.Join(dir, "ours-gcm.eml")); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "bench"}, EmailAddresses: []string{"bench@example.org"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "me.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(dir, "me.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600),
		attachment(dir, size),
	)
	if err != nil {
		return err
	}
	return errors.Join(work("seal-cbc", dir), work("seal-gcm", dir))
}

// attachment writes random bytes, and the same as a MIME part.
func attachment(dir string, size int64) error {
	raw, err := os.Create(filepath.Join(dir, "attachment"))
	if err != nil {
		return err
	}
	part, err := os.Create(filepath.Join(dir, "part"))
	if err != nil {
		return err
	}
	r, w := bufio.NewWriter(raw), bufio.NewWriter(part)
	io.WriteString(w, "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	line := make([]byte, 57)
	for left := size; left > 0; left -= int64(len(line)) {
		line = line[:min(left, 57)]
		if _, err := rand.Read(line); err != nil {
			return err
		}
		r.Write(line)
		w.WriteString(base64.StdEncoding.EncodeToString(line) + "\r\n")
	}
	return errors.Join(r.Flush(), w.Flush(), raw.Close(), part.Close())
}

func load(dir string) (*rsa.PrivateKey, *x509.Certificate, error) {
	der, err := block(dir, "me.key")
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, nil, err
	}
	if der, err = block(dir, "me.pem"); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return key.(*rsa.PrivateKey), cert, err
}

func block(dir, name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	b, _ := pem.Decode(text)
	if b == nil {
		return nil, fmt.Errorf("%s is not PEM", name)
	}
	return b.Bytes, nil
}
