package tokens

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"countersign/mailer/policy"
	"countersign/pkcs11"
	"countersign/tray/control"
	"countersign/vault/issued"
)

// slowest is how long is waited for what is on the tokens, where no software shows any. Many
// cards take seconds to read.
const slowest = 12 * time.Second

// longest is how many characters are shown of what a card says.
const longest = 64

// card is a token with what is on it.
type card struct {
	pkcs11.Token
	software *software
	keys     []*pkcs11.Key
	more     bool
	open     bool  // no PIN is wanted now
	err      error // why it could not be read
}

// unanswered is what is said of software that hangs.
const unanswered = "It does not answer. Take the card out and put it back. If that does not help, restart the computer."

// reading is what one library shows, as far as it is read.
type reading struct {
	*software
	cards    []card
	done     bool
	left     bool // nobody waits any more
	straggle bool // it did not answer in time before
}

// cards reads everything in every reader, without a PIN. Software that takes longer than the
// patience is left out where other software shows cards, and named in [Tokens.Problems]; what it
// is reading it reads to the end.
func (t *Tokens) cards(ctx context.Context) (list []card) {
	var (
		all     []*reading
		mu      sync.Mutex // guards what all points to
		arrived = make(chan struct{}, 1)
	)
	for _, s := range t.renew() {
		s.mu.Lock()
		all = append(all, &reading{software: s, straggle: s.problem == unanswered})
		s.mu.Unlock()
	}
	for _, r := range all {
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*slowest)
			defer cancel()
			cards := t.read(ctx, r.software)
			mu.Lock()
			r.cards, r.done = cards, true
			if r.left {
				r.unanswers(ctx.Err() != nil)
			}
			mu.Unlock()
			select {
			case arrived <- struct{}{}:
			default:
			}
		}()
	}
	began := time.Now()
	for {
		mu.Lock()
		wait := t.worth(all) - time.Since(began)
		mu.Unlock()
		if wait <= 0 || ctx.Err() != nil {
			break
		}
		select {
		case <-arrived:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	mu.Lock()
	defer mu.Unlock()
	seen := map[pkcs11.Name]bool{}
	for _, r := range all {
		if r.left = !r.done; r.left && ctx.Err() == nil {
			r.unanswers(true)
		}
		for _, c := range r.cards {
			if !seen[c.Name] { // two makers' software may show the same card
				seen[c.Name] = true
				list = append(list, c)
			}
		}
	}
	return list
}

// worth is how long what is not yet read is waited for, from the beginning.
func (t *Tokens) worth(all []*reading) time.Duration {
	var pending, shown, fresh bool
	for _, r := range all {
		pending, shown, fresh = pending || !r.done, shown || len(r.cards) > 0, fresh || !r.done && !r.straggle
	}
	switch {
	case !pending:
		return 0
	case !fresh:
		return t.o.Patience / 4
	case shown:
		return t.o.Patience
	}
	return slowest
}

// read reads what one library shows.
func (t *Tokens) read(ctx context.Context, s *software) (list []card) {
	there, _ := t.look(ctx, s) // its problem is noted
	for _, one := range there {
		c := card{Token: one, software: s}
		if c.keys, c.more, c.err = s.Keys(ctx, one.Name); c.err == nil {
			c.open, c.err = s.Unlocked(ctx, one.Name)
		}
		list = append(list, c)
	}
	return list
}

// unanswers notes whether a library hangs; another problem of it stands.
func (s *software) unanswers(hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case hangs && s.problem == "":
		s.problem = unanswered
	case !hangs && s.problem == unanswered:
		s.problem = ""
	}
}

// describe is the list as people see it. used says what a certificate is in use for, until
// is when what is unlocked is locked.
func describe(list []card, used func(*x509.Certificate) string, until time.Time) []control.Token {
	all, number := []control.Token{}, 0
	for _, c := range list {
		v := control.Token{
			ID: identifier(c.Name), Label: clean(c.Label), Maker: clean(c.Manufacturer),
			Model: clean(c.Model), Serial: clean(c.Serial), Reader: clean(c.Reader),
			Software: c.software.name, Pad: c.Pad, More: c.more, Keys: []control.TokenKey{},
		}
		v.State, v.Problem = state(c)
		if v.Lock = lock(c); v.Lock == "unlocked" {
			v.Until = until
		}
		for _, k := range c.keys {
			number++
			v.Keys = append(v.Keys, describeKey(k, number, used))
		}
		all = append(all, v)
	}
	return all
}

// state is how a token is, and what that means if it is not well.
func state(c card) (name, problem string) {
	switch {
	case c.Tries == pkcs11.TriesNone:
		return "pin-locked", "Its PIN is locked. Whoever issued the card can unlock it."
	case !c.Ready && c.NeedsLogin:
		return "no-pin", "No PIN was set on it yet. Set one with the program of its maker."
	case c.Tries == pkcs11.TriesLast:
		return "last-try", "One more wrong PIN locks it."
	case c.err != nil:
		return "ready", sentence(c.err)
	}
	return "ready", ""
}

// lock tells whether a token is locked.
func lock(c card) string {
	switch {
	case !c.NeedsLogin:
		return "none"
	case c.err != nil:
		return ""
	case c.open:
		return "unlocked"
	}
	return "locked"
}

func describeKey(k *pkcs11.Key, number int, used func(*x509.Certificate) string) control.TokenKey {
	v := control.TokenKey{
		Number: number, URI: k.URI().String(), Label: clean(k.Label), Key: kind(k.Public()), Always: k.Always, Addresses: []string{},
	}
	if k.Certificate != nil {
		describeCertificate(&v, k.Certificate, used)
	}
	return v
}

func describeCertificate(v *control.TokenKey, cert *x509.Certificate, used func(*x509.Certificate) string) {
	sum := sha256.Sum256(cert.Raw)
	v.Fingerprint, v.Expires, v.InUse = hex.EncodeToString(sum[:]), cert.NotAfter, used(cert)
	v.Name, v.Issuer = clean(cert.Subject.CommonName), clean(cmp.Or(cert.Issuer.CommonName, cert.Issuer.String()))
	v.Addresses = append(v.Addresses, issued.Addresses(cert)...)
	own := issued.Own{Certificate: cert}
	if own.Judge() == nil {
		v.Usage = uses(own.Sign, own.Open)
	}
}

// uses names what a key is for.
func uses(signs, opens bool) string {
	switch {
	case signs && opens:
		return "signing and encryption"
	case signs:
		return "signing"
	case opens:
		return "encryption"
	}
	return ""
}

// kind names the kind of a key.
func kind(public crypto.PublicKey) string {
	switch p := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", p.N.BitLen())
	case *ecdsa.PublicKey:
		return p.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return ""
}

// identifier is a token's opaque name. It tells nothing of who carries it.
func identifier(n pkcs11.Name) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", n.Manufacturer, n.Model, n.Serial, n.Label))
	return hex.EncodeToString(sum[:8])
}

// quoted is what a token calls itself, fit for a sentence.
func quoted(n pkcs11.Name) string {
	return "“" + label(n) + "”"
}

// clean makes of what a card says a short line that cannot be taken for anything of ours.
func clean(s string) string {
	s = policy.CleanLine(s)
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	return strings.NewReplacer("“", "'", "”", "'").Replace(s)
}

// label is what a token calls itself, fit for a person.
func label(n pkcs11.Name) string { return cmp.Or(clean(n.Label), clean(n.Serial)) }
