// Package certstore uses the keys of the Windows user's certificate store (CurrentUser\My),
// where the cards of clinics stand whose makers bring a minidriver and no PKCS#11 library. On
// other systems there is none.
//
// A minidriver runs in the process that uses the store, and may crash or hang as a vendor's
// PKCS#11 library does. So this room is a part of countersign-pkcs11: a helper that is told to
// load [wire.CertificateStore] answers package wire from the store ([Store.Answer]), and package
// pkcs11 is in front of it, with its time limits, new starts and checks. The store is shown as one
// token with a PIN pad ([wire.StoreName]); a key's identifier is the SHA-256 of its certificate,
// and its label the certificate's friendly name. A key is looked up anew for each operation,
// so that a card that was out and in again is found, and nothing stays open.
//
// # PINs
//
// Windows asks for them, in its own dialog. It may only in a request that says so (entry
// OnPad, which package pkcs11 sends for what a person just did, rule K3); the dialog then shows
// what for. In any other request the provider is told to be silent, and a key that needs
// a PIN fails with AsksAlways. Windows' own smartcard provider keeps a PIN for the process and
// the session that it was entered in, and an authentication lasts no longer than a transaction with
// the card (learn.microsoft.com, Smart Card Minidrivers, Card PIN Operations). The end of the
// helper forgets it therefore, which is what locking does. The software of a maker that
// brings a provider of its own may keep it elsewhere, and for longer.
//
// # Keys
//
// CNG keys (NCrypt) do PKCS #1 v1.5, PSS, OAEP, ECDSA and ECDH, as far as their provider does.
// Keys of a legacy provider (CryptoAPI) that CNG cannot open sign and decrypt by PKCS #1 v1.5,
// and OAEP with SHA-1.
//
// # How far
//
// The decisions are tested on every system. Run under wine: the store behind the helper, with a key of
// a legacy provider, and CNG's signatures by an RSA key in memory. Not run, for wine 8 has none of it
// and there was no Windows: CNG's decryption, keys on curves, keys of CNG in the store, cards,
// what they keep of a PIN, and the PIN dialog.
package certstore

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"sync"

	"countersign/pkcs11/padding"
	"countersign/pkcs11/wire"
)

// certificate is one whose private key the store knows of.
type certificate struct {
	*x509.Certificate
	name string // the friendly name; may be empty
}

// usable tells whether a certificate may be for mail and its key is of a kind used here. An
// old one may still open mail: its time does not count.
func (c certificate) usable() bool {
	mail := len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	return mail && kind(c.PublicKey) != 0 && len(c.Raw) <= wire.MaxValue
}

// kind is that of a key that is RSA or on P-256, P-384 or P-521; else 0.
func kind(public crypto.PublicKey) wire.Kind {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return wire.RSA
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return wire.EC
		}
	}
	return 0
}

// Store is the certificate store. Its methods may be called from several goroutines.
type Store struct {
	system system
	turn   sync.Mutex // held while a key is used
}

// system is Windows.
type system interface {
	list() ([]certificate, error)
	authorities() ([]*x509.Certificate, error)
	// acquire finds the key of the certificate with this SHA-256.
	acquire(digest [sha256.Size]byte, a access) (handle, error)
}

// access is how a key may be used.
type access struct {
	asked   bool   // a person may be asked for a PIN
	purpose string // what for
}

// handle is a key that Windows found. What it returns is big-endian.
type handle interface {
	sign(p pad, digest []byte) ([]byte, error) // on a curve: r and s, side by side
	decrypt(p pad, label, block []byte) ([]byte, error)
	agree(peer *ecdh.PublicKey) ([]byte, error)
	close()
}

// pad is an RSA padding.
type pad struct {
	scheme scheme
	hash   crypto.Hash
	salt   int // bytes
}

type scheme uint8

const (
	none scheme = iota
	pkcs1
	pss
	oaep
)

// New gives access to the store, or is nil on a system that has none. Nothing is opened before
// it is needed.
func New() *Store {
	if s := opened(); s != nil {
		return &Store{system: s}
	}
	return nil
}

// Answer does what a request asks: Tokens, Objects, Sign, Decrypt and Derive. Nothing else can
// be done with the store.
func (s *Store) Answer(r *wire.Request) *wire.Reply {
	reply := &wire.Reply{ID: r.ID, Op: r.Op}
	var err error
	switch {
	case r.Op == wire.Tokens:
		reply.Tokens = []wire.Token{{
			Name: wire.StoreName, Reader: "Windows", Pad: true, Ready: true, ReadOnly: true,
			Offers: wire.Set(0).With(wire.PKCS1).With(wire.PSS).With(wire.OAEP).With(wire.RawRSA).With(wire.ECDSA).With(wire.ECDH),
		}}
	case r.Token != wire.StoreName:
		err = nteBadKeyset
	case r.Op == wire.Objects:
		err = s.objects(reply)
	case r.Op == wire.Sign || r.Op == wire.Decrypt || r.Op == wire.Derive:
		reply.Data, err = s.use(r)
	default:
		err = nteNotSupported
	}
	if err != nil {
		reply = failed(r, err)
	}
	return reply
}

// maxChain is how many authorities stand above a certificate.
const maxChain = 8

// objects lists the certificates that may be for mail, their keys, and the authorities above
// them as far as Windows keeps them (CurrentUser\CA, where those of every user show too).
// Nothing is said of whether they are trusted. No card is asked.
func (s *Store) objects(reply *wire.Reply) error {
	own, err := s.system.list()
	if err != nil {
		return err
	}
	above, err := s.system.authorities()
	if err != nil {
		return err
	}
	room := wire.MaxFrame - 4<<10
	add := func(all ...wire.Object) {
		for _, o := range all {
			room -= len(o.Value) + 2*(len(o.ID)+len(o.Label)) + 64
		}
		if reply.More = reply.More || room < 0 || len(reply.Objects)+len(all) > wire.MaxObjects; !reply.More {
			reply.Objects = append(reply.Objects, all...)
		}
	}
	own = slices.DeleteFunc(own, func(c certificate) bool { return !c.usable() })
	for _, c := range own {
		digest := sha256.Sum256(c.Raw)
		key := wire.Key{ID: digest[:], Label: wire.Short(c.name), Kind: kind(c.PublicKey)}
		add(wire.Object{Class: wire.Certificate, Key: wire.Key{ID: key.ID, Label: key.Label}, Value: c.Raw}, wire.Object{Class: wire.PrivateKey, Key: key})
	}
	seen := map[*x509.Certificate]bool{}
	for _, c := range own {
		for _, a := range chain(c.Certificate, above) {
			if !seen[a] && len(a.Raw) <= wire.MaxValue {
				seen[a] = true
				add(wire.Object{Class: wire.Certificate, Value: a.Raw})
			}
		}
	}
	return nil
}

// chain is the authorities above a certificate, the nearest first.
func chain(c *x509.Certificate, above []*x509.Certificate) (chain []*x509.Certificate) {
	for range maxChain {
		i := slices.IndexFunc(above, func(a *x509.Certificate) bool {
			return bytes.Equal(a.RawSubject, c.RawIssuer) && !a.Equal(c) && c.CheckSignatureFrom(a) == nil
		})
		if i < 0 {
			break
		}
		c = above[i]
		chain = append(chain, c)
	}
	return chain
}

// use does one operation with a key: one at a time.
func (s *Store) use(r *wire.Request) ([]byte, error) {
	if len(r.Key.ID) != sha256.Size {
		return nil, nteBadKeyset
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	h, err := s.system.acquire([sha256.Size]byte(r.Key.ID), access{r.Entry == wire.OnPad, r.Purpose})
	if err != nil {
		return nil, err
	}
	defer h.close()
	switch r.Op {
	case wire.Sign:
		return sign(h, r)
	case wire.Decrypt:
		return decrypt(h, r)
	}
	peer, err := point(r.Data)
	if err != nil {
		return nil, err
	}
	return h.agree(peer)
}

// hashes are those that Windows has a name for.
var hashes = []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512}

func sign(h handle, r *wire.Request) ([]byte, error) {
	switch {
	case len(r.Data) == 0:
	case r.Mechanism == wire.ECDSA:
		return h.sign(pad{}, r.Data)
	case r.Mechanism == wire.PSS && r.Mask == r.Hash && slices.Contains(hashes, r.Hash) && len(r.Data) == r.Hash.Size():
		return h.sign(pad{pss, r.Hash, int(r.Salt)}, r.Data)
	case r.Mechanism == wire.PKCS1:
		for _, hash := range hashes {
			digest := r.Data[max(0, len(r.Data)-hash.Size()):]
			if info, ok := padding.DigestInfo(hash, digest); ok && bytes.Equal(info, r.Data) {
				return h.sign(pad{scheme: pkcs1, hash: hash}, digest)
			}
		}
	}
	return nil, nteNotSupported
}

// decrypt never hands on a block without padding that has not the block's length, whatever
// the provider calls it.
func decrypt(h handle, r *wire.Request) ([]byte, error) {
	p, label := pad{scheme: pkcs1}, []byte(nil)
	switch {
	case len(r.Data) == 0:
		return nil, nteNotSupported
	case r.Mechanism == wire.RawRSA:
		em, err := h.decrypt(pad{}, nil, r.Data)
		if lacking(err) || err == nil && len(em) != len(r.Data) {
			clear(em)
			return nil, nteNotSupported
		}
		return em, err
	case r.Mechanism == wire.OAEP && r.Mask == r.Hash && slices.Contains(hashes, r.Hash):
		p, label = pad{scheme: oaep, hash: r.Hash}, r.Context
	case r.Mechanism != wire.PKCS1:
		return nil, nteNotSupported
	}
	plain, err := h.decrypt(p, label, r.Data)
	if wrongPadding(err) {
		return nil, nteBadData
	}
	return plain, err
}

// point is a public key on the curve whose points have its length.
func point(b []byte) (*ecdh.PublicKey, error) {
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521()} {
		if key, err := curve.NewPublicKey(b); err == nil {
			return key, nil
		}
	}
	return nil, nteNotSupported
}
