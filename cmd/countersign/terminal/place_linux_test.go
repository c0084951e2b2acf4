package terminal

import (
	"os"
	"testing"

	"golang.org/x/term"

	"countersign/platform/pinprompt/pinprompttest"
)

// TestLend: whether another program has the terminal is seen, and a terminal that is given back is
// not waited for.
func TestLend(t *testing.T) {
	path, person, err := pinprompttest.Terminal()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	at, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	lent := Lend(path)
	if lent == nil || lent.Used() {
		t.Fatalf("%v", lent)
	}
	before, err := term.MakeRaw(int(at.Fd()))
	if err != nil || !lent.Used() {
		t.Errorf("not seen in use: %v", err)
	}
	if err := term.Restore(int(at.Fd()), before); err != nil {
		t.Fatal(err)
	}
	lent.Back()
	var none *Lent
	none.Back()
	if none.Used() || Lend(path+"/not") != nil {
		t.Error("a terminal that is not there is lent")
	}
}
