package mailer_test

import (
	"testing"

	"countersign/mailer"
	"countersign/vault/book"
)

// TestAnchorForReceivingLetsNothingOut: Ada's own authority is trusted for her own
// domain; the one above, that vouches for Bea, for something else in each case. The
// administrator asks for an authority beside the call.
func TestAnchorForReceivingLetsNothingOut(t *testing.T) {
	for name, c := range map[string]struct {
		anchor book.Anchor
		goes   bool
	}{
		"for receiving":            {book.Anchor{For: "receiving"}, false},
		"for sending":              {book.Anchor{For: "sending"}, false}, // the pinned signing key is held to it, too
		"for another domain":       {book.Anchor{Domains: []string{"three.example"}}, false},
		"for the domain above":     {book.Anchor{Domains: []string{"example"}}, false},
		"for both, at the domain":  {book.Anchor{Domains: []string{".nowhere.example", "two.example"}}, true},
		"for both, below a domain": {book.Anchor{Domains: []string{".example"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ada, bea := w.join("Ada Osei", "ada@one.example"), w.join("Bea Brandt", "bea@two.example")
			ada.verifies(bea)
			ada.rules.RequireAnchor = true
			c.anchor.Certificate = w.ca.Root
			for _, a := range []book.Anchor{{Certificate: w.ca.Issuing, Domains: []string{"one.example"}}, c.anchor} {
				if err := ada.Book.AddAnchor(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := ada.write(mailer.Draft{To: []string{bea.address}, Subject: "x", Text: "x"}); (err == nil) != c.goes {
				t.Errorf("sent: %v", err)
			}
		})
	}
}
