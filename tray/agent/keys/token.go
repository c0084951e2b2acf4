package keys

import (
	"context"

	"countersign/tray/control"
	"countersign/vault"
)

// Take takes keys on a card or token into use. ctx says that the user may be asked for its
// PIN.
func (s *Keys) Take(ctx context.Context, k vault.TokenKeys) (control.Installed, error) {
	done, err := s.Vault.Use(ctx, k, func(i vault.Identity) error { return s.vouched(ctx, i) })
	if err != nil {
		return control.Installed{}, s.Words(err)
	}
	return s.welcome(ctx, done, "A certificate on a card was taken into use.", "The certificate on the card is in use.")
}
