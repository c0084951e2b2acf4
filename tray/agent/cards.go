package agent

import (
	"context"
	"errors"
	"strings"

	"countersign/pkcs11/installed"
	"countersign/tray/agent/tokens"
	"countersign/vault/book"
)

// cards opens the room of the tokens; without a world there are none.
func (a *Agent) cards(w *tokens.World) *tokens.Tokens {
	if w == nil {
		w = &tokens.World{Find: func() []installed.Library { return nil }}
	}
	return tokens.New(tokens.Options{World: *w, Policy: a.policy, Tell: a.tell, Log: a.log})
}

// desk answers control.Tokens.
func (a *Agent) desk() *tokens.Answers {
	maker := tokens.Maker{Tokens: a.tokens, Vault: a.vault}
	d := &tokens.Answers{
		Maker: maker, Describe: a.keys.Describe,
		Tokens: a.tokens, Own: a.vault.Identities, Take: a.keys.Take, Waiting: a.mailer.Waiting, Words: words,
		OpenWaiting: func(ctx context.Context) (opened, left int, err error) {
			// Announcements may have waited for the card as well. A card that asks at each
			// use must not have its owner think that the PIN is for mail.
			a.keys.AnnounceAsked(ctx)
			o, err := a.mailer.OpenWaiting(ctx)
			return o.Opened, o.Waiting, err
		},
	}
	a.keys.OnToken, a.keys.TakeBack, a.keys.Store = d.Request, maker.Discard, maker.Store
	return d
}

// letterTo says, for a prompt, what signing a draft is for.
func (a *Agent) letterTo(ctx context.Context, id string) string {
	d, err := a.mailer.Drafts.Get(ctx, id)
	if err != nil {
		return "Sign your letter" // the sending tells what is wrong with it
	}
	return a.signTo(ctx, "Sign your letter", d.To...)
}

// signTo says, for a prompt, what something is signed for: by the names in the address
// book, else by address.
func (a *Agent) signTo(ctx context.Context, what string, to ...string) string {
	const named = 3
	var names []string
	for _, address := range to {
		name := address
		if c, err := a.book.Get(ctx, address); err == nil && c.Name != "" {
			name = c.Name
		} else if err != nil && !errors.Is(err, book.ErrUnknown) {
			return what
		}
		names = append(names, name)
	}
	switch {
	case len(names) == 0:
		return what
	case len(names) > named:
		return what + " to " + strings.Join(names[:named], ", ") + " and others"
	}
	return what + " to " + strings.Join(names, ", ")
}
