package uri

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/pkcs11/wire"
)

func TestURI(t *testing.T) {
	u := URI{Token: wire.Name{Manufacturer: "piv_II", Model: "PKCS#15 emulated", Serial: "00;=%", Label: "Dr. Öz"}, ID: []byte{1, 'A', 0xff}, Object: "SIGN key"}
	const text = "pkcs11:manufacturer=piv_II;model=PKCS%2315%20emulated;serial=00%3B%3D%25;token=Dr.%20%C3%96z;object=SIGN%20key;id=%01%41%FF"
	if got := u.String(); got != text {
		t.Errorf("written as %s", got)
	}
	for given, want := range map[string]URI{
		text: u,
		"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=cert;id=%69%95%3E?pin-source=file:/etc/token_pin": {
			Token: wire.Name{Label: "The Software PKCS#11 Softtoken", Manufacturer: "Snake Oil, Inc.", Model: "1.0"}, Object: "my-certificate", ID: []byte{0x69, 0x95, 0x3e}},
		"pkcs11:":       {},
		"pkcs11:id=%aB": {ID: []byte{0xab}},
	} {
		got, err := Parse(given)
		if err != nil {
			t.Errorf("%s: %v", given, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", given, diff)
		}
	}
}

func TestURIRefused(t *testing.T) {
	for name, text := range map[string]string{
		"scheme": "pkcs15:token=a", "twice": "pkcs11:token=a;token=b", "unknown": "pkcs11:slot-id=1", "no value": "pkcs11:token",
		"half an escape": "pkcs11:id=%0", "no escape": "pkcs11:id=%\x10\x11", "blank": "pkcs11:token=a b", "not UTF-8": "pkcs11:token=%ff",
		"empty part": "pkcs11:token=a;;id=%01", "long id": "pkcs11:id=" + strings.Repeat("%01", 257), "long": "pkcs11:token=" + strings.Repeat("a", 5000),
		"bare text": "pkcs11:token=Ö",
	} {
		if u, err := Parse(text); !errors.Is(err, ErrURI) {
			t.Errorf("%s: %v, %v", name, u, err)
		}
	}
}

func FuzzURI(f *testing.F) {
	f.Add("pkcs11:manufacturer=piv_II;model=PKCS%2315;serial=00%3B;token=Dr.%20%C3%96z;object=k;id=%01%41%FF")
	f.Add("pkcs11:type=private;id=%aB?pin-value=1")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(u.String())
		if err != nil && len(u.String()) <= Max {
			t.Fatalf("%q is written as %q: %v", text, u, err)
		}
		if diff := cmp.Diff(u, again); err == nil && diff != "" {
			t.Fatal(diff)
		}
	})
}
