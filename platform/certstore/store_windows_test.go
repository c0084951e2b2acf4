package certstore

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// underWine tells whether this Windows is wine, whose CNG knows little.
func underWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

// keyProvInfo is CRYPT_KEY_PROV_INFO.
type keyProvInfo struct {
	container  *uint16
	provider   *uint16
	kind       uint32
	flags      uint32
	parameters uint32
	parameter  uintptr
	keySpec    uint32
}

// TestLayouts: the structs are as the headers of Windows have them, for 32 and 64 bits.
func TestLayouts(t *testing.T) {
	word := unsafe.Sizeof(uintptr(0))
	var prov keyProvInfo // of the test that puts a key there
	var p1 pkcs1Info
	var ps pssInfo
	var oa oaepInfo
	for name, got := range map[string][2]uintptr{
		"CRYPT_KEY_PROV_INFO":              {unsafe.Sizeof(prov), map[uintptr]uintptr{4: 28, 8: 48}[word]},
		"CRYPT_KEY_PROV_INFO.pwszProvName": {unsafe.Offsetof(prov.provider), word},
		"CRYPT_KEY_PROV_INFO.dwProvType":   {unsafe.Offsetof(prov.kind), 2 * word},
		"CRYPT_KEY_PROV_INFO.rgProvParam":  {unsafe.Offsetof(prov.parameter), map[uintptr]uintptr{4: 20, 8: 32}[word]},
		"CRYPT_KEY_PROV_INFO.dwKeySpec":    {unsafe.Offsetof(prov.keySpec), map[uintptr]uintptr{4: 24, 8: 40}[word]},
		"BCRYPT_PKCS1_PADDING_INFO":        {unsafe.Sizeof(p1), word},
		"BCRYPT_PSS_PADDING_INFO":          {unsafe.Sizeof(ps), 2 * word},
		"BCRYPT_PSS_PADDING_INFO.cbSalt":   {unsafe.Offsetof(ps.salt), word},
		"BCRYPT_OAEP_PADDING_INFO":         {unsafe.Sizeof(oa), 3 * word},
		"BCRYPT_OAEP_PADDING_INFO.pbLabel": {unsafe.Offsetof(oa.label), word},
		"BCRYPT_OAEP_PADDING_INFO.cbLabel": {unsafe.Offsetof(oa.length), 2 * word},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %d, not %d", name, got[0], got[1])
		}
	}
}

func TestECCBlob(t *testing.T) {
	for curve, magic := range map[ecdh.Curve]string{ecdh.P256(): "ECK1", ecdh.P384(): "ECK3", ecdh.P521(): "ECK5"} {
		key, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		blob, err := eccBlob(key.PublicKey())
		point := key.PublicKey().Bytes()[1:]
		if err != nil || string(blob[:4]) != magic || binary.LittleEndian.Uint32(blob[4:]) != uint32(len(point)/2) || !bytes.Equal(blob[8:], point) {
			t.Errorf("%v: %x, %v", curve, blob, err)
		}
	}
}

// littleEndian is a number as CryptoAPI has it, of so many bytes.
func littleEndian(n *big.Int, size int) []byte {
	b := n.FillBytes(make([]byte, size))
	slices.Reverse(b)
	return b
}

// privateBlob is a PRIVATEKEYBLOB of a key.
func privateBlob(key *rsa.PrivateKey) []byte {
	size, half := key.Size(), key.Size()/2
	blob := []byte{7, 2, 0, 0, 0, 0xa4, 0, 0, 'R', 'S', 'A', '2'} // PRIVATEKEYBLOB, CALG_RSA_KEYX
	blob = binary.LittleEndian.AppendUint32(blob, uint32(8*size))
	blob = binary.LittleEndian.AppendUint32(blob, uint32(key.E))
	blob = append(blob, littleEndian(key.N, size)...)
	for _, n := range []*big.Int{key.Primes[0], key.Primes[1], key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv} {
		blob = append(blob, littleEndian(n, half)...)
	}
	return append(blob, littleEndian(key.D, size)...)
}

// wide is text for Windows.
func wide(t testing.TB, text string) *uint16 {
	t.Helper()
	p, err := windows.UTF16PtrFromString(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	legacyProvider = "Microsoft Enhanced RSA and AES Cryptographic Provider"
	aesProvider    = 24   // PROV_RSA_AES
	newKeyset      = 0x8  // CRYPT_NEWKEYSET
	deleteKeyset   = 0x10 // CRYPT_DELETEKEYSET
)

// install puts a key into a legacy provider of this user, and its certificate into the store,
// until the test ends.
func install(t *testing.T, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	const container = "countersign-test"
	var provider windows.Handle
	_ = windows.CryptAcquireContext(&provider, wide(t, container), wide(t, legacyProvider), aesProvider, deleteKeyset)
	if err := windows.CryptAcquireContext(&provider, wide(t, container), wide(t, legacyProvider), aesProvider, newKeyset); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = windows.CryptReleaseContext(provider, 0)
		_ = windows.CryptAcquireContext(&provider, wide(t, container), wide(t, legacyProvider), aesProvider, deleteKeyset)
	})
	blob := privateBlob(key)
	var imported uintptr
	importKey := windows.NewLazySystemDLL("advapi32.dll").NewProc("CryptImportKey")
	if err := try(importKey, uintptr(provider), uintptr(unsafe.Pointer(&blob[0])), uintptr(len(blob)), 0, 0, uintptr(unsafe.Pointer(&imported))); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Dr Lee of the test of Countersign"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, EmailAddresses: []string{"lee@clinic.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &der[0], uint32(len(der)))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CertFreeCertificateContext(encoded)
	set := windows.NewLazySystemDLL("crypt32.dll").NewProc("CertSetCertificateContextProperty")
	info := &keyProvInfo{container: wide(t, container), provider: wide(t, legacyProvider), kind: aesProvider, keySpec: windows.AT_KEYEXCHANGE}
	if err := try(set, uintptr(unsafe.Pointer(encoded)), propKeyProvInfo, 0, uintptr(unsafe.Pointer(info))); err != nil {
		t.Fatal(err)
	}
	inMy := func(do func(my windows.Handle) error) {
		my, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, windows.CERT_SYSTEM_STORE_CURRENT_USER, uintptr(unsafe.Pointer(wide(t, "MY"))))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(do(my), windows.CertCloseStore(my, 0)); err != nil { // written when it is closed
			t.Fatal(err)
		}
	}
	inMy(func(my windows.Handle) error {
		return windows.CertAddCertificateContextToStore(my, encoded, windows.CERT_STORE_ADD_REPLACE_EXISTING, nil)
	})
	t.Cleanup(func() {
		inMy(func(my windows.Handle) error {
			for {
				at, err := windows.CertFindCertificateInStore(my, windows.X509_ASN_ENCODING, 0, windows.CERT_FIND_SUBJECT_STR_W, unsafe.Pointer(wide(t, "Dr Lee of the test of Countersign")), nil)
				if err != nil {
					return nil // there is none left
				}
				if err := windows.CertDeleteCertificateFromStore(at); err != nil {
					return err
				}
			}
		})
	})
	return certificate
}

// inMemory is CNG's key of a key blob, that no store knows.
func inMemory(t *testing.T, kind string, blob []byte) (*cngKey, error) {
	t.Helper()
	c := openCNG()
	var provider, handle uintptr
	if err := call(c.openProvider, uintptr(unsafe.Pointer(&provider)), uintptr(unsafe.Pointer(wide(t, softwareProvider))), 0); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = call(c.freeObject, provider) })
	err := call(c.importKey, provider, 0, uintptr(unsafe.Pointer(wide(t, kind))), 0, uintptr(unsafe.Pointer(&handle)), uintptr(unsafe.Pointer(&blob[0])), uintptr(len(blob)), 0)
	return &cngKey{cng: c, key: handle, ours: true, silent: true}, err
}

// rsaBlob is a BCRYPT_RSAFULLPRIVATE_BLOB.
func rsaBlob(key *rsa.PrivateKey) []byte {
	blob := []byte("RSA3")
	e := big.NewInt(int64(key.E)).Bytes()
	for _, n := range []int{8 * key.Size(), len(e), key.Size(), key.Size() / 2, key.Size() / 2} {
		blob = binary.LittleEndian.AppendUint32(blob, uint32(n))
	}
	blob = append(blob, e...)
	blob = append(blob, key.N.Bytes()...)
	for _, n := range []*big.Int{key.Primes[0], key.Primes[1], key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv} {
		blob = append(blob, n.FillBytes(make([]byte, key.Size()/2))...)
	}
	return append(blob, key.D.FillBytes(make([]byte, key.Size()))...)
}

// TestCNG: what CNG does with an RSA key, called as it wants it.
func TestCNG(t *testing.T) {
	private := rsaKey(t)
	k, err := inMemory(t, "RSAFULLPRIVATEBLOB", rsaBlob(private))
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	k.say("signing a letter")
	digest := sha256.Sum256([]byte("letter"))
	lacks := func(what string, err error) bool {
		if err != nil && underWine() {
			t.Logf("wine has no %s: %v", what, err)
			return true
		}
		return false
	}
	if s, err := k.sign(pad{scheme: pkcs1, hash: crypto.SHA256}, digest[:]); err != nil || rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digest[:], s) != nil {
		t.Errorf("PKCS #1: %x, %v", s, err)
	}
	if s, err := k.sign(pad{pss, crypto.SHA256, 32}, digest[:]); err != nil || rsa.VerifyPSS(&private.PublicKey, crypto.SHA256, digest[:], s, nil) != nil {
		t.Errorf("PSS: %x, %v", s, err)
	}
	secret := []byte("a content key of 32 bytes .....!")
	o := &rsa.OAEPOptions{Hash: crypto.SHA256, Label: []byte("label")}
	forSHA2, err1 := rsa.EncryptOAEPWithOptions(rand.Reader, &private.PublicKey, secret, o)
	//lint:ignore SA1019 other programs still send it
	v15, err2 := rsa.EncryptPKCS1v15(rand.Reader, &private.PublicKey, secret)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if plain, err := k.decrypt(pad{scheme: oaep, hash: crypto.SHA256}, o.Label, forSHA2); !lacks("OAEP", err) {
		if err != nil || !bytes.Equal(plain, secret) {
			t.Errorf("OAEP: %q, %v", plain, err)
		}
	}
	if plain, err := k.decrypt(pad{scheme: pkcs1}, nil, v15); !lacks("PKCS #1 decryption", err) {
		if err != nil || !bytes.Equal(plain, secret) {
			t.Errorf("PKCS #1: %q, %v", plain, err)
		}
	}
	if em, err := k.decrypt(pad{}, nil, v15); !lacks("bare operation", err) {
		if err != nil || len(em) != len(v15) || !bytes.HasSuffix(em, append([]byte{0}, secret...)) {
			t.Errorf("bare: %x, %v", em, err)
		}
	}
}

// TestCurves: what CNG does with a key on a curve.
func TestCurves(t *testing.T) {
	ours, theirs := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	mine, err1 := ours.ECDH()
	other, err2 := theirs.ECDH()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	blob, err := eccBlob(mine.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	blob = append(blob, mine.Bytes()...)
	copy(blob, "ECK2") // BCRYPT_ECDH_PRIVATE_P256_MAGIC
	k, err := inMemory(t, "ECCPRIVATEBLOB", blob)
	if err != nil && underWine() {
		t.Skip("wine's CNG takes no keys on curves: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	want, err := mine.ECDH(other.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := k.agree(other.PublicKey()); err != nil || !bytes.Equal(secret, want) {
		t.Errorf("ECDH: %x, not %x; %v", secret, want, err)
	}
	copy(blob, "ECS2") // BCRYPT_ECDSA_PRIVATE_P256_MAGIC
	signing, err := inMemory(t, "ECCPRIVATEBLOB", blob)
	if err != nil {
		t.Fatal(err)
	}
	defer signing.close()
	digest := sha256.Sum256([]byte("letter"))
	s, err := signing.sign(pad{}, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.Verify(&ours.PublicKey, digest[:], new(big.Int).SetBytes(s[:len(s)/2]), new(big.Int).SetBytes(s[len(s)/2:])) {
		t.Errorf("ECDSA: %x", s)
	}
}
