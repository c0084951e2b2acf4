package module

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/mailer/server/servertest"
	"countersign/pkcs11/wire"
)

var (
	lp64  = layout{word: 8, pointer: 8}               // Linux, macOS
	llp64 = layout{word: 4, pointer: 8, packed: true} // Windows, 64 bits
)

func TestLayout(t *testing.T) {
	for name, c := range map[string]struct {
		l                            layout
		triple                       string
		arguments, first, descriptor int
		unavailable                  uintptr
	}{
		"LP64":    {lp64, "01000000000000000203040506070000" + "0900000000000000", 56, 8, 48, 1<<64 - 1},
		"Windows": {llp64, "01000000" + "0203040506070000" + "09000000", 52, 2, 38, 1<<32 - 1},
	} {
		if got := hex.EncodeToString(c.l.triple(1, 0x070605040302, 9)); got != c.triple {
			t.Errorf("%s: mechanism is %s", name, got)
		}
		if got := len(c.l.arguments(1)); got != c.arguments {
			t.Errorf("%s: arguments have %d bytes", name, got)
		}
		if got := c.l.function(0); got != c.first {
			t.Errorf("%s: functions begin at %d", name, got)
		}
		if got := c.l.description(); got != c.descriptor {
			t.Errorf("%s: the description is at %d", name, got)
		}
		if got := c.l.unavailable(); got != c.unavailable {
			t.Errorf("%s: unavailable is %#x", name, got)
		}
		if got := c.l.read(c.l.number(nil, 0x01020304)); got != 0x01020304 {
			t.Errorf("%s: a number is read as %#x", name, got)
		}
	}
}

// headers are the structures as a C compiler lays them out, from the standard's text.
const headers = `
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
typedef %WORD% W;
%PACK%
struct version { uint8_t major, minor; };
struct info { struct version v; char manufacturer[32]; W flags; char description[32]; struct version l; };
struct slot { char description[64], manufacturer[32]; W flags; struct version h, f; };
struct token { char label[32], manufacturer[32], model[16], serial[16]; W flags, counts[10]; struct version h, f; char time[16]; };
struct list { struct version v; void *initialize, *finalize; };
struct arguments { void *create, *destroy, *lock, *unlock; W flags; void *reserved; };
struct triple { W type; void *value; W length; };
struct pss { W hash, mgf, salt; };
struct oaep { W hash, mgf, source; void *data; W length; };
struct ecdh { W kdf, sharedlength; void *shared; W publiclength; void *public; };
int main(void) {
  printf("%zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %d\n", offsetof(struct info, description), offsetof(struct slot, flags),
    offsetof(struct token, flags), offsetof(struct list, initialize), offsetof(struct list, finalize), offsetof(struct arguments, reserved),
    sizeof(struct triple), offsetof(struct triple, length), sizeof(struct pss), sizeof(struct oaep), sizeof(struct ecdh), sizeof(struct token) <= 512);
}`

// TestPeerLayout compares with a C compiler, for this system's rules and for those of
// Windows (a word of 4 bytes, #pragma pack(1)).
func TestPeerLayout(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		servertest.Absent(t, "gcc is not installed: make setup installs it")
	}
	for name, c := range map[string]struct {
		l          layout
		word, pack string
	}{"LP64": {lp64, "uint64_t", ""}, "Windows": {llp64, "uint32_t", "#pragma pack(push, 1)"}} {
		dir := t.TempDir()
		source, program := filepath.Join(dir, "layout.c"), filepath.Join(dir, "layout")
		text := strings.NewReplacer("%WORD%", c.word, "%PACK%", c.pack).Replace(headers)
		if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("gcc", "-o", program, source).CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, out)
		}
		out, err := exec.Command(program).Output()
		if err != nil {
			t.Fatal(err)
		}
		l, w, p := c.l, c.l.word, c.l.pointer
		want := []int{
			l.description(), flagsAt, flagsAt, l.function(0), l.function(1), len(l.arguments(0)) - 2*p,
			len(l.triple(0, 0, 0)), w + p, 3 * w, 4*w + p, 3*w + 2*p, 1,
		}
		var got []int
		for _, f := range strings.Fields(string(out)) {
			n := 0
			for _, d := range f {
				n = 10*n + int(d-'0')
			}
			got = append(got, n)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: gcc says %v", name, got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: item %d is %d, gcc says %d", name, i, want[i], got[i])
			}
		}
	}
}

func TestPoint(t *testing.T) {
	raw := append([]byte{4}, make([]byte, 64)...)
	wrapped, err := asn1.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	likeDER := append([]byte{4, 63}, make([]byte, 63)...) // a point that happens to look wrapped
	edwards, err := asn1.Marshal(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		given, want []byte
		kind        wire.Kind
	}{
		{raw, raw, wire.EC}, {wrapped, raw, wire.EC}, {likeDER, likeDER, wire.EC},
		{edwards, make([]byte, 32), wire.Edwards}, {make([]byte, 32), make([]byte, 32), wire.Edwards}, {nil, nil, wire.EC},
	} {
		if got := point(c.given, c.kind); !bytes.Equal(got, c.want) {
			t.Errorf("%x is taken as %x", c.given, got)
		}
	}
}
