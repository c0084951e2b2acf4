package contacts

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/vault/contacts/keyset"
)

// TestStory is the main path with nothing left out: the real words, through the
// exported call.
func TestStory(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c, f := me.answered(her)
	if c.State != Answered || c.Level() != Care {
		t.Fatalf("%s, %s", c.State, c.Level())
	}
	words := keyset.SafetyWords(her.own.Address, her.own.Keys)
	c, o, err := c.RecordCall(me.at(), CallReport{Number: "+44 20 7946 0123", Source: SourceLetterhead,
		Code: []string{strings.ToUpper(f.Code[0]), " " + f.Code[1], f.Code[2][:3] + " " + f.Code[2][3:], f.Code[3]}, Words: words[:]})
	if err != nil || !o.Matched || !o.Verified || !o.Code || !o.Words || c.State != Verified || c.Test != nil {
		t.Fatalf("%+v, %v", o, err)
	}
	if c.Level() != Good || c.Label(nil) != "Confirmed by telephone on 3 March 2026" {
		t.Fatal(c.Label(nil))
	}
	if c.Pin.Call.Number != "+44 20 7946 0123" || c.Pin.Call.Source != SourceLetterhead || c.Pin.Call.Sign != keyset.ReadWords {
		t.Fatalf("%+v", c.Pin.Call)
	}
	if r := o.Record; r == nil || r.Kind != RecordVerified || r.Address != c.Address || r.Keys != her.own.Keys.Hashes() ||
		len(r.Certificates) != 2 || r.Call != c.Pin.Call {
		t.Fatalf("%+v", o.Record)
	}
	if !c.Pin.Signs(her.own.Keys) || c.Pin.Signs(me.own.Keys) || (*Pin)(nil).Signs(her.own.Keys) {
		t.Fatal("the pin does not tell whose signature is theirs")
	}
}

// TestCodeIsNotKept is V5: after the test is sent, nothing of the contact tells
// the code, or lets it be tried without the code key.
func TestCodeIsNotKept(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c, f := me.test(me.know(her))
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), `"from":"message"`, "") // message is a word of the list, and so are some fields' names
	for _, w := range f.Code {
		if strings.Count(text, `"`+w+`"`) > strings.Count(text, `"`+w+`":`) {
			t.Errorf("the stored contact holds %q", w)
		}
	}
	if bytes.Contains(b, []byte(f.Digest().String())) {
		t.Error("the stored contact holds the digest, by which codes can be tried")
	}
	other := me.at()
	other.CodeKey = bytes.Repeat([]byte{9}, 32)
	if c, o, err := c.RecordCall(other, directory.code(f.Code...)); err != nil || c.Voided != VoidEdited || o.Code {
		t.Errorf("with another key: %+v, %v", o, err)
	}
}

// TestNumberFirst is V1: where the number is from, before anything else counts.
func TestNumberFirst(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	known, _ := me.verified(her)
	me.now = me.now.Add(time.Hour)
	again, _, err := known.SendTest(me.at(), me.own, "")
	if err != nil {
		t.Fatal(err)
	}
	fresh, _ := me.answered(her)
	for _, c := range []struct {
		name   string
		in     Contact
		number string
		source Source
		want   error
		other  bool
	}{
		{"nothing", fresh, "", "", ErrNumber, false},
		{"no source", fresh, "020 7946 0123", "", ErrSource, false},
		{"an unknown source", fresh, "020 7946 0123", "e-mail", ErrSource, false},
		{"no number", fresh, "", SourceDirectory, ErrNumber, false},
		{"no telephone number", fresh, "ask Eve", SourceDirectory, ErrBadNumber, false},
		{"two digits", fresh, "12", SourceDirectory, ErrBadNumber, false},
		{"a script", fresh, "020<script>", SourceDirectory, ErrBadNumber, false},
		{"an extension", fresh, "+44 (20) 7946-0123 ext. 7", SourceDirectory, nil, false},
		{"met", fresh, "", SourceInPerson, nil, false},
		{"met, with a number", fresh, "020 7946 0123", SourceInPerson, ErrInPersonNumber, false},
		{"an earlier record that is not there", fresh, "020 7946 0123", SourceEarlier, ErrNotEarlier, false},
		{"the earlier number, offered", again, "", SourceEarlier, nil, false},
		{"the earlier number, typed otherwise", again, "+44-20-7946-0123", SourceEarlier, nil, false},
		{"another number as the earlier one", again, "020 1111 1111", SourceEarlier, ErrNotEarlier, false},
		{"another number", again, "020 1111 1111", SourceDirectory, nil, true},
		{"met again", again, "", SourceInPerson, nil, false},
	} {
		got, o, err := c.in.recordCall(me.at(), CallReport{Number: c.number, Source: c.source, Code: []string{"x", "x", "x", "x"}}, safety)
		if !errors.Is(err, c.want) || c.want != nil && got.Test.CodeWrong != 0 {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if o.OtherNumber != c.other {
			t.Errorf("%s: flagged as another number: %v", c.name, o.OtherNumber)
		}
		if err == nil && got.Test.Source != c.source {
			t.Errorf("%s: the source was not kept", c.name)
		}
	}
}

// TestHalfDone is V6: what matched is kept, in either order, on one number.
func TestHalfDone(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	words := safety(her.own.Address, her.own.Keys)
	for _, order := range []string{"code first", "words first"} {
		c, f := me.answered(her)
		first, second := directory.code(f.Code...), CallReport{Words: words[:]}
		next := "The code matched at 09:12."
		if order == "words first" {
			first, second, next = directory.words(words), CallReport{Code: f.Code}, "The safety words matched at 09:12."
		}
		me.now = start.Add(12 * time.Minute)
		c, o := me.call(c, first)
		if c.State != Answered || !o.Matched || o.Verified || !strings.HasPrefix(c.Next(nil), next) {
			t.Fatalf("%s: %s, %q", order, c.State, c.Next(nil))
		}
		me.now = start.Add(26 * time.Hour)
		if c, o = me.call(c, second); c.State != Verified || o.Record == nil || c.Pin.Call.Number != directory.Number {
			t.Fatalf("%s: then %s, %+v", order, c.State, o)
		}
		me.now = start
	}

	c, f := me.answered(her)
	c, _ = me.call(c, directory.code(f.Code...))
	elsewhere := CallReport{Number: "0161 496 0000", Source: SourceKnown, Words: words[:]}
	if c, o := me.call(c, elsewhere); c.State == Verified || o.Code || !o.Words || !strings.Contains(o.Says, "start again") {
		t.Fatalf("two halves heard on two numbers made one: %+v", o)
	}
	if _, _, err := c.recordCall(me.at(), CallReport{}, safety); !errors.Is(err, ErrNothingHeard) {
		t.Fatalf("an empty report: %v", err)
	}
}

// TestTries is V5: what a wrong word costs, and what it does not tell.
func TestTries(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	words := safety(her.own.Address, her.own.Keys)
	c, f := me.answered(her)

	for range 5 { // words that are not on the list cost nothing
		var o Outcome
		c, o = me.call(c, directory.code(f.Code[0], "xyzzy", f.Code[2], ""))
		if !slices.Equal(o.UnknownCode, []int{2, 4}) || o.Matched || c.Test.TriesLeft() != 3 {
			t.Fatalf("%+v, %d tries left", o, c.Test.TriesLeft())
		}
		c, o = me.call(c, directory.words([6]string{"xyzzy", words[1], words[2], words[3], words[4], words[5]}))
		if !slices.Equal(o.UnknownWords, []int{1}) || c.Test.WordsWrong != 0 {
			t.Fatalf("%+v", o)
		}
		c, o = me.call(c, directory.prints("12345"))
		if o.Matched || c.Test.WordsWrong != 0 {
			t.Fatalf("%+v", o)
		}
	}

	var says []string
	for i := range 4 { // each word wrong in turn says the same
		bad := slices.Clone(f.Code)
		if bad[i] = "zoo"; f.Code[i] == "zoo" {
			bad[i] = "zone"
		}
		_, o := me.call(c, directory.code(bad...))
		says = append(says, o.Says)
		if o.Matched || o.Code {
			t.Fatalf("word %d wrong, but %+v", i, o)
		}
	}
	if len(slices.Compact(says)) != 1 {
		t.Errorf("feedback tells which word was wrong: %q", says)
	}

	c, _ = me.call(c, directory.code(wrong(f.Code...)...))
	c, o := me.call(c, directory.code(wrong(f.Code...)...))
	if c.Test.TriesLeft() != 1 || !strings.Contains(o.Says, "One try is left") {
		t.Fatalf("after two: %q", o.Says)
	}
	if kept, o := me.call(c, directory.code(f.Code...).words(words)); !o.Verified || kept.State != Verified {
		t.Fatalf("the third try was right: %+v", o)
	}
	if c, o = me.call(c, directory.code(wrong(f.Code...)...)); c.Test != nil || c.Voided != VoidTries || c.State != HasCertificate {
		t.Fatalf("after three: %+v", o)
	}
	if _, _, err := c.recordCall(me.at(), directory.code(f.Code...).words(words), safety); !errors.Is(err, ErrNoTest) {
		t.Fatalf("a void test was finished: %v", err)
	}
}

// TestMismatch is V5: wrong words twice, and the only ways out.
func TestMismatch(t *testing.T) {
	me, her, eve := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example"), newPerson(t, "imran@hill.example")
	eves := safety(eve.own.Address, eve.own.Keys)
	c, f := me.answered(her)
	c, o := me.call(c, directory.code(f.Code...).words(eves))
	if c.State != Answered || o.Mismatch || o.Matched || !o.Code {
		t.Fatalf("after one: %+v", o)
	}
	c, o = me.call(c, directory.words(eves))
	if c.State != Mismatch || !o.Mismatch || c.Level() != Stop || o.Record == nil || o.Record.Kind != RecordMismatch {
		t.Fatalf("after two: %s, %+v", c.State, o)
	}
	if _, _, err := c.SendTest(me.at(), me.own, ""); !errors.Is(err, ErrBarred) {
		t.Errorf("a fresh test of the same keys without a word: %v", err)
	}
	if _, _, err := c.SendTest(me.at(), me.own, c.Candidates[0].ID); !errors.Is(err, ErrBarred) {
		t.Errorf("and by name: %v", err)
	}

	out, err := c.Misheard()
	if err != nil || out.State != HasCertificate {
		t.Fatalf("misheard: %s, %v", out.State, err)
	}
	if _, _, err := out.recordCall(me.at(), directory.words(safety(her.own.Address, her.own.Keys)), safety); !errors.Is(err, ErrNoTest) {
		t.Errorf("no fresh test was asked for: %v", err)
	}
	if out, _, err = out.SendTest(me.at(), me.own, ""); err != nil || out.State != TestSent {
		t.Errorf("the fresh test: %s, %v", out.State, err)
	}

	other := must[Contact](t)(c.AddCandidate(me.at(), eve.own.Keys, FromFile))
	other, _, err = other.SendTest(me.at(), me.own, "")
	if err != nil || other.State != TestSent || other.Test.Keys.ID() != eve.own.Keys.ID() {
		t.Fatalf("another certificate: %s, %v", other.State, err)
	}
	me.now = me.now.Add(8 * 24 * time.Hour)
	if other, _ = other.Refresh(me.at(), trusted(), trusted()); other.State != Mismatch {
		t.Errorf("when that comes to nothing: %s", other.State)
	}
}

// TestNewKeysWhileVerified: the old pin holds until the new one does; with
// somebody between, neither holds.
func TestNewKeysWhileVerified(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c, _ := me.verified(her)
	next := newKeys(t, her.own.Address)
	c = must[Contact](t)(c.AddCandidate(me.at(), next, FromMessage))
	if c.State != Verified || len(c.Candidates) != 2 {
		t.Fatalf("another certificate: %s", c.State)
	}
	if _, _, err := c.SendTest(me.at(), me.own, ""); !errors.Is(err, ErrChoose) {
		t.Fatalf("one of two was preselected: %v", err)
	}
	c, f, err := c.SendTest(me.at(), me.own, c.Candidates[1].ID)
	if err != nil || c.State != Verified || c.Pin.Keys.ID() != her.own.Keys.ID() {
		t.Fatalf("%s, %v", c.State, err)
	}
	good, _ := me.call(c, CallReport{Source: SourceEarlier, Code: f.Code, Words: ptr(safety(her.own.Address, next))[:]})
	if good.State != Verified || good.Pin.Keys.ID() != next.ID() || good.Pin.Call.Source != SourceEarlier {
		t.Fatalf("%s", good.State)
	}
	bad, o := me.call(c, CallReport{Wrong: true})
	if bad.State != Mismatch || bad.Suspension == nil || o.Record == nil {
		t.Fatalf("%s, %+v", bad.State, o)
	}
	if bad, err = bad.Misheard(); err != nil || bad.State != Suspended {
		t.Fatalf("misheard, but the old pin is back in force: %s, %v", bad.State, err)
	}
}

func ptr[T any](v T) *T { return &v }

// TestFingerprints is V2 for people without Countersign.
func TestFingerprints(t *testing.T) {
	me, her, eve := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example"), newPerson(t, "imran@hill.example")
	k := her.own.Keys
	s, e := keyset.Fingerprint(k.Sign), keyset.Fingerprint(k.Encrypt)
	c, f := me.test(me.know(her))
	if c.Test.Fingerprints() != 2 {
		t.Fatalf("%d certificates to read", c.Test.Fingerprints())
	}
	both, o := me.call(c, directory.code(f.Code...).prints(s, e))
	if both.State != Verified || both.Pin.Call.Sign != keyset.ReadFingerprint || both.Pin.Call.Encrypt != keyset.ReadFingerprint {
		t.Fatalf("both: %+v", o)
	}
	sha1, _ := me.call(c, directory.code(f.Code...).prints(keyset.Thumbprint(k.Sign), e))
	if sha1.State != Verified || sha1.Pin.Call.Sign != keyset.ReadThumbprint {
		t.Fatalf("a thumbprint is not recorded as such: %+v", sha1.Pin)
	}
	one, o := me.call(c, directory.code(f.Code...).prints(s))
	if one.State == Verified || o.Words || !o.Matched {
		t.Fatalf("the signing certificate alone: %+v", o)
	}
	if later, _ := me.call(one, CallReport{Fingerprints: []string{e}}); later.State != Verified {
		t.Fatalf("and the other later: %s", later.State)
	}

	// A signed reply that quotes the test's id vouches for the encryption key.
	reply := Reply{Signer: k.Sign, Encryption: k.Encrypt, Encrypted: true, Text: "> Reference: " + f.ID}
	vouched := stored(t, one.ReceiveReply(me.at(), reply))
	if vouched.State != Answered || vouched.Test.Fingerprints() != 1 {
		t.Fatalf("vouched for: %s, %d", vouched.State, vouched.Test.Fingerprints())
	}
	done, o, err := vouched.recordCall(me.at(), CallReport{}, safety)
	if err != nil || done.State != Verified || done.Pin.Call.Encrypt != keyset.ReadSignature || !o.Verified {
		t.Fatalf("finishing: %s, %v", done.State, err)
	}
	for name, r := range map[string]Reply{
		"unsigned":                 {Encryption: k.Encrypt, Encrypted: true, Text: f.ID},
		"without the id":           {Signer: k.Sign, Encryption: k.Encrypt, Encrypted: true, Text: "hello"},
		"without a key preference": {Signer: k.Sign, Encrypted: true, Text: f.ID},
	} {
		if got := one.ReceiveReply(me.at(), r); got.Test == nil || got.Test.Vouched {
			t.Errorf("a reply %s vouches", name)
		}
	}
	for name, r := range map[string]Reply{
		"signed by Eve":      {Signer: eve.own.Keys.Sign, Encryption: k.Encrypt, Encrypted: true, Text: f.ID},
		"naming Eve's key":   {Signer: k.Sign, Encryption: eve.own.Keys.Encrypt, Encrypted: true, Text: f.ID},
		"quoting the code":   {Signer: k.Sign, Encryption: k.Encrypt, Text: f.ID + " " + f.Code.Text()},
		"quoting it in rows": {Text: "> 1. " + f.Code[0] + "\n> 2. " + f.Code[1] + "\n> 3. " + f.Code[2] + "\n> 4. " + f.Code[3]},
	} {
		if got := one.ReceiveReply(me.at(), r); got.Test != nil || got.Voided == "" || got.State != HasCertificate {
			t.Errorf("after a reply %s: %s", name, got.State)
		}
	}
	if got := one.ReceiveReply(me.at(), Reply{Signer: k.Sign, Encrypted: true, Text: f.ID + f.Code.Text()}); got.Test == nil {
		t.Error("an encrypted reply may quote the code")
	}

	// One certificate for both uses is read once.
	single := newCert(t, her.own.Address, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement, nil)
	alone := must[Contact](t)(New(her.own.Address, ""))
	alone = must[Contact](t)(alone.AddCandidate(me.at(), KeySet{Sign: single, Encrypt: single}, FromFile))
	alone, f = me.test(alone)
	if alone, o = me.call(alone, directory.code(f.Code...).prints(keyset.Fingerprint(single))); alone.State != Verified {
		t.Fatalf("one certificate: %+v", o)
	}
}

// TestSwappedEncryptionCertificate: Eve gets a test encrypted to her key beside
// his true signing key, reads it, and passes it on.
func TestSwappedEncryptionCertificate(t *testing.T) {
	me, her, eve := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example"), newPerson(t, "imran@hill.example")
	mixed := KeySet{Sign: her.own.Keys.Sign, Encrypt: eve.own.Keys.Encrypt}
	c := must[Contact](t)(New(her.own.Address, "Dr Imran Shah"))
	c = must[Contact](t)(c.AddCandidate(me.at(), mixed, FromMessage))
	c, f := me.test(c)

	hers := must[Contact](t)(New(me.own.Address, ""))
	if _, err := hers.ReceiveTest(her.at(), carry(t, f, me.own.Keys), her.own, her.new); !errors.Is(err, ErrFormKeys) {
		t.Fatalf("his Countersign took a test for other keys: %v", err)
	}
	for name, r := range map[string]CallReport{
		"his words":        directory.code(f.Code...).words(safety(her.own.Address, her.own.Keys)),
		"his fingerprints": directory.code(f.Code...).prints(keyset.Fingerprint(her.own.Keys.Sign), keyset.Fingerprint(her.own.Keys.Encrypt)),
		"only the signing": directory.code(f.Code...).prints(keyset.Fingerprint(her.own.Keys.Sign)),
	} {
		if got, o := me.call(c, r); got.State == Verified || o.Words {
			t.Errorf("with %s: %+v", name, o)
		}
	}
	got := c.ReceiveReply(me.at(), Reply{Signer: her.own.Keys.Sign, Encryption: her.own.Keys.Encrypt, Encrypted: true, Text: f.ID})
	if got.Voided != VoidKeys || len(got.Candidates) != 2 {
		t.Fatalf("his true reply names another key: %s, %d candidates", got.Voided, len(got.Candidates))
	}
}

// TestRecognised is V4: each condition, broken alone.
func TestRecognised(t *testing.T) {
	me, her, eve := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example"), newPerson(t, "eve@hill.example")
	c, f := me.test(me.know(her))
	hers := must[Contact](t)(New(me.own.Address, ""))
	never := func(string) bool { return false }
	for _, b := range []struct {
		name string
		do   func(*Received, *Own, *time.Time)
		want error
	}{
		{"as it should be", func(*Received, *Own, *time.Time) {}, nil},
		{"not signed as a whole", func(r *Received, _ *Own, _ *time.Time) { r.Signer = nil }, ErrFormSignature},
		{"signed by another key of that address", func(r *Received, _ *Own, _ *time.Time) { r.Signer = newKeys(t, me.own.Address).Sign }, ErrFormSignature},
		{"from Eve", func(r *Received, _ *Own, _ *time.Time) { r.From = eve.own.Address }, ErrFormFrom},
		{"from me, with Eve's certificate", func(r *Received, _ *Own, _ *time.Time) {
			keys := eve.own.Keys.Hashes()
			r.Form.Keys, r.Signer, r.Encryption = &keys, eve.own.Keys.Sign, eve.own.Keys.Encrypt
		}, ErrFormFrom},
		{"in clear", func(r *Received, _ *Own, _ *time.Time) { r.Encrypted = false }, ErrFormClear},
		{"to somebody else", func(_ *Received, o *Own, _ *time.Time) { o.Address = eve.own.Address }, ErrFormTo},
		{"to another key", func(_ *Received, o *Own, _ *time.Time) { o.Keys.Encrypt = eve.own.Keys.Encrypt }, ErrFormKeys},
		{"without the sender's encryption certificate", func(r *Received, _ *Own, _ *time.Time) { r.Encryption = nil }, ErrFormKeys},
		{"with another encryption certificate", func(r *Received, _ *Own, _ *time.Time) { r.Encryption = eve.own.Keys.Encrypt }, ErrFormKeys},
		{"too late", func(_ *Received, _ *Own, now *time.Time) { *now = now.Add(7 * 24 * time.Hour) }, ErrFormExpired},
		{"good for a year", func(r *Received, _ *Own, _ *time.Time) { r.Form.Expires = r.Form.Expires.AddDate(1, 0, 0) }, ErrFormExpired},
		{"an answer instead", func(r *Received, _ *Own, _ *time.Time) { r.Form.Kind = AnswerForm }, nil},
	} {
		r, own, m := carry(t, f, me.own.Keys), her.own, her.at()
		b.do(&r, &own, &m.Now)
		got, err := hers.ReceiveTest(m, r, own, never)
		if b.name == "an answer instead" {
			if err == nil {
				t.Error("a test that calls itself an answer was taken")
			}
			continue
		}
		if !errors.Is(err, b.want) {
			t.Errorf("%s: %v, want %v", b.name, err, b.want)
		}
		if (got.Incoming != nil) != (b.want == nil) {
			t.Errorf("%s: noted %v", b.name, got.Incoming != nil)
		}
	}

	hers = must[Contact](t)(hers.ReceiveTest(her.at(), carry(t, f, me.own.Keys), her.own, her.new))
	if hers.State != HasCertificate || hers.Incoming.Code.Text() != f.Code.Text() {
		t.Fatalf("%s", hers.State)
	}
	if _, err := hers.ReceiveTest(her.at(), carry(t, f, me.own.Keys), her.own, her.new); !errors.Is(err, ErrFormSeen) {
		t.Errorf("a test played twice: %v", err)
	}
	hers, answer, err := hers.AnswerTest(her.at(), her.own)
	if err != nil || !strings.Contains(hers.Advice(), "hang up") || strings.Contains(answer.Text(), f.Code.Text()) {
		t.Fatalf("%v, %q", err, hers.Advice())
	}
	replayed := carry(t, answer, her.own.Keys)
	c, err = c.ReceiveAnswer(me.at(), replayed, me.own, me.new)
	if err != nil || c.State != Answered {
		t.Fatalf("%s, %v", c.State, err)
	}
	if _, err := c.ReceiveAnswer(me.at(), replayed, me.own, me.new); !errors.Is(err, ErrFormSeen) {
		t.Errorf("an answer played twice: %v", err)
	}
	other, _ := me.test(me.know(her))
	if _, err := other.ReceiveAnswer(me.at(), replayed, me.own, never); !errors.Is(err, ErrFormTest) {
		t.Errorf("an answer to another test: %v", err)
	}
	forged := replayed
	forged.Form.TestID = other.Test.ID // its digest is still that of the first
	if _, err := other.ReceiveAnswer(me.at(), forged, me.own, never); !errors.Is(err, ErrFormTest) {
		t.Errorf("an answer with another digest: %v", err)
	}
}

// TestAnswerWithOtherKeys: whoever opened the test answers it with keys that were
// not tested. The code is void (V4).
func TestAnswerWithOtherKeys(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c, f := me.test(me.know(her))
	hers := must[Contact](t)(New(me.own.Address, ""))
	hers = must[Contact](t)(hers.ReceiveTest(her.at(), carry(t, f, me.own.Keys), her.own, her.new))
	her.own.Keys = newKeys(t, her.own.Address)
	_, answer, err := hers.AnswerTest(her.at(), her.own)
	if err != nil {
		t.Fatal(err)
	}
	c, err = c.ReceiveAnswer(me.at(), carry(t, answer, her.own.Keys), me.own, me.new)
	if err != nil || c.Voided != VoidKeys || c.Test != nil || len(c.Candidates) != 2 {
		t.Fatalf("%v, %s, %d candidates", err, c.Voided, len(c.Candidates))
	}
}

// TestEveTelephonesFirst is the story of V1: a trusted certificate, a test, a
// call to the victim with everything read out. She records nothing, since there
// is nothing that she could record.
func TestEveTelephonesFirst(t *testing.T) {
	s := newScene(t, "answered theirs")
	words := safety(s.eve.own.Address, s.eve.own.Keys)
	_, _, err := s.c.recordCall(s.me.at(), directory.code(s.c.Incoming.Code...).words(words), safety)
	if !errors.Is(err, ErrNoTest) || s.c.State != Answered {
		t.Fatalf("%s, %v", s.c.State, err)
	}
	if !strings.Contains(s.c.Next(nil), "hang up") || !strings.Contains(s.c.Next(nil), "a number of your own") {
		t.Fatal(s.c.Next(nil))
	}
}
