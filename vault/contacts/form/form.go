// Package form is the six fixed forms: the only messages that may go to somebody
// who is not verified (SECURITY.md, V4).
//
// A form is data, in one JSON encoding, beside a text that any mail program
// shows. Both are made of the same few values. There is no room in either for
// anything that a person wrote.
package form

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"countersign/vault/contacts/keyset"
)

// MediaType is the media type of a form's data.
const MediaType = "application/vnd.countersign.form+json"

// MaxSize is the largest form accepted, in bytes.
const MaxSize = 8 << 10

// TestLife is how long a test and its code are good (V4).
const TestLife = 7 * 24 * time.Hour

// Kind is one of the six fixed forms (V4). There is no seventh, and none
// has room for anything that a person wrote.
type Kind string

const (
	Invitation      Kind = "invitation"       // please answer with a signed message
	Test            Kind = "test"             // carries the code
	Answer          Kind = "answer"           // quotes a test's id and digest
	KeyAnnouncement Kind = "key-announcement" // the keys that follow
	Receipt         Kind = "receipt"          // a message arrived and was opened
	CourtesyNotice  Kind = "courtesy-notice"  // a message arrived unprotected
)

// Kinds lists the six kinds.
func Kinds() []Kind {
	return []Kind{Invitation, Test, Answer, KeyAnnouncement, Receipt, CourtesyNotice}
}

// Encrypted says whether a form of this kind travels signed and encrypted, or
// signed only (V4).
func (k Kind) Encrypted() bool {
	return k == Test || k == Answer || k == Receipt
}

// Form is the data of a fixed form. Which fields a kind has is fixed as well;
// a form with one too many or too few does not parse.
type Form struct {
	Version       int               `json:"countersign"` // 1
	Kind          Kind              `json:"kind"`
	ID            string            `json:"id"`                       // 26 characters, 128 random bits
	From          string            `json:"from"`                     // canonical
	To            string            `json:"to"`                       // canonical
	Keys          *keyset.KeyHashes `json:"keys,omitempty"`           // the sender's: test, answer, key announcement
	ToKeys        *keyset.KeyHashes `json:"to_keys,omitempty"`        // the recipient's: test, answer
	Expires       time.Time         `json:"expires,omitzero"`         // test; key announcement: until when the present keys sign; UTC, whole seconds
	Code          keyset.Code       `json:"code,omitempty"`           // test: four words
	TestID        string            `json:"test,omitempty"`           // answer
	TestDigest    *keyset.Hash      `json:"test_digest,omitempty"`    // answer: the test's Digest
	NewKeys       *keyset.KeyHashes `json:"new_keys,omitempty"`       // key announcement
	MessageID     string            `json:"message,omitempty"`        // receipt
	MessageDigest *keyset.Hash      `json:"message_digest,omitempty"` // receipt: SHA-256 of the content
}

// ErrMalformed is wrapped by every error of [Parse] and [Form.Marshal].
var ErrMalformed = errors.New("form: malformed")

// Marshal gives the one encoding of a form: JSON without spaces, members in the
// order of the type, absent ones left out.
func (f Form) Marshal() ([]byte, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	return f.encode()
}

func (f Form) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Parse reads the data of a form. It accepts exactly what Marshal writes, so
// that two readers can't see two forms in the same bytes; line ends after it,
// which mail adds, are ignored.
func Parse(b []byte) (Form, error) {
	b = bytes.TrimRight(b, "\r\n")
	if len(b) > MaxSize {
		return Form{}, fmt.Errorf("%w: larger than %d bytes", ErrMalformed, MaxSize)
	}
	var f Form
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Form{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := f.Validate(); err != nil {
		return Form{}, err
	}
	if again, err := f.encode(); err != nil || !bytes.Equal(again, b) {
		return Form{}, fmt.Errorf("%w: not in its one encoding", ErrMalformed)
	}
	return f, nil
}

// Format names the kind only, whatever the verb: a test holds a secret.
func (f Form) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "form %q", string(f.Kind)) }

// LogValue does the same in logs.
func (f Form) LogValue() slog.Value { return slog.StringValue("form " + string(f.Kind)) }

// Digest is the SHA-256 of the form's encoding: what an answer quotes, so that
// it answers this test, with these keys and this code, and no other.
func (f Form) Digest() keyset.Hash {
	b, err := f.encode()
	if err != nil {
		return keyset.Hash{}
	}
	return sha256.Sum256(b)
}

// Validate checks the fields that the kind has, and that it has no others.
func (f Form) Validate() error {
	var has []string
	for _, m := range []struct {
		name string
		set  bool
	}{
		{"code", len(f.Code) > 0}, {"expires", !f.Expires.IsZero()}, {"keys", f.Keys != nil},
		{"message", f.MessageID != ""}, {"message_digest", f.MessageDigest != nil}, {"new_keys", f.NewKeys != nil},
		{"test", f.TestID != ""}, {"test_digest", f.TestDigest != nil}, {"to_keys", f.ToKeys != nil},
	} {
		if m.set {
			has = append(has, m.name)
		}
	}
	want, known := members[f.Kind]
	switch {
	case f.Version != 1:
		return fmt.Errorf("%w: version %d", ErrMalformed, f.Version)
	case !known:
		return fmt.Errorf("%w: no such kind", ErrMalformed)
	case !isID(f.ID) || f.TestID != "" && !isID(f.TestID):
		return fmt.Errorf("%w: malformed id", ErrMalformed)
	case !keyset.Canonical(f.From) || !keyset.Canonical(f.To):
		return fmt.Errorf("%w: malformed address", ErrMalformed)
	case !slices.Equal(has, want):
		return fmt.Errorf("%w: wrong members for %s", ErrMalformed, f.Kind)
	}
	if f.Kind == Test {
		if len(f.Code) != 4 || !onList(f.Code) {
			return fmt.Errorf("%w: malformed code", ErrMalformed)
		}
	}
	if e := f.Expires; !e.IsZero() && (e.Location() != time.UTC || e.Nanosecond() != 0 || e.Year() < 2000 || e.Year() > 9999) {
		return fmt.Errorf("%w: malformed expiry", ErrMalformed)
	}
	if f.MessageID != "" && !isMessageID(f.MessageID) {
		return fmt.Errorf("%w: malformed Message-ID", ErrMalformed)
	}
	return nil
}

// members lists, in order, what each kind has besides the first five.
var members = map[Kind][]string{
	Invitation:      nil,
	Test:            {"code", "expires", "keys", "to_keys"},
	Answer:          {"keys", "test", "test_digest", "to_keys"},
	KeyAnnouncement: {"expires", "keys", "new_keys"},
	Receipt:         {"message", "message_digest"},
	CourtesyNotice:  nil,
}

func onList(words []string) bool {
	for _, w := range words {
		if l, ok := keyset.Listed(w); !ok || l != w {
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

// New makes a form with a fresh id; what its kind has besides is for the caller
// to fill in.
func New(random io.Reader, kind Kind, from, to string) (Form, error) {
	id, err := newID(random)
	if err != nil {
		return Form{}, fmt.Errorf("making a form: %w", err)
	}
	return Form{Version: 1, Kind: kind, ID: id, From: from, To: to}, nil
}
