package platform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// defaultHome is the folder of the user's own profile, below %LocalAppData%: a
// database does not roam.
func defaultHome() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "Countersign"), err
}

// CheckPrivate fails with [ErrExposed] unless dir is a folder of this user's
// that nobody but the system can change or read.
func CheckPrivate(dir string) error {
	if _, err := ownFolder(dir); err != nil {
		return err
	}
	me, err := userSID()
	if err != nil {
		return err
	}
	what := windows.SECURITY_INFORMATION(windows.OWNER_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION)
	sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, what)
	if err != nil {
		return fmt.Errorf("checking a private folder: %w", err)
	}
	if err := onlyFor(sd, me); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrExposed, dir, err)
	}
	return nil
}

// onlyFor fails where somebody else can reach a thing, or owns it and so can
// let anybody in.
func onlyFor(sd *windows.SECURITY_DESCRIPTOR, me *windows.SID) error {
	owner, _, err := sd.Owner()
	if err != nil || owner == nil {
		return errors.New("it has no owner")
	}
	if !trusted(owner, me) {
		return fmt.Errorf("it belongs to %s", owner)
	}
	entries, err := allowed(sd)
	if err != nil {
		return errors.New("it has no access list")
	}
	for _, ace := range entries {
		if !trusted(aceSID(ace), me) {
			return fmt.Errorf("it is open to %s", aceSID(ace))
		}
	}
	return nil
}

// trusted tells whether an account may reach a private folder: the user, and
// those who can reach everything anyhow.
func trusted(sid, me *windows.SID) bool {
	return sid.Equals(me) ||
		sid.IsWellKnown(windows.WinLocalSystemSid) ||
		sid.IsWellKnown(windows.WinBuiltinAdministratorsSid) ||
		sid.IsWellKnown(windows.WinCreatorOwnerSid)
}

// closeFolder gives the folder, and what will lie in it, to the user alone.
func closeFolder(dir string) error {
	me, err := userSID()
	if err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;" + me.String() + ")(A;OICI;FA;;;SY)")
	if err != nil {
		return err
	}
	acl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	what := windows.SECURITY_INFORMATION(windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION)
	return windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, what, nil, nil, acl, nil)
}

// syncFolder has nothing to do: NTFS journals renames.
func syncFolder(string) error { return nil }
