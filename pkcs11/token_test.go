package pkcs11

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/pkcs11/uri"
	"countersign/pkcs11/wire"
)

// certificate makes one for a fresh key of 1,024 bits.
func certificate(t testing.TB, ca bool) (*rsa.PublicKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: ca, BasicConstraintsValid: ca}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey, der
}

func object(class wire.Class, id, label string, value, params []byte) wire.Object {
	return wire.Object{Key: wire.Key{ID: []byte(id), Label: label, Kind: wire.RSA}, Class: class, Value: value, Params: params}
}

// TestPair: what a token shows becomes keys, whether or not it shows public keys, hides
// private ones, or gives its objects other names than their certificates.
func TestPair(t *testing.T) {
	public, der := certificate(t, false)
	_, authority := certificate(t, true)
	e := big.NewInt(int64(public.E)).Bytes()
	cert := object(wire.Certificate, "1", "cert", der, nil)
	private := object(wire.PrivateKey, "1", "key", nil, nil)
	shown := object(wire.PrivateKey, "2", "key", public.N.Bytes(), e)
	openly := object(wire.PublicKey, "1", "key", public.N.Bytes(), e)
	for name, c := range map[string]struct {
		all        []wire.Object
		keys       int
		seen, cert bool
		id         string
	}{
		"certificate alone":               {[]wire.Object{cert}, 1, false, true, "1"},
		"certificate and key":             {[]wire.Object{cert, private}, 1, true, true, "1"},
		"by the same public key":          {[]wire.Object{object(wire.Certificate, "", "cert", der, nil), shown}, 1, true, true, "2"},
		"key with a public key":           {[]wire.Object{openly, private}, 1, true, false, "1"},
		"key that shows its public part":  {[]wire.Object{shown}, 1, true, false, "2"},
		"key with nothing to know it by":  {[]wire.Object{private}, 0, false, false, ""},
		"authority":                       {[]wire.Object{object(wire.Certificate, "9", "root", authority, nil)}, 0, false, false, ""},
		"no certificate":                  {[]wire.Object{object(wire.Certificate, "1", "cert", []byte("junk"), nil)}, 0, false, false, ""},
		"public exponent of 1":            {[]wire.Object{object(wire.PrivateKey, "1", "key", public.N.Bytes(), []byte{1})}, 0, false, false, ""},
		"nameless":                        {[]wire.Object{object(wire.Certificate, "", "", der, nil), object(wire.PrivateKey, "", "", public.N.Bytes(), e)}, 0, false, false, ""},
		"another's certificate, same CKA": {[]wire.Object{cert, object(wire.PrivateKey, "1", "key", bytes.Repeat([]byte{0xff}, 128), e)}, 2, false, true, "1"},
	} {
		keys := pair(c.all)
		if len(keys) != c.keys {
			t.Errorf("%s: %d keys", name, len(keys))
			continue
		}
		if c.keys == 0 {
			continue
		}
		if k := keys[0]; k.Seen != c.seen || (k.Certificate != nil) != c.cert || string(k.ID) != c.id || k.Public() == nil {
			t.Errorf("%s: %+v", name, k)
		}
	}
}

// TestPick: a token is recognised by all of its name.
func TestPick(t *testing.T) {
	ours := Name{Manufacturer: "maker", Model: "model", Serial: "1", Label: "card"}
	for name, change := range map[string]func(*Name){
		"serial":       func(n *Name) { n.Serial = "2" },
		"label":        func(n *Name) { n.Label = "drac" },
		"model":        func(n *Name) { n.Model = "ledom" },
		"manufacturer": func(n *Name) { n.Manufacturer = "rekam" },
	} {
		other := ours
		change(&other)
		if got, err := pick([]Token{{Name: other}}, ours); !is(err, Removed) {
			t.Errorf("another %s: %+v, %v", name, got, err)
		}
		if got, err := pick([]Token{{Name: other}, {Name: ours}}, ours); err != nil || got.Name != ours {
			t.Errorf("beside another %s: %+v, %v", name, got, err)
		}
	}
}

// FuzzPair begins with the frames in testdata: a certificate with its key, and three kinds
// of public key.
func FuzzPair(f *testing.F) {
	f.Fuzz(func(t *testing.T, frame []byte) {
		reply, err := wire.ReadReply(bytes.NewReader(frame))
		if err != nil {
			return
		}
		for _, k := range pair(reply.Objects) {
			u, err := ParseURI(k.URI().String())
			if len(k.URI().String()) > uri.Max {
				continue
			}
			if err != nil || !bytes.Equal(u.ID, k.ID) || u.Object != k.Label {
				t.Fatalf("%+v is named %s: %v", k, k.URI(), err)
			}
			if _, err := (&Library{}).Use(URI{Token: Name{Serial: "1"}, ID: u.ID, Object: u.Object}, k.Public()); err != nil {
				t.Fatalf("%+v can't be used: %v", k, err)
			}
		}
	})
}

func TestKeptPINExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{}
		l.keep([]byte("123456"), time.Minute)
		kept := l.pin.pin
		time.Sleep(59 * time.Second)
		if got := l.show(); string(got) != "123456" {
			t.Errorf("within its time it is %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := l.show(); got != nil || string(kept) != strings.Repeat("\x00", 6) {
			t.Errorf("after its time it is %q, %q", got, kept)
		}
	})
}
