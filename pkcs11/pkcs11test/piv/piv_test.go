package piv

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"io"
	"math/big"
	"testing"
)

// card is one with an RSA key for signing and a key on P-256 for authentication.
func card(t testing.TB) (*Card, *rsa.PrivateKey) {
	t.Helper()
	c := New([16]byte{1}, "123456")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Put(Signature, key, make([]byte, 700)); err != nil {
		t.Fatal(err)
	}
	if err := c.Put(Authentication, curve, []byte("certificate")); err != nil {
		t.Fatal(err)
	}
	return c, key
}

// Commands, in hexadecimal digits.
const (
	selecting = "00a4040009a0000003080000100000"
	right     = "0020008008313233343536ffff"
	wrong     = "0020008008303030303030ffff"
	asking    = "00200080"
	signing   = "0087119a0c7c0a8200810600112233445500" // with P-256
)

func send(t testing.TB, c *Card, command string) string {
	t.Helper()
	b, err := hex.DecodeString(command)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Answer(b)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(answer)
}

func TestPIN(t *testing.T) {
	c, _ := card(t)
	for i, step := range []struct{ command, status string }{
		{right, "6d00"}, // nothing is selected
		{selecting, "9000"}, {signing, "6982"}, {asking, "63c3"},
		{wrong, "63c2"}, {asking, "63c2"}, {right, "9000"}, {asking, "9000"}, {signing, "9000"},
		{"0020ff80", "9000"}, {signing, "6982"}, // logged out
		{wrong, "63c2"}, {wrong, "63c1"}, {wrong, "6983"}, {right, "6983"}, {asking, "63c0"},
		{"0020008100", "6a88"},
	} {
		got := send(t, c, step.command)
		if got[len(got)-4:] != step.status {
			t.Errorf("step %d: %s, want %s", i, got, step.status)
		}
	}
	if got, want := c.Counts(), (Counts{Operations: 1, Right: 1, Wrong: 4, Barred: 2}); got != want || c.Left() != 0 {
		t.Errorf("counted %+v, want %+v; %d left", got, want, c.Left())
	}
}

// TestAsksAlways: the PIN must come directly before a signature, which is the operation of
// the key alone. Its command is chained, its answer in pieces.
func TestAsksAlways(t *testing.T) {
	c, key := card(t)
	block := append(make([]byte, 255), 2)
	template := element(0x7c, append([]byte{0x82, 0}, element(0x81, block)...))
	sign := func() string {
		first := send(t, c, "1087079cff"+hex.EncodeToString(template[:255]))
		if first != "9000" {
			t.Fatal(first)
		}
		rest := template[255:]
		return send(t, c, "0087079c"+hex.EncodeToString(append([]byte{byte(len(rest))}, rest...))+"00")
	}
	send(t, c, selecting)
	send(t, c, right)
	got := sign()
	rest := send(t, c, "00c0000000")
	answer, err := hex.DecodeString(got[:len(got)-4] + rest[:len(rest)-4])
	if err != nil {
		t.Fatal(err)
	}
	signature := new(big.Int).SetBytes(answer[len(answer)-256:])
	if signature.Exp(signature, big.NewInt(int64(key.E)), key.N).Int64() != 2 {
		t.Errorf("signed %x", answer)
	}
	if got := sign(); got != "6982" {
		t.Errorf("a second time: %s", got)
	}
	send(t, c, right)
	send(t, c, asking)
	if got := sign(); got != "6982" {
		t.Errorf("with a command in between: %s", got)
	}
}

func TestData(t *testing.T) {
	c, _ := card(t)
	send(t, c, selecting)
	for command, want := range map[string]string{
		"00cb3fff055c035fc10500":   "53" + "12" + "700b" + hex.EncodeToString([]byte("certificate")) + "710100fe00" + "9000",
		"00cb3fff055c035fc10b00":   "6a82",
		"00cb3fff0500035fc10b00":   "6a80",
		"00cb3fff095c035fc10b00":   "6700",
		"00cb":                     "6700",
		"00cb3fff055c035fc10a04":   "538202c5" + "6100",
		"00cb3fff0000055c035fc102": hex.EncodeToString(element(0x53, bytes.Join([][]byte{{0x30, 0x19}, mustHex(t, "d4e739da739ced39ce739d836858210842108421384210c3f5"), {0x34, 16, 1}, make([]byte, 15), {0x35, 8}, []byte("20391231"), {0x3e, 0, 0xfe, 0}}, nil))) + "9000",
	} {
		if got := send(t, c, command); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
}

func mustHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestServe: the language of vpcd; and a card that is pulled out does not carry out what it was asked.
func TestServe(t *testing.T) {
	c, _ := card(t)
	message := func(command string) []byte {
		b := mustHex(t, command)
		return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
	}
	var out bytes.Buffer
	in := bytes.NewReader(bytes.Join([][]byte{message("01"), message("04"), message(selecting), message(right), message("02"), message(asking)}, nil))
	if err := c.Serve(struct {
		io.Reader
		io.Writer
	}{in, &out}); err != io.EOF {
		t.Error(err)
	}
	if got := hex.EncodeToString(out.Bytes()); got[:24] != "000a"+hex.EncodeToString(atr) || got[len(got)-8:] != "00026d00" { // reset
		t.Errorf("served %s", got)
	}
	c.PullAtNext()
	in = bytes.NewReader(bytes.Join([][]byte{message(selecting), message(right), message(signing)}, nil))
	if err := c.Serve(struct {
		io.Reader
		io.Writer
	}{in, &out}); err != errPulled || c.Counts().Operations != 0 {
		t.Errorf("%v, %+v", err, c.Counts())
	}
}

// FuzzAnswer: no command is answered with less than a status, and none but the right PIN
// gets an operation out of a key that asks.
func FuzzAnswer(f *testing.F) {
	for _, command := range []string{selecting, asking, signing, "00cb3fff055c035fc10500", "00c0000000", "1087079c020102"} {
		b, err := hex.DecodeString(command)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c, _ := card(f)
	c.pin = string(make([]byte, 300)) // that no command can hold
	send(f, c, selecting)
	f.Fuzz(func(t *testing.T, command []byte) {
		answer, err := c.Answer(command)
		if err != nil || len(answer) < 2 || c.Counts().Operations > 0 {
			t.Fatalf("%x: %x, %v, %+v", command, answer, err, c.Counts())
		}
	})
}
