package main

import (
	"strings"
	"testing"
	"time"

	"countersign/tray/control"
)

// twoCards is what is in the readers.
func twoCards() control.TokenList {
	return control.TokenList{
		Tokens: []control.Token{
			{ID: "t1", Label: "Ada's card", Maker: "Acme", Model: "PIV", Serial: "77", Reader: "Reader A", Keys: []control.TokenKey{
				{Number: 1, URI: "pkcs11:id=%01", Addresses: []string{"ada@x.example"}, Name: "Dr Ada", Usage: "signing", Key: "P-256", Fingerprint: "ab12", Expires: time.Unix(1<<31, 0), Issuer: "Our CA", InUse: "signing"},
				{Number: 2, URI: "pkcs11:id=%02", Label: "spare", Key: "RSA 2048"},
			}},
			{ID: "t2", Label: "Spare", Maker: "Acme", Model: "PIV", Serial: "78", State: "pin-locked", Problem: "Its PIN is locked."},
		},
		Problems: []string{"old.so: It does not answer."}, Waiting: 2,
	}
}

func TestTokenList(t *testing.T) {
	f := &fake{answers: map[string]any{"Tokens.List": twoCards()}}
	r := run(t, f, nil, "token", "list")
	for _, want := range []string{"“Ada's card”, Acme PIV, serial number 77, in Reader A", "Dr Ada <ada@x.example>", "by Our CA", "in use for signing", "“spare”", "no certificate", "Its PIN is locked.", "! old.so: It does not answer.", "2 messages waiting for a card"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("lacks %q:\n%s", want, r.out)
		}
	}
	if r := run(t, &fake{}, nil, "token", "list"); r.code != done || !strings.Contains(r.out, "No card or token") {
		t.Errorf("%d %s", r.code, r.out)
	}
}

// TestTokenWatch prints what comes and goes from now on, and nothing else.
func TestTokenWatch(t *testing.T) {
	now := time.Now().Add(time.Hour)
	f := &fake{answers: map[string]any{"Tokens.List": twoCards()}, events: []control.Event{
		{Cursor: 1, Kind: "token-in", Says: "long ago"}, {Cursor: 2, Time: now, Kind: "mail", Says: "other"}, {Cursor: 3, Time: now, Kind: "token-out", Says: "The card was taken out."},
	}}
	r := run(t, f, nil, "token", "watch")
	if r.code != done || !strings.Contains(r.out, "taken out") || strings.Contains(r.out, "long ago") || strings.Contains(r.out, "other") {
		t.Errorf("%d %s", r.code, r.out)
	}
}

func TestTokenUnlock(t *testing.T) {
	for name, want := range map[string]string{"": "", "Spare": "t2", "78": "t2", "ada's CARD": "t1"} {
		f := &fake{answers: map[string]any{"Tokens.List": twoCards(), "Tokens.Unlock": control.Unlocked{Label: "Spare", Opened: 2, Left: 1}}}
		args := []string{"token", "unlock"}
		if name != "" {
			args = append(args, name)
		}
		r := run(t, f, nil, args...)
		q := f.queries("Tokens.Unlock")
		if r.code != done || len(q) != 1 || q[0] != (control.TokenQuery{ID: want}) || !strings.Contains(r.out, "2 messages opened") || !strings.Contains(r.out, "1 message still locked") {
			t.Errorf("%q: %d %v %s", name, r.code, q, r.out)
		}
	}
	f := &fake{answers: map[string]any{"Tokens.List": twoCards()}}
	if r := run(t, f, nil, "token", "unlock", "another"); r.code != failed || len(f.queries("Tokens.Unlock")) != 0 || !strings.Contains(r.err, "old.so: It does not answer.") {
		t.Errorf("%d %s", r.code, r.err)
	}
}

// TestTokenMove names the identity in use, and the card if one was named.
func TestTokenMove(t *testing.T) {
	own := []control.Identity{{ID: "i1", Address: "ada@x.example"}}
	for _, c := range []struct {
		args []string
		want control.TokenMove
	}{{[]string{"ada@x.example"}, control.TokenMove{Identity: "i1"}}, {[]string{"ada@x.example", "78"}, control.TokenMove{Identity: "i1", Token: "t2"}}} {
		f := &fake{answers: map[string]any{"Tokens.List": twoCards(), "Identities.List": own, "Tokens.Move": control.Installed{Says: []string{"Moved."}}}}
		r := run(t, f, nil, append([]string{"token", "move"}, c.args...)...)
		if q := f.queries("Tokens.Move"); r.code != done || len(q) != 1 || q[0] != c.want || !strings.Contains(r.out, "Moved.") {
			t.Errorf("%v: %d %+v %s", c.args, r.code, q, r.err)
		}
	}
}

// TestIdentityUse: a number or fingerprint becomes the URI of the list; a URI is taken as it is.
func TestIdentityUse(t *testing.T) {
	for line, want := range map[string]control.TokenUse{
		"1":                       {Signing: "pkcs11:id=%01", Encryption: "pkcs11:id=%01"},
		"AB12":                    {Signing: "pkcs11:id=%01", Encryption: "pkcs11:id=%01"},
		"--sign 1 --decrypt 2":    {Signing: "pkcs11:id=%01", Encryption: "pkcs11:id=%02"},
		"pkcs11:token=x":          {Signing: "pkcs11:token=x", Encryption: "pkcs11:token=x"},
		"--decrypt 2 --only-copy": {Encryption: "pkcs11:id=%02", OnlyCopy: true},
	} {
		f := &fake{answers: map[string]any{"Tokens.List": twoCards(), "Tokens.Use": control.Installed{Says: []string{"In use."}}}}
		r := run(t, f, nil, append([]string{"identity", "use"}, strings.Fields(line)...)...)
		if q := f.queries("Tokens.Use"); r.code != done || len(q) != 1 || q[0] != want || !strings.Contains(r.out, "In use.") {
			t.Errorf("%q: %d %+v %s%s", line, r.code, q, r.out, r.err)
		}
	}
	for line, code := range map[string]int{"": wrongUsage, "1 --sign 2": wrongUsage, "3": failed} {
		f := &fake{answers: map[string]any{"Tokens.List": twoCards()}}
		if r := run(t, f, nil, append([]string{"identity", "use"}, strings.Fields(line)...)...); r.code != code || len(f.queries("Tokens.Use")) != 0 {
			t.Errorf("%q: %d %s", line, r.code, r.err)
		}
	}
}

// TestIdentityUseOnlyCopy asks before mail may be lost with the card, and takes no for an answer.
func TestIdentityUseOnlyCopy(t *testing.T) {
	lost := &control.Error{Code: control.CodeOnlyCopy, Says: "If this card dies, this mail is lost.", Next: "Confirm that."}
	for answer, want := range map[string]int{"yes": 2, "no": 1, "": 1} {
		f := &fake{answers: map[string]any{"Tokens.List": twoCards()}, do: map[string]func(any) (any, error){"Tokens.Use": func(q any) (any, error) {
			if !q.(control.TokenUse).OnlyCopy {
				return nil, lost
			}
			return control.Installed{}, nil
		}}}
		var there *person
		if answer != "" {
			there = &person{answers: []string{answer}}
		}
		r := run(t, f, there, "identity", "use", "1")
		if n := len(f.queries("Tokens.Use")); n != want || (r.code == done) != (want == 2) || !strings.Contains(r.err, "mail is lost") || strings.Contains(r.err, "--only-copy") != (answer == "") {
			t.Errorf("%q: %d times, ended with %d: %s", answer, n, r.code, r.err)
		}
	}
}

// TestCardWords: a card is told with what it says of itself, and whether its PIN will be asked for.
func TestCardWords(t *testing.T) {
	if got := cardName(control.Token{ID: "windows", Label: "Windows"}); got != "Windows' own certificate store" {
		t.Errorf("%q", got)
	}
	until := time.Date(2026, 3, 3, 14, 32, 0, 0, time.Local)
	for _, c := range []struct {
		token control.Token
		want  string
	}{
		{control.Token{Lock: "unlocked", Until: until}, "Unlocked until 14:32, or longer while you use it."},
		{control.Token{Lock: "unlocked"}, "Unlocked."},
		{control.Token{Lock: "locked", State: "ready"}, "Locked: you are asked for its PIN when it is needed."},
		{control.Token{Lock: "locked", State: "pin-locked"}, ""},
		{control.Token{Lock: "none"}, ""},
	} {
		if got := lockState(c.token); got != c.want {
			t.Errorf("%+v: %q", c.token, got)
		}
	}
}

// TestStatusKeys: the label is not said twice.
func TestStatusKeys(t *testing.T) {
	for keys, want := range map[string]string{"Keys: card": "card", "Keys in the keychain": "in the keychain"} {
		r := run(t, &fake{answers: map[string]any{"Settings.Status": control.Status{Keys: keys}}}, nil, "status")
		if got := strings.Fields(r.out); r.code != done || strings.Join(got, " ") != "Keys "+want {
			t.Errorf("%q: %d %q", keys, r.code, r.out)
		}
	}
}
