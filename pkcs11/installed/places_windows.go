package installed

import (
	"os"
	"path/filepath"
)

func moduleFiles() []string { return nil }

func libraryFolders() []string { return nil }

// wellKnown are libraries of well-known makers.
func wellKnown() []string {
	programs, system := os.Getenv("ProgramFiles"), filepath.Join(os.Getenv("SystemRoot"), "System32")
	return []string{
		filepath.Join(programs, `OpenSC Project\OpenSC\pkcs11\opensc-pkcs11.dll`),
		filepath.Join(programs, `Yubico\Yubico PIV Tool\bin\libykcs11.dll`),
		filepath.Join(programs, `HID Global\ActivClient\acpkcs211.dll`),
		filepath.Join(system, "eTPKCS11.dll"), // SafeNet
		filepath.Join(system, "bit4xpki.dll"), // bit4id
	}
}
