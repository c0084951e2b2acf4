package pkcs11test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// OpenCryptoki sets up the soft token of opencryptoki, with its daemon. It has RSA only.
// Its objects and its settings lie in a folder of the test's.
func OpenCryptoki(tb testing.TB) *Token {
	tb.Helper()
	const library = "/usr/lib/x86_64-linux-gnu/opencryptoki/libopencryptoki.so.0"
	need(tb, library, "pkcsslotd", "pkcs11-tool")
	dir := tb.TempDir()
	k := &Token{Library: library, Label: "opencryptoki", folder: dir, keys: map[string]Key{}, place: newPlace(tb)}
	for _, sub := range []string{"etc", "lib/swtok/TOK_OBJ", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	write(tb, filepath.Join(dir, "etc/opencryptoki.conf"), "version opencryptoki-3.1\nslot 0\n{\nstdll = libpkcs11_sw.so\n}\n")
	k.place.do(tb, "cd "+dir+` && mkdir -p /run/lock/opencryptoki/swtok && chgrp -R pkcs11 /run/lock/opencryptoki &&
mount --bind etc /etc/opencryptoki && mount --bind lib /var/lib/opencryptoki && mount --bind log /var/log/opencryptoki`)
	k.place.do(tb, "pkcsslotd -f >"+dir+"/log/daemon 2>&1 &")
	k.place.do(tb, await("[ -S /run/pkcsslotd.socket ]"))
	k.initialise(tb)
	k.add(tb, "rsa", 1)
	id := hex.EncodeToString(k.keys["rsa"].ID)
	k.tool(tb, "--write-object", filepath.Join(dir, "rsa.key"), "--type", "privkey", "--id", id, "--label", "rsa", "--usage-decrypt", "--usage-sign")
	k.tool(tb, "--write-object", filepath.Join(dir, "rsa.der"), "--type", "cert", "--id", id, "--label", "rsa")
	return k
}

// initialise makes the first token of the library ready, with its label and the PIN.
func (t *Token) initialise(tb testing.TB) {
	tb.Helper()
	t.run(tb, "pkcs11-tool", "--module", t.Library, "--init-token", "--slot-index", "0", "--label", t.Label, "--so-pin", "87654321")
	t.run(tb, "pkcs11-tool", "--module", t.Library, "--token-label", t.Label, "--login", "--login-type", "so", "--so-pin", "87654321", "--init-pin", "--new-pin", PIN)
}
