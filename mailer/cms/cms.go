// Package cms reads and writes the Cryptographic Message Syntax, the signed and
// encrypted bodies of S/MIME, as streams of any length in constant memory. It
// knows no MIME, no people and no trust: certificates are used here for their
// keys and names, and whether anyone should believe them is for others to say.
//
// # Writing
//
// NewDetached and NewSigned sign (RFC 5652, section 5); NewEnveloped encrypts
// (section 6, or RFC 5083 where the cipher authenticates). Content is written to
// them in pieces of any size. Where its length is known beforehand the result is
// DER, which many programs read with less work; where not, it is BER with
// segments of 64 KB. (An enclosing signature by an ECDSA key is always BER around
// its content, since the length of the signature is not known beforehand.)
//
// # Reading
//
// ReadKind says what a message is. The input is a Source, because everything is
// read twice. ReadSigned and ReadEnveloped make the first pass: they check
// whatever can be checked and emit nothing. Open makes the second, emits the
// content and checks it again, so that neither a forged message nor a source that
// changes in between is ever taken for the real thing. BER of every form is read.
// What Open returns ends with io.EOF only if the content was complete and as
// checked; with any other error, what came before it must be thrown away.
//
// A signature is judged for each signer separately (SignerInfo.Err): a message
// with no signers is not signed, and nothing is "valid" as a whole. Signed
// attributes are believed once the signature over them is; contentType and
// messageDigest are demanded, and SigningCertificate, SigningCertificateV2 and
// CMSAlgorithmProtection must fit where they are present. Without attributes, only
// plain data counts as signed, and never the encoding of attributes.
//
// AES-CBC, which most programs still send, protects no one against change
// (Enveloped.Authenticated is false). Its padding is checked at the very end and
// answered by ErrIntegrity like every other damage to the content, and a wrong
// RSA key transport block yields a random content key instead of an error (RFC
// 3218, section 2.3.2), so that there is no padding oracle in either place. Where several
// keys are named, one under which the content begins as text or CMS does goes before one
// whose padding fits by chance. An
// authenticated cipher counts in AuthEnvelopedData only and the others outside of
// it only; derived keys (RFC 9709) are read and written.
//
// ReadCompressed opens compressed messages (RFC 3274), to a length that its caller sets.
//
// # Algorithms
//
// Written and read: RSA PKCS #1 v1.5, RSA-PSS, ECDSA (P-256, P-384, P-521) and
// Ed25519 signatures with SHA-256, SHA-384, SHA-512; content keys by RSA PKCS #1
// v1.5, RSA-OAEP, ECDH on the same curves and X25519; AES-128, -192, -256 in CBC
// and GCM, and ChaCha20-Poly1305. Read: SHA-224, and the digests, masks, labels, salts, key
// derivations and nonces that others choose. Read and called weak: signatures with SHA-1
// (ErrSHA1), an RSA key under 2,048 bits (ErrShortKey) or an Ed25519 key of low order, 3DES, DES. Refused by name
// (ErrUnsupported): MD5, SHA-3, Ed448, RC2, AES-CCM, keys encapsulated, and the
// rest. The rooms algorithm, attribute, content and recipient beside this one say more,
// and ber how encodings are read.
//
// # Limits
//
// Content may be of any length. All else is bounded, with an error for each
// bound (all of them are ErrLimit too), and is held in at most about a megabyte; only a
// content that Ed25519 signed without attributes is held too, up to 16 MiB.
// Nothing read can panic, recurse deeply, or loop without consuming input. No more
// than 8 keys are tried on one envelope, and 4 certificates on one signature.
//
// # Keys
//
// Private keys are crypto.Signer, crypto.Decrypter and ecdh.KeyExchanger and may live on a
// token; each is used as seldom as possible, and the content key, once found, is
// handed out to open the message again without them. Every key that an envelope names is
// tried, and one that fails (ErrKey) does not stop the next. A signature that Detached has
// made is good wherever the same content stands. Ciphers, hashes and random
// numbers are the standard library's and x/crypto's.
package cms

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/attribute"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
	"countersign/mailer/cms/recipient"
)

// A Source gives the same bytes from the start each time it is opened.
type Source interface {
	Open() (io.ReadCloser, error)
}

// What can be wrong with a message. The errors returned wrap these and say more.
var (
	// ErrMalformed says that it is not CMS, or breaks off.
	ErrMalformed = ber.ErrMalformed
	// ErrUnsupported names an algorithm or form that is not read, or is refused outright.
	ErrUnsupported = algorithm.ErrUnsupported
	// ErrObsolete is ErrUnsupported: a method that was read once and is no longer safe (MD5, RC2).
	ErrObsolete = algorithm.ErrObsolete
	// ErrWeak says of a signature that it is mathematically valid, but made
	// with a hash or key that no longer proves anything by itself (SHA-1, RSA
	// under 2,048 bits); of a recipient's key that nothing is encrypted to it.
	ErrWeak = algorithm.ErrWeak
	// ErrSHA1 and ErrShortKey are ErrWeak and tell which: a signature with SHA-1 proves
	// something where it is known to be old, one by a short key never does.
	ErrSHA1     = algorithm.ErrSHA1
	ErrShortKey = algorithm.ErrShortKey
	// ErrNoKey says that none of the keys given opens the envelope.
	ErrNoKey = errors.New("cms: no key given opens this envelope")
	// ErrKey says that a key named in the envelope could not be used: a token was removed, or refused.
	ErrKey = recipient.ErrKey
	// ErrIntegrity says that encrypted content was damaged or changed, or that
	// its source gave other bytes than before.
	ErrIntegrity = content.ErrIntegrity
	// ErrSignature says that the signer's key did not make this signature.
	ErrSignature = algorithm.ErrSignature
	// ErrDigest says that the signature is the signer's, but for other content.
	ErrDigest = attribute.ErrDigest
	// ErrAttributes says that the signed attributes contradict the message.
	ErrAttributes = attribute.ErrMismatch
	// ErrNoCertificate says that the signer's certificate is neither enclosed nor known.
	ErrNoCertificate = errors.New("cms: the signer's certificate is not enclosed")
	// ErrNoContent says that the content of a signature is neither enclosed nor given.
	ErrNoContent = errors.New("cms: the signed content is missing")
)

// The bounds, each with its error. All of them are ErrLimit.
var (
	ErrLimit               = ber.ErrLimit
	ErrTooDeep             = ber.ErrTooDeep  // values nested more than ber.MaxDepth deep
	ErrTooLarge            = ber.ErrTooLarge // more than a megabyte around the content
	ErrTooManyCertificates = fmt.Errorf("%w: more than %d certificates", ErrLimit, maxCertificates)
	ErrTooManySigners      = fmt.Errorf("%w: more than %d signers", ErrLimit, maxSigners)
	ErrTooManyAttributes   = attribute.ErrTooMany
	ErrTooManyRecipients   = fmt.Errorf("%w: more than %d recipients", ErrLimit, maxRecipients)
	ErrTooManyAlgorithms   = fmt.Errorf("%w: more than %d digest algorithms", ErrLimit, maxAlgorithms)
	ErrTooLongWhole        = fmt.Errorf("%w: a signature over more than %d octets themselves", ErrLimit, maxWhole) // by Ed25519 without attributes
	ErrTooLong             = content.ErrTooLong                                                                    // more content than its cipher can protect
	ErrInflated            = fmt.Errorf("%w: a compressed content grows too large", ErrLimit)
)

const (
	maxHeld         = 1 << 20 // octets of everything but content and CRLs
	maxCertificates = 64
	maxSigners      = 32
	maxRecipients   = 1000
	maxAlgorithms   = 16
	maxRevocation   = 1 << 20  // octets of enclosed lists; more are passed over
	maxWhole        = 16 << 20 // octets of a content that is needed in one piece
)

var oidData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}

// pkcs is how the encodings of the object identifiers under 1.2.840.113549.1 begin.
var pkcs = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01}

// Kind is what a message is, in the words of RFC 8551, section 3.2.2.
type Kind string

const (
	KindSigned        Kind = "signed-data"        // to ReadSigned
	KindEnveloped     Kind = "enveloped-data"     // to ReadEnveloped
	KindAuthEnveloped Kind = "authEnveloped-data" // to ReadEnveloped
	KindCompressed    Kind = "compressed-data"    // to ReadCompressed
)

// Kinds that are recognised and not read: ReadKind returns them beside ErrUnsupported.
const (
	KindData          Kind = "data"               // protects nothing
	KindDigested      Kind = "digested-data"      // protects nothing: anyone can make the digest
	KindEncrypted     Kind = "encrypted-data"     // by a key agreed on elsewhere
	KindAuthenticated Kind = "authenticated-data" // by a key that every recipient has
)

var kinds = []struct {
	kind Kind
	oid  asn1.ObjectIdentifier
}{
	{KindSigned, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}},
	{KindEnveloped, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}},
	{KindAuthEnveloped, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23}},
	{KindCompressed, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 9}},
	{KindData, oidData},
	{KindDigested, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 5}},
	{KindEncrypted, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}},
	{KindAuthenticated, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 2}},
}

// der is the content type of k.
func (k Kind) der() []byte {
	var b cryptobyte.Builder
	for _, known := range kinds {
		if known.kind == k {
			b.AddASN1ObjectIdentifier(known.oid)
		}
	}
	return b.BytesOrPanic()
}

// ReadKind reads the first few bytes of src and says what it is: what a message
// calls itself elsewhere may be wrong. Anything else is ErrMalformed or
// ErrUnsupported.
func ReadKind(src Source) (Kind, error) {
	f, err := src.Open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	return contentInfo(newReader(f))
}

func newReader(f io.Reader) *ber.Reader { return ber.NewReader(f, maxHeld) }

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// contentInfo enters the outermost structure (RFC 5652, section 3) as far as
// the content's own.
func contentInfo(r *ber.Reader) (Kind, error) {
	if err := r.Enter(ber.Sequence, "content info"); err != nil {
		return "", err
	}
	oid, err := readType(r, "content type")
	if err != nil {
		return "", err
	}
	for _, known := range kinds {
		if known.oid.Equal(oid) {
			switch known.kind {
			case KindData, KindDigested, KindEncrypted, KindAuthenticated:
				return known.kind, fmt.Errorf("%w: %s", ErrUnsupported, known.kind)
			}
			if err := r.Enter(ber.Context, "content"); err != nil {
				return "", err
			}
			return known.kind, r.Enter(ber.Sequence, string(known.kind))
		}
	}
	return "", fmt.Errorf("%w: content type %v", ErrUnsupported, oid)
}

// readType reads the next value, an OBJECT IDENTIFIER.
func readType(r *ber.Reader, what string) (asn1.ObjectIdentifier, error) {
	b, err := r.Value(what)
	if err != nil {
		return nil, err
	}
	var oid asn1.ObjectIdentifier
	if s := cryptobyte.String(b); !algorithm.ReadOID(&s, &oid) {
		return nil, malformed("no " + what)
	}
	return oid, nil
}

// version passes over the next value, an INTEGER: programs disagree about what
// belongs there, and nothing depends on it.
func version(r *ber.Reader) error {
	ok, err := r.At(ber.Integer)
	if err != nil {
		return err
	}
	if !ok {
		return malformed("no version")
	}
	_, err = r.Value("version")
	return err
}
