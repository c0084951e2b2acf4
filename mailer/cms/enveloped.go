package cms

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/attribute"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
	"countersign/mailer/cms/recipient"
)

// Key is a private key that may open envelopes, perhaps on a token, and its certificate.
type Key = recipient.Key

// Recipient is one of those who can open an envelope: named by the issuer
// and serial number of their certificate, or by key identifier.
type Recipient = recipient.Recipient

// ContentKey is the secret that one content is encrypted with. However it is
// printed or marshalled it is [secret]; []byte(k) are its octets.
type ContentKey []byte

const secret = "[secret]"

// Format prints [secret] for every verb.
func (ContentKey) Format(f fmt.State, _ rune) { io.WriteString(f, secret) }

// String is [secret].
func (ContentKey) String() string { return secret }

// MarshalText gives [secret].
func (ContentKey) MarshalText() ([]byte, error) { return []byte(secret), nil }

// ReadOptions say what an envelope may be opened with.
type ReadOptions struct {
	// Keys are tried in their order as far as the envelope names their certificates.
	Keys []Key
	// ContentKey, if it is set, is tried before them, and without them if
	// nothing speaks against it.
	ContentKey ContentKey
	// Rand is the source of random numbers; nil is crypto/rand.
	Rand io.Reader
}

// Enveloped is an encrypted message whose first pass is done. It is a Source of its content.
type Enveloped struct {
	Recipients    []Recipient
	Cipher        string            // "AES-256-CBC"
	KeyCipher     string            // how Matched got the content key; empty if it was given
	Authenticated bool              // the cipher protects the content against change
	Weak          bool              // the cipher, or that of the content key, no longer keeps anything secret
	Matched       *x509.Certificate // whose key opened it; nil if the content key was given
	// ContentKey opens the message again (ReadOptions). It may be remembered
	// once the content has been read to its end without an error: before, it
	// may be a random one that stands for a failure.
	ContentKey ContentKey

	src        Source
	typ        asn1.ObjectIdentifier // of the content
	cipher     *content.Algorithm
	params     []byte
	attributes []byte // DER of the SET of authenticated ones
	tag        []byte
}

// maxTries is how many ways are tried: each may be an operation of a token.
const maxTries = 8

// ReadEnveloped makes the first pass over an encrypted message: it reads the recipients,
// finds the content key, and, if the cipher authenticates, checks the whole content.
//
// Where the message has been read as far as its cipher, what is known of it is returned
// beside the error (ErrNoKey, ErrKey, ErrUnsupported, ErrIntegrity), and is good for
// anything but Open. Keys are tried in the order given. One that fails does not stop the
// next: ErrKey is the answer only where no other fits.
func ReadEnveloped(src Source, o ReadOptions) (*Enveloped, error) {
	e := &Enveloped{src: src}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	ways, err := e.read(o.Keys)
	if errors.Is(err, ErrUnsupported) && e.Cipher != "" {
		return e, fmt.Errorf("reading an envelope: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading an envelope: %w", err)
	}
	if len(o.ContentKey) == e.cipher.KeySize {
		given := recipient.Way{Unwrap: func(int, io.Reader) ([]byte, error) { return o.ContentKey, nil }}
		if !e.Authenticated {
			ways = nil
		}
		ways = append([]recipient.Way{given}, ways...)
	}
	if err := e.choose(ways, o.Rand); err != nil {
		return e, fmt.Errorf("opening an envelope: %w", err)
	}
	return e, nil
}

// choose takes the way whose key fits. Where only one is left and no tag can tell, it is
// taken. The padding of one content in 256 fits a random key: among several, one with a
// likely beginning goes first.
func (e *Enveloped) choose(ways []recipient.Way, rand io.Reader) error {
	problem := e.noKey()
	if len(ways) > 0 {
		problem = ErrIntegrity
	}
	var doubtful, unlikely func()
	for tried := 0; tried < maxTries && len(ways) > 0; ways = ways[1:] {
		w := ways[0]
		key, err := w.Unwrap(e.cipher.KeySize, rand)
		if !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrMalformed) { // those ask no key
			tried++
		}
		if err == nil && (e.Authenticated || tried > 1 || len(ways) > 1) {
			if err = e.try(key); errors.Is(err, ErrIntegrity) && doubtful == nil {
				doubtful = func() { e.take(w, key) }
			}
		}
		if err == nil {
			if e.Authenticated || len(ways) == 1 && unlikely == nil || e.likely(key) {
				e.take(w, key)
				return nil
			}
			if unlikely == nil {
				unlikely = func() { e.take(w, key) }
			}
			continue
		}
		if weight(err) > weight(problem) {
			problem = err
		}
	}
	if unlikely != nil {
		unlikely()
		return nil
	}
	if !e.Authenticated && doubtful != nil && weight(problem) < weight(ErrMalformed) {
		doubtful() // nothing fits, and nothing worse is wrong: Open will say so, at the end
		return nil
	}
	return problem
}

// weight orders what is wrong with several ways: a key that can't be used now might have
// been the right one.
func weight(err error) int {
	switch {
	case errors.Is(err, ErrKey):
		return 3
	case errors.Is(err, ErrIntegrity):
		return 0
	case errors.Is(err, ErrUnsupported):
		return 1
	}
	return 2
}

// noKey names those who could open it without a certificate.
func (e *Enveloped) noKey() error {
	var others []string
	for _, r := range e.Recipients {
		if r.Serial == nil && r.KeyID == nil && !slices.Contains(others, r.Algorithm) {
			others = append(others, r.Algorithm)
		}
	}
	if len(others) == 0 {
		return ErrNoKey
	}
	return fmt.Errorf("%w: others open it by %s", ErrNoKey, strings.Join(others[:min(len(others), 4)], ", "))
}

func (e *Enveloped) take(w recipient.Way, key ContentKey) {
	e.ContentKey, e.Matched, e.KeyCipher = key, w.Certificate, w.Algorithm
	e.Weak = e.Weak || w.Weak
}

// try reads the whole content with a key: ErrIntegrity if it does not fit. What
// stands behind the content is learnt on the way.
func (e *Enveloped) try(key ContentKey) error {
	if e.cipher.AttributesFirst && e.tag == nil {
		if err := e.readAhead(); err != nil {
			return err
		}
	}
	r, ciphertext, f, err := e.ciphertext()
	if err != nil {
		return err
	}
	defer f.Close()
	return e.cipher.Check(ciphertext, key, e.params, e.attributes, func() (content.End, error) {
		err := e.readTag(r)
		return content.End{Attributes: e.attributes, Tag: e.tag}, err
	})
}

// likely tells whether the content, under a key, begins with text or as CMS does.
func (e *Enveloped) likely(key ContentKey) bool {
	_, ciphertext, f, err := e.ciphertext()
	if err != nil {
		return false
	}
	defer f.Close()
	plain, err := e.cipher.Open(ciphertext, key, e.params, content.End{})
	if err != nil {
		return false
	}
	start := make([]byte, 16)
	n, _ := io.ReadFull(plain, start)
	text := !bytes.ContainsFunc(start[:n], func(r rune) bool { return r != '\t' && r != '\r' && r != '\n' && (r < ' ' || r > '~') })
	return text || start[0] == byte(ber.Sequence)|ber.Constructed && bytes.Contains(start, pkcs)
}

// readAhead learns what stands behind the content.
func (e *Enveloped) readAhead() error {
	r, ciphertext, f, err := e.ciphertext()
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyBuffer(io.Discard, ciphertext, make([]byte, content.Segment)); err != nil {
		return err
	}
	return e.readTag(r)
}

// read reads as far as the encrypted content.
func (e *Enveloped) read(keys []Key) (ways []recipient.Way, err error) {
	_, f, err := e.begin(keys, &ways)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(ways, func(a, b recipient.Way) int { return order(keys, a) - order(keys, b) })
	return ways, f.Close()
}

// order is where the key of a way stands among all: the sender's order is not the reader's,
// who knows which key costs something.
func order(keys []Key, w recipient.Way) int {
	return slices.IndexFunc(keys, func(k Key) bool { return k.Certificate == w.Certificate })
}

// begin opens src and reads as far as the encrypted content. Recipients are
// passed over unless ways are wanted.
func (e *Enveloped) begin(keys []Key, ways *[]recipient.Way) (*ber.Reader, io.Closer, error) {
	f, err := e.src.Open()
	if err != nil {
		return nil, nil, err
	}
	r := newReader(f)
	if err := e.header(r, keys, ways); err != nil {
		f.Close()
		return nil, nil, err
	}
	return r, f, nil
}

func (e *Enveloped) header(r *ber.Reader, keys []Key, ways *[]recipient.Way) error {
	kind, err := contentInfo(r)
	if err != nil {
		return err
	}
	if kind != KindEnveloped && kind != KindAuthEnveloped {
		return malformed("this is " + string(kind))
	}
	if err := version(r); err != nil {
		return err
	}
	if originator, err := r.At(ber.Context); err != nil { // certificates nobody needs
		return err
	} else if originator {
		if err := r.Skip(); err != nil {
			return err
		}
	}
	if ways == nil {
		err = r.Skip()
	} else {
		err = r.Each(ber.Set, "recipients", maxRecipients, ErrTooManyRecipients, func(der []byte) error {
			recipients, found := recipient.Read(der, keys)
			e.Recipients = append(e.Recipients, recipients...)
			*ways = append(*ways, found...)
			if len(e.Recipients) > maxRecipients {
				return ErrTooManyRecipients
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	if err := r.Enter(ber.Sequence, "encrypted content info"); err != nil {
		return err
	}
	typ, err := readType(r, "content type")
	if err != nil {
		return err
	}
	der, err := r.Value("content cipher")
	if err != nil {
		return err
	}
	if ways == nil { // pass 1 has seen all this
		return nil
	}
	a, err := algorithm.Parse(der, "content cipher")
	if err != nil {
		return err
	}
	e.typ = typ
	return e.setCipher(a, kind)
}

func (e *Enveloped) setCipher(a algorithm.Identifier, kind Kind) (err error) {
	e.Cipher, e.params = a.OID.String(), a.Params
	if e.cipher, err = content.Find(a); err != nil {
		return err
	}
	e.Cipher, e.Weak = e.cipher.Name, e.cipher.Weak
	// An authenticated cipher in plain EnvelopedData, or the reverse, is how a
	// message is presented under weaker rules than it was made by (RFC 9709).
	if e.cipher.Authenticated != (kind == KindAuthEnveloped) {
		return fmt.Errorf("%w: %s in %s", ErrUnsupported, e.Cipher, kind)
	}
	e.Authenticated = e.cipher.Authenticated
	return e.cipher.Valid(e.params)
}

// readTag reads what follows the content of AuthEnvelopedData (RFC 5083, section 2.1).
func (e *Enveloped) readTag(r *ber.Reader) error {
	e.attributes = nil
	if err := r.Leave(); err != nil {
		return err
	}
	attributes, err := r.At(ber.Context + 1)
	if err != nil {
		return err
	}
	if attributes {
		der, err := r.Value("authenticated attributes")
		if err != nil {
			return err
		}
		all, err := attribute.Parse(ber.Contents(der))
		if err != nil {
			return err
		}
		if all.Repeats() || all.HasType() && !all.FitsType(e.typ) { // RFC 5083, section 2.1
			return fmt.Errorf("%w: content type, or one of them twice", ErrAttributes)
		}
		e.attributes = all.Encodings()[0] // section 2.2
	}
	if ok, err := r.At(ber.OctetString); err != nil {
		return err
	} else if !ok {
		return malformed("no tag")
	}
	if e.tag, err = r.Value("tag"); err != nil {
		return err
	}
	e.tag = ber.Contents(e.tag)
	return r.Finish()
}

// Open makes the second pass. The stream is the content; it ends with ErrIntegrity instead of
// io.EOF if that was damaged, and nothing it gave may be used then.
func (e *Enveloped) Open() (io.ReadCloser, error) {
	if e.ContentKey == nil {
		return nil, ErrNoKey
	}
	r, ciphertext, f, err := e.ciphertext()
	if err != nil {
		return nil, err
	}
	end := content.End{Attributes: e.attributes, Tag: e.tag, Finish: r.Finish}
	plain, err := e.cipher.Open(ciphertext, e.ContentKey, e.params, end)
	if err != nil {
		f.Close()
		return nil, err
	}
	return struct {
		*content.Reader
		io.Closer
	}{plain, f}, nil
}

// ciphertext opens src at the encrypted content.
func (e *Enveloped) ciphertext() (r *ber.Reader, ciphertext io.Reader, f io.Closer, err error) {
	if r, f, err = (&Enveloped{src: e.src}).begin(nil, nil); err != nil {
		return nil, nil, nil, err
	}
	if ciphertext, err = r.Octets(ber.Context, "encrypted content"); err != nil {
		f.Close()
		return nil, nil, nil, err
	}
	return r, ciphertext, f, nil
}
