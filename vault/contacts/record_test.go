package contacts

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"
)

// chain signs drafts as the book does.
type chain struct {
	pub     ed25519.PublicKey
	key     ed25519.PrivateKey
	records []Record
	head    [32]byte
}

func newChain(t *testing.T) *chain {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &chain{pub: pub, key: key}
}

func (c *chain) add(d *RecordDraft) {
	r := d.Chain(uint64(len(c.records)), c.head, func(msg []byte) []byte { return ed25519.Sign(c.key, msg) })
	c.records, c.head = append(c.records, r), r.Head()
}

// history is a chain with a life in it, and the contact at its end.
func history(t *testing.T) (*chain, *person, *person, Contact) {
	t.Helper()
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	k := newChain(t)
	k.add(&RecordDraft{Kind: RecordAnchorAdded, Certificates: [][]byte{me.own.Keys.Sign.Raw}, Time: start})
	c, o := me.verified(her)
	k.add(o.Record)
	return k, me, her, c
}

// TestChain is V8: what can be done to records, and what is said of it.
func TestChain(t *testing.T) {
	k, me, _, c := history(t)
	_, stop, err := c.Suspend(me.at(), ByUser)
	if err != nil {
		t.Fatal(err)
	}
	k.add(stop)
	eve := newChain(t)
	for _, b := range []struct {
		name string
		do   func([]Record) []Record
		want error
	}{
		{"as it is", func(r []Record) []Record { return r }, nil},
		{"the last one gone", func(r []Record) []Record { return r[:2] }, ErrRolledBack},
		{"all gone", func([]Record) []Record { return nil }, ErrRolledBack},
		{"the first one gone", func(r []Record) []Record { return r[1:] }, ErrRecordOrder},
		{"one in the middle gone", func(r []Record) []Record { return append(r[:1], r[2]) }, ErrRecordOrder},
		{"two in another order", func(r []Record) []Record { r[0], r[1] = r[1], r[0]; return r }, ErrRecordOrder},
		{"one twice", func(r []Record) []Record { return append(r, r[2]) }, ErrRecordOrder},
		{"another address", func(r []Record) []Record { r[1].Address = "eve@hill.example"; return r }, ErrRecordSignature},
		{"another number", func(r []Record) []Record { r[1].Call.Number = "0161 496 0000"; return r }, ErrRecordSignature},
		{"other keys", func(r []Record) []Record { r[1].Keys.Sign[0]++; return r }, ErrRecordSignature},
		{"another certificate", func(r []Record) []Record { r[1].Certificates[0] = []byte("x"); return r }, ErrRecordSignature},
		{"another kind", func(r []Record) []Record { r[2].Kind = RecordRenewed; return r }, ErrRecordSignature},
		{"another time", func(r []Record) []Record { r[1].Time = r[1].Time.Add(time.Second); return r }, ErrRecordSignature},
		{"another reason", func(r []Record) []Record { r[2].Reason = ""; return r }, ErrRecordSignature},
		{"signed by somebody else", func(r []Record) []Record {
			r[2] = r[2].Chain(2, r[1].Head(), func(m []byte) []byte { return ed25519.Sign(eve.key, m) })
			return r
		}, ErrRecordSignature},
		{"another end, signed as well", func(r []Record) []Record { // an older copy that went on differently
			d := r[2].RecordDraft
			d.Reason = string(ByExpiry)
			r[2] = d.Chain(2, r[1].Head(), func(m []byte) []byte { return ed25519.Sign(k.key, m) })
			return r
		}, ErrRolledBack},
	} {
		records := copyRecords(t, k.records)
		if err := VerifyChain(b.do(records), k.pub, k.head, 3); !errors.Is(err, b.want) {
			t.Errorf("%s: %v, want %v", b.name, err, b.want)
		}
	}

	// A stop between writing a record and moving the head leaves one more.
	if err := VerifyChain(k.records, k.pub, k.records[1].Head(), 2); err != nil {
		t.Errorf("one ahead of the head: %v", err)
	}
	if err := VerifyChain(nil, k.pub, [32]byte{}, 0); err != nil {
		t.Errorf("a new profile: %v", err)
	}
	if err := VerifyChain(k.records, nil, k.head, 3); !errors.Is(err, ErrRecordSignature) {
		t.Errorf("without a key: %v", err)
	}
}

// copyRecords takes records through the database.
func copyRecords(t *testing.T, in []Record) []Record {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out []Record
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAudit: a database edited by hand makes nobody verified, takes no stop away,
// and offers no number that no record bears out.
func TestAudit(t *testing.T) {
	k, me, her, c := history(t)
	eve := newPerson(t, her.own.Address)
	_, stop, _ := c.Suspend(me.at(), ByUser)
	with := func(d *RecordDraft) []Record {
		more := &chain{k.pub, k.key, append([]Record(nil), k.records...), k.head}
		more.add(d)
		return more.records
	}
	for _, b := range []struct {
		name    string
		edit    func(*Contact)
		records []Record
		want    State
		changed bool
	}{
		{"as it is", func(*Contact) {}, k.records, Verified, false},
		{"no record at all", func(*Contact) {}, nil, Suspended, true},
		{"another's record", func(*Contact) {}, k.records[:1], Suspended, true},
		{"Eve's keys", func(c *Contact) { c.Pin.Keys = eve.own.Keys }, k.records, Suspended, true},
		{"Eve's encryption key", func(c *Contact) { c.Pin.Keys.Encrypt = eve.own.Keys.Encrypt }, k.records, Suspended, true},
		{"Eve's number", func(c *Contact) { c.Pin.Call.Number = "0161 496 0000" }, k.records, Suspended, true},
		{"another source", func(c *Contact) { c.Pin.Call.Source = SourceKnown }, k.records, Suspended, true},
		{"a renewal that was none", func(c *Contact) { c.Pin.Renewed = start.Add(time.Hour) }, k.records, Suspended, true},
		{"a state by itself", func(c *Contact) { c.Pin = nil }, k.records, HasCertificate, true},
		{"the stop taken away", func(*Contact) {}, with(stop), Suspended, true},
		{"stopped, and so it says", func(c *Contact) { c.Suspension = &Suspension{At: stop.Time, Reason: ByUser} }, with(stop), Suspended, false},
	} {
		in := stored(t, c)
		b.edit(&in)
		if b.changed || in.Suspension == nil {
			in.State = Verified
		} else {
			in.State = Suspended
		}
		got, changed := in.Audit(copyRecords(t, b.records))
		if got.State != b.want || changed != b.changed {
			t.Errorf("%s: %s, changed %v", b.name, got.State, changed)
		}
		if changed && got.Pin != nil && b.records != nil && got.Pin.Call.Number == "0161 496 0000" {
			t.Errorf("%s: the number is still offered", b.name)
		}
	}

	later := KeySet{Sign: lasting(her.own.Keys.Sign), Encrypt: her.own.Keys.Encrypt}
	again, renewed, err := c.Renew(me.at(), later, trusted(), trusted())
	if err != nil {
		t.Fatal(err)
	}
	if got, changed := again.Audit(with(renewed)); changed || got.State != Verified {
		t.Errorf("a true renewal: %s", got.State)
	}
}

// lasting is a certificate that ends later than another for the same key.
func lasting(c *x509.Certificate) *x509.Certificate {
	later := *c
	later.NotAfter, later.Raw = c.NotAfter.AddDate(1, 0, 0), append([]byte("later"), c.Raw...)
	return &later
}

// TestEncodingCoversEverything: a field added to a record and forgotten in its
// encoding would not be signed.
func TestEncodingCoversEverything(t *testing.T) {
	k, _, _, _ := history(t)
	count := reflect.TypeFor[Record]().NumField() + reflect.TypeFor[RecordDraft]().NumField() + reflect.TypeFor[Call]().NumField()
	if count != 4+11+6 {
		t.Errorf("a record has %d fields: encode has to know them, and this test", count)
	}
	if r := k.records[1]; r.Head() == k.records[0].Head() {
		t.Error("two records have one head")
	}
}
