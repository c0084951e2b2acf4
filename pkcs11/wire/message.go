package wire

import (
	"bytes"
	"crypto"
	"crypto/sha1"
)

// Op is what is asked of the helper.
type Op uint8

const (
	Load     Op = iota + 1 // the library; first and once
	Tokens                 // what is in the readers, with no PIN
	Objects                // certificates and keys of a token; private ones once logged in
	Login                  // to a token
	Sign                   // with a key
	Decrypt                // with a key
	Derive                 // a shared secret, with a key
	Watch                  // answered when a token came or went
	Generate               // a key pair on a token
	Import                 // a private key made elsewhere
	Store                  // a certificate
	Delete                 // a key that was just made and has no certificate
)

// Mechanism is how a key is used.
type Mechanism uint8

const (
	PKCS1      Mechanism = iota + 1 // CKM_RSA_PKCS: Sign takes a DigestInfo
	PSS                             // CKM_RSA_PKCS_PSS: Sign takes a digest
	OAEP                            // CKM_RSA_PKCS_OAEP
	RawRSA                          // CKM_RSA_X_509: the operation of the key alone, no padding
	ECDSA                           // CKM_ECDSA: Sign takes a digest, returns r and s, each of half the length
	EdDSA                           // CKM_EDDSA: Sign takes the message
	ECDH                            // CKM_ECDH1_DERIVE without a key derivation function
	MakeRSA                         // CKM_RSA_PKCS_KEY_PAIR_GEN
	MakeEC                          // CKM_EC_KEY_PAIR_GEN
	mechanisms = MakeEC
)

// Set is the mechanisms that a token offers.
type Set uint32

// With returns s and m.
func (s Set) With(m Mechanism) Set { return s | 1<<m }

// Has tells whether m is in s.
func (s Set) Has(m Mechanism) bool { return s&(1<<m) != 0 }

// Kind is a kind of key.
type Kind uint8

const (
	RSA     Kind = iota + 1
	EC           // CKK_EC: a Weierstrass curve
	Edwards      // CKK_EC_EDWARDS
)

// Class is a class of object.
type Class uint8

const (
	Certificate Class = iota + 1
	PublicKey
	PrivateKey
)

// Tries is what a token tells of the PIN entries left. Tokens tell no number.
type Tries uint8

const (
	TriesUntold Tries = iota // all, or the token does not tell
	TriesFewer               // at least one was wrong
	TriesLast                // the next wrong one locks the PIN
	TriesNone                // the PIN is locked
)

// Name is what a token is recognised by: the attributes of its RFC 7512 URI.
// Serial numbers alone are not enough: all tokens of NSS have the same.
type Name struct{ Manufacturer, Model, Serial, Label string }

// CertificateStore is the path by which Load means the certificate store of Windows. Its
// only token is called StoreName.
const CertificateStore = "cng:"

// StoreName is the name of that token.
var StoreName = Name{Manufacturer: "Microsoft", Model: "Certificate store", Label: "Windows"}

// Token is a token in a reader.
type Token struct {
	Name
	Reader     string // the reader, in the library's words
	NeedsLogin bool   // private keys need a PIN
	Pad        bool   // the PIN is entered on the reader (CKF_PROTECTED_AUTHENTICATION_PATH)
	Ready      bool   // a PIN was set (CKF_USER_PIN_INITIALIZED)
	ReadOnly   bool   // nothing can be put on it (CKF_WRITE_PROTECTED)
	Tries      Tries
	Offers     Set
}

// Makes tells whether the token says that it makes keys of a kind itself.
func (t Token) Makes(k Kind) bool {
	return !t.ReadOnly && (k == RSA && t.Offers.Has(MakeRSA) || k == EC && t.Offers.Has(MakeEC))
}

// Key names a private key on a token. ID or Label may be empty, not both.
type Key struct {
	ID    []byte
	Label string
	Kind  Kind
}

// KeyID is the CKA_ID of a key that is put on a token: SHA-1 of an RSA modulus or of an
// EC point, as NSS has it and others took over. It is a name and protects nothing.
func KeyID(value []byte) []byte {
	id := sha1.Sum(bytes.TrimLeft(value, "\x00")) // a point begins with 4
	return id[:]
}

// Uses is what a key is put on a token for.
type Uses uint8

// The uses; a key may have both.
const (
	ForSigning Uses = 1 << iota
	ForOpening      // decrypting with RSA, agreeing on a secret with EC
	uses       = ForSigning | ForOpening
)

// Object is a certificate or a key on a token.
type Object struct {
	Key
	Class  Class
	Always bool   // each use of a private key asks for the PIN (CKA_ALWAYS_AUTHENTICATE)
	Value  []byte // the certificate; an RSA modulus; an EC point, as in a certificate
	Params []byte // the public exponent; the curve (CKA_EC_PARAMS)
}

// Entry is how a PIN comes with a request.
type Entry uint8

const (
	NoPIN  Entry = iota
	Typed        // PIN is what the user just entered
	Kept         // PIN was accepted before: not on the last try, unless by a login just before
	OnPad        // no PIN here: it is entered on the reader
	entrys = OnPad
)

// Request is what the agent asks. Only the fields of its Op travel.
type Request struct {
	ID uint32 // of the request; its reply bears the same
	Op Op

	Path     string // Load: the library
	Reserved string // Load: its initialisation string, for libraries that want one (NSS)

	Token     Name      // all but Load, Tokens, Watch
	Entry     Entry     // Login (NoPIN asks whether we are); Sign and Decrypt with a key that always asks; Derive in the store of Windows
	PIN       []byte    // at Typed and Kept
	Purpose   string    // at OnPad: what the PIN is for, as the user reads it
	Key       Key       // Sign, Decrypt, Derive, Generate, Import, Delete; of a certificate: Store
	Mechanism Mechanism // Sign, Decrypt
	Hash      crypto.Hash
	Mask      crypto.Hash // PSS, OAEP: of MGF1
	Salt      uint32      // PSS: bytes
	Context   []byte      // OAEP: the label
	Data      []byte      // Sign, Decrypt: the input; Derive: the other's point, uncompressed; Store: the certificate; Delete: modulus or point, or nothing
	Size      uint32      // bytes of the result at most; for Derive exactly

	Period uint32 // Watch: milliseconds between two looks at the readers

	// Key in Generate has a CKA_ID that nothing on the token can have: what bears it was
	// left by an earlier try and is destroyed, and the key made is renamed to its [KeyID].
	Uses   Uses     // Generate, Import
	Bits   uint32   // Generate: of an RSA modulus; 0 for a curve
	Params []byte   // Generate, Import: the curve (CKA_EC_PARAMS); empty for RSA
	Parts  [][]byte // Import: RSA as in PKCS #1 from the modulus on, or the number of EC; Store: subject, issuer, serial number
}

// Reply is the helper's answer.
type Reply struct {
	ID      uint32
	Op      Op
	Failure Failure // None: the rest holds
	Code    uint32  // the library's own code (CKR), for a log
	Says    string  // words of the system or the library for a log, never for a person
	Tries   Tries   // Login, Sign, Decrypt: what the token tells after a PIN was refused

	Library string   // Load: the library's name for itself
	Tokens  []Token  // Tokens
	Objects []Object // Objects
	More    bool     // Objects: there are more than fit
	Data    []byte   // Sign, Decrypt, Derive
	Made    Object   // Generate: the public key
	There   bool     // Import, Store: it was on the token before, and was left as it was
}

func (r *Request) walk(c *walk) {
	c.number(&r.ID, 1<<32-1)
	enum(c, &r.Op, Load, Delete)
	switch r.Op {
	case Load:
		c.text(&r.Path, MaxPath)
		c.text(&r.Reserved, MaxPath)
	case Objects:
		r.Token.walk(c)
	case Login:
		r.Token.walk(c)
		r.pin(c)
	case Sign, Decrypt:
		r.Token.walk(c)
		r.pin(c)
		r.Key.walk(c)
		r.mechanism(c)
		c.bytes(&r.Data, MaxData)
		c.number(&r.Size, MaxResult)
	case Derive:
		r.Token.walk(c)
		r.pin(c)
		r.Key.walk(c)
		c.bytes(&r.Data, MaxResult)
		c.number(&r.Size, MaxResult)
	case Watch:
		c.number(&r.Period, MaxPeriod)
	case Generate:
		r.put(c)
		c.number(&r.Bits, MaxBits)
	case Import:
		r.put(c)
		r.parts(c, map[Kind]int{RSA: rsaParts, EC: ecParts}[r.Key.Kind])
	case Store:
		r.Token.walk(c)
		r.Key.walk(c)
		c.bytes(&r.Data, MaxValue)
		r.parts(c, nameParts)
	case Delete:
		r.Token.walk(c)
		r.Key.walk(c)
		c.bytes(&r.Data, MaxValue)
	}
}

// What Parts are, by their number.
const (
	rsaParts  = 8 // modulus, public exponent, private exponent, p, q, d mod p-1, d mod q-1, 1/q mod p
	ecParts   = 1 // the private number
	nameParts = 3
)

// put is what Generate and Import have in common.
func (r *Request) put(c *walk) {
	r.Token.walk(c)
	r.Key.walk(c)
	if r.Key.Kind == Edwards || len(r.Key.ID) == 0 {
		c.refuse("a key of this kind, or without an identifier, is not put on tokens")
	}
	enum(c, &r.Uses, ForSigning, uses)
	c.bytes(&r.Params, MaxID)
	if (r.Key.Kind == EC) != (len(r.Params) > 0) {
		c.refuse("a curve for a key on none, or none for one on a curve")
	}
}

// parts are exactly so many.
func (r *Request) parts(c *walk, n int) {
	if c.reading {
		r.Parts = make([][]byte, n)
	}
	if len(r.Parts) != n {
		c.refuse("%d parts, where %d are meant", len(r.Parts), n)
		return
	}
	for i := range r.Parts {
		c.bytes(&r.Parts[i], MaxValue)
	}
}

// Wipe clears what of a request is secret.
func (r *Request) Wipe() {
	clear(r.PIN)
	if r.Op == Import {
		for _, p := range r.Parts {
			clear(p)
		}
	}
}

func (r *Request) pin(c *walk) {
	enum(c, &r.Entry, NoPIN, entrys)
	if r.Entry == Typed || r.Entry == Kept {
		c.bytes(&r.PIN, MaxPIN)
	}
	if r.Entry == OnPad {
		c.text(&r.Purpose, MaxText)
	}
}

func (r *Request) mechanism(c *walk) {
	enum(c, &r.Mechanism, PKCS1, EdDSA)
	switch r.Mechanism {
	case PSS:
		hash(c, &r.Hash)
		hash(c, &r.Mask)
		c.number(&r.Salt, MaxResult)
	case OAEP:
		hash(c, &r.Hash)
		hash(c, &r.Mask)
		c.bytes(&r.Context, MaxValue)
	}
}

// hash is SHA-1, SHA-224, SHA-256, SHA-384 or SHA-512, by Go's numbers, 3 to 7.
func hash(c *walk, p *crypto.Hash) {
	n := uint8(min(*p, 0xff))
	enum(c, &n, uint8(crypto.SHA1), uint8(crypto.SHA512))
	*p = crypto.Hash(n)
}

func (n *Name) walk(c *walk) {
	c.text(&n.Manufacturer, MaxText)
	c.text(&n.Model, MaxText)
	c.text(&n.Serial, MaxText)
	c.text(&n.Label, MaxText)
}

func (k *Key) walk(c *walk) {
	c.bytes(&k.ID, MaxID)
	c.text(&k.Label, MaxText)
	enum(c, &k.Kind, RSA, Edwards)
	if len(k.ID) == 0 && k.Label == "" {
		c.refuse("a key without a name")
	}
}

func (t *Token) walk(c *walk) {
	t.Name.walk(c)
	c.text(&t.Reader, MaxText)
	c.bool(&t.NeedsLogin)
	c.bool(&t.Pad)
	c.bool(&t.Ready)
	c.bool(&t.ReadOnly)
	enum(c, &t.Tries, TriesUntold, TriesNone)
	c.number((*uint32)(&t.Offers), 1<<(mechanisms+1)-1)
}

func (o *Object) walk(c *walk) {
	enum(c, &o.Class, Certificate, PrivateKey)
	c.bytes(&o.ID, MaxID)
	c.text(&o.Label, MaxText)
	c.bytes(&o.Value, MaxValue)
	if o.Class != Certificate {
		enum(c, &o.Kind, RSA, Edwards)
		c.bytes(&o.Params, MaxValue)
	}
	if o.Class == PrivateKey {
		c.bool(&o.Always)
	}
}

func (r *Reply) walk(c *walk) {
	c.number(&r.ID, 1<<32-1)
	enum(c, &r.Op, Load, Delete)
	enum(c, &r.Failure, None, lastSent)
	if r.Failure != None {
		c.number(&r.Code, 1<<32-1)
		c.text(&r.Says, MaxText)
		enum(c, &r.Tries, TriesUntold, TriesNone)
		return
	}
	switch r.Op {
	case Load:
		c.text(&r.Library, MaxText)
	case Tokens:
		list(c, &r.Tokens, MaxTokens, func(t *Token) { t.walk(c) })
	case Objects:
		list(c, &r.Objects, MaxObjects, func(o *Object) { o.walk(c) })
		c.bool(&r.More)
	case Sign, Decrypt, Derive:
		c.bytes(&r.Data, MaxResult)
	case Generate:
		r.Made.walk(c)
		if r.Made.Class != PublicKey {
			c.refuse("what was made is no public key")
		}
	case Import, Store:
		c.bool(&r.There)
	}
}
