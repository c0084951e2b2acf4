package platform

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// UserSID returns the security identifier of this user, as text.
func UserSID() (string, error) {
	sid, err := userSID()
	if err != nil {
		return "", err
	}
	return sid.String(), nil
}

func userSID() (*windows.SID, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("finding out who the user is: %w", err)
	}
	return user.User.Sid, nil
}

// ObjectName names what belongs to one profile in the kernel's name space: the
// user and a digest of the folder, in which letter case does not count.
func ObjectName(dir string) (string, error) {
	sid, err := UserSID()
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(strings.ToLower(abs)))
	return "countersign-" + sid + "-" + hex.EncodeToString(digest[:8]), nil
}

// ProcessIsMine tells whether a process belongs to this user.
func ProcessIsMine(pid uint32) (bool, error) {
	me, err := userSID()
	if err != nil {
		return false, err
	}
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		// Another user's process can't be opened at all.
		return false, nil
	}
	defer windows.CloseHandle(process)
	var token windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &token); err != nil {
		return false, nil
	}
	defer token.Close()
	user, err := token.GetTokenUser()
	if err != nil {
		return false, fmt.Errorf("finding out whose process %d is: %w", pid, err)
	}
	return user.User.Sid.Equals(me), nil
}

// allowed returns the entries of an access list that allow something on the
// thing itself. No list at all, which allows everything, is an error.
func allowed(sd *windows.SECURITY_DESCRIPTOR) ([]*windows.ACCESS_ALLOWED_ACE, error) {
	acl, _, err := sd.DACL()
	if err != nil {
		return nil, err
	}
	if acl == nil {
		return nil, windows.ERROR_INVALID_ACL
	}
	var entries []*windows.ACCESS_ALLOWED_ACE
	for i := range acl.AceCount {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(acl, uint32(i), &ace); err != nil {
			return nil, err
		}
		if ace.Header.AceType == windows.ACCESS_ALLOWED_ACE_TYPE && ace.Header.AceFlags&windows.INHERIT_ONLY_ACE == 0 {
			entries = append(entries, ace)
		}
	}
	return entries, nil
}

// aceSID is the account of an access control entry, which begins where the
// entry's fixed fields end.
func aceSID(ace *windows.ACCESS_ALLOWED_ACE) *windows.SID {
	return (*windows.SID)(unsafe.Pointer(&ace.SidStart))
}
