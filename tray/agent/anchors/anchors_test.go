package anchors

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/mailer/cms"
	"countersign/tray/control"
	"countersign/vault/book"
	"countersign/vault/sealed"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// keeper is a keychain's part, in memory.
type keeper struct {
	private ed25519.PrivateKey
	head    [32]byte
	counter uint64
}

func (k *keeper) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }
func (k *keeper) Sign(m []byte) []byte      { return ed25519.Sign(k.private, m) }
func (k *keeper) Derive(info string) []byte { return k.Sign([]byte(info))[:32] }
func (k *keeper) Head() ([32]byte, uint64)  { return k.head, k.counter }
func (k *keeper) Epoch() uint64             { return 0 }

func (k *keeper) Advance(_ context.Context, head [32]byte, counter uint64) error {
	k.head, k.counter = head, counter
	return nil
}

func (k *keeper) Restart(ctx context.Context, head [32]byte) error { return k.Advance(ctx, head, 1) }

// office is what stands around Anchors.
type office struct {
	*testing.T
	*Anchors
	now     time.Time
	list    []byte // as published
	down    error
	fetched int
	journal []string
	told    int
	changed int
	signer  cms.Signer
}

const list = "https://lists.example/community.p7m"

func open(t *testing.T) *office {
	t.Helper()
	db, err := sealed.Open(filepath.Join(t.TempDir(), "test.db"), sealed.Key{1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{T: t, now: noon}
	clock := func() time.Time { return o.now }
	b, err := book.Open(t.Context(), db, &keeper{private: private}, clock)
	if err != nil {
		t.Fatal(err)
	}
	o.Anchors = &Anchors{Book: b, DB: db, Log: slog.New(slog.DiscardHandler), Clock: clock,
		Fetch:   func(context.Context, string) ([]byte, error) { o.fetched++; return o.list, o.down },
		Note:    func(_ context.Context, _, _, says string) error { o.journal = append(o.journal, says); return nil },
		Tell:    func(context.Context, string, string, string) error { o.told++; return nil },
		Changed: func(context.Context) error { o.changed++; return nil },
		Words:   func(err error) error { return err },
	}
	if err := o.Open(); err != nil {
		t.Fatal(err)
	}
	c, key := selfMade(t, "signer")
	o.signer = cms.Signer{Certificate: c, Key: key}
	return o
}

func selfMade(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

// publish publishes a list, signed now.
func (o *office) publish(certs ...*x509.Certificate) {
	o.Helper()
	var inside []byte
	for _, c := range certs {
		inside = append(inside, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	var b bytes.Buffer
	w, err := cms.NewSigned(&b, int64(len(inside)), []cms.Signer{o.signer}, cms.SignOptions{Time: o.now})
	if err == nil {
		_, err = w.Write(inside)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		o.Fatal(err)
	}
	o.list = b.Bytes()
}

func (o *office) due() {
	o.Helper()
	if err := o.Renew(o.Context()); err != nil {
		o.Fatal(err)
	}
}

// the one list that is followed.
func (o *office) followed() control.Bundle {
	o.Helper()
	all, err := o.Bundles(o.Context(), control.None{})
	if err != nil || len(all) != 1 {
		o.Fatal(all, err)
	}
	return all[0]
}

func TestSchedule(t *testing.T) {
	o := open(t)
	north, _ := selfMade(t, "north")
	south, _ := selfMade(t, "south")
	o.publish(north)
	if _, err := o.Follow(t.Context(), control.BundleOrder{URL: list, Signer: fingerprint(o.signer.Certificate)}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Accept(t.Context(), control.BundleConfirm{URL: list, Confirm: []string{fingerprint(north)}}); err != nil {
		t.Fatal(err)
	}
	o.fetched, o.journal, o.told, o.changed = 0, nil, 0, 0

	o.now = noon.Add(every - time.Minute)
	if o.due(); o.fetched != 0 {
		t.Error("it was fetched within a day")
	}
	o.now, o.down = noon.Add(every), errors.New("no network")
	o.due()
	if o.due(); o.fetched != 2 || o.told != 0 || len(o.journal) != 0 {
		t.Errorf("a list that cannot be had: fetched %d times, told %d, %q", o.fetched, o.told, o.journal)
	}
	if f := o.followed(); !strings.Contains(f.Problem, "could not be fetched") || !f.Fetched.Equal(noon) {
		t.Errorf("%q, %v", f.Problem, f.Fetched)
	}
	o.down = nil
	right := o.list
	o.list = []byte("an error page")
	o.due()
	if o.due(); o.told != 1 || len(o.journal) != 1 {
		t.Errorf("what is no list was told %d times: %q", o.told, o.journal)
	}
	if all, err := o.List(t.Context(), control.None{}); err != nil || len(all) != 1 {
		t.Errorf("what is no list changed what is trusted: %v, %v", all, err)
	}
	o.list = right
	o.due()
	if f := o.followed(); f.Problem != "" || !f.Fetched.Equal(o.now) || o.changed != 0 {
		t.Errorf("%q, %v, changed %d", f.Problem, f.Fetched, o.changed)
	}
	o.now = o.now.Add(every)
	o.publish(south)
	o.due()
	if f := o.followed(); len(f.Waiting) != 1 || f.Waiting[0].Name != "south" || o.changed != 1 || o.told != 3 {
		t.Errorf("%+v, changed %d, told %d: %q", f, o.changed, o.told, o.journal)
	}
	if all, err := o.List(t.Context(), control.None{}); err != nil || len(all) != 0 {
		t.Errorf("who was left out is trusted: %v, %v", all, err)
	}
}

// TestKeptListEdited puts an older list, and one of somebody else's, in the place of
// the one that was kept.
func TestKeptListEdited(t *testing.T) {
	o := open(t)
	north, _ := selfMade(t, "north")
	south, _ := selfMade(t, "south")
	o.publish(north)
	older := o.list
	o.now = noon.Add(time.Hour)
	o.publish(south)
	if _, err := o.Follow(t.Context(), control.BundleOrder{URL: list, Signer: fingerprint(o.signer.Certificate)}); err != nil {
		t.Fatal(err)
	}
	mine := o.signer
	c, key := selfMade(t, "signer")
	o.signer = cms.Signer{Certificate: c, Key: key}
	o.publish(north)
	others := o.list
	o.signer = mine
	for name, file := range map[string][]byte{"an older list": older, "another's": others, "rubbish": {1}} {
		err := o.DB.Update(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec(`UPDATE bundle SET file = ?`, file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if f := o.followed(); len(f.Waiting) != 0 {
			t.Errorf("%s: %d wait", name, len(f.Waiting))
		}
		if _, err := o.Accept(t.Context(), control.BundleConfirm{URL: list, Confirm: []string{fingerprint(north)}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestFollowAnew: the publisher has a new certificate, and an authority fewer.
func TestFollowAnew(t *testing.T) {
	o := open(t)
	north, _ := selfMade(t, "north")
	south, _ := selfMade(t, "south")
	o.publish(north, south)
	follow := func() error {
		_, err := o.Follow(t.Context(), control.BundleOrder{URL: list, Signer: fingerprint(o.signer.Certificate)})
		return err
	}
	if err := follow(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Accept(t.Context(), control.BundleConfirm{URL: list, Confirm: []string{fingerprint(north), fingerprint(south)}}); err != nil {
		t.Fatal(err)
	}
	c, key := selfMade(t, "signer")
	o.signer = cms.Signer{Certificate: c, Key: key}
	o.now = noon.Add(-time.Minute)
	o.publish(south)
	o.now = noon.Add(time.Hour)
	var e *control.Error
	if err := follow(); !errors.As(err, &e) || e.Code != "older" {
		t.Errorf("an older list: %v", err)
	}
	o.publish(south)
	if err := follow(); err != nil {
		t.Fatal(err)
	}
	if all, err := o.List(t.Context(), control.None{}); err != nil || len(all) != 1 || all[0].Name != "south" {
		t.Errorf("who was left out is trusted: %v, %v", all, err)
	}
}
