package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/pkcs11test/piv"
)

// desk is a PIV card in a reader, and somebody who uses it.
type desk struct {
	*Library
	reader *pkcs11test.Reader
	token  *pkcs11test.Token
	card   *piv.Card
	keys   map[string]*Key
	user   *person
}

func sitDown(t *testing.T, kind string, keep time.Duration) *desk {
	t.Helper()
	t.Parallel() // most of it is waiting for the card service
	d := &desk{user: &person{}}
	d.token, d.reader, d.card = pkcs11test.PIV(t, kind)
	d.Library = open(t, d.token, keep)
	d.keys = keys(t, d.Library, d.token)
	return d
}

func (d *desk) key(slot piv.Slot) *Key { return d.keys[pkcs11test.In(slot)] }

func (d *desk) sign(ctx context.Context, slot piv.Slot) error {
	digest := sha256.Sum256([]byte("letter"))
	_, err := d.key(slot).Signer(ctx).Sign(nil, digest[:], crypto.SHA256)
	return err
}

func (d *desk) must(t *testing.T, slot piv.Slot) {
	t.Helper()
	if err := d.sign(with(t, d.user), slot); err != nil {
		t.Fatal(err)
	}
}

// fails checks that signing fails in one of the ways wanted, with words fit for a person.
func (d *desk) fails(t *testing.T, ctx context.Context, slot piv.Slot, want ...Failure) *Error {
	t.Helper()
	err := d.sign(ctx, slot)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v; want %v", err, want)
	}
	for _, w := range want {
		if e.Failure == w {
			if e.Says == "" || strings.ContainsAny(e.Says, "%!") || strings.Contains(e.Says, "CKR") {
				t.Errorf("it says %q", e.Says)
			}
			return e
		}
	}
	t.Fatalf("%v; want %v", err, want)
	return nil
}

// asked checks how many PINs were asked for since it was called last.
func (d *desk) asked(t *testing.T, want int) {
	t.Helper()
	d.user.mu.Lock()
	defer d.user.mu.Unlock()
	if n := len(d.user.prompts); n != want {
		t.Errorf("%d PINs asked for, want %d", n, want)
	}
	d.user.prompts = nil
}

// TestPeerCardOperations: each use of a key is one operation of the card, whatever the
// padding, and the key for signing asks each time.
func TestPeerCardOperations(t *testing.T) {
	d := sitDown(t, "rsa", time.Hour)
	if n := d.card.Counts(); n != (piv.Counts{}) {
		t.Fatalf("listing took %+v", n)
	}
	digest := sha256.Sum256([]byte("letter"))
	before := 0
	once := func(what string, err error) {
		t.Helper()
		if n := d.card.Counts().Operations; err != nil || n != before+1 {
			t.Errorf("%s: %d operations of the card, %v", what, n-before, err)
		}
		before = d.card.Counts().Operations
	}
	user := with(t, d.user)
	once("login and signature", d.sign(user, piv.Authentication))
	d.asked(t, 1)
	for range 3 {
		once("signature that asks", d.sign(user, piv.Signature))
	}
	d.asked(t, 3)
	_, err := d.key(piv.Authentication).Signer(user).Sign(nil, digest[:], &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash})
	once("PSS", err)
	open := d.key(piv.KeyManagement).Decrypter(user)
	public := open.Public().(*rsa.PublicKey)
	//lint:ignore SA1019 RFC 8551, section 2.3: other programs still send it
	block, err := rsa.EncryptPKCS1v15(rand.Reader, public, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 as above
	session := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 32}
	got, err := open.Decrypt(nil, block, session)
	once("PKCS #1 v1.5", err)
	if !bytes.Equal(got, digest[:]) {
		t.Errorf("decrypted %x", got)
	}
	block[9] ^= 1
	_, err = open.Decrypt(nil, block, session)
	once("a wrong padding", err)
	oaep := &rsa.OAEPOptions{Hash: crypto.SHA384}
	if block, err = rsa.EncryptOAEPWithOptions(rand.Reader, public, digest[:], oaep); err != nil {
		t.Fatal(err)
	}
	got, err = open.Decrypt(nil, block, oaep)
	once("OAEP", err)
	if !bytes.Equal(got, digest[:]) {
		t.Errorf("decrypted %x", got)
	}
	d.asked(t, 0)
	if n := d.card.Counts(); n.Wrong != 0 || n.Barred != 0 {
		t.Errorf("the card counted %+v", n)
	}
}

// TestPeerCardCurves is the same for keys on elliptic curves.
func TestPeerCardCurves(t *testing.T) {
	d := sitDown(t, "ec", time.Hour)
	for i, slot := range []piv.Slot{piv.Authentication, piv.CardAuthentication, piv.Signature} {
		d.must(t, slot)
		if n := d.card.Counts().Operations; n != i+1 {
			t.Errorf("%x: %d operations of the card", slot, n-i)
		}
	}
	theirs, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mine := d.key(piv.KeyManagement).Exchanger(with(t, d.user))
	want, err := theirs.ECDH(mine.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := mine.ECDH(theirs.PublicKey()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("agreed on %x, want %x: %v", got, want, err)
	}
	if n := d.card.Counts(); n.Operations != 4 || n.Wrong != 0 || n.Barred != 0 {
		t.Errorf("the card counted %+v", n)
	}
	d.asked(t, 2)
}

// TestPeerCardPINs: what is shown to a card that counts, and what is not.
func TestPeerCardPINs(t *testing.T) {
	d := sitDown(t, "ec", time.Hour)
	d.fails(t, t.Context(), piv.Authentication, Unasked) // background work never asks
	d.user.answers = []string{"00000000"}
	d.must(t, piv.Authentication)
	d.asked(t, 2)
	if n := d.card.Counts(); n.Wrong != 1 || d.card.Left() != piv.MaxTries {
		t.Fatalf("after a wrong PIN and the right one: %+v, %d left", n, d.card.Left())
	}

	// Whoever types wrong PINs is stopped before the last, by the next card's use too.
	d.Lock()
	d.user.answers = []string{"00000000", "00000001", "00000002", "00000003"}
	if e := d.fails(t, with(t, d.user), piv.Authentication, WrongPIN); e.Tries != TriesLast {
		t.Errorf("%+v", e)
	}
	d.asked(t, 2)
	if d.card.Left() != 1 {
		t.Fatalf("%d tries left", d.card.Left())
	}
	d.fails(t, t.Context(), piv.Authentication, Unasked)
	d.user.answers = nil
	d.must(t, piv.Authentication)
	if p := d.user.prompts; len(p) != 1 || p[0].Token.Tries != TriesLast || p[0].Again != FirstTime {
		t.Errorf("on the last try: %+v", p)
	}

	// A PIN that is kept is not used on the last try, which another program left; nor at all where the card is locked.
	d.asked(t, 1)
	d.token.Wrong(t)
	d.token.Wrong(t)
	before := d.card.Counts()
	d.restart(t)
	d.fails(t, t.Context(), piv.Authentication, Unasked)
	if n := d.card.Counts(); n.Right != before.Right || n.Wrong != before.Wrong || d.card.Left() != 1 {
		t.Errorf("from %+v to %+v, %d left", before, n, d.card.Left())
	}
	d.token.Wrong(t)
	d.restart(t)
	d.fails(t, with(t, d.user), piv.Authentication, PINLocked)
	d.asked(t, 0)
}

func (d *desk) restart(t *testing.T) {
	t.Helper()
	(&workbench{Library: d.Library}).restart(t)
}

// TestPeerCardOut: a card that is out is said to be; back again, it needs no new PIN, even
// if it was out unnoticed or in the midst of an operation. Events tell of it.
func TestPeerCardOut(t *testing.T) {
	d := sitDown(t, "ec", time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	events, ended := make(chan Event, 16), make(chan error)
	go func() { ended <- d.Watch(ctx, 10*time.Millisecond, func(e Event) { events <- e }) }()
	told := func(present bool) {
		t.Helper()
		if e := <-events; e.Present != present || e.Token.Label != d.token.Label {
			t.Fatalf("told of %+v", e)
		}
	}
	told(true)
	d.must(t, piv.Authentication)
	d.asked(t, 1)

	d.reader.Remove(t)
	told(false)
	d.fails(t, with(t, d.user), piv.Authentication, Removed)
	d.reader.Insert(t, d.card)
	told(true)
	d.must(t, piv.Authentication)
	d.must(t, piv.Signature)
	d.asked(t, 1)

	d.card.PullAtNext()
	d.fails(t, with(t, d.user), piv.Authentication, Removed)
	told(false)
	d.reader.Insert(t, d.card)
	told(true)
	d.must(t, piv.Authentication)
	d.asked(t, 0)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	d.swap(t, d.card) // nobody looks
	d.must(t, piv.Signature)
	d.must(t, piv.Authentication)
	d.asked(t, 1)
	if n := d.card.Counts(); n.Wrong != 0 {
		t.Errorf("the card counted %+v", n)
	}
}

// TestPeerCardSwapped: another card in the place of ours sees nothing of our PIN.
func TestPeerCardSwapped(t *testing.T) {
	d := sitDown(t, "ec", time.Hour)
	d.must(t, piv.Authentication)
	_, card := d.reader.Card(t, d.token.Label, "ec") // the same name, another number
	d.swap(t, card)
	d.fails(t, with(t, d.user), piv.Authentication, Removed)
	d.fails(t, with(t, d.user), piv.Signature, Removed)
	if n := card.Counts(); n != (piv.Counts{}) {
		t.Errorf("the other card counted %+v", n)
	}
	d.asked(t, 1)
	d.swap(t, d.card)
	d.must(t, piv.Authentication)
	d.asked(t, 0)
}

// swap takes the card out and puts one in. Our library is not asked meanwhile.
func (d *desk) swap(t *testing.T, in *piv.Card) {
	t.Helper()
	d.reader.Remove(t)
	d.reader.Insert(t, in)
	token := arrival(t, open(t, d.token, 0), d.token.Label)
	if (token.Name == d.key(piv.Signature).Token()) != (in == d.card) {
		t.Fatalf("%+v is in the reader", token)
	}
}

// TestPeerCardElsewhere: another program that logs in, signs and logs out disturbs nothing.
func TestPeerCardElsewhere(t *testing.T) {
	d := sitDown(t, "ec", time.Hour)
	for range 3 {
		d.must(t, piv.Authentication)
		d.token.Elsewhere(t, "01")
		d.must(t, piv.Signature)
		d.token.Elsewhere(t, "01")
	}
	d.must(t, piv.Authentication)
	d.asked(t, 4)
	if n := d.card.Counts(); n.Wrong != 0 || n.Operations != 13 {
		t.Errorf("the card counted %+v", n)
	}
}

// TestPeerCardService: the system's card service dies, and the reader is unplugged. That is
// said in a sentence as long as it lasts, and then forgotten, without another PIN.
func TestPeerCardService(t *testing.T) {
	d := sitDown(t, "ec", time.Hour)
	d.must(t, piv.Authentication)
	back := func() {
		t.Helper()
		d.reader.Insert(t, d.card)
		arrival(t, open(t, d.token, 0), d.token.Label)
		d.must(t, piv.Authentication)
		d.must(t, piv.Signature)
		d.asked(t, 1)
	}
	d.asked(t, 1)
	for range 2 {
		d.reader.Kill(t)
		d.fails(t, with(t, d.user), piv.Authentication, Removed)
		d.reader.Start(t)
		d.fails(t, with(t, d.user), piv.Authentication, Removed)
		back()

		d.reader.Kill(t)
		d.reader.Start(t)
		back() // nobody noticed

		d.reader.Unplug(t)
		d.fails(t, with(t, d.user), piv.Authentication, Removed)
		d.reader.Plug(t)
		back()
	}
	if n := d.card.Counts(); n.Wrong != 0 {
		t.Errorf("the card counted %+v", n)
	}
}

// TestPeerCardKill ends the helper 10 times during 50 signatures, and none fails.
func TestPeerCardKill(t *testing.T) {
	d := sitDown(t, "ec", time.Hour)
	d.must(t, piv.Authentication)
	for i := range 50 {
		if i%5 == 0 {
			d.mu.Lock()
			h := d.helper
			d.mu.Unlock()
			go h.cmd.Process.Kill() // before or within what follows
		}
		d.must(t, piv.Authentication)
	}
	d.asked(t, 1)
	if n := d.card.Counts(); n.Wrong != 0 {
		t.Errorf("the card counted %+v", n)
	}
}

// TestPeerCardLastTry: on the last try the key that asks each time asks once, though OpenSC does
// not see that the login gave the tries back; and then it signs.
func TestPeerCardLastTry(t *testing.T) {
	d := sitDown(t, "ec", time.Hour)
	d.user.answers = []string{"00000000", "00000001"}
	d.fails(t, with(t, d.user), piv.Signature, WrongPIN)
	d.user.refuses = true
	d.fails(t, with(t, d.user), piv.Signature, Cancelled)
	d.user.refuses = false
	d.asked(t, 3)
	d.must(t, piv.Signature)
	d.asked(t, 1)
	if n := d.card.Counts(); n.Wrong != 2 || n.Operations != 1 || d.card.Left() != piv.MaxTries {
		t.Errorf("the card counted %+v, %d left", n, d.card.Left())
	}
}
