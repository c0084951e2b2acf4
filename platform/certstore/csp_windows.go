package certstore

import (
	"crypto"
	"crypto/ecdh"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Constants of wincrypt.h.
const (
	hashValue = 2    // HP_HASHVAL
	cryptOAEP = 0x40 // CRYPT_OAEP
)

// csp is what of the legacy CryptoAPI is called.
type csp struct {
	createHash, setHashParam, signHash, destroyHash, getUserKey, decrypt, destroyKey *windows.LazyProc
}

func openCSP() csp {
	dll := windows.NewLazySystemDLL("advapi32.dll")
	return csp{
		createHash:   dll.NewProc("CryptCreateHash"),
		setHashParam: dll.NewProc("CryptSetHashParam"),
		signHash:     dll.NewProc("CryptSignHashW"),
		destroyHash:  dll.NewProc("CryptDestroyHash"),
		getUserKey:   dll.NewProc("CryptGetUserKey"),
		decrypt:      dll.NewProc("CryptDecrypt"),
		destroyKey:   dll.NewProc("CryptDestroyKey"),
	}
}

// cspKey is a key of a legacy provider.
type cspKey struct {
	csp
	provider windows.Handle // HCRYPTPROV
	spec     uint32         // AT_KEYEXCHANGE or AT_SIGNATURE
	ours     bool           // to close
}

// try calls a function that returns a BOOL and leaves its error behind. What its arguments
// point at must not move meanwhile.
//
//go:uintptrescapes
func try(proc *windows.LazyProc, arguments ...uintptr) error {
	if ok, _, err := proc.Call(arguments...); ok == 0 {
		return numbered(err)
	}
	return nil
}

func (k *cspKey) sign(p pad, digest []byte) ([]byte, error) {
	algorithm, ok := map[crypto.Hash]uintptr{ // CALG_SHA1 and so on
		crypto.SHA1: 0x8004, crypto.SHA256: 0x800c, crypto.SHA384: 0x800d, crypto.SHA512: 0x800e,
	}[p.hash]
	if p.scheme != pkcs1 || !ok {
		return nil, nteNotSupported
	}
	var hash uintptr
	if err := try(k.createHash, uintptr(k.provider), algorithm, 0, 0, uintptr(unsafe.Pointer(&hash))); err != nil {
		return nil, err
	}
	defer func() { _ = try(k.destroyHash, hash) }()
	if err := try(k.setHashParam, hash, hashValue, uintptr(unsafe.Pointer(&digest[0])), 0); err != nil {
		return nil, err
	}
	out := make([]byte, maxBlock)
	size := uint32(len(out))
	err := try(k.signHash, hash, uintptr(k.spec), 0, 0, uintptr(unsafe.Pointer(&out[0])), uintptr(unsafe.Pointer(&size)))
	signature, err := filled(out, size, err)
	slices.Reverse(signature) // CryptoAPI is little-endian
	return signature, err
}

func (k *cspKey) decrypt(p pad, label, block []byte) ([]byte, error) {
	var flags uintptr
	switch {
	case p.scheme == pkcs1:
	case p.scheme == oaep && p.hash == crypto.SHA1 && len(label) == 0:
		flags = cryptOAEP
	default:
		return nil, nteNotSupported
	}
	var key uintptr
	if err := try(k.getUserKey, uintptr(k.provider), uintptr(k.spec), uintptr(unsafe.Pointer(&key))); err != nil {
		return nil, err
	}
	defer func() { _ = try(k.destroyKey, key) }()
	out := slices.Clone(block) // decrypted in its place
	slices.Reverse(out)
	size := uint32(len(out))
	err := try(k.csp.decrypt, key, 0, 1, flags, uintptr(unsafe.Pointer(&out[0])), uintptr(unsafe.Pointer(&size)))
	return filled(out, size, err)
}

func (k *cspKey) agree(*ecdh.PublicKey) ([]byte, error) { return nil, nteNotSupported }

func (k *cspKey) close() {
	if k.ours {
		_ = windows.CryptReleaseContext(k.provider, 0) // nothing to be done about it
	}
}
