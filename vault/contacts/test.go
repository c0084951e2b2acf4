package contacts

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// Test is the test message that the user sent, and how far it has come. It is
// sealed with the code key: any change from outside voids it.
type Test struct {
	ID           string      `json:"id"`
	Keys         KeySet      `json:"keys"` // what the code was encrypted to, and what will be pinned
	Own          Hash        `json:"own"`  // the ID of the user's key set at the time
	Sent         time.Time   `json:"sent"`
	Expires      time.Time   `json:"expires"`
	Answered     time.Time   `json:"answered,omitzero"`
	Number       string      `json:"number,omitempty"`
	Source       Source      `json:"source,omitempty"`
	Reader       string      `json:"reader,omitempty"`
	CodeMatched  time.Time   `json:"code_matched,omitzero"`
	WordsMatched time.Time   `json:"words_matched,omitzero"` // words, or every fingerprint needed
	Sign         keyset.Read `json:"sign,omitempty"`         // how the signing certificate was confirmed
	Encrypt      keyset.Read `json:"encrypt,omitempty"`      // how the encryption certificate was read
	Vouched      bool        `json:"vouched,omitempty"`      // a signed reply names the encryption key
	CodeWrong    int         `json:"code_wrong,omitempty"`
	WordsWrong   int         `json:"words_wrong,omitempty"`
	Announced    bool        `json:"announced,omitempty"` // no test was sent: their old key announced these (V7)
	Code         []byte      `json:"code"`                // HMAC of the four words
	Form         []byte      `json:"form"`                // HMAC of the form's digest
	Seal         []byte      `json:"seal"`                // HMAC of all the above and the address
}

// Void is why a test came to nothing. Faces show it as a sentence ([Void.String]).
type Void string

const (
	VoidTries   Void = "three-wrong-codes"
	VoidExpired Void = "expired"
	VoidKeys    Void = "keys-changed"
	VoidExposed Void = "exposed" // an unprotected answer quoted the code
	VoidEdited  Void = "edited"
	VoidDoubt   Void = "mismatch"
)

const (
	codeTries  = 3 // wrong codes that void a test
	wordsTries = 2 // wrong words or digits that end in Mismatch
)

// TriesLeft is how many more wrong codes the test bears.
func (t Test) TriesLeft() int { return max(0, codeTries-t.CodeWrong) }

// Fingerprints is how many certificates would have to be read out: 1 or 2.
func (t Test) Fingerprints() int {
	if t.Keys.One() || t.Vouched {
		return 1
	}
	return 2
}

// SendTest makes the test message for one candidate (V4). The form travels
// signed with own.Keys.Sign and encrypted to the candidate's key set only: not
// to the user, and not kept (V5). The test before it, if any, is void. While a
// contact is verified it stays so until the new key set is.
func (c Contact) SendTest(m Moment, own Own, candidate string) (Contact, Form, error) {
	if c.Organisation() {
		return c, Form{}, ErrOrganisation
	}
	k, err := c.Candidate(candidate)
	if err != nil {
		return c, Form{}, err
	}
	switch {
	case !k.Barred.IsZero():
		return c, Form{}, ErrBarred
	case !k.Keys.Complete():
		return c, Form{}, ErrIncomplete
	case !own.Keys.Complete() || !keyset.Canonical(own.Address):
		return c, Form{}, errors.New("contacts: the user's own key set is incomplete")
	case len(m.CodeKey) < 32:
		return c, Form{}, errors.New("contacts: the code key is shorter than 32 bytes")
	}
	code, err := keyset.NewCode(m.random())
	if err != nil {
		return c, Form{}, fmt.Errorf("drawing a code: %w", err)
	}
	f, err := form.New(m.random(), Invitation, own.Address, c.Address)
	if err != nil {
		return c, Form{}, err
	}
	mine, theirs := own.Keys.Hashes(), k.Keys.Hashes()
	f.Kind, f.Keys, f.ToKeys, f.Code, f.Expires = TestForm, &mine, &theirs, code, m.now().Add(form.TestLife)

	c = c.clone()
	c.Test = &Test{ID: f.ID, Keys: k.Keys, Own: own.Keys.ID(), Sent: m.now(), Expires: f.Expires}
	c.Test.Code = c.codeMAC(m.CodeKey, code)
	c.Test.Form = mac(m.CodeKey, "form", c.Test.ID, f.Digest().String())
	c.Voided = ""
	c.sealTest(m)
	c.settle()
	return c, f, nil
}

// Take takes a step that was made of the contact as it was before, now that the form is
// signed: a person at a card takes their time. What came in meanwhile stays, a certificate
// seen again or another name. It is false where something changed that the step rests on.
func (c Contact) Take(before, next Contact) (Contact, bool) {
	if c.State != before.State || !reflect.DeepEqual(c.Test, before.Test) || !reflect.DeepEqual(c.Incoming, before.Incoming) {
		return c, false
	}
	c = c.clone()
	c.Test, c.Incoming, c.Voided = copied(next.Test), copied(next.Incoming), next.Voided
	c.settle()
	return c, true
}

// Received is a form that arrived, and what was found about its message. It
// says only what holds for the whole message: a signature of an inner part, or
// one that is not valid, is no Signer.
type Received struct {
	Form       Form
	From       string            // the From that is shown, canonical
	Signer     *x509.Certificate // of the valid signature in the root layer; nil if there is none
	Encryption *x509.Certificate // named by SMIMEEncryptionKeyPreference, or the signer's own
	Encrypted  bool              // the root layer is encrypted
	Trusted    bool              // an authority vouches for the signer
}

// Errors that say why a form is not recognised (V4).
var (
	ErrFormSignature = errors.New("contacts: the form is not signed as a whole, or not by the key it names")
	ErrFormFrom      = errors.New("contacts: the form, its message and its signature name different senders")
	ErrFormTo        = errors.New("contacts: the form is for somebody else")
	ErrFormKeys      = errors.New("contacts: the form names other keys")
	ErrFormClear     = errors.New("contacts: the form travelled without encryption")
	ErrFormSeen      = errors.New("contacts: the form was seen before")
	ErrFormExpired   = errors.New("contacts: the form has expired")
	ErrFormWaiting   = errors.New("contacts: a test with other keys is waiting, and this one has no better claim")
	ErrFormTest      = errors.New("contacts: the form answers no test of ours")
)

// Recognise checks what every form must satisfy: a valid signature over the
// whole message by a certificate that names From, made for this user, in the
// protection that its kind asks for, with an id for which seen is false. A test or an answer
// must also name the signer's keys as the sender's and own.Keys as the user's.
func (r Received) Recognise(own Own, seen func(id string) bool) error {
	f := r.Form
	switch {
	case f.Validate() != nil:
		return form.ErrMalformed
	case r.Signer == nil:
		return ErrFormSignature
	case f.From != r.From || trust.Binds(r.Signer, r.From) == trust.BoundNone:
		return ErrFormFrom
	case f.To != own.Address:
		return ErrFormTo
	case f.Kind.Encrypted() && !r.Encrypted:
		return ErrFormClear
	case f.Keys != nil && f.Keys.Sign != keyset.SPKI(r.Signer):
		return ErrFormSignature
	case f.ToKeys != nil && *f.ToKeys != own.Keys.Hashes():
		return ErrFormKeys
	case seen(f.ID):
		return ErrFormSeen
	}
	return nil
}

// keys is the sender's key set as the message shows it.
func (r Received) keys() KeySet { return KeySet{Sign: r.Signer, Encrypt: r.Encryption} }

// ReceiveAnswer notes that the contact's Countersign answered the test. It never
// verifies. An answer to this very test that was signed with other keys voids
// the code, and the other keys become a candidate: check [Contact.Voided].
func (c Contact) ReceiveAnswer(m Moment, r Received, own Own, seen func(id string) bool) (Contact, error) {
	if err := r.Recognise(own, seen); err != nil {
		return c, err
	}
	f := r.Form
	if f.Kind != AnswerForm || c.Test == nil || f.From != c.Address || f.TestID != c.Test.ID ||
		!hmac.Equal(mac(m.CodeKey, "form", f.TestID, f.TestDigest.String()), c.Test.Form) {
		return c, ErrFormTest
	}
	c = c.clone()
	switch {
	case !c.sealed(m):
		c.void(VoidEdited)
	case !m.now().Before(c.Test.Expires):
		c.void(VoidExpired)
	case *f.Keys != c.Test.Keys.Hashes() || own.Keys.ID() != c.Test.Own:
		c.note(m.now(), r.keys(), FromAnswer)
		c.void(VoidKeys)
	default:
		c.Test.Answered = m.now()
		c.Test.Vouched = keyset.SPKI(r.Encryption) == c.Test.Keys.Hashes().Encrypt
		c.sealTest(m)
	}
	c.settle()
	return c, nil
}

// Reply is any other message from the contact's address while a test is out:
// what people without Countersign send.
type Reply struct {
	Signer     *x509.Certificate // as in Received
	Encryption *x509.Certificate // named by SMIMEEncryptionKeyPreference; nil if absent
	Encrypted  bool
	Text       string // as much of the message as can be read
}

// ReceiveReply looks at a message from the contact's address. A message that was
// not encrypted and quotes the code voids it (V4). A validly signed one that
// quotes the test's id counts as the answer if the tested key signed it; if it
// names the tested encryption key, that key need not be read out (V2). Signed
// by another key or naming another, it voids the code, since the code is good
// for one key set only. Anything else changes nothing.
func (c Contact) ReceiveReply(m Moment, r Reply) Contact {
	if c.Test == nil {
		return c
	}
	c = c.clone()
	quotes := r.Signer != nil && strings.Contains(r.Text, c.Test.ID)
	keys := c.Test.Keys.Hashes()
	switch {
	case !c.sealed(m):
		c.void(VoidEdited)
	case !m.now().Before(c.Test.Expires):
		c.void(VoidExpired)
	case !r.Encrypted && c.quotesCode(m.CodeKey, r.Text):
		c.void(VoidExposed)
	case quotes && (keyset.SPKI(r.Signer) != keys.Sign || r.Encryption != nil && keyset.SPKI(r.Encryption) != keys.Encrypt):
		c.note(m.now(), KeySet{Sign: r.Signer, Encrypt: r.Encryption}, FromAnswer)
		c.void(VoidKeys)
	case quotes:
		c.Test.Answered = m.now()
		c.Test.Vouched = c.Test.Vouched || r.Encryption != nil
		c.sealTest(m)
	}
	c.settle()
	return c
}

// maxScan bounds how much of a message is searched for the code.
const maxScan = 1 << 20

// quotesCode looks for the four words in a row, whatever stands between them
// that is not a word of the list.
func (c Contact) quotesCode(key []byte, text string) bool {
	text = text[:min(len(text), maxScan)]
	var last []string
	for _, token := range strings.FieldsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		word, ok := keyset.Listed(token)
		if !ok {
			continue
		}
		if last = append(last, word); len(last) > 4 {
			last = last[1:]
		}
		if len(last) == 4 && hmac.Equal(c.codeMAC(key, last), c.Test.Code) {
			return true
		}
	}
	return false
}

// void ends the test. What was matched in it is gone with it.
func (c *Contact) void(why Void) { c.Test, c.Voided = nil, why }

// codeMAC binds the code to the contact, the test and the exact key set.
func (c Contact) codeMAC(key []byte, code []string) []byte {
	id := c.Test.Keys.ID()
	return mac(key, "code", c.Address, c.Test.ID, string(id[:]), strings.Join(code, " "))
}

func (c *Contact) sealTest(m Moment) { c.Test.Seal = c.testMAC(m.CodeKey) }

func (c Contact) sealed(m Moment) bool { return hmac.Equal(c.testMAC(m.CodeKey), c.Test.Seal) }

func (c Contact) testMAC(key []byte) []byte {
	t := *c.Test
	t.Seal = nil
	b, err := json.Marshal(t)
	if err != nil {
		return nil
	}
	return mac(key, "test", c.Address, string(b))
}

// mac is HMAC-SHA256 over length-prefixed strings.
func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}
