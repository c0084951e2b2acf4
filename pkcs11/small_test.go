package pkcs11

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
	"testing"

	"countersign/pkcs11/pkcs11test"
)

// TestPeerSmall counts PINs as a card does, on every system: two wrong ones end the
// request, the next prompt says that one is left, and a right one makes all good.
func TestPeerSmall(t *testing.T) {
	k := pkcs11test.Small(t)
	l, user := open(t, k, 0), &person{answers: []string{"000000", "000001"}}
	tokens, err := l.Tokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(append([]byte{0x80, 1}, make([]byte, 126)...)), E: 65537}
	key, err := l.Use(URI{Token: tokens[0].Name, ID: []byte{1, 2, 3}}, public)
	if err != nil {
		t.Fatal(err)
	}
	message := append([]byte{0x10}, bytes.Repeat([]byte{7}, 127)...)
	reversed := slices.Clone(message)
	slices.Reverse(reversed)
	decrypt := func() error {
		got, err := key.Decrypter(with(t, user)).Decrypt(nil, message, nil)
		if err == nil && !bytes.Equal(got, reversed) {
			t.Errorf("decrypted %x", got)
		}
		return err
	}
	var e *Error
	if err := decrypt(); !errors.As(err, &e) || e.Failure != WrongPIN || e.Tries != TriesLast || user.asked() != 2 {
		t.Errorf("%v after %d prompts", err, user.asked())
	}
	if err := decrypt(); err != nil || user.asked() != 3 || user.prompts[2].Token.Tries != TriesLast || user.prompts[2].Again != FirstTime {
		t.Errorf("%v; %+v", err, user.prompts)
	}
	for range 3 {
		if err := decrypt(); err != nil {
			t.Fatal(err)
		}
	}
	if user.asked() != 3 {
		t.Errorf("%d PINs asked for", user.asked())
	}
	found, _, err := l.Keys(t.Context(), tokens[0].Name)
	if err != nil || len(found) != 0 { // a private key without a public exponent or certificate is of no use
		t.Errorf("keys: %+v, %v", found, err)
	}
}
