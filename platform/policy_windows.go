package platform

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// PolicyPath is where the administrator's policy file lies. Nothing moves it:
// the system itself is asked, not the environment.
func PolicyPath() string {
	dir, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		dir = `C:\ProgramData`
	}
	return filepath.Join(dir, "Countersign", "policy")
}

// checkAdministrators fails with [ErrExposed] unless a file or folder belongs
// to the system and nobody else can write to it. Folders that Windows itself
// makes (C:\, C:\ProgramData) let users add to them, not change what is there.
func checkAdministrators(path string) error {
	what := windows.SECURITY_INFORMATION(windows.OWNER_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION)
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, what)
	if err != nil {
		return err
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return err
	}
	if !administrative(owner) {
		return fmt.Errorf("%w: %s belongs to %s", ErrExposed, path, owner)
	}
	entries, err := allowed(sd)
	if err != nil {
		return fmt.Errorf("%w: %s has no access list", ErrExposed, path)
	}
	for _, ace := range entries {
		if ace.Mask&changing != 0 && !administrative(aceSID(ace)) {
			return fmt.Errorf("%w: %s can write to %s", ErrExposed, aceSID(ace), path)
		}
	}
	return nil
}

// changing is every right to change or take away what is there.
const changing = windows.FILE_WRITE_DATA | windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_WRITE | windows.GENERIC_ALL | fileDeleteChild

// fileDeleteChild is FILE_DELETE_CHILD.
const fileDeleteChild = 0x40

// trustedInstaller owns what Windows brought.
const trustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

func administrative(sid *windows.SID) bool {
	return sid.IsWellKnown(windows.WinLocalSystemSid) ||
		sid.IsWellKnown(windows.WinBuiltinAdministratorsSid) ||
		sid.IsWellKnown(windows.WinCreatorOwnerSid) ||
		sid.String() == trustedInstaller
}
