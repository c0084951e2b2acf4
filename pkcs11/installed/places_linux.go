package installed

import "path/filepath"

// moduleFiles are what p11-kit reads of the system's: never the user's own.
func moduleFiles() []string {
	var all []string
	for _, pattern := range []string{"/etc/pkcs11/modules/*.module", "/usr/share/p11-kit/modules/*.module"} {
		if found, err := filepath.Glob(pattern); err == nil {
			all = append(all, found...)
		}
	}
	return all
}

// libraryFolders are where p11-kit seeks a library named without a folder.
func libraryFolders() []string {
	all := []string{"/usr/lib64/pkcs11", "/usr/lib/pkcs11"}
	if found, err := filepath.Glob("/usr/lib/*/pkcs11"); err == nil {
		all = append(all, found...)
	}
	return all
}

// wellKnown are libraries that come without a file for p11-kit.
func wellKnown() []string {
	return []string{
		"/usr/lib/*/libykcs11.so.2", "/usr/lib64/libykcs11.so.2",
		"/usr/lib/libeTPkcs11.so", "/usr/lib64/libeTPkcs11.so", // SafeNet
		"/usr/lib/libbit4xpki.so", "/usr/lib64/libbit4xpki.so", // bit4id
	}
}
