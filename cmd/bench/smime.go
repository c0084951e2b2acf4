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
	sealing("cms/seal-cbc-25MiB", "cbc", 25*miB),
	sealing("cms/seal-gcm-25MiB", "gcm", 25*miB),
	opening("cms/open-cbc-25MiB", "open", "cbc", 25*miB),
	opening("cms/open-gcm-25MiB", "open", "gcm", 25*miB),
	opening("cms/arrive-cbc-25MiB", "arrive", "cbc", 25*miB),
	sealing("cms/seal-1KiB", "cbc", kiB),
	opening("cms/open-1KiB", "open", "cbc", kiB),
	sealing("cms/seal-200MiB", "cbc", 200*miB),
	opening("cms/open-200MiB", "open", "cbc", 200*miB),
	sealing("cms/seal-1GiB", "cbc", giB),
	opening("cms/open-1GiB", "open", "cbc", giB),
}

func sealing(name, mode string, size int64) bout {
	return bout{name: name, work: "seal", mode: mode, peer: fmt.Sprintf(opensslSeal, mode), size: size,
		makes: []string{"ours-" + mode + ".eml", "theirs.eml"}}
}

func opening(name, work, mode string, size int64) bout {
	return bout{name: name, work: work, mode: mode, peer: fmt.Sprintf(opensslOpen, mode), size: size,
		makes: []string{"saved", "theirs.signed", "theirs.part"}}
}

// file is a message or an attachment on disk.
type file string

func (f file) Open() (io.ReadCloser, error) { return os.Open(string(f)) }

// sealed is where a message of ours is.
func sealed(dir, mode string) string { return filepath.Join(dir, "ours-"+mode+".eml") }

// work is one piece of work, done in a process of its own. To arrive is to open and
// to compute the digest by which duplicates are known, for which the peer has no like.
func work(what, mode, dir string) error {
	me, err := load(dir)
	if err != nil {
		return err
	}
	switch what {
	case "seal":
		return create(sealed(dir, mode), func(w io.Writer) error {
			return me.seal(w, mode, file(filepath.Join(dir, "attachment")))
		})
	case "key":
		return me.small(mode)
	case "open", "arrive":
		return me.open(file(sealed(dir, mode)), smime.Options{Identify: what == "arrive"}, func(r io.Reader) error {
			return create(filepath.Join(dir, "saved"), func(w io.Writer) error {
				_, err := io.Copy(w, r)
				return err
			})
		})
	}
	return fmt.Errorf("no work is named %q", what)
}

// owner is who writes to themselves.
type owner struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func (me owner) seal(w io.Writer, mode string, attachment message.Source) error {
	e := smime.Envelope{Cipher: cms.AES256CBC, To: []*x509.Certificate{me.cert}}
	if mode == "gcm" {
		e.Cipher = cms.AES256GCM
	}
	address := message.Address{Addr: me.cert.EmailAddresses[0]}
	return e.Seal(w, smime.Letter{
		From: address, To: []message.Address{address}, Subject: "bench", Date: time.Now().UTC(), MessageID: "<bench@example.org>",
		Text: "One attachment.\n", Attachments: []smime.Attachment{{Name: "scan.bin", Type: "application/octet-stream", Content: attachment}},
	}, smime.Keys{Signer: cms.Signer{Key: me.key, Certificate: me.cert}, Encryption: me.cert})
}

// open reads a message as its reader's program must: both passes, the first to
// decrypt and verify all of it, the second to give out the attachment.
func (me owner) open(src message.Source, o smime.Options, take func(io.Reader) error) error {
	opened, err := smime.Open(src, []cms.Key{{Certificate: me.cert, Decrypter: me.key}}, o)
	if err != nil {
		return err
	}
	if opened.Problem != nil {
		return opened.Problem
	}
	if n := len(opened.Layers); n != 2 || opened.Layers[1].Signed == nil || opened.Layers[1].Signed.Signers[0].Err != nil {
		return errors.New("the signature does not hold")
	}
	return opened.Payload.Walk(func(p *message.Part) error {
		if p.Filename == "" {
			return nil
		}
		body, err := p.Open()
		if err != nil {
			return err
		}
		return errors.Join(take(body), body.Close())
	})
}

func create(path string, write func(io.Writer) error) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(struct{ io.Writer }{out}, 256*kiB)
	err = write(w)
	return errors.Join(err, w.Flush(), out.Close())
}

// fixture makes, once a size, the keys, the attachment, and the MIME part that the
// peer is given.
func fixture(dir string, size int64) error {
	if _, err := os.Stat(dir); err == nil {
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
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "me.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(dir, "me.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600),
		attachment(dir, size),
	)
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

func load(dir string) (me owner, err error) {
	der, err := block(dir, "me.key")
	if err != nil {
		return me, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return me, err
	}
	if der, err = block(dir, "me.pem"); err != nil {
		return me, err
	}
	me.key = key.(*rsa.PrivateKey)
	me.cert, err = x509.ParseCertificate(der)
	return me, err
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
