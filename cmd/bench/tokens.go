//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
	"countersign/pkcs11"
	"countersign/pkcs11/module"
	"countersign/pkcs11/wire"
	"countersign/platform"
)

// The cases of tokens: SoftHSM behind the helper, as the agent has it, beside the same
// library within this process, called in turns. In token/helper-overhead that is one
// signature, checked on both sides; in token/inbox-100 it is a hundred letters opened two at a time, to
// the last byte and with their signatures checked, beside the hundred operations with the key alone;
// and again by the whole mailer (opening.go).
const (
	tokenLibrary = "/usr/lib/softhsm/libsofthsm2.so"
	tokenPIN     = "123456"
	tokenLabel   = "bench"
	tokenHelper  = "COUNTERSIGN_BENCH_TOKEN_HELPER" // turns this program into countersign-pkcs11
	signatures   = 1500
	inbox        = 100
)

func letterText() string { return strings.Repeat("A letter of a kilobyte, more or less.\n", 27) }

// tokenCases are the cases, each with the most that it may show.
var tokenCases = []string{"helper-overhead", "inbox-100"}

// runTokens runs the cases that are wanted; none named is all.
func runTokens(self, tmp string, names []string) (known bool, err error) {
	for _, what := range tokenCases {
		name := "token/" + what
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		known = true
		if _, err := exec.LookPath("softhsm2-util"); err != nil {
			fmt.Printf("bench %s ratio=none ours=none peer=none rss_ours=none rss_peer=none\n", name)
			continue
		}
		dir := filepath.Join(tmp, "token")
		if err := tokenFixture(dir); err != nil {
			return true, fmt.Errorf("preparing %s: %w", name, err)
		}
		cmd := exec.Command(self, "-dir", dir, "-child", name)
		cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(dir, "conf"))
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return true, fmt.Errorf("%s: %w", name, err)
		}
		var rss int64
		if use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			rss = use.Maxrss
		}
		figures, more, _ := strings.Cut(strings.TrimSpace(string(out)), " rss ")
		fmt.Printf("bench %s %s rss_ours=%d rss_peer=none %s\n", name, figures, rss>>10, more)
	}
	return known, nil
}

// tokenFixture makes an empty token.
func tokenFixture(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "tokens"), 0o700); err != nil {
		return err
	}
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("softhsm2-util", "--init-token", "--free", "--label", tokenLabel, "--so-pin", "87654321", "--pin", tokenPIN)
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+conf)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("softhsm2-util: %w: %s", err, out)
	}
	return nil
}

// typist is who enters the PIN.
type typist struct{}

func (typist) PIN(context.Context, pkcs11.Prompt) ([]byte, error) { return []byte(tokenPIN), nil }
func (typist) Pad(context.Context, pkcs11.Prompt) func()          { return func() {} }

// twice is the token seen through the helper and from within.
type twice struct {
	ctx    context.Context
	behind *pkcs11.Library
	within *module.Server
	name   pkcs11.Name
}

func openTwice() (*twice, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &twice{
		ctx:    pkcs11.WithUser(context.Background(), typist{}, "a benchmark"),
		behind: pkcs11.Open(pkcs11.Config{Helper: self, Env: append(os.Environ(), tokenHelper+"=1"), Library: tokenLibrary}),
		within: module.New(),
	}
	for _, r := range []wire.Request{{Op: wire.Load, Path: tokenLibrary}, {Op: wire.Tokens}} {
		reply, err := t.ask(r)
		if err != nil {
			return nil, err
		}
		for _, one := range reply.Tokens {
			if one.Label == tokenLabel {
				t.name = one.Name
			}
		}
	}
	return t, nil
}

func (t *twice) ask(r wire.Request) (*wire.Reply, error) {
	reply := t.within.Answer(&r)
	if reply.Failure != wire.None {
		return nil, fmt.Errorf("%v: %s", reply.Failure, reply.Says)
	}
	return reply, nil
}

// put puts a key on the token.
func (t *twice) put(private crypto.Signer) (*pkcs11.Key, wire.Request, error) {
	key, err := t.behind.Import(t.ctx, t.name, private, pkcs11.Order{Label: "bench", Sign: true, Open: true})
	if err != nil {
		return nil, wire.Request{}, err
	}
	if _, err := t.ask(wire.Request{Op: wire.Login, Token: t.name, Entry: wire.Typed, PIN: []byte(tokenPIN)}); err != nil {
		return nil, wire.Request{}, err
	}
	kind, size := wire.EC, uint32(64)
	if public, ok := private.Public().(*rsa.PublicKey); ok {
		kind, size = wire.RSA, uint32(public.Size())
	}
	return key, wire.Request{Token: t.name, Key: wire.Key{ID: key.ID, Label: key.Label, Kind: kind}, Size: size}, nil
}

// tokenWork is one case, in a process of its own.
func tokenWork(name, dir string) error {
	if err := platform.Background(); err != nil { // as the agent
		return err
	}
	t, err := openTwice()
	if err != nil {
		return err
	}
	defer t.behind.Close()
	defer t.within.End()
	if name == "token/inbox-100" {
		return t.inbox(dir)
	}
	return t.overhead()
}

// overhead prints what the helper adds to a signature, at the median.
func (t *twice) overhead() error {
	digest := sha256.Sum256([]byte("letter"))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	modulus, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	var line [2]string
	for i, private := range []crypto.Signer{curve, modulus} {
		key, bare, err := t.put(private)
		if err != nil {
			return err
		}
		signer := key.Signer(t.ctx)
		bare.Op, bare.Mechanism, bare.Data = wire.Sign, wire.ECDSA, digest[:]
		right := func(s []byte) bool {
			return ecdsa.Verify(&curve.PublicKey, digest[:], new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:]))
		}
		if i == 1 {
			bare.Mechanism = wire.PKCS1
			bare.Data = append([]byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), digest[:]...)
			right = func(s []byte) bool { return rsa.VerifyPKCS1v15(&modulus.PublicKey, crypto.SHA256, digest[:], s) == nil }
		}
		ours, peer, err := inTurns(signatures, func() error {
			_, err := signer.Sign(nil, digest[:], crypto.SHA256)
			return err
		}, func() error {
			reply, err := t.ask(bare)
			if err == nil && !right(reply.Data) {
				err = errors.New("a wrong signature")
			}
			return err
		})
		if err != nil {
			return err
		}
		line[i] = fmt.Sprintf("ours_us=%.0f peer_us=%.0f added_us=%.0f", micro(ours), micro(peer), micro(ours-peer))
		if i == 0 {
			line[0] = fmt.Sprintf("ratio=%.2f ours=%.6f peer=%.6f rss p256: %s", ours.Seconds()/peer.Seconds(), ours.Seconds(), peer.Seconds(), line[0])
		}
	}
	fmt.Printf("%s rsa2048: %s\n", line[0], line[1])
	return nil
}

// inbox prints how long a hundred letters take to open, beside their hundred operations.
func (t *twice) inbox(dir string) error {
	mine, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	theirs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	me, err := benchCertificate(mine)
	if err != nil {
		return err
	}
	sender, err := benchCertificate(theirs)
	if err != nil {
		return err
	}
	key, bare, err := t.put(mine)
	if err != nil {
		return err
	}
	bare.Op, bare.Mechanism, bare.Data = wire.Decrypt, wire.RawRSA, make([]byte, 256)
	bare.Data[255] = 2
	letters := make([]message.Source, inbox)
	for i := range letters {
		var b bytes.Buffer
		address := message.Address{Addr: "bench@example.org"}
		e := smime.Envelope{Cipher: cms.AES256CBC, To: []*x509.Certificate{me}}
		err := e.Seal(&b, smime.Letter{
			From: address, To: []message.Address{address}, Subject: "bench", Date: time.Now().UTC(), MessageID: fmt.Sprintf("<%d@example.org>", i),
			Text: letterText(),
		}, smime.Keys{Signer: cms.Signer{Key: theirs, Certificate: sender}, Encryption: sender})
		if err != nil {
			return err
		}
		letters[i] = message.Bytes(b.Bytes())
	}
	keys := []cms.Key{{Certificate: me, Decrypter: key.Decrypter(t.ctx)}}
	operations := func() error {
		for range letters {
			if _, err := t.ask(bare); err != nil {
				return err
			}
		}
		return nil
	}
	ours, peer, err := inTurns(9, func() error { return openAll(letters, keys) }, operations)
	if err != nil {
		return err
	}
	whole, beside, err := t.opening(filepath.Join(dir, "profile"), mine, theirs, key, operations)
	if err != nil {
		return err
	}
	fmt.Printf("ratio=%.2f ours=%.6f peer=%.6f rss letters_s=%.0f whole_ratio=%.2f whole_s=%.6f\n", ours.Seconds()/peer.Seconds(), ours.Seconds(), peer.Seconds(),
		inbox/ours.Seconds(), whole.Seconds()/beside.Seconds(), whole.Seconds())
	return nil
}

// openAll opens two letters at a time: while the token is at work for one, the other is read.
func openAll(letters []message.Source, keys []cms.Key) error {
	results := make(chan error, 2)
	for i := range 2 {
		go func() {
			for n := i; n < len(letters); n += 2 {
				if err := openLetter(letters[n], keys); err != nil {
					results <- err
					return
				}
			}
			results <- nil
		}()
	}
	return errors.Join(<-results, <-results)
}

func openLetter(src message.Source, keys []cms.Key) error {
	opened, err := smime.Open(src, keys, smime.Options{})
	if err == nil {
		err = opened.Problem
	}
	if err != nil {
		return err
	}
	if n := len(opened.Layers); n != 2 || opened.Layers[1].Signed == nil || opened.Layers[1].Signed.Signers[0].Err != nil {
		return errors.New("the signature does not hold")
	}
	return opened.Payload.Walk(func(p *message.Part) error {
		body, err := p.Open()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, body)
		return errors.Join(err, body.Close())
	})
}

// inTurns does each of two things so often, and returns the median of each. The first
// round does not count.
func inTurns(rounds int, ours, peer func() error) (o, p time.Duration, err error) {
	var all [2][]time.Duration
	for round := range rounds + 1 {
		for i, do := range []func() error{ours, peer} {
			begin := time.Now()
			if err := do(); err != nil {
				return 0, 0, err
			}
			if round > 0 {
				all[i] = append(all[i], time.Since(begin))
			}
		}
	}
	for i := range all {
		slices.Sort(all[i])
	}
	return all[0][rounds/2], all[1][rounds/2], nil
}

func micro(d time.Duration) float64 { return d.Seconds() * 1e6 }

// benchCertificate certifies a key by itself.
func benchCertificate(key crypto.Signer) (*x509.Certificate, error) {
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "bench"}, EmailAddresses: []string{"bench@example.org"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
