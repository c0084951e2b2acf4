package contacts

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// RecordKind is what a signed record says happened (V8).
type RecordKind string

const (
	RecordVerified      RecordKind = "verified"
	RecordSuspended     RecordKind = "suspended"
	RecordMismatch      RecordKind = "mismatch"
	RecordRenewed       RecordKind = "renewed"
	RecordAnchorAdded   RecordKind = "anchor-added"
	RecordAnchorRemoved RecordKind = "anchor-removed"
	// A bundle of anchors is fetched again and again from one place (F2).
	RecordBundleFollowed RecordKind = "bundle-followed"
	RecordBundleSeen     RecordKind = "bundle-seen" // a newer one, by the time at which it was signed
	RecordBundleLeft     RecordKind = "bundle-left"
)

// RecordDraft is what a record says, before it is signed and chained.
type RecordDraft struct {
	Kind         RecordKind `json:"kind"`
	Address      string     `json:"address,omitempty"` // empty for anchors
	Keys         KeyHashes  `json:"keys"`
	Certificates [][]byte   `json:"certificates"` // DER: signing, then encryption; or the anchor, or who signs the bundle
	Time         time.Time  `json:"time"`
	Call         Call       `json:"call"`             // verified, renewed, suspended: of the verification
	Reason       string     `json:"reason,omitempty"` // suspended
	// Of anchors and bundles: what they are for, for which domains, where the bundle is,
	// and when the one that was seen last was signed.
	For     string    `json:"for,omitempty"`
	Domains []string  `json:"domains,omitempty"`
	Bundle  string    `json:"bundle,omitempty"`
	Signed  time.Time `json:"signed,omitzero"`
}

// extended says that the record has fields that the first encoding lacks.
func (d RecordDraft) extended() bool {
	return d.For != "" || len(d.Domains) > 0 || d.Bundle != "" || !d.Signed.IsZero()
}

// Record is one signed entry of the records' chain.
type Record struct {
	Seq uint64 `json:"seq"` // from 1
	RecordDraft
	Prev Hash   `json:"prev"` // Hash of the record before; zero for the first
	Sig  []byte `json:"sig"`  // Ed25519 by the record key
}

// Errors of a chain of records.
var (
	// ErrRolledBack: all records are in order, but do not reach the head that
	// is held outside the database. Records are missing at the end.
	ErrRolledBack = errors.New("contacts: the records were rolled back")
	// ErrRecordSignature: the record key did not sign a record as it stands.
	ErrRecordSignature = errors.New("contacts: a record was changed")
	// ErrRecordOrder: a record is missing, repeated, or in another place.
	ErrRecordOrder = errors.New("contacts: the records are not in order")
)

// draft makes the record of a transition of this contact, or of the organisation that
// it counts by.
func (c Contact) draft(of string, kind RecordKind, now time.Time, keys KeySet, call Call, reason string) *RecordDraft {
	d := &RecordDraft{Kind: kind, Address: cmp.Or(of, c.Address), Keys: keys.Hashes(), Time: now, Call: call, Reason: reason}
	if keys.Complete() {
		d.Certificates = [][]byte{keys.Sign.Raw, keys.Encrypt.Raw}
	}
	return d
}

// Chain makes the record that follows a head (zero values for the first). The
// function signs with the record key, Ed25519.
func (d RecordDraft) Chain(counter uint64, head [32]byte, sign func(msg []byte) []byte) Record {
	r := Record{Seq: counter + 1, RecordDraft: d, Prev: head}
	r.Time = r.Time.UTC().Truncate(time.Second)
	r.Call.At = r.Call.At.UTC().Truncate(time.Second)
	r.Signed = r.Signed.UTC().Truncate(time.Second)
	r.Sig = sign(r.encode())
	return r
}

// Head is the hash that the next record carries as Prev, and that is kept
// outside the database together with Seq.
func (r Record) Head() [32]byte { return sha256.Sum256(append(r.encode(), r.Sig...)) }

// encode is the one encoding that is signed: a name for the purpose, then every
// field in order. Numbers are 8 octets, most significant first; times are Unix
// seconds, the zero time 0; text and octets have their length before them;
// hashes stand as they are. A record with none of the fields for anchors and bundles
// has the first encoding, as all had before there were such fields.
func (r Record) encode() []byte {
	var b bytes.Buffer
	number := func(n uint64) { b.Write(binary.BigEndian.AppendUint64(nil, n)) }
	text := func(s string) { number(uint64(len(s))); b.WriteString(s) }
	moment := func(t time.Time) {
		if t.IsZero() {
			number(0)
			return
		}
		number(uint64(t.Unix()))
	}
	if r.extended() {
		text("countersign record 2")
		text(r.For)
		number(uint64(len(r.Domains)))
		for _, d := range r.Domains {
			text(d)
		}
		text(r.Bundle)
		moment(r.Signed)
	} else {
		text("countersign record 1")
	}
	number(r.Seq)
	text(string(r.Kind))
	text(r.Address)
	b.Write(r.Keys.Sign[:])
	b.Write(r.Keys.Encrypt[:])
	number(uint64(len(r.Certificates)))
	for _, der := range r.Certificates {
		text(string(der))
	}
	moment(r.Time)
	moment(r.Call.At)
	for _, s := range []string{r.Call.Number, string(r.Call.Source), r.Call.Reader, string(r.Call.Sign),
		string(r.Call.Encrypt), r.Reason} {
		text(s)
	}
	b.Write(r.Prev[:])
	return b.Bytes()
}

// VerifyChain checks a whole chain against the head and counter held outside the
// database. Records beyond the head are accepted: the record key signed them,
// and only a stop between writing them and moving the head leaves them; the
// caller then moves the head on.
func VerifyChain(records []Record, pub ed25519.PublicKey, head [32]byte, counter uint64) error {
	var prev [32]byte
	reached := counter == 0 && head == prev
	for i, r := range records {
		if r.Seq != uint64(i)+1 || [32]byte(r.Prev) != prev {
			return fmt.Errorf("%w: at %d", ErrRecordOrder, i+1)
		}
		if len(pub) != ed25519.PublicKeySize || !ed25519.Verify(pub, r.encode(), r.Sig) {
			return fmt.Errorf("%w: at %d", ErrRecordSignature, i+1)
		}
		prev = r.Head()
		reached = reached || r.Seq == counter && prev == head
	}
	if !reached {
		return ErrRolledBack
	}
	return nil
}

// Audit returns the contact as its own signed records bear it out. The records
// are those of this address, in order, from a chain that VerifyChain accepted.
// A pin that no record made is suspended, and its number is never offered; a
// suspension or mismatch that a record holds cannot be edited away. The second
// result says whether anything had to be put right.
func (c Contact) Audit(records []Record) (Contact, bool) {
	var pin *Record
	stopped := false
	for _, r := range records {
		switch {
		case r.Address != c.Address:
		case r.Kind == RecordVerified || r.Kind == RecordRenewed && pin != nil:
			pin, stopped = &r, false
		case r.Kind == RecordSuspended, r.Kind == RecordMismatch:
			stopped = true
		}
	}
	before := c
	c = c.clone()
	if c.Pin != nil && c.Organisation() {
		c.Pin.Was = succeeded(records)
	}
	if c.Pin != nil && (pin == nil || !pin.bears(*c.Pin)) {
		c.Pin.Call = Call{}
		c.Suspension = &Suspension{At: c.Pin.Renewed, Reason: ByRecords}
	} else if c.Pin != nil && stopped && c.Suspension == nil {
		c.Suspension = &Suspension{At: records[len(records)-1].Time, Reason: ByRecords}
	}
	c.settle()
	changed := c.State != before.State || (c.Suspension == nil) != (before.Suspension == nil)
	return c, changed
}

// bears says that a record is the one of this pin, to the letter.
func (r Record) bears(p Pin) bool {
	return p.Keys.Complete() && len(r.Certificates) == 2 &&
		bytes.Equal(r.Certificates[0], p.Keys.Sign.Raw) && bytes.Equal(r.Certificates[1], p.Keys.Encrypt.Raw) &&
		p.Call.At.Equal(r.Call.At) && (p.Renewed.IsZero() || p.Renewed.Equal(r.Time)) &&
		p.Call.same(r.Call)
}

func (a Call) same(b Call) bool {
	a.At, b.At = time.Time{}, time.Time{}
	return a == b
}
