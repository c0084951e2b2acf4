package web

import (
	"errors"
	"fmt"
	"strings"

	"countersign/tray/control"
)

// deck is the content of the page of cards.
type deck struct {
	control.TokenList
	Ask *control.TokenUse // what needs a yes first: mail would be lost with the card
	Why string

	Move []control.Identity // whose key for opening mail can go to a card
}

func (v *visit) cards() error { return v.deck(deck{}) }

func (v *visit) deck(d deck) error {
	var err error
	if d.TokenList, err = v.p.svc.Tokens.List(v.ctx(), control.None{}); err != nil {
		return err
	}
	own, err := v.p.svc.Identities.List(v.ctx(), control.None{})
	if err != nil {
		return err
	}
	for _, i := range own {
		if i.Movable {
			d.Move = append(d.Move, i)
		}
	}
	return v.show("cards", "cards", d)
}

// useCard takes into use what was ticked, each for what its certificate is for.
func (v *visit) useCard() error {
	u := control.TokenUse{OnlyCopy: v.form("only-copy") != ""}
	for _, one := range []struct {
		field string
		to    []*string
	}{{"both", []*string{&u.Signing, &u.Encryption}}, {"signing", []*string{&u.Signing}}, {"encryption", []*string{&u.Encryption}}} {
		for _, uri := range v.r.PostForm[one.field] {
			for _, to := range one.to {
				if *to != "" {
					return v.tell("cards", note{Level: "stop", Says: "Choose one certificate for signing and one for opening mail, or one for both."})
				}
				*to = uri
			}
		}
	}
	got, err := v.p.svc.Tokens.Use(v.ctx(), u)
	var failure *control.Error
	if errors.As(err, &failure) && failure.Code == control.CodeOnlyCopy {
		return v.deck(deck{Ask: &u, Why: failure.Says})
	}
	return v.done("cards", err, strings.Join(got.Says, " "))
}

// moveKey puts the key that opens mail on a card.
func (v *visit) moveKey() error {
	got, err := v.p.svc.Tokens.Move(v.ctx(), control.TokenMove{Identity: v.form("id"), Token: v.form("card")})
	return v.done("cards", err, strings.Join(got.Says, " "))
}

// unlockCard has the agent ask for the PIN, outside the browser, and opens what waits.
func (v *visit) unlockCard() error {
	back := "cards"
	if v.form("back") == "inbox" {
		back = "inbox"
	}
	got, err := v.p.svc.Tokens.Unlock(v.ctx(), control.TokenQuery{ID: v.form("id")})
	says := "The card was unlocked."
	switch {
	case got.Opened == 1:
		says += " One message was opened."
	case got.Opened > 1:
		says += fmt.Sprintf(" %d messages were opened.", got.Opened)
	}
	return v.done(back, err, says)
}

func (v *visit) lockCards() error {
	_, err := v.p.svc.Tokens.Lock(v.ctx(), control.None{})
	return v.done("cards", err, "Every card is locked.")
}

// unseal opens a message with the card: the one way in which looking at mail asks for a PIN.
func (v *visit) unseal() error {
	path := "message/" + v.path("id")
	m, err := v.p.svc.Mail.Show(v.ctx(), control.MessageQuery{ID: v.path("id")})
	if err != nil {
		return v.tell(path, noteOf(err))
	}
	if m.Locked {
		return v.tell(path, note{Level: "care", Says: m.Problem, Next: m.Next})
	}
	return v.goTo(path)
}
