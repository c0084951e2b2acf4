package pkcs11test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"countersign/pkcs11/pkcs11test/piv"
)

const (
	openSC = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
	vpcd   = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
)

// vpcdPort is where vpcd waits for a card, on all addresses: hence a network of its own.
const vpcdPort = "35963"

// listening waits until vpcd does.
var listening = await("ss -ltn | grep -q :" + vpcdPort)

// Reader is a card reader with its service, pcscd, and OpenSC to use it.
type Reader struct {
	place  *place
	folder string

	mu  sync.Mutex
	out func() // takes the card out
}

// NewReader starts pcscd with one virtual reader, in which there is no card.
func NewReader(tb testing.TB) *Reader {
	tb.Helper()
	need(tb, openSC, "pcscd", "pkcs11-tool", "opensc-tool")
	need(tb, vpcd)
	r := &Reader{place: newPlace(tb), folder: tb.TempDir()}
	write(tb, filepath.Join(r.folder, "opensc.conf"), "app default {\n debug = 0;\n enable_default_driver = false;\n framework pkcs15 { use_file_caching = no; }\n}\n")
	tb.Cleanup(r.pull)
	r.connect(tb)
	r.Start(tb)
	return r
}

// conf is pcscd's list of readers.
func (r *Reader) conf() string { return filepath.Join(r.folder, "readers") }

// Plug undoes Unplug: another new pcscd.
func (r *Reader) Plug(tb testing.TB) {
	tb.Helper()
	r.Kill(tb)
	r.connect(tb)
	r.Start(tb)
}

func (r *Reader) connect(tb testing.TB) {
	tb.Helper()
	write(tb, r.conf(), "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:0x8C7B\nLIBPATH "+vpcd+"\nCHANNELID 0x8C7B\n")
}

// Start starts pcscd, and returns when it serves and its reader takes a card.
func (r *Reader) Start(tb testing.TB) {
	tb.Helper()
	r.serve(tb)
	r.place.do(tb, listening)
}

func (r *Reader) serve(tb testing.TB) {
	tb.Helper()
	r.place.do(tb, "pcscd --foreground --error --config "+r.conf()+" >"+r.folder+"/pcscd.log 2>&1 & pcscd=$!")
	r.place.do(tb, await("[ -S /run/pcscd/pcscd.comm ]"))
}

// Kill ends pcscd as a crash does, and the card in its reader is out.
func (r *Reader) Kill(tb testing.TB) {
	tb.Helper()
	r.place.do(tb, "kill -9 $pcscd; wait $pcscd; rm -f /run/pcscd/*")
	r.pull()
}

// Insert puts a card into the reader.
func (r *Reader) Insert(tb testing.TB, c *piv.Card) {
	tb.Helper()
	path, env := r.command(relay)
	cmd := exec.Command(path)
	cmd.Env = env
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Serve(struct {
			io.Reader
			io.Writer
		}{out, in}) // it ends when it is taken out
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		close(ended)
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = func() {
		_ = cmd.Process.Kill() // it may be out already
		<-ended
	}
}

// Remove takes the card out, and returns when pcscd has noticed: a real card is never
// followed by another more quickly than that.
func (r *Reader) Remove(tb testing.TB) {
	tb.Helper()
	r.pull()
	r.place.do(tb, await("opensc-tool --list-readers | grep -Eq '^0 +No '"))
}

// pull takes the card out, if one is in.
func (r *Reader) pull() {
	r.mu.Lock()
	out := r.out
	r.out = nil
	r.mu.Unlock()
	if out != nil {
		out()
	}
}

// command is this test binary in the reader's place, as what.
func (r *Reader) command(what string) (path string, env []string) {
	return command(what, inside+"="+r.place.pid, "OPENSC_CONF="+filepath.Join(r.folder, "opensc.conf"))
}

// carry copies between the standard streams and vpcd's socket.
func carry() int {
	to, err := net.Dial("tcp", "127.0.0.1:"+vpcdPort)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = io.Copy(to, os.Stdin)
		to.Close()
	}()
	_, _ = io.Copy(os.Stdout, to)
	return 0
}

// pivNames are the labels that OpenSC gives to the certificates of the slots.
var pivNames = map[piv.Slot]string{
	piv.Authentication: "Certificate for PIV Authentication", piv.Signature: "Certificate for Digital Signature",
	piv.KeyManagement: "Certificate for Key Management", piv.CardAuthentication: "Certificate for Card Authentication",
}

// In is the name of the key in a slot: see [Token.Key].
func In(slot piv.Slot) string { return pivNames[slot] }

// Unplug takes the reader away, with the card. pcscd does not let go of a virtual reader, so
// this is a new pcscd that has none.
func (r *Reader) Unplug(tb testing.TB) {
	tb.Helper()
	r.Kill(tb)
	write(tb, r.conf(), "")
	r.serve(tb)
}

// PIV is a PIV card in a reader of its own, with RSA keys, or with keys on elliptic curves.
func PIV(tb testing.TB, kind string) (*Token, *Reader, *piv.Card) {
	tb.Helper()
	r := NewReader(tb)
	k, card := r.Card(tb, "Dr. Ada Weiss", kind)
	r.Insert(tb, card)
	return k, r, card
}

// Card makes a card with a key in each slot: RSA (kind "rsa") or on P-256 and P-384 ("ec").
// The name is that in its certificates; OpenSC labels the token by it.
func (r *Reader) Card(tb testing.TB, name, kind string) (*Token, *piv.Card) {
	tb.Helper()
	var guid [16]byte
	if _, err := rand.Read(guid[:]); err != nil {
		tb.Fatal(err)
	}
	card := piv.New(guid, PIN)
	k := &Token{Library: openSC, Label: name, keys: map[string]Key{}, folder: tb.TempDir(), place: r.place, Env: []string{"OPENSC_CONF=" + filepath.Join(r.folder, "opensc.conf")}}
	for slot, label := range pivNames {
		algorithm := kind
		usage := x509.KeyUsageDigitalSignature
		switch {
		case slot == piv.KeyManagement && kind == "rsa":
			usage = x509.KeyUsageKeyEncipherment
		case slot == piv.KeyManagement:
			algorithm, usage = "p256", x509.KeyUsageKeyAgreement
		case kind != "rsa" && slot == piv.Signature:
			algorithm = "p384"
		case kind != "rsa":
			algorithm = "p256"
		}
		private := generate(tb, algorithm)
		cert := certificate(tb, &x509.Certificate{SerialNumber: big.NewInt(int64(slot)), Subject: pkix.Name{CommonName: name}, KeyUsage: usage}, private.Public())
		if err := card.Put(slot, private, cert.Raw); err != nil {
			tb.Fatal(err)
		}
		k.keys[label] = Key{Label: label, Private: private, Cert: cert}
		k.Offered = append(k.Offered, label)
	}
	return k, card
}

// Wrong is another program that enters a wrong PIN.
func (t *Token) Wrong(tb testing.TB) {
	tb.Helper()
	out, err := t.command("pkcs11-tool", "--module", t.Library, "--login", "--pin", "99999999", "--list-objects").CombinedOutput()
	if err == nil {
		tb.Fatalf("a wrong PIN was accepted:\n%s", out)
	}
}

// Elsewhere is another program that logs in, signs with a key, and logs out.
func (t *Token) Elsewhere(tb testing.TB, id string) {
	tb.Helper()
	digest := filepath.Join(t.folder, "digest")
	write(tb, digest, "32 bytes, as many as SHA-256 has")
	t.tool(tb, "--sign", "--mechanism", "ECDSA", "--id", id, "--input-file", digest, "--output-file", digest+".sig")
}
