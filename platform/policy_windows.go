package platform

import (
	"errors"
	"fmt"
	"os"
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
// to the system and nobody else can change it, or take away what is in it.
// Others may add to a folder: C:\ and C:\ProgramData let users, and who makes
// something owns it.
func checkAdministrators(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	what := windows.SECURITY_INFORMATION(windows.OWNER_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION)
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, what)
	if err != nil {
		return err
	}
	if err := onlyAdministrators(sd, info.IsDir()); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrExposed, path, err)
	}
	return nil
}

func onlyAdministrators(sd *windows.SECURITY_DESCRIPTOR, folder bool) error {
	owner, _, err := sd.Owner()
	if err != nil || owner == nil {
		return errors.New("it has no owner")
	}
	if !administrative(owner) {
		return fmt.Errorf("it belongs to %s", owner)
	}
	entries, err := allowed(sd)
	if err != nil {
		return errors.New("it has no access list")
	}
	changing := windows.ACCESS_MASK(windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_WRITE | windows.GENERIC_ALL)
	if folder {
		changing |= fileDeleteChild
	} else {
		changing |= windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA // in a folder these bits are the rights to add
	}
	for _, ace := range entries {
		if ace.Mask&changing != 0 && !administrative(aceSID(ace)) {
			return fmt.Errorf("%s can change it", aceSID(ace))
		}
	}
	return nil
}

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
