package platform_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"countersign/platform"
	"countersign/platform/harden"
)

func TestMakePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above", "dir")
	for range 2 {
		if err := platform.MakePrivate(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := platform.CheckPrivate(dir); err != nil {
		t.Error(err)
	}
}

func TestExposedFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;WD)")
	if err != nil {
		t.Fatal(err)
	}
	acl, _, err := sd.DACL()
	if err != nil {
		t.Fatal(err)
	}
	what := windows.SECURITY_INFORMATION(windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION)
	if err := windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, what, nil, nil, acl, nil); err != nil {
		t.Fatal(err)
	}
	if err := platform.MakePrivate(dir); !errors.Is(err, platform.ErrExposed) {
		t.Errorf("open to everybody, with something in it: %v", err)
	}
}

func TestWhoCanReachAPrivateFolder(t *testing.T) {
	const (
		me   = "S-1-5-21-1-2-3-1001"
		her  = "S-1-5-21-1-2-3-1002"
		mine = "O:" + me
	)
	for sddl, says := range map[string]string{
		mine + "D:P(A;OICI;FA;;;" + me + ")(A;OICI;FA;;;SY)":  "",
		"O:BAD:(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;" + me + ")":  "",
		mine + "D:(D;;FA;;;WD)(A;OICIIO;GA;;;WD)(A;;FA;;;SY)": "",
		mine + "D:(A;;FA;;;" + me + ")(A;;FR;;;BU)":           "open to S-1-5-32-545",
		mine + "D:(A;;FR;;;" + her + ")":                      "open to " + her,
		"O:" + her + "D:(A;;FA;;;" + me + ")":                 "belongs to " + her,
		mine:                                                  "no access list",
		"D:(A;;FA;;;" + me + ")":                              "no owner",
	} {
		wants(t, sddl, says, platform.OnlyFor(sddl, me))
	}
}

func TestWhoCanChangeThePolicyFile(t *testing.T) {
	const installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
	for _, test := range []struct {
		sddl   string
		folder bool
		says   string
	}{
		// C:\, C:\ProgramData and what an administrator makes below it, as Windows has them.
		{"O:" + installer + "D:PAI(A;;LC;;;AU)(A;OICIIO;SDGXGWGR;;;AU)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)", true, ""},
		{"O:SYD:PAI(A;OICIIO;GA;;;CO)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;CI;DCLCRPCR;;;BU)(A;OICI;0x1200a9;;;BU)", true, ""},
		{"O:BAD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)", false, ""},

		{"O:BAD:(A;;FA;;;BA)(A;;DC;;;BU)", false, "S-1-5-32-545 can change it"},
		{"O:BAD:(A;;FA;;;BA)(A;;LC;;;BU)", false, "S-1-5-32-545 can change it"},
		{"O:BAD:(A;;FA;;;BA)(A;;DT;;;BU)", true, "S-1-5-32-545 can change it"},
		{"O:BAD:(A;;FA;;;BA)(A;;SD;;;AU)", true, "S-1-5-11 can change it"},
		{"O:BAD:(A;;FA;;;BA)(A;;WD;;;BU)", true, "S-1-5-32-545 can change it"},
		{"O:S-1-5-21-1-2-3-1001D:(A;;FA;;;BA)", false, "belongs to S-1-5-21-1-2-3-1001"},
		{"O:BA", false, "no access list"},
	} {
		wants(t, test.sddl, test.says, platform.OnlyAdministrators(test.sddl, test.folder))
	}
}

// wants checks what an error says; nothing is no error.
func wants(t *testing.T, of, says string, err error) {
	t.Helper()
	if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
		t.Errorf("%s: %v", of, err)
	}
}

// underWine tells whether this Windows is wine, which knows whose a connection
// is only at the end that dialled, and only in IPv4.
func underWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

func TestProcessIsMine(t *testing.T) {
	if mine, err := platform.ProcessIsMine(windows.GetCurrentProcessId()); err != nil || !mine {
		t.Errorf("this process: %v, %v", mine, err)
	}
	if mine, err := platform.ProcessIsMine(0xfffffff0); err != nil || mine {
		t.Errorf("no process: %v, %v", mine, err)
	}
}

func TestHarden(t *testing.T) {
	err := harden.Process()
	if err != nil && underWine() {
		t.Skip("wine has no error reporting: ", err)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestNoPolicyFile(t *testing.T) {
	if data, err := platform.PolicyFile(platform.PolicyPath()); data != nil || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}
