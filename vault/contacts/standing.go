package contacts

import (
	"crypto/x509"
	"time"

	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// Misheard leaves Mismatch because the user says that nobody was between, only
// the line was bad. It verifies nothing: a fresh test has to follow (V5).
func (c Contact) Misheard() (Contact, error) {
	if c.State != Mismatch {
		return c, ErrNotMismatch
	}
	c = c.clone()
	for i, k := range c.Candidates {
		if k.Keys.ID() == c.Doubt.Keys {
			c.Candidates[i].Barred = time.Time{}
		}
	}
	c.Doubt = nil
	c.settle()
	return c, nil
}

// Suspend stops sending to a verified contact until verified anew: by the user,
// or on a statement that the caller found validly signed by the pinned key (V3).
func (c Contact) Suspend(m Moment, why Reason) (Contact, *RecordDraft, error) {
	if c.State != Verified {
		return c, nil, ErrNotVerified
	}
	c = c.clone()
	return c, c.suspend(m.now(), why), nil
}

// suspend stops one person at the word of the user; all else is about the key set, and
// concerns everybody of whom it is.
func (c *Contact) suspend(now time.Time, why Reason) *RecordDraft {
	c.Suspension = &Suspension{At: now, Reason: why}
	if why != ByUser {
		c.Suspension.Of = c.Pin.Of
	}
	c.settle()
	return c.draft(c.Suspension.Of, RecordSuspended, now, c.Pin.Keys, c.Pin.Call, string(why))
}

// Refresh brings a contact up to date: a test past its time is void, and a
// pinned certificate that has run out, was withdrawn or, where policy asks for an
// anchor, is no longer trusted suspends the contact (V3). The verdicts are those
// on the pinned signing and encryption certificate, asked with
// trust.Question.Confirmed unless policy wants an anchor; zero verdicts and
// Unknown change nothing. The draft is nil unless the contact was suspended.
func (c Contact) Refresh(m Moment, sign, encrypt trust.Verdict) (Contact, *RecordDraft) {
	c = c.clone()
	now := m.now()
	if c.Test != nil && !now.Before(c.Test.Expires) {
		c.void(VoidExpired)
	}
	if c.Incoming != nil && !now.Before(c.Incoming.Expires) {
		c.Incoming = nil // its code is of no use to anybody now
	}
	c.settle()
	if c.State != Verified {
		return c, nil
	}
	for _, s := range []struct {
		status trust.Status
		why    Reason
	}{{trust.Revoked, ByRevoked}, {trust.Expired, ByExpiry}, {trust.Untrusted, ByUntrusted}} {
		if sign.Status == s.status || encrypt.Status == s.status {
			return c, c.suspend(now, s.why)
		}
	}
	return c, nil
}

// Renew carries a verification over to later certificates for the same keys (V7).
// The verdicts are those on the new certificates, without
// trust.Question.Confirmed: each must be trusted and name the address. It also
// ends a suspension that came of expiry alone. Where no certificate ends later
// than the pinned one there is nothing to renew: [ErrNotLater].
func (c Contact) Renew(m Moment, keys KeySet, sign, encrypt trust.Verdict) (Contact, *RecordDraft, error) {
	renewable := c.State == Verified || c.State == Suspended && c.Suspension.Reason == ByExpiry
	switch {
	case !renewable:
		return c, nil, ErrNotVerified
	case !keys.Complete() || keys.ID() != c.Pin.Keys.ID() || c.Pin.Of != "" && c.OrganisationOf(keys) != c.Pin.Of:
		return c, nil, ErrOtherKeys
	case !sign.Good() || !encrypt.Good():
		return c, nil, ErrNotTrusted
	}
	keys = c.Pin.Keys.Later(keys)
	if keys.Sign.Equal(c.Pin.Keys.Sign) && keys.Encrypt.Equal(c.Pin.Keys.Encrypt) {
		return c, nil, ErrNotLater
	}
	c = c.clone()
	c.Pin.Keys, c.Pin.Renewed, c.Suspension = keys, m.now(), nil
	c.settle()
	return c, c.draft(c.Pin.Of, RecordRenewed, c.Pin.Renewed, keys, c.Pin.Call, ""), nil
}

// Holder is the confirmed certificate whose key a certificate holds: the pinned one, or
// up to its last day the one that it follows (V7), for a letter that was here at a time
// by our own clock (I2). It is nil where the key does not count, whoever has it.
func (p *Pin) Holder(c *x509.Certificate, here time.Time) *x509.Certificate {
	switch k := (KeySet{Sign: c}); {
	case p.Signs(k):
		return p.Keys.Sign
	case p.Spent(k) && !here.IsZero() && here.Before(p.Earlier.Until):
		return p.Earlier.Keys.Sign
	}
	return nil
}

// Spent says that a certificate holds the signing key that the pinned one follows,
// whether it still counts or not.
func (p *Pin) Spent(k KeySet) bool {
	return p != nil && p.Earlier != nil && k.Sign != nil && keyset.SPKI(k.Sign) == keyset.SPKI(p.Earlier.Keys.Sign)
}

// Signs says that a certificate holds the pinned signing key: only what it
// signed is "from a verified contact" (V3).
func (p *Pin) Signs(k KeySet) bool {
	return p != nil && k.Sign != nil && keyset.SPKI(k.Sign) == keyset.SPKI(p.Keys.Sign)
}
