package pkcs11test

import (
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// TPM sets up a token of tpm2-pkcs11 on a TPM in software, swtpm, behind a resource manager
// of its own. Its keys are made on it: RSA and P-256. It agrees on no secrets.
func TPM(tb testing.TB) *Token {
	tb.Helper()
	const library = "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1"
	need(tb, library, "swtpm", "swtpm_setup", "tpm2-abrmd", "dbus-daemon", "pkcs11-tool")
	need(tb, "/usr/lib/x86_64-linux-gnu/libtss2-tcti-tabrmd.so.0", "dbus-send")
	need(tb, "/usr/lib/x86_64-linux-gnu/libtss2-tcti-swtpm.so.0")
	dir := tb.TempDir()
	k := &Token{Library: library, Label: "tpm", folder: dir, keys: map[string]Key{}, place: newPlace(tb)}
	k.Env = []string{
		"TPM2_PKCS11_STORE=" + dir, "TPM2_PKCS11_TCTI=tabrmd:bus_type=session", "TSS2_LOG=all+none",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/bus",
	}
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		tb.Fatal(err)
	}
	k.place.do(tb, "cd "+dir+` && swtpm_setup --tpm2 --tpmstate state --overwrite &&
export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/bus`)
	k.place.do(tb, "swtpm socket --tpm2 --tpmstate dir=state --ctrl type=tcp,port=2322,bindaddr=127.0.0.1 "+
		"--server type=tcp,port=2321,bindaddr=127.0.0.1 --flags not-need-init,startup-clear >swtpm.log 2>&1 &")
	k.place.do(tb, "dbus-daemon --session --nofork --address=$DBUS_SESSION_BUS_ADDRESS >bus.log 2>&1 &")
	k.place.do(tb, await("ss -ltn | grep -q :2321")+" && "+await("[ -S /run/bus ]"))
	k.place.do(tb, "tpm2-abrmd --session --allow-root --flush-all --tcti=swtpm:host=127.0.0.1,port=2321 >abrmd.log 2>&1 &")
	k.place.do(tb, await("dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:com.intel.tss2.Tabrmd | grep -q true"))
	k.initialise(tb)
	for i, one := range []struct{ name, algorithm string }{{"rsa", "rsa:2048"}, {"p256", "EC:secp256r1"}} {
		id := []byte{byte(i + 1)}
		k.tool(tb, "--keypairgen", "--key-type", one.algorithm, "--id", hex.EncodeToString(id), "--label", one.name)
		public := filepath.Join(dir, one.name+".pub")
		k.tool(tb, "--read-object", "--type", "pubkey", "--id", hex.EncodeToString(id), "--output-file", public)
		der, err := os.ReadFile(public)
		if err != nil {
			tb.Fatal(err)
		}
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			tb.Fatal(err)
		}
		k.certify(tb, one.name, id, key)
		k.tool(tb, "--write-object", filepath.Join(dir, one.name+".der"), "--type", "cert", "--id", hex.EncodeToString(id), "--label", one.name)
	}
	return k
}
