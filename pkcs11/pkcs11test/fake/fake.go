// Package fake is a helper with a token in software in the place of countersign-pkcs11 and a
// vendor's library: it speaks package wire, and nothing needs to be installed. Tests run it
// as a process, so that it can be killed, crash and hang like the true one.
//
// Its keys are the files NAME.key (PKCS #8) and NAME.der (the certificate, whose serial number
// is the CKA_ID) in one folder. Before each operation it looks into the file "how" there, and
// does wrong what that says: a
// word of those of misbehaving.c, or the word "counts", upon which it locks at the third wrong
// PIN in a row.
package fake

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/pkcs11/wire"
)

// Folder is the environment variable that names the folder; PIN the one that holds the PIN.
const (
	Folder = "COUNTERSIGN_FAKE_FOLDER"
	PIN    = "COUNTERSIGN_FAKE_PIN"
)

// Name is what the token is recognised by.
func Name() wire.Name {
	return wire.Name{Manufacturer: "Countersign", Model: "Fake", Serial: "0001", Label: "Praxis Dr. Öz"}
}

// Main serves standard input and output until that ends, and returns the exit code.
func Main() int {
	h := &helper{folder: os.Getenv(Folder), pin: os.Getenv(PIN), out: os.Stdout}
	return h.serve(os.Stdin)
}

type helper struct {
	folder, pin string
	loaded      bool

	writing sync.Mutex
	out     io.Writer

	wrong atomic.Int32 // PINs in a row

	mu sync.Mutex // held for each operation
	in bool       // logged in

	watching sync.Mutex
	seen     int // how many tokens Watch told of last, and one
}

func (h *helper) serve(in io.Reader) int {
	for {
		r, err := wire.ReadRequest(in)
		if err != nil {
			return 0
		}
		if r.Op == wire.Load {
			h.loaded = !h.does("nolist")
		}
		go h.answer(r)
	}
}

func (h *helper) answer(r *wire.Request) {
	reply := wire.Reply{ID: r.ID, Op: r.Op, Failure: wire.NotLoaded}
	switch {
	case !h.loaded:
	case r.Op == wire.Load:
		reply.Failure, reply.Library = wire.None, "Fake"
	case r.Op == wire.Tokens:
		reply.Failure, reply.Tokens = wire.None, h.tokens()
	case r.Op == wire.Watch:
		reply.Failure = wire.None
		h.watch(time.Duration(r.Period) * time.Millisecond)
	default:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.operate(r, &reply)
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	_ = wire.Write(h.out, &reply) // whoever has gone needs no answer
}

// does tells whether the file says to do a thing, and empties it if it was for once.
func (h *helper) does(what string) bool {
	path := filepath.Join(h.folder, "how")
	said, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	word, once := strings.CutSuffix(strings.TrimSpace(string(said)), " once")
	if word != what {
		return false
	}
	if once {
		_ = os.WriteFile(path, nil, 0o600) // a test's own folder
	}
	return true
}

func (h *helper) tokens() []wire.Token {
	if h.does("nobody") {
		return nil
	}
	t := wire.Token{Name: Name(), Reader: "Fake reader", NeedsLogin: true, Pad: h.does("pad"), Ready: true, Tries: h.tries()}
	for m := wire.PKCS1; m <= wire.ECDH; m++ {
		if !h.lacks(m) {
			t.Offers = t.Offers.With(m)
		}
	}
	return []wire.Token{t}
}

func (h *helper) lacks(m wire.Mechanism) bool {
	if m == wire.RawRSA {
		return h.does("paddedonly")
	}
	return m < wire.RawRSA && h.does("rawonly")
}

func (h *helper) tries() wire.Tries {
	switch {
	case h.does("locked") || h.wrong.Load() >= 3:
		return wire.TriesNone
	case h.does("lasttry") || h.wrong.Load() == 2:
		return wire.TriesLast
	case h.wrong.Load() == 1:
		return wire.TriesFewer
	}
	return wire.TriesUntold
}

func (h *helper) watch(period time.Duration) {
	h.watching.Lock()
	defer h.watching.Unlock()
	for {
		if now := len(h.tokens()) + 1; now != h.seen {
			h.seen = now
			return
		}
		time.Sleep(max(period, 10*time.Millisecond))
	}
}

func (h *helper) operate(r *wire.Request, reply *wire.Reply) {
	reply.Failure = wire.None
	if h.does("nobody") || r.Token != Name() {
		reply.Failure = wire.Removed
		return
	}
	switch r.Op {
	case wire.Objects:
		reply.Objects = h.objects()
	case wire.Login:
		if r.Entry == wire.NoPIN {
			if !h.in {
				reply.Failure = wire.NotLoggedIn
			}
			return
		}
		h.in = false
		reply.Failure, reply.Tries = h.enter(r)
		h.in = reply.Failure == wire.None
	case wire.Generate, wire.Import, wire.Store, wire.Delete:
		reply.Failure = wire.NeedsMaker
	default:
		if !h.in {
			reply.Failure = wire.NotLoggedIn
			return
		}
		reply.Failure, reply.Tries = h.asks(r)
		if reply.Failure == wire.None {
			reply.Data, reply.Failure = h.use(r)
			h.spoil(r, reply)
		}
	}
}

// asks enters the PIN of a key that asks at each use.
func (h *helper) asks(r *wire.Request) (wire.Failure, wire.Tries) {
	switch {
	case !h.does("always") || r.Op == wire.Derive:
		return wire.None, wire.TriesUntold
	case r.Entry == wire.NoPIN:
		return wire.AsksAlways, wire.TriesUntold
	}
	return h.enter(r)
}

func (h *helper) enter(r *wire.Request) (wire.Failure, wire.Tries) {
	tries := h.tries()
	switch {
	case h.does("crashlogin"):
		os.Exit(3)
	case h.does("confusedlogin"):
		return wire.Confused, tries
	case h.does("swapped"):
		return wire.Lost, tries
	case tries == wire.TriesNone:
		return wire.PINLocked, tries
	case r.Entry == wire.Kept && tries == wire.TriesLast:
		return wire.LastTry, tries
	case h.does("pad") != (r.Entry == wire.OnPad):
		return wire.Confused, tries
	}
	if r.Entry == wire.OnPad || string(r.PIN) == h.pin {
		h.wrong.Store(0)
		return wire.None, tries
	}
	if h.does("counts") {
		h.wrong.Add(1)
	}
	return wire.WrongPIN, h.tries()
}

// objects are the certificates, and the keys once somebody is logged in.
func (h *helper) objects() []wire.Object {
	var all []wire.Object
	files, err := filepath.Glob(filepath.Join(h.folder, "*.der"))
	if err != nil {
		panic(err) // the pattern is sound
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".der")
		cert, key, ok := h.open(name)
		if !ok {
			continue
		}
		o := wire.Object{Class: wire.Certificate, Key: wire.Key{ID: cert.SerialNumber.Bytes(), Label: name}, Value: cert.Raw}
		all = append(all, o)
		if h.in {
			o.Class, o.Value, o.Always = wire.PrivateKey, nil, h.does("always")
			switch key.(type) {
			case *rsa.PrivateKey:
				o.Kind = wire.RSA
			case *ecdsa.PrivateKey:
				o.Kind = wire.EC
			default:
				o.Kind = wire.Edwards
			}
			all = append(all, o)
		}
	}
	return all
}

func (h *helper) open(name string) (*x509.Certificate, crypto.PrivateKey, bool) {
	der, err := os.ReadFile(filepath.Join(h.folder, name+".der"))
	if err != nil {
		return nil, nil, false
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, false
	}
	pkcs8, err := os.ReadFile(filepath.Join(h.folder, name+".key"))
	if err != nil {
		return nil, nil, false
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	return cert, key, err == nil
}

// use is the operation asked for, done well.
func (h *helper) use(r *wire.Request) ([]byte, wire.Failure) {
	_, key, ok := h.open(r.Key.Label)
	if !ok {
		return nil, wire.NoKey
	}
	if r.Op != wire.Derive && h.lacks(r.Mechanism) {
		return nil, wire.NoMechanism
	}
	var result []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		result, err = useRSA(k, r)
	case ed25519.PrivateKey:
		result = ed25519.Sign(k, r.Data)
	case *ecdsa.PrivateKey:
		if r.Op == wire.Derive {
			result, err = agree(k, r.Data)
			break
		}
		var a, b *big.Int
		if a, b, err = ecdsa.Sign(rand.Reader, k, r.Data); err == nil {
			size := int(r.Size) / 2
			result = append(a.FillBytes(make([]byte, size)), b.FillBytes(make([]byte, size))...)
		}
	}
	if err != nil {
		return nil, wire.BadInput
	}
	return result, wire.None
}

func agree(k *ecdsa.PrivateKey, point []byte) ([]byte, error) {
	private, err := k.ECDH()
	if err != nil {
		return nil, err
	}
	other, err := private.Curve().NewPublicKey(point)
	if err != nil {
		return nil, err
	}
	return private.ECDH(other)
}

func useRSA(k *rsa.PrivateKey, r *wire.Request) ([]byte, error) {
	switch {
	case r.Mechanism == wire.RawRSA:
		x := new(big.Int).SetBytes(r.Data)
		return x.Exp(x, k.D, k.N).FillBytes(make([]byte, k.Size())), nil
	case r.Op == wire.Sign && r.Mechanism == wire.PSS:
		return rsa.SignPSS(rand.Reader, k, r.Hash, r.Data, &rsa.PSSOptions{SaltLength: int(r.Salt)})
	case r.Op == wire.Sign:
		return rsa.SignPKCS1v15(nil, k, 0, r.Data)
	case r.Mechanism == wire.OAEP:
		return k.Decrypt(nil, r.Data, &rsa.OAEPOptions{Hash: r.Hash, MGFHash: r.Mask, Label: r.Context})
	}
	return k.Decrypt(nil, r.Data, nil)
}

// spoil does wrong what is to be done wrong.
func (h *helper) spoil(r *wire.Request, reply *wire.Reply) {
	switch {
	case h.does("crash"), h.does("abort"):
		os.Exit(3)
	case h.does("exit"):
		os.Exit(0)
	case h.does("hang"):
		select {}
	case h.does("print"):
		fmt.Fprintln(os.Stderr, strings.Repeat("noise on the standard error\n", 20000))
	case h.does("long"), h.does("general"), h.does("vendor"):
		*reply = wire.Reply{ID: r.ID, Op: r.Op, Failure: wire.Confused}
	case h.does("removed"):
		h.in = false
		*reply = wire.Reply{ID: r.ID, Op: r.Op, Failure: wire.Lost}
	case h.does("garbage") && len(reply.Data) > 0:
		reply.Data[len(reply.Data)/2] ^= 1
	case h.does("short"):
		reply.Data = reply.Data[:len(reply.Data)/2]
	}
}
