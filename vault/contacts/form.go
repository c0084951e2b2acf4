package contacts

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"crypto/sha256"
)

// FormType is the media type of a form's data.
const FormType = "application/vnd.countersign.form+json"

// MaxForm is the largest form accepted, in bytes.
const MaxForm = 8 << 10

// TestLife is how long a test and its code are good (V4).
const TestLife = 7 * 24 * time.Hour

// FormKind is one of the six fixed forms (V4). There is no seventh, and none
// has room for anything that a person wrote.
type FormKind string

const (
	Invitation      FormKind = "invitation"       // please answer with a signed message
	TestForm        FormKind = "test"             // carries the code
	AnswerForm      FormKind = "answer"           // quotes a test's id and digest
	KeyAnnouncement FormKind = "key-announcement" // the keys that follow
	ReceiptForm     FormKind = "receipt"          // a message arrived and was opened
	CourtesyNotice  FormKind = "courtesy-notice"  // a message arrived unprotected
)

// FormKinds lists the six kinds.
func FormKinds() []FormKind {
	return []FormKind{Invitation, TestForm, AnswerForm, KeyAnnouncement, ReceiptForm, CourtesyNotice}
}

// Encrypted says whether a form of this kind travels signed and encrypted, or
// signed only (V4).
func (k FormKind) Encrypted() bool {
	return k == TestForm || k == AnswerForm || k == ReceiptForm
}

// Form is the data of a fixed form. Which fields a kind has is fixed as well;
// a form with one too many or too few does not parse.
type Form struct {
	Version       int        `json:"countersign"` // 1
	Kind          FormKind   `json:"kind"`
	ID            string     `json:"id"`                       // 26 characters, 128 random bits
	From          string     `json:"from"`                     // canonical
	To            string     `json:"to"`                       // canonical
	Keys          *KeyHashes `json:"keys,omitempty"`           // the sender's: test, answer, key announcement
	ToKeys        *KeyHashes `json:"to_keys,omitempty"`        // the recipient's: test, answer
	Expires       time.Time  `json:"expires,omitzero"`         // test; UTC, whole seconds
	Code          []string   `json:"code,omitempty"`           // test: four words
	TestID        string     `json:"test,omitempty"`           // answer
	TestDigest    *Hash      `json:"test_digest,omitempty"`    // answer: the test's Digest
	NewKeys       *KeyHashes `json:"new_keys,omitempty"`       // key announcement
	MessageID     string     `json:"message,omitempty"`        // receipt
	MessageDigest *Hash      `json:"message_digest,omitempty"` // receipt: SHA-256 of the content
}

// ErrForm is wrapped by every error of [ParseForm] and [Form.Marshal].
var ErrForm = errors.New("contacts: not a form")

// Marshal gives the one encoding of a form: JSON without spaces, members in the
// order of the type, absent ones left out.
func (f Form) Marshal() ([]byte, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	return f.encode()
}

func (f Form) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ParseForm reads the data of a form. It accepts exactly what Marshal writes, so
// that two readers can't see two forms in the same bytes; line ends after it,
// which mail adds, are ignored.
func ParseForm(b []byte) (Form, error) {
	b = bytes.TrimRight(b, "\r\n")
	if len(b) > MaxForm {
		return Form{}, fmt.Errorf("%w: larger than %d bytes", ErrForm, MaxForm)
	}
	var f Form
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Form{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if err := f.validate(); err != nil {
		return Form{}, err
	}
	if again, err := f.encode(); err != nil || !bytes.Equal(again, b) {
		return Form{}, fmt.Errorf("%w: not in its one encoding", ErrForm)
	}
	return f, nil
}

// Digest is the SHA-256 of the form's encoding: what an answer quotes, so that
// it answers this test, with these keys and this code, and no other.
func (f Form) Digest() Hash {
	b, err := f.encode()
	if err != nil {
		return Hash{}
	}
	return sha256.Sum256(b)
}

// validate checks the fields that the kind has, and that it has no others.
func (f Form) validate() error {
	var has []string
	for name, set := range map[string]bool{
		"keys": f.Keys != nil, "to_keys": f.ToKeys != nil, "expires": !f.Expires.IsZero(), "code": len(f.Code) > 0,
		"test": f.TestID != "", "test_digest": f.TestDigest != nil, "new_keys": f.NewKeys != nil,
		"message": f.MessageID != "", "message_digest": f.MessageDigest != nil,
	} {
		if set {
			has = append(has, name)
		}
	}
	want, known := formFields[f.Kind]
	switch {
	case f.Version != 1:
		return fmt.Errorf("%w: version %d", ErrForm, f.Version)
	case !known:
		return fmt.Errorf("%w: no such kind", ErrForm)
	case !isID(f.ID) || f.TestID != "" && !isID(f.TestID):
		return fmt.Errorf("%w: malformed id", ErrForm)
	case !canonical(f.From) || !canonical(f.To):
		return fmt.Errorf("%w: malformed address", ErrForm)
	case len(has) != len(want):
		return fmt.Errorf("%w: wrong members for %s", ErrForm, f.Kind)
	}
	for _, name := range has {
		if !strings.Contains(" "+strings.Join(want, " ")+" ", " "+name+" ") {
			return fmt.Errorf("%w: wrong members for %s", ErrForm, f.Kind)
		}
	}
	if f.Kind == TestForm {
		if len(f.Code) != 4 || !onList(f.Code) {
			return fmt.Errorf("%w: malformed code", ErrForm)
		}
		if e := f.Expires; e.Location() != time.UTC || e.Nanosecond() != 0 || e.Year() < 2000 || e.Year() > 9999 {
			return fmt.Errorf("%w: malformed expiry", ErrForm)
		}
	}
	if f.MessageID != "" && !isMessageID(f.MessageID) {
		return fmt.Errorf("%w: malformed Message-ID", ErrForm)
	}
	return nil
}

// formFields lists the members that each kind has besides the first five.
var formFields = map[FormKind][]string{
	Invitation:      {},
	TestForm:        {"keys", "to_keys", "expires", "code"},
	AnswerForm:      {"keys", "to_keys", "test", "test_digest"},
	KeyAnnouncement: {"keys", "new_keys"},
	ReceiptForm:     {"message", "message_digest"},
	CourtesyNotice:  {},
}

func onList(words []string) bool {
	for _, w := range words {
		if l, ok := listed(w); !ok || l != w {
			return false
		}
	}
	return true
}

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newID(random io.Reader) (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", err
	}
	return idEncoding.EncodeToString(b), nil
}

// isID accepts the one encoding of 128 bits.
func isID(s string) bool {
	if len(s) != 26 {
		return false
	}
	b, err := idEncoding.DecodeString(s)
	return err == nil && idEncoding.EncodeToString(b) == s
}

// isMessageID accepts <printable@printable> without spaces, quotes or controls.
func isMessageID(s string) bool {
	if len(s) < 5 || len(s) > 250 || s[0] != '<' || s[len(s)-1] != '>' || strings.Count(s, "@") != 1 {
		return false
	}
	for _, b := range []byte(s[1 : len(s)-1]) {
		if b <= ' ' || b > '~' || strings.IndexByte(`<>"\`, b) >= 0 {
			return false
		}
	}
	return true
}

// NewForm makes an invitation or a courtesy notice.
func NewForm(m Moment, kind FormKind, own Own, to string) (Form, error) {
	id, err := newID(m.random())
	if err != nil {
		return Form{}, fmt.Errorf("making a form: %w", err)
	}
	f := Form{Version: 1, Kind: kind, ID: id, From: own.Address, To: to}
	return f, f.validate()
}

// NewAnnouncement announces the key set that follows the user's present one.
func NewAnnouncement(m Moment, own Own, next KeySet, to string) (Form, error) {
	f, _ := NewForm(m, Invitation, own, to)
	now, then := own.Keys.Hashes(), next.Hashes()
	f.Kind, f.Keys, f.NewKeys = KeyAnnouncement, &now, &then
	return f, f.validate()
}

// NewReceipt confirms one message, by its Message-ID and the SHA-256 of its
// content.
func NewReceipt(m Moment, own Own, to, messageID string, content Hash) (Form, error) {
	f, _ := NewForm(m, Invitation, own, to)
	f.Kind, f.MessageID, f.MessageDigest = ReceiptForm, messageID, &content
	return f, f.validate()
}
