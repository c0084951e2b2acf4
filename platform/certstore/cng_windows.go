package certstore

import (
	"crypto"
	"crypto/ecdh"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unicode"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Flags of ncrypt.h.
const (
	noPadding = 0x1  // NCRYPT_NO_PADDING_FLAG
	padPKCS1  = 0x2  // NCRYPT_PAD_PKCS1_FLAG
	padOAEP   = 0x4  // NCRYPT_PAD_OAEP_FLAG
	padPSS    = 0x8  // NCRYPT_PAD_PSS_FLAG
	silent    = 0x40 // NCRYPT_SILENT_FLAG
)

// Names of ncrypt.h and bcrypt.h.
const (
	useContext       = "Use Context"     // NCRYPT_USE_CONTEXT_PROPERTY
	providerHandle   = "Provider Handle" // NCRYPT_PROVIDER_HANDLE_PROPERTY
	eccPublicBlob    = "ECCPUBLICBLOB"   // BCRYPT_ECCPUBLIC_BLOB
	rawSecret        = "TRUNCATE"        // BCRYPT_KDF_RAW_SECRET
	softwareProvider = "Microsoft Software Key Storage Provider"
)

// maxContext is how many characters of a purpose the PIN dialog is given.
const maxContext = 200

// maxBlock is the bytes of a signature, a block or a secret: RSA-16384, and some.
const maxBlock = 4096

// pkcs1Info is BCRYPT_PKCS1_PADDING_INFO.
type pkcs1Info struct{ hash *uint16 }

// pssInfo is BCRYPT_PSS_PADDING_INFO.
type pssInfo struct {
	hash *uint16
	salt uint32
}

// oaepInfo is BCRYPT_OAEP_PADDING_INFO.
type oaepInfo struct {
	hash   *uint16
	label  *byte
	length uint32
}

// cng is what of ncrypt.dll is called.
type cng struct {
	signHash, decrypt, setProperty, getProperty, importKey, openProvider, agreement, deriveKey, freeObject *windows.LazyProc
}

func openCNG() cng {
	dll := windows.NewLazySystemDLL("ncrypt.dll")
	return cng{
		signHash:     dll.NewProc("NCryptSignHash"),
		decrypt:      dll.NewProc("NCryptDecrypt"),
		setProperty:  dll.NewProc("NCryptSetProperty"),
		getProperty:  dll.NewProc("NCryptGetProperty"),
		importKey:    dll.NewProc("NCryptImportKey"),
		openProvider: dll.NewProc("NCryptOpenStorageProvider"),
		agreement:    dll.NewProc("NCryptSecretAgreement"),
		deriveKey:    dll.NewProc("NCryptDeriveKey"),
		freeObject:   dll.NewProc("NCryptFreeObject"),
	}
}

// call calls a function that returns a SECURITY_STATUS. What its arguments point at must not
// move meanwhile.
//
//go:uintptrescapes
func call(proc *windows.LazyProc, arguments ...uintptr) error {
	if err := proc.Find(); err != nil {
		return fmt.Errorf("%w: %w", nteNotSupported, err)
	}
	status, _, _ := proc.Call(arguments...)
	if uint32(status) != 0 {
		return code(status)
	}
	return nil
}

// cngKey is a key of CNG's.
type cngKey struct {
	cng
	key    uintptr // NCRYPT_KEY_HANDLE
	ours   bool    // to close
	silent bool    // nobody may be asked
}

// say gives the PIN dialog what the key is used for. A provider without a dialog may refuse.
func (k *cngKey) say(purpose string) {
	runes := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, purpose))
	text, err := windows.UTF16FromString(string(runes[:min(len(runes), maxContext)]))
	name, err2 := windows.UTF16PtrFromString(useContext)
	if err != nil || err2 != nil || purpose == "" {
		return
	}
	_ = call(k.setProperty, k.key, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&text[0])), uintptr(2*len(text)), 0)
	runtime.KeepAlive(text)
	runtime.KeepAlive(name)
}

// flags are those of an operation.
func (k *cngKey) flags(padding uintptr) uintptr {
	if k.silent {
		return padding | silent
	}
	return padding
}

// hashName is what CNG calls a hash.
func hashName(h crypto.Hash) *uint16 {
	name, err := windows.UTF16PtrFromString(map[crypto.Hash]string{
		crypto.SHA1: "SHA1", crypto.SHA256: "SHA256", crypto.SHA384: "SHA384", crypto.SHA512: "SHA512",
	}[h])
	if err != nil {
		return nil
	}
	return name
}

func (k *cngKey) sign(p pad, digest []byte) ([]byte, error) {
	out := make([]byte, maxBlock)
	var size uint32
	var info unsafe.Pointer
	var flags uintptr
	switch p.scheme {
	case pkcs1:
		info, flags = unsafe.Pointer(&pkcs1Info{hashName(p.hash)}), padPKCS1
	case pss:
		info, flags = unsafe.Pointer(&pssInfo{hashName(p.hash), uint32(p.salt)}), padPSS
	}
	err := call(k.signHash, k.key, uintptr(info), uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest)),
		uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)), uintptr(unsafe.Pointer(&size)), k.flags(flags))
	runtime.KeepAlive(info)
	return filled(out, size, err)
}

func (k *cngKey) decrypt(p pad, label, block []byte) ([]byte, error) {
	out := make([]byte, maxBlock)
	var size uint32
	var info unsafe.Pointer
	var flags uintptr
	switch p.scheme {
	case none:
		flags = noPadding
	case pkcs1:
		flags = padPKCS1
	case oaep:
		info, flags = unsafe.Pointer(&oaepInfo{hashName(p.hash), unsafe.SliceData(label), uint32(len(label))}), padOAEP
	}
	err := call(k.cng.decrypt, k.key, uintptr(unsafe.Pointer(&block[0])), uintptr(len(block)), uintptr(info),
		uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)), uintptr(unsafe.Pointer(&size)), k.flags(flags))
	runtime.KeepAlive(info)
	return filled(out, size, err)
}

// filled is what Windows wrote.
func filled(out []byte, size uint32, err error) ([]byte, error) {
	if err == nil && size > uint32(len(out)) {
		err = unsuccessful
	}
	if err != nil {
		clear(out)
		return nil, err
	}
	return out[:size], nil
}

// agree gives the x coordinate that both sides arrive at (SEC 1, section 3.3.1).
func (k *cngKey) agree(peer *ecdh.PublicKey) ([]byte, error) {
	theirs, err := k.peer(peer)
	if err != nil {
		return nil, err
	}
	defer func() { _ = call(k.freeObject, theirs) }()
	var secret uintptr
	if err := call(k.agreement, k.key, theirs, uintptr(unsafe.Pointer(&secret)), k.flags(0)); err != nil {
		return nil, err
	}
	defer func() { _ = call(k.freeObject, secret) }()
	kdf, err := windows.UTF16PtrFromString(rawSecret)
	if err != nil {
		return nil, err
	}
	out := make([]byte, maxBlock)
	var size uint32
	// No flag of silence here: the function has none, and the key was used above.
	err = call(k.deriveKey, secret, uintptr(unsafe.Pointer(kdf)), 0, uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)), uintptr(unsafe.Pointer(&size)), 0)
	x, err := filled(out, size, err)
	slices.Reverse(x) // the raw secret is little-endian
	return x, err
}

// peer makes a public key known to the provider of ours: only keys of one provider agree.
func (k *cngKey) peer(public *ecdh.PublicKey) (uintptr, error) {
	blob, err := eccBlob(public)
	if err != nil {
		return 0, err
	}
	kind, err1 := windows.UTF16PtrFromString(eccPublicBlob)
	property, err2 := windows.UTF16PtrFromString(providerHandle)
	name, err3 := windows.UTF16PtrFromString(softwareProvider)
	if err1 != nil || err2 != nil || err3 != nil {
		return 0, nteNotSupported
	}
	taken := func(provider uintptr) (key uintptr, err error) {
		err = call(k.importKey, provider, 0, uintptr(unsafe.Pointer(kind)), 0, uintptr(unsafe.Pointer(&key)), uintptr(unsafe.Pointer(&blob[0])), uintptr(len(blob)), k.flags(0))
		return key, err
	}
	var provider uintptr
	var size uint32
	err = call(k.getProperty, k.key, uintptr(unsafe.Pointer(property)), uintptr(unsafe.Pointer(&provider)), unsafe.Sizeof(provider), uintptr(unsafe.Pointer(&size)), 0)
	if err == nil {
		defer func() { _ = call(k.freeObject, provider) }()
		if key, err := taken(provider); err == nil {
			return key, nil
		}
	}
	// A card's provider may take no keys in, and yet agree with one of Windows' own.
	if err := call(k.openProvider, uintptr(unsafe.Pointer(&provider)), uintptr(unsafe.Pointer(name)), 0); err != nil {
		return 0, err
	}
	own := provider
	defer func() { _ = call(k.freeObject, own) }()
	return taken(own)
}

// eccBlob is a BCRYPT_ECCKEY_BLOB: a number for the curve, the length of a coordinate, and x
// and y.
func eccBlob(public *ecdh.PublicKey) ([]byte, error) {
	magic, ok := map[ecdh.Curve]uint32{
		ecdh.P256(): 0x314b4345, // BCRYPT_ECDH_PUBLIC_P256_MAGIC, "ECK1"
		ecdh.P384(): 0x334b4345,
		ecdh.P521(): 0x354b4345,
	}[public.Curve()]
	if !ok {
		return nil, nteNotSupported
	}
	point := public.Bytes()[1:] // behind the 4 of an uncompressed point
	blob := binary.LittleEndian.AppendUint32(nil, magic)
	blob = binary.LittleEndian.AppendUint32(blob, uint32(len(point)/2))
	return append(blob, point...), nil
}

func (k *cngKey) close() {
	if k.ours {
		_ = call(k.freeObject, k.key) // nothing to be done about it
	}
}
