package mailer_test

import (
	"testing"

	"countersign/mailer"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/vault/book"
	"countersign/vault/contacts"
)

// TestAnchorOneWay: Ada's own authority is trusted for her own domain; the one above, that
// vouches for Bea, for something else in each case. The administrator asks for an
// authority beside the call. An anchor for one way serves that way, takes nothing from the
// confirmation, and is of no use the other way.
func TestAnchorOneWay(t *testing.T) {
	for name, c := range map[string]struct {
		anchor  book.Anchor
		refused string // why nothing goes
		state   contacts.State
		reads   policy.Level // of a letter of hers
	}{
		"for receiving":               {book.Anchor{For: "receiving"}, "untrusted", contacts.Verified, policy.Good},
		"for sending":                 {book.Anchor{For: "sending"}, "", contacts.Verified, policy.Care},
		"for sending, another domain": {book.Anchor{For: "sending", Domains: []string{"three.example"}}, "suspended", contacts.Suspended, policy.Care},
		"for another domain":          {book.Anchor{Domains: []string{"three.example"}}, "suspended", contacts.Suspended, policy.Care},
		"for the domain above":        {book.Anchor{Domains: []string{"example"}}, "suspended", contacts.Suspended, policy.Care},
		"for both, at the domain":     {book.Anchor{Domains: []string{".nowhere.example", "two.example"}}, "", contacts.Verified, policy.Good},
		"for both, below a domain":    {book.Anchor{Domains: []string{".example"}}, "", contacts.Verified, policy.Good},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ada, bea := w.join("Ada Osei", "ada@one.example"), w.join("Bea Brandt", "bea@two.example")
			ada.verifies(bea)
			ada.rules.RequireAnchor = true
			c.anchor.Certificate = w.ca.Root
			for _, a := range []book.Anchor{{Certificate: w.ca.Issuing, For: "receiving", Domains: []string{"one.example"}}, c.anchor} {
				if err := ada.Book.AddAnchor(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
			_, err := ada.write(mailer.Draft{To: []string{bea.address}, Subject: "x", Text: "x"})
			if c.refused != "" {
				refused(t, err, c.refused)
			} else if err != nil {
				t.Error(err)
			}
			ada.state(bea, c.state)
			w.deliver(ada.address, w.forge(bea.who, ada, smime.Letter{Subject: "y", Text: "y"}))
			if v := ada.last().Verdict; v.Level != c.reads {
				t.Errorf("her letter: %s %q", v.Level, v.Label)
			}
		})
	}
}
