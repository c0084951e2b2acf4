package platform

import "golang.org/x/sys/windows"

// OnlyFor tells what is wrong with a private folder whose security descriptor
// is written so (SDDL), for the user me.
func OnlyFor(sddl, me string) error {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return err
	}
	sid, err := windows.StringToSid(me)
	if err != nil {
		return err
	}
	return onlyFor(sd, sid)
}

// OnlyAdministrators tells the same of the policy file, or a folder above it.
func OnlyAdministrators(sddl string, folder bool) error {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return err
	}
	return onlyAdministrators(sd, folder)
}
