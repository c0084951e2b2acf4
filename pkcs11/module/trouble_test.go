package module

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/wire"
)

// TestPeerMisbehaving: what a library does wrong ends as the failure that fits, and the
// helper serves on.
func TestPeerMisbehaving(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	h := start(t, k)
	h.login()
	size := uint32(k.Key("rsa").Cert.PublicKey.(*rsa.PublicKey).Size())
	sign := wire.Request{Op: wire.Sign, Token: h.name, Key: named(k.Key("rsa"), wire.RSA), Mechanism: wire.PKCS1, Data: []byte{1}, Size: size}
	login := wire.Request{Op: wire.Login, Token: h.name, Entry: wire.Typed, PIN: []byte(pkcs11test.PIN)}
	for _, c := range []struct {
		wrong string
		ask   wire.Request
		want  wire.Failure
	}{
		{"long", sign, wire.Confused},
		{"general", sign, wire.Confused},
		{"vendor", sign, wire.Confused},
		{"removed", sign, wire.Lost},
		{"print", sign, wire.None},
		{"rawonly", sign, wire.NoMechanism},
		{"confusedlogin", login, wire.Confused},
		{"locked", login, wire.PINLocked},
		{"sayslocked", login, wire.PINLocked}, // and a PIN does not go there
		{"swapped", login, wire.Removed},
		{"nobody", login, wire.Removed},
	} {
		h.login()
		if c.want == wire.Removed { // which is found when sessions are opened anew
			k.Do(t, "removed")
			h.fails(wire.Lost, sign)
		}
		k.Do(t, c.wrong)
		h.fails(c.want, c.ask)
		k.Do(t, "")
	}
	for _, wrong := range []string{"longvalue", "endless", "manyslots"} {
		k.Do(t, wrong)
		h.ask(wire.Request{Op: wire.Tokens})
		h.ask(wire.Request{Op: wire.Objects, Token: h.name}) // whatever it says
		k.Do(t, "")
		h.login()
		h.must(sign)
	}
}

// TestPeerManySlots: a token behind two hundred empty slots is found, and used.
func TestPeerManySlots(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	k.Do(t, "fullrack")
	h := start(t, k)
	if h.name.Label != k.Label {
		t.Fatal("the token is not listed")
	}
	h.login()
	h.must(wire.Request{Op: wire.Sign, Token: h.name, Key: named(k.Key("rsa"), wire.RSA), Mechanism: wire.PKCS1, Data: []byte{1}, Size: 512})
}

// TestPeerLoggedOut: where the library lost the login without a word, and shows no key any
// more, the key is not said to be missing; and one that is missing is said to be.
func TestPeerLoggedOut(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	h := start(t, k)
	sign := wire.Request{Op: wire.Sign, Token: h.name, Key: named(k.Key("rsa"), wire.RSA), Mechanism: wire.PKCS1, Data: []byte{1}, Size: 512}
	missing := sign
	missing.Key = wire.Key{ID: []byte("nowhere"), Kind: wire.RSA}
	for name, before := range map[string]func(){
		"after a use": func() {
			h.must(sign)
			k.Do(t, "rawonly")
			h.fails(wire.NoMechanism, sign) // and the session is closed
		},
		"after no use": func() {
			h.fails(wire.NoKey, missing)
			h.fails(wire.NoKey, missing)
		},
		"just after login": func() {
			k.Do(t, "logout once")
			h.fails(wire.NoKey, sign)
		},
	} {
		t.Log(name)
		h.login()
		before()
		k.Do(t, "logout once")
		h.fails(wire.Lost, sign)
		h.fails(wire.NotLoggedIn, sign)
		h.login()
		h.must(sign)
	}
}

// TestPeerSwapped: a PIN does not go to another token that was put in the place of
// the one it is for, nor a kept one to a token with one try left.
func TestPeerSwapped(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	h := start(t, k)
	h.login()
	login := wire.Request{Op: wire.Login, Token: h.name, Entry: wire.Kept, PIN: []byte(pkcs11test.PIN)}
	k.Do(t, "swapped")
	h.fails(wire.Lost, login)
	k.Do(t, "lasttry")
	if reply := h.fails(wire.LastTry, login); reply.Tries != wire.TriesLast {
		t.Errorf("tries left: %d", reply.Tries)
	}
	login.Entry = wire.Typed
	h.must(login)
	login.PIN = []byte("000000")
	if reply := h.fails(wire.WrongPIN, login); reply.Tries != wire.TriesLast {
		t.Errorf("tries left after a wrong PIN: %d", reply.Tries)
	}
}

func TestPeerPad(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	k.Do(t, "pad")
	h := start(t, k)
	if all := h.must(wire.Request{Op: wire.Tokens}).Tokens; len(all) == 0 || !all[0].Pad {
		t.Errorf("listed as %+v", all)
	}
	h.must(wire.Request{Op: wire.Login, Token: h.name, Entry: wire.OnPad})
}

// TestPeerAlways: a key that asks at each use is authenticated within the operation.
func TestPeerAlways(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	k.Do(t, "always")
	h := start(t, k)
	h.login()
	sign := wire.Request{Op: wire.Sign, Token: h.name, Key: named(k.Key("rsa"), wire.RSA), Mechanism: wire.PKCS1, Data: []byte{1}, Size: 256}
	for range 2 {
		h.fails(wire.AsksAlways, sign)
		right := sign
		right.Entry, right.PIN = wire.Typed, []byte(pkcs11test.PIN)
		h.must(right)
		wrong := sign
		wrong.Entry, wrong.PIN = wire.Typed, []byte("000000")
		h.fails(wire.WrongPIN, wrong)
	}
}

// TestPeerAlwaysDerive: a key that asks at each use agrees on a secret just after a login, if
// its token lets it; if not, that is said without another PIN.
func TestPeerAlwaysDerive(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	k.Do(t, "always")
	h := start(t, k)
	theirs, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	derive := wire.Request{Op: wire.Derive, Token: h.name, Key: named(k.Key("p256"), wire.EC), Data: theirs.PublicKey().Bytes(), Size: 32}
	for range 2 {
		h.fails(wire.NotLoggedIn, derive)
		h.login()
		h.must(derive)
	}
	k.Do(t, "never")
	h.fails(wire.NotLoggedIn, derive)
	h.login()
	h.fails(wire.NoMechanism, derive)
	k.Do(t, "")
	h.must(wire.Request{Op: wire.Sign, Token: h.name, Key: named(k.Key("rsa"), wire.RSA), Mechanism: wire.PKCS1, Data: []byte{1}, Size: 512})
	k.Do(t, "never")
	h.fails(wire.NoMechanism, derive)
	k.Do(t, "")
	h.login()
	h.must(derive)
}

// TestPeerStreams: what a library prints does not reach the protocol, inherited files
// are closed, there are no core dumps, and the end of the input is the end.
func TestPeerStreams(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	k.Do(t, "printload")
	inherited, err := os.CreateTemp(t.TempDir(), "inherited")
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	path, env := k.Command()
	cmd := exec.Command("sh", "-c", `ulimit -Sc $(ulimit -Hc); exec "$0"`, path) // core dumps are allowed
	cmd.Env, cmd.ExtraFiles = env, []*os.File{inherited}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := wire.Write(in, &wire.Request{ID: 1, Op: wire.Load, Path: k.Library}); err != nil {
		t.Fatal(err)
	}
	reply, err := wire.ReadReply(out)
	if err != nil || reply.Failure != wire.None || !strings.Contains(reply.Library, "PKCS") {
		t.Errorf("loading: %+v, %v", reply, err)
	}
	proc := "/proc/" + strconv.Itoa(cmd.Process.Pid)
	limits, err := os.ReadFile(proc + "/limits")
	if err != nil {
		t.Skip("there is no /proc: ", err)
	}
	for line := range strings.Lines(string(limits)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && f[4] != "0" {
			t.Errorf("core dumps: %s", line)
		}
	}
	files, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Skip("another process's descriptors can be listed by root only: ", err)
	}
	for _, f := range files {
		if to, err := os.Readlink(proc + "/fd/" + f.Name()); err == nil && strings.Contains(to, "inherited") {
			t.Errorf("descriptor %s still is %s", f.Name(), to)
		}
	}
	in.Close()
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("%d bytes more: %v", len(rest), err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestPeerWatch: the first Watch is answered at once, the next when a card comes or goes.
func TestPeerWatch(t *testing.T) {
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	h := start(t, k)
	watch := wire.Request{ID: 100, Op: wire.Watch, Period: 10}
	h.must(watch)
	for _, now := range []string{"nobody", ""} {
		if err := wire.Write(h.in, &watch); err != nil {
			t.Fatal(err)
		}
		h.must(wire.Request{Op: wire.Tokens}) // answered meanwhile
		k.Do(t, now)
		if reply, err := wire.ReadReply(h.out); err != nil || reply.ID != watch.ID || reply.Failure != wire.None {
			t.Fatalf("%+v, %v", reply, err)
		}
	}
}
