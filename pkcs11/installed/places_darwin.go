package installed

func moduleFiles() []string { return nil }

func libraryFolders() []string { return nil }

// wellKnown are libraries of well-known makers.
func wellKnown() []string {
	return []string{
		"/Library/OpenSC/lib/opensc-pkcs11.so",
		"/usr/local/lib/libykcs11.dylib", "/opt/homebrew/lib/libykcs11.dylib",
		"/usr/local/lib/libeTPkcs11.dylib", // SafeNet
	}
}
