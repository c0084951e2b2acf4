package content_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
)

// FuzzOpen decrypts anything by anything. What is authentic when it is checked is so when it is
// opened, and the other way round.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"301d060960864801650304012a0410000102030405060708090a0b0c0d0e0f", "301e0609608648016503040106" + "3011040c000102030405060708090a0b020110",
		"301e0609608648016503040106" + "30110409000102030405060708020110", "301b060b2a864886f70d0109100312040c000102030405060708090a0b",
		"302d060b2a864886f70d010910031f" + "301e060960864801650304010630110409000102030405060708020110", "301406082a864886f70d0307" + "04080001020304050607",
		"301906082a864886f70d0302300d02013a04080001020304050607",
	} {
		f.Add(unhex(seed), []byte("ciphertext of 32 octets, or less"), []byte("tag of 16 octets"), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, identifier, ciphertext, tag, attributes []byte) {
		id, err := algorithm.Parse(identifier, "content cipher")
		if err != nil {
			return
		}
		a, err := content.Find(id)
		if err != nil || a.Valid(id.Params) != nil {
			return
		}
		if len(attributes) == 0 {
			attributes = nil
		}
		key := make([]byte, a.KeySize)
		end := content.End{Attributes: attributes, Tag: tag}
		checked := a.Check(bytes.NewReader(ciphertext), key, id.Params, attributes, func() (content.End, error) { return end, nil })
		r, err := a.Open(bytes.NewReader(ciphertext), key, id.Params, end)
		if err != nil {
			t.Fatal(err)
		}
		got, opened := io.ReadAll(r)
		if (checked == nil) != (opened == nil) && a.Authenticated {
			t.Errorf("%s: checked %v, opened %v", a.Name, checked, opened)
		}
		for _, err := range []error{checked, opened} {
			if err != nil && !errors.Is(err, content.ErrIntegrity) && !errors.Is(err, ber.ErrLimit) {
				t.Errorf("%s: %v", a.Name, err)
			}
		}
		if len(got) > len(ciphertext) {
			t.Errorf("%d octets out of %d", len(got), len(ciphertext))
		}
	})
}
