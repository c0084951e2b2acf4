package algorithm_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"testing"

	"countersign/mailer/cms/algorithm"
)

// TestLowOrder: under some keys one signature, which anybody can write down, fits many
// messages. Each of those that are refused is seen to be such a key.
func TestLowOrder(t *testing.T) {
	neutral := make([]byte, ed25519.SignatureSize) // R is the neutral element, S is 0
	neutral[0] = 1
	for _, y := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		for _, sign := range []byte{0, 0x80} {
			key, err := hex.DecodeString(y)
			if err != nil {
				t.Fatal(err)
			}
			key[31] |= sign
			fits := 0
			for i := range 200 {
				if ed25519.Verify(key, []byte{byte(i)}, neutral) {
					fits++
				}
			}
			if fits < 5 {
				t.Errorf("%x: one signature fits %d messages of 200", key, fits)
			}
			if err := algorithm.Weakness(ed25519.PublicKey(key), crypto.SHA512); !errors.Is(err, algorithm.ErrWeak) {
				t.Errorf("%x: %v", key, err)
			}
		}
	}
	honest, _, err := ed25519.GenerateKey(bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	if err := algorithm.Weakness(honest, crypto.SHA512); err != nil {
		t.Error(err)
	}
}
