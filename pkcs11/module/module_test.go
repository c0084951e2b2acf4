package module

import (
	"os"
	"os/exec"
	"testing"

	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/wire"
)

func TestMain(m *testing.M) {
	pkcs11test.Helper(Main)
	os.Exit(m.Run())
}

// helper is a running helper, asked one thing after the other.
type helper struct {
	testing.TB
	in   *os.File
	out  *os.File
	cmd  *exec.Cmd
	last uint32
	name wire.Name
}

// start starts a helper and loads the token's library.
func start(t testing.TB, k *pkcs11test.Token) *helper {
	t.Helper()
	h := &helper{TB: t}
	var err error
	var in, out *os.File
	if in, h.in, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	if h.out, out, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	path, env := k.Command()
	h.cmd = exec.Command(path)
	h.cmd.Stdin, h.cmd.Stdout, h.cmd.Env = in, out, env
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	t.Cleanup(func() {
		h.in.Close()
		_ = h.cmd.Wait()
		h.out.Close()
	})
	h.must(wire.Request{Op: wire.Load, Path: k.Library, Reserved: k.Reserved})
	for _, token := range h.must(wire.Request{Op: wire.Tokens}).Tokens {
		if token.Label == k.Label {
			h.name = token.Name
		}
	}
	return h
}

func (h *helper) ask(r wire.Request) *wire.Reply {
	h.Helper()
	h.last++
	r.ID = h.last
	if err := wire.Write(h.in, &r); err != nil {
		h.Fatal(err)
	}
	reply, err := wire.ReadReply(h.out)
	if err != nil || reply.ID != r.ID || reply.Op != r.Op {
		h.Fatalf("%+v: answered %+v, %v", r, reply, err)
	}
	return reply
}

func (h *helper) must(r wire.Request) *wire.Reply {
	h.Helper()
	reply := h.ask(r)
	if reply.Failure != wire.None {
		h.Fatalf("operation %d: %v: %s", r.Op, reply.Failure, reply.Says)
	}
	return reply
}

func (h *helper) fails(want wire.Failure, r wire.Request) *wire.Reply {
	h.Helper()
	reply := h.ask(r)
	if reply.Failure != want {
		h.Fatalf("operation %d: %v: %s; want %v", r.Op, reply.Failure, reply.Says, want)
	}
	return reply
}

func (h *helper) login() {
	h.Helper()
	h.must(wire.Request{Op: wire.Login, Token: h.name, Entry: wire.Typed, PIN: []byte(pkcs11test.PIN)})
}
