package keys

import (
	"context"
	"fmt"
	"slices"

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

// recoverable says what is to be known and done so that the mail to new keys can be read for good (K1).
func recoverable(file vault.RecoveryState, now []vault.Identity) (says []string) {
	alone := slices.ContainsFunc(now, func(i vault.Identity) bool { return i.OnlyCopy })
	here := slices.ContainsFunc(now, func(i vault.Identity) bool { return i.Encryption != nil && i.EncryptionToken == "" })
	if alone {
		says = append(says, "The key for opening mail is on the card alone, and in no recovery file: if the card dies, this mail is lost.")
	}
	switch {
	case file == vault.RecoveryReady:
	case here:
		says = append(says, "Make a new recovery file, so that the new key is in it. Until then nothing is sent.")
	default:
		says = append(says, "Make a recovery file, for all that is not on the card. Until then nothing is sent.")
	}
	return says
}
