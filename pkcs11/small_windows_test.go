package pkcs11

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"countersign/pkcs11/pkcs11test"
)

// TestPeerSmallTrouble: on Windows, too, what a library prints stays out of the protocol, and
// one that crashes or hangs in the middle of an operation costs a helper process and no more.
func TestPeerSmallTrouble(t *testing.T) {
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(append([]byte{0x80, 1}, make([]byte, 126)...)), E: 65537}
	message := append([]byte{0x10}, bytes.Repeat([]byte{7}, 127)...)
	reversed := slices.Clone(message)
	slices.Reverse(reversed)
	for does, want := range map[string]Failure{"print": 0, "crash": Crashed, "hang": Hung} {
		k := pkcs11test.Small(t)
		k.Env = append(k.Env, "SMALL_DOES="+does)
		l, user := open(t, k, time.Hour), &person{}
		tokens, err := l.Tokens(t.Context())
		if err != nil || len(tokens) != 1 {
			t.Fatal(tokens, err)
		}
		if does == "hang" {
			l.config.Timeout = 3 * time.Second // for a new helper to start, too
		}
		key, err := l.Use(URI{Token: tokens[0].Name, ID: []byte{1, 2, 3}}, public)
		if err != nil {
			t.Fatal(err)
		}
		got, err := key.Decrypter(with(t, user)).Decrypt(nil, message, nil)
		if want == 0 {
			if err != nil || !bytes.Equal(got, reversed) {
				t.Errorf("%s: %x, %v", does, got, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Failure != want {
			t.Errorf("%s: %v", does, err)
		}
		if all, err := l.Tokens(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("after it: %v, %v", all, err)
		}
	}
}
