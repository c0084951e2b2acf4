package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"countersign/tray/control"
)

func (c clinicTokens) List(context.Context, control.None) (control.TokenList, error) {
	return c.cards, c.note("Tokens.List", nil)
}

func (c clinicTokens) Use(_ context.Context, q control.TokenUse) (control.Installed, error) {
	return control.Installed{Says: []string{"The certificate on the card is in use.", "Make a new recovery file."}}, c.note("Tokens.Use", q)
}

func (c clinicTokens) Move(_ context.Context, q control.TokenMove) (control.Installed, error) {
	return control.Installed{Says: []string{"The key for opening mail is on the card now.", "It is no longer here."}}, c.note("Tokens.Move", q)
}

func (c clinicTokens) Unlock(_ context.Context, q control.TokenQuery) (control.Unlocked, error) {
	return control.Unlocked{Label: "Ada's card", Opened: 2}, c.note("Tokens.Unlock", q)
}

func (c clinicTokens) Lock(context.Context, control.None) (control.None, error) {
	return control.None{}, c.note("Tokens.Lock", nil)
}

// adasCard holds a certificate for each purpose, one for both and one for neither.
var adasCard = control.Token{ID: "t1", Label: "Ada's <b>card</b>", Maker: "Acme", Model: "PIV", Serial: "77", Reader: "Reader A", Problem: "One more wrong PIN locks it.", Keys: []control.TokenKey{
	{Number: 1, URI: "pkcs11:id=%01", Name: "Dr Ada Osei", Addresses: []string{"ada.osei@harbour.example"}, Usage: "signing", Key: "P-256", Issuer: "Clinics' Authority 3", Fingerprint: "ab", Expires: monday, Always: true, InUse: "signing"},
	{Number: 2, URI: "pkcs11:id=%02", Name: "Dr Ada Osei", Usage: "encryption", Key: "RSA 2048", Fingerprint: "cd", Expires: monday},
	{Number: 3, URI: "pkcs11:id=%03", Name: "Ada Osei", Usage: "signing and encryption", Key: "RSA 2048", Fingerprint: "ef", Expires: monday},
	{Number: 4, URI: "pkcs11:id=%04", Label: "door", Key: "P-256"},
}}

func TestCards(t *testing.T) {
	g := open(t, true)
	_, body := g.get("cards")
	g.wants(body, "No card is in a reader", "as soon as what you asked for is done")
	g.clinic.cards = control.TokenList{Tokens: []control.Token{adasCard}, Problems: []string{"old.so: It does not answer."}, PINMinutes: 15, Waiting: 2}
	_, body = g.get("cards")
	g.wants(body, "Ada&#39;s &lt;b&gt;card&lt;/b&gt;", "One more wrong PIN", `name="both"`, `name="signing"`, `name="encryption"`, "asks for the PIN at each use", "in use for signing", "no certificate", "It does not answer.", "15 minutes", "2 messages are locked")
	if strings.Contains(body, `type="password"`) || strings.Contains(body, `value="pkcs11:id=%04"`) {
		t.Error("the page asks for a secret, or offers a key that is not for mail")
	}
	for _, c := range []struct {
		fields []string
		want   control.TokenUse
	}{
		{[]string{"both", "pkcs11:id=%03"}, control.TokenUse{Signing: "pkcs11:id=%03", Encryption: "pkcs11:id=%03"}},
		{[]string{"signing", "pkcs11:id=%01", "encryption", "pkcs11:id=%02"}, control.TokenUse{Signing: "pkcs11:id=%01", Encryption: "pkcs11:id=%02"}},
	} {
		body := g.follow(g.post("cards/use", c.fields...))
		if got := g.clinic.last("Tokens.Use"); got != c.want {
			t.Errorf("%+v", got)
		}
		g.wants(body, "The certificate on the card is in use.", "Make a new recovery file.")
	}
	n := g.clinic.called("Tokens.Use")
	g.wants(g.follow(g.post("cards/use", "both", "pkcs11:id=%03", "signing", "pkcs11:id=%01")), "Choose one certificate")
	if g.clinic.called("Tokens.Use") != n {
		t.Error("two certificates for one purpose were taken")
	}
	g.wants(g.follow(g.post("cards/unlock", "id", "t1")), "The card was unlocked. 2 messages were opened.")
	if got := g.clinic.last("Tokens.Unlock"); got != (control.TokenQuery{ID: "t1"}) {
		t.Errorf("%+v", got)
	}
	g.wants(g.follow(g.post("cards/lock")), "Every card is locked.")
	g.clinic.fail["Tokens.Unlock"] = &control.Error{Code: "pin-wrong", Says: "The PIN of the card is wrong."}
	g.wants(g.follow(g.post("cards/unlock", "back", "inbox")), "The PIN of the card is wrong.")
}

// TestStatesOfCards: what a card is, and nothing that it cannot do.
func TestStatesOfCards(t *testing.T) {
	g := open(t, true)
	for _, c := range []struct {
		token   control.Token
		wants   []string
		lacks   []string
		waiting int
	}{
		{token: control.Token{ID: "t1", Lock: "locked", State: "ready"}, wants: []string{"<strong>Locked.</strong>", "Unlock it", "window of its own"}, lacks: []string{"Lock it now"}},
		{token: control.Token{ID: "t1", Lock: "locked", Pad: true}, wants: []string{"entered on the reader"}},
		{token: control.Token{ID: "t1", Lock: "unlocked", Until: monday.Add(10 * time.Minute)}, wants: []string{"Unlocked</strong> until 10:00", "Lock it now"}, lacks: []string{"Unlock it", "window of its own"}},
		{token: control.Token{ID: "t1", Lock: "unlocked"}, waiting: 1, wants: []string{"<strong>Unlocked</strong>.", "Open the mail that waits"}},
		{token: control.Token{ID: "t1", Lock: "none"}, lacks: []string{"Unlock it", "Lock it now", "<strong>Locked"}},
		{token: control.Token{ID: "t1", Lock: "locked", State: "last-try", Problem: "One more wrong PIN locks it."}, wants: []string{"One more wrong PIN locks it.", "ask whoever issued the card", "Unlock it"}},
		{token: control.Token{ID: "t1", Lock: "locked", State: "pin-locked", Problem: "Its PIN is locked."}, waiting: 1, wants: []string{"Its PIN is locked.", "mark-stop"}, lacks: []string{"cards/unlock", "Make a new key", "<strong>Locked"}},
		{token: control.Token{ID: "windows", Label: "Windows", Lock: "none"}, lacks: []string{"serial number"}},
	} {
		g.clinic.cards = control.TokenList{Tokens: []control.Token{c.token}, Waiting: c.waiting}
		_, body := g.get("cards")
		g.wants(body, c.wants...)
		g.lacks(body, c.lacks...)
	}
}

// TestKeysForCards: a new key on a card, and a key that goes there.
func TestKeysForCards(t *testing.T) {
	g := open(t, true)
	g.clinic.cards = control.TokenList{Tokens: []control.Token{adasCard}}
	_, body := g.get("cards")
	g.wants(body, "Make a new key on it", `action="setup/identity/request"`, `name="card" value="t1"`)
	if strings.Contains(body, "cards/move") {
		t.Error("a key is offered that cannot be moved")
	}
	g.post("setup/identity/request", "card", "t1", "address", "ada.osei@harbour.example", "key", "p-256")
	if got := g.clinic.last("Identities.Request"); got != (control.RequestOrder{Address: "ada.osei@harbour.example", Key: "p-256", Token: "t1"}) {
		t.Errorf("asked for %+v", got)
	}
	inUse := adasCard
	inUse.Keys = adasCard.Keys[:1]
	g.clinic.cards.Tokens = []control.Token{inUse}
	_, body = g.get("cards")
	g.wants(body, "<strong>in use for signing</strong>")
	if strings.Contains(body, "Use what is ticked") {
		t.Error("what is in use is offered, and nothing else is there")
	}
	g.clinic.movable = true
	_, body = g.get("cards")
	g.wants(body, "Put the key that opens your mail on it", `action="cards/move"`)
	g.wants(g.follow(g.post("cards/move", "id", "i1", "card", "t1")), "on the card now.", "no longer here")
	if got := g.clinic.last("Tokens.Move"); got != (control.TokenMove{Identity: "i1", Token: "t1"}) {
		t.Errorf("%+v", got)
	}
	g.clinic.fail["Tokens.Move"] = &control.Error{Code: "not-backed-up", Says: "Not in your recovery file yet.", Next: "Make one first."}
	g.wants(g.follow(g.post("cards/move", "id", "i1", "card", "t1")), "Not in your recovery file yet.", "Make one first.")
}

// TestUntold: every page says that an announcement waits for the card, and leads there.
func TestUntold(t *testing.T) {
	g := open(t, true)
	g.clinic.status.Announcement = &control.Refusal{Code: "announcement-waits", Reason: "They have not been told.", Next: "Unlock it.", Link: "/cards", Button: "To the card"}
	_, body := g.get("inbox")
	g.wants(body, "They have not been told.", "Unlock it.", `href="cards">To the card`)
}

// TestOnlyCopy: a key that is on the card alone is used only after a yes to what that means.
func TestOnlyCopy(t *testing.T) {
	g := open(t, true)
	g.clinic.cards = control.TokenList{Tokens: []control.Token{adasCard}}
	g.clinic.fail["Tokens.Use"] = &control.Error{Code: control.CodeOnlyCopy, Says: "If this card dies, this mail is lost."}
	_, body := g.post("cards/use", "both", "pkcs11:id=%03")
	g.wants(body, "If this card dies, this mail is lost.", `name="only-copy" value="yes"`, `name="signing" value="pkcs11:id=%03"`, `name="encryption" value="pkcs11:id=%03"`)
	delete(g.clinic.fail, "Tokens.Use")
	g.post("cards/use", "signing", "pkcs11:id=%03", "encryption", "pkcs11:id=%03", "only-copy", "yes")
	if got := g.clinic.last("Tokens.Use"); got != (control.TokenUse{Signing: "pkcs11:id=%03", Encryption: "pkcs11:id=%03", OnlyCopy: true}) {
		t.Errorf("%+v", got)
	}
}

// TestLockedMail: pages ask for no PIN, whoever loads them; the button does.
func TestLockedMail(t *testing.T) {
	g := open(t, true)
	m := &g.clinic.messages[0]
	m.Locked, m.Problem, m.Next, m.Text, m.Waits = true, "Your card is not in the reader.", "Insert it.", "", "token-absent"
	g.clinic.status.Locked = 1
	_, body := g.get("inbox")
	g.wants(body, "1 message is locked and needs", "mark-lock", `action="cards/unlock"`)
	_, body = g.get("message/" + m.ID)
	g.wants(body, "Who signed it is seen when it is open.", "Your card is not in the reader.", "Open it with your card")
	if got := g.clinic.last("Mail.Show"); got != (control.MessageQuery{ID: m.ID, Quiet: true}) {
		t.Errorf("a page loaded asks %+v", got)
	}
	g.wants(g.follow(g.post("message/"+m.ID+"/open")), "Insert it.")
	n := g.clinic.called("Mail.Show")
	m.Locked = false
	g.post("message/" + m.ID + "/open")
	if got := g.clinic.last("Mail.Show"); got != (control.MessageQuery{ID: m.ID}) || g.clinic.called("Mail.Show") != n+1 {
		t.Errorf("the button asks %+v", got)
	}
}
