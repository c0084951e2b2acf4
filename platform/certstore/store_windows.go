package certstore

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Properties of a certificate (wincrypt.h).
const (
	propKeyProvInfo  = 2  // CERT_KEY_PROV_INFO_PROP_ID
	propFriendlyName = 11 // CERT_FRIENDLY_NAME_PROP_ID
)

// Bounds of what is read.
const (
	maxCertificates = 10_000
	maxProperty     = 64 << 10 // bytes
)

// store is Windows' own.
type store struct {
	getProperty *windows.LazyProc // CertGetCertificateContextProperty
	cng         cng
	csp         csp
}

func opened() system {
	return &store{
		getProperty: windows.NewLazySystemDLL("crypt32.dll").NewProc("CertGetCertificateContextProperty"),
		cng:         openCNG(),
		csp:         openCSP(),
	}
}

// each calls a function for each certificate of a store of the user's until that says stop.
// The certificate is lent.
func (s *store) each(which string, do func(*windows.CertContext) (stop bool)) error {
	name, err := windows.UTF16PtrFromString(which)
	if err != nil {
		return err
	}
	const flags = windows.CERT_SYSTEM_STORE_CURRENT_USER | windows.CERT_STORE_READONLY_FLAG | windows.CERT_STORE_OPEN_EXISTING_FLAG
	opened, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, flags, uintptr(unsafe.Pointer(name)))
	runtime.KeepAlive(name)
	if errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		return nil // nobody put anything there yet
	}
	if err != nil {
		return numbered(err)
	}
	defer windows.CertCloseStore(opened, 0)
	var at *windows.CertContext
	for range maxCertificates {
		if at, err = windows.CertEnumCertificatesInStore(opened, at); at == nil {
			return nil // at the end, err says no more than that
		}
		if do(at) {
			break
		}
	}
	return windows.CertFreeCertificateContext(at)
}

// der is a certificate's bytes, which are the store's.
func der(c *windows.CertContext) []byte { return unsafe.Slice(c.EncodedCert, c.Length) }

func (s *store) list() ([]certificate, error) {
	var all []certificate
	err := s.each("MY", func(c *windows.CertContext) bool {
		if s.property(c, propKeyProvInfo) == nil {
			return false // nobody keeps its private key
		}
		parsed, err := x509.ParseCertificate(slices.Clone(der(c)))
		if err != nil {
			return false // of no use here
		}
		all = append(all, certificate{parsed, s.friendlyName(c)})
		return false
	})
	return all, err
}

func (s *store) authorities() ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	err := s.each("CA", func(c *windows.CertContext) bool {
		if parsed, err := x509.ParseCertificate(slices.Clone(der(c))); err == nil {
			all = append(all, parsed)
		}
		return false
	})
	return all, err
}

// property reads a property of a certificate, aligned as a struct is; nil: it has none.
func (s *store) property(c *windows.CertContext, which uintptr) []uintptr {
	var size uint32
	if ok, _, _ := s.getProperty.Call(uintptr(unsafe.Pointer(c)), which, 0, uintptr(unsafe.Pointer(&size))); ok == 0 || size == 0 || size > maxProperty {
		return nil
	}
	words := make([]uintptr, (uintptr(size)+unsafe.Sizeof(uintptr(0))-1)/unsafe.Sizeof(uintptr(0)))
	if ok, _, _ := s.getProperty.Call(uintptr(unsafe.Pointer(c)), which, uintptr(unsafe.Pointer(&words[0])), uintptr(unsafe.Pointer(&size))); ok == 0 {
		return nil
	}
	return words
}

func (s *store) friendlyName(c *windows.CertContext) string {
	words := s.property(c, propFriendlyName)
	if len(words) == 0 {
		return ""
	}
	units := unsafe.Slice((*uint16)(unsafe.Pointer(&words[0])), uintptr(len(words))*unsafe.Sizeof(words[0])/2)
	return windows.UTF16ToString(units)
}

func (s *store) acquire(digest [sha256.Size]byte, a access) (handle, error) {
	var h handle
	failed := error(nteBadKeyset)
	err := s.each("MY", func(c *windows.CertContext) bool {
		if sha256.Sum256(der(c)) != digest {
			return false
		}
		h, failed = s.key(c, a)
		return true
	})
	if err != nil {
		return nil, err
	}
	return h, failed
}

// key opens the private key of a certificate: by CNG, also where a legacy provider made it
// and CNG can, else by that provider.
func (s *store) key(c *windows.CertContext, a access) (handle, error) {
	flags := uint32(windows.CRYPT_ACQUIRE_PREFER_NCRYPT_KEY_FLAG)
	if !a.asked {
		flags |= windows.CRYPT_ACQUIRE_SILENT_FLAG
	}
	var key windows.Handle
	var spec uint32
	var ours bool
	if err := windows.CryptAcquireCertificatePrivateKey(c, flags, nil, &key, &spec, &ours); err != nil {
		return nil, numbered(err)
	}
	if spec == windows.CERT_NCRYPT_KEY_SPEC {
		k := &cngKey{cng: s.cng, key: uintptr(key), ours: ours, silent: !a.asked}
		k.say(a.purpose)
		return k, nil
	}
	return &cspKey{csp: s.csp, provider: key, spec: spec, ours: ours}, nil
}

// numbered is an error of Windows as its code.
func numbered(err error) error {
	var n syscall.Errno
	if errors.As(err, &n) {
		return code(n)
	}
	return err
}
