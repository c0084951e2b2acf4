package module

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"slices"

	"countersign/pkcs11/wire"
)

// mechanismNumbers are the CKM numbers, indexed by those of package wire.
var mechanismNumbers = [...]uintptr{
	wire.PKCS1: 0x1, wire.PSS: 0xd, wire.OAEP: 0x9, wire.RawRSA: 0x3,
	wire.ECDSA: 0x1041, wire.EdDSA: 0x1057, wire.ECDH: 0x1050, wire.MakeRSA: makeRSA, wire.MakeEC: makeEC,
}

const makeRSA, makeEC = 0x0, 0x1040

// hashNumbers are CKM and CKG_MGF1 of the hashes.
var hashNumbers = map[crypto.Hash]struct{ digest, mask uintptr }{
	crypto.SHA1: {0x220, 1}, crypto.SHA224: {0x255, 5}, crypto.SHA256: {0x250, 2}, crypto.SHA384: {0x260, 3}, crypto.SHA512: {0x270, 4},
}

// use runs an operation with a private key.
func (t *token) use(r *wire.Request) ([]byte, error) {
	if t.needs && !t.in {
		return nil, trouble{failure: wire.NotLoggedIn, says: "the token asks for a PIN first"}
	}
	k, err := t.key(r.Key)
	if err != nil {
		return nil, err
	}
	if len(r.Data) == 0 && r.Mechanism != wire.EdDSA || r.Size == 0 {
		return nil, trouble{failure: wire.Malformed, says: "nothing to work on"}
	}
	if r.Op == wire.Derive {
		return t.derive(r, k)
	}
	if k.always && r.Entry == wire.NoPIN {
		return nil, trouble{failure: wire.AsksAlways, says: "the key asks for the PIN at each use"}
	}
	begin, end := cSignInit, cSign
	if r.Op == wire.Decrypt {
		begin, end = cDecryptInit, cDecrypt
	}
	var a arena
	defer a.free() // not before: libraries keep pointers into it
	l := t.lib
	if err := l.call(begin, t.work, l.mechanism(&a, r), k.handle); err != nil {
		return nil, err
	}
	if k.always {
		if err := t.enter(r, t.work, contextSpecific); err != nil {
			return nil, err
		}
	}
	out, outAt := a.room(int(r.Size))
	n, nAt := a.room(8)
	copy(n, l.number(nil, uintptr(r.Size)))
	if err := l.call(end, t.work, a.copied(r.Data), uintptr(len(r.Data)), outAt, nAt); err != nil {
		return nil, t.blamed(r, err)
	}
	if l.read(n) > uintptr(r.Size) {
		return nil, trouble{failure: wire.Confused, says: "the library says that it wrote more than it was given room for"}
	}
	return bytes.Clone(out[:l.read(n)]), nil
}

// blamed says whose fault an error of C_Sign or C_Decrypt is. Its arguments are sound, so
// what they are blamed for is the data; and some libraries call a wrong padding a general
// error: where the token is well otherwise, that is what it was.
func (t *token) blamed(r *wire.Request, err error) error {
	var c code
	if !errors.As(err, &c) {
		return err
	}
	padded := r.Op == wire.Decrypt && r.Mechanism != wire.RawRSA
	if c == argumentsBad || padded && (c == generalError || c == functionFailed) {
		if info, fault := t.lib.tokenIn(t.slot); fault == nil && info.Name == t.name {
			return trouble{failure: wire.BadInput, code: c, says: c.Error()}
		}
	}
	return err
}

// mechanism is a CK_MECHANISM with its parameters.
func (l *library) mechanism(a *arena, r *wire.Request) uintptr {
	var p []byte
	switch r.Mechanism {
	case wire.PSS: // CK_RSA_PKCS_PSS_PARAMS
		p = l.number(l.number(l.number(nil, hashNumbers[r.Hash].digest), hashNumbers[r.Mask].mask), uintptr(r.Salt))
	case wire.OAEP: // CK_RSA_PKCS_OAEP_PARAMS; source CKZ_DATA_SPECIFIED
		p = l.number(l.number(l.number(nil, hashNumbers[r.Hash].digest), hashNumbers[r.Mask].mask), 1)
		var label uintptr
		if len(r.Context) > 0 {
			label = a.copied(r.Context)
		}
		p = l.number(l.address(p, label), uintptr(len(r.Context)))
	}
	return l.wrapped(a, mechanismNumbers[r.Mechanism], p)
}

func (l *library) wrapped(a *arena, number uintptr, parameters []byte) uintptr {
	var at uintptr
	if len(parameters) > 0 {
		at = a.copied(parameters)
	}
	return a.copied(l.triple(number, at, uintptr(len(parameters))))
}

// derive agrees on a secret. The other's point goes as it is first, as PKCS#11 has it
// since v2.40, section 2.3.12.2, then as an OCTET STRING, which older libraries want. A key
// that asks for the PIN at each use has no operation under way here that a
// context-specific login could belong to. On some tokens a login just before will do.
func (t *token) derive(r *wire.Request, k private) ([]byte, error) {
	never := trouble{failure: wire.NoMechanism, says: "the key asks for the PIN at each use, and PKCS#11 has no way to enter it here"}
	if k.always && t.barred {
		return nil, never
	}
	secret, err := t.agree(k.handle, r.Data, int(r.Size))
	if errors.Is(err, argumentsBad) || errors.Is(err, mechanismParam) || errors.Is(err, dataInvalid) {
		wrapped, fault := asn1.Marshal(r.Data)
		if fault != nil {
			return nil, fault
		}
		secret, err = t.agree(k.handle, wrapped, int(r.Size))
	}
	if k.always && t.fresh && errors.Is(err, notLoggedIn) {
		t.barred = true
		return nil, never
	}
	return secret, err
}

func (t *token) agree(key uintptr, point []byte, size int) ([]byte, error) {
	var a arena
	defer a.free()
	l := t.lib
	// CK_ECDH1_DERIVE_PARAMS: CKD_NULL, no shared data, the point.
	p := l.address(l.number(l.number(nil, 1), 0), 0)
	p = l.address(l.number(p, uintptr(len(point))), a.copied(point))
	number := func(n uintptr) []byte { return l.number(nil, n) }
	secret := []attribute{ // CKA_TOKEN too, though false where it is left out: OpenSC 0.23 wants it
		{aClass, number(oSecretKey)}, {aKeyType, number(kGenericSecret)}, {aValueLen, number(uintptr(size))},
		{aToken, []byte{0}}, {aSensitive, []byte{0}}, {aExtractable, []byte{1}},
	}
	h, hAt := a.room(8)
	mechanism := l.wrapped(&a, mechanismNumbers[wire.ECDH], p)
	if err := l.call(cDeriveKey, t.work, mechanism, key, l.template(&a, secret), uintptr(len(secret)), hAt); err != nil {
		return nil, err
	}
	made := l.read(h)
	value := l.value(t.work, made, aValue, size)
	if err := l.call(cDestroyObject, t.work, made); err != nil {
		clear(value)
		return nil, err
	}
	if len(value) != size || !slices.ContainsFunc(value, func(b byte) bool { return b != 0 }) {
		return nil, trouble{failure: wire.Confused, says: "the library made no secret of the length asked for"}
	}
	return value, nil
}
