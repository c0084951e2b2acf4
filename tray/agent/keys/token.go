package keys

import (
	"context"
	"fmt"

	"countersign/tray/control"
	"countersign/vault"
)

// tell is what a PIN is for, whose key signs announcements: one for each person, so that a
// card which asks at each signature asks as often.
func (s *Keys) tell(ctx context.Context) string {
	if n, err := s.Mailer.Untold(ctx); err == nil && n > 1 {
		return fmt.Sprintf("Tell %d people of your new key, a signature for each", n)
	}
	return "Tell people of your new key"
}

// AnnounceAsked is [Keys.Announce] as the answer to something the user just did.
func (s *Keys) AnnounceAsked(ctx context.Context) { s.Announce(s.Asked(ctx, s.tell(ctx))) }

// Take takes keys on a card or token into use. The user is asked for its PIN, and for that of
// the card whose key tells people of the new one.
func (s *Keys) Take(ctx context.Context, k vault.TokenKeys) (control.Installed, error) {
	done, err := s.Vault.Use(s.Asked(ctx, "Begin to use the certificate on this card"), k, func(i vault.Identity) error { return s.vouched(ctx, i) })
	if err != nil {
		return control.Installed{}, s.Words(err)
	}
	return s.welcome(s.Asked(ctx, s.tell(ctx)), done, "A certificate on a card was taken into use.", "The certificate on the card is in use.")
}
