package tokens

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"countersign/pkcs11"
	"countersign/pkcs11/installed"
	"countersign/pkcs11/pkcs11test"
	"countersign/vault/tokenkey"
)

// TestWorth: a library that may yet answer is waited for, but not past the cards of others for long.
func TestWorth(t *testing.T) {
	room := &Tokens{o: Options{World: World{Patience: 4 * time.Second}}}
	shows, empty := &reading{done: true, cards: make([]card, 1)}, &reading{done: true}
	slow, hung := &reading{}, &reading{straggle: true}
	for _, c := range []struct {
		name string
		all  []*reading
		want time.Duration
	}{
		{"no software", nil, 0},
		{"all is read", []*reading{shows, empty}, 0},
		{"nothing is shown yet", []*reading{slow, empty}, slowest},
		{"another card is shown", []*reading{shows, slow}, 4 * time.Second},
		{"it hung before", []*reading{shows, hung}, time.Second},
		{"it hung before, and nothing is shown", []*reading{hung, empty}, time.Second},
		{"one hung before, another may answer", []*reading{hung, slow}, slowest},
	} {
		if got := room.worth(c.all); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestPeerHangs: while one library hangs the cards of others are listed and used, and it is named.
func TestPeerHangs(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	hangs := filepath.Join(t.TempDir(), "hangs.so") // who opens it waits for somebody to write
	if err := exec.Command("mkfifo", hangs).Run(); err != nil {
		t.Skip("no pipe can be made in the file system: ", err)
	}
	uri := sit(t, token).uri(t, "p256")
	d := sit(t, token)
	d.o.Patience = 50 * time.Millisecond
	find := d.o.Find
	d.o.Find = func() []installed.Library { return append([]installed.Library{{Path: hangs}}, find()...) }
	ctx, cancel := context.WithTimeout(t.Context(), slowest-time.Second) // a list that waits for it ends with this, and names nothing
	defer cancel()
	if err := sign(d.Asked(ctx, "Sign"), d, uri, token.Key("p256")); err != nil {
		t.Error("the other card is not used: ", err)
	}
	for range 2 {
		d.patiently(ctx, t, token.Label)
		if got := d.Problems(); len(got) != 1 || got[0] != "hangs.so: "+unanswered {
			t.Errorf("problems %q", got)
		}
	}
}

// patiently lists until the card is there: software that is short of time counts as hung, too.
func (d *desk) patiently(ctx context.Context, t *testing.T, label string) {
	t.Helper()
	for ctx.Err() == nil {
		if list := d.cards(ctx); len(list) == 1 && list[0].Label == label && len(list[0].keys) > 0 {
			return
		}
	}
	t.Fatal("the other card is not listed")
}

// TestPeerOtherCard: two cards of one person are told from each other.
func TestPeerOtherCard(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	d := sit(t, token)
	there := d.cards(t.Context())[0].Name
	old, other := there, there
	old.Serial, other.Label = "0815", "Bea"
	for name, want := range map[pkcs11.Name]string{
		old:   "Another card “" + there.Label + "” is in the reader, with the serial number " + there.Serial + ". Insert the one with the serial number 0815 and try again.",
		other: "The card “Bea” is not in the reader. Insert it and try again.",
	} {
		err := sign(t.Context(), d, pkcs11.URI{Token: name, ID: []byte{1}}.String(), token.Key("p256"))
		if why := tokenkey.Why(err); why == nil || why.Code != tokenkey.ErrAbsent.Code || why.Says != want {
			t.Errorf("%+v, want %q", why, want)
		}
	}
}
