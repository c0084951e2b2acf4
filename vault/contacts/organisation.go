package contacts

import (
	"crypto/x509"
	"slices"
	"strings"

	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// The certificate of an organisation names its domain and nobody's mailbox (Direct:
// domain-bound). It is verified once for all who use it (V6): the call with one of them
// pins its key set for the domain, in a contact whose address the bare domain is and by
// records of that address. Everybody at the domain of whom exactly that key set was seen
// counts by it ([Contact.Join]), and what happens to it happens to all of them: it runs
// out, is withdrawn, is renewed or announces its successor (V7). What the user does about
// one person, a stop or wrong words, stays with that person. A key set that names a
// mailbox, or other keys for the domain, has no part in it.

// OrganisationOf is the domain whose organisation's a key set is, or nothing.
func (c Contact) OrganisationOf(k KeySet) string {
	persons := func(cert *x509.Certificate) bool {
		return trust.Binds(cert, c.Address) != trust.BoundDomain ||
			slices.ContainsFunc(trust.Names(cert), func(name string) bool { return strings.Contains(name, "@") })
	}
	if !k.Complete() || slices.ContainsFunc(k.Certificates(), persons) {
		return ""
	}
	return c.domain()
}

func (c Contact) domain() string { return c.Address[strings.LastIndexByte(c.Address, '@')+1:] }

// ByOrganisation is the domain of the organisation whose certificate is confirmed for
// the contact, which says nothing of the person at the address (V6).
func (c Contact) ByOrganisation() (domain string, ok bool) {
	return c.domain(), c.Organisation() || c.Pin != nil && trust.Binds(c.Pin.Keys.Sign, c.Address) == trust.BoundDomain
}

// Join is a contact as it stands with the organisation of its domain. Whoever has a
// confirmed key set of their own has no need of it. What the user stopped for one person
// stays stopped for them.
func (c Contact) Join(organisation Contact) Contact {
	o := organisation
	if c.Organisation() || c.Pin != nil || o.Pin == nil || o.Address != c.domain() || !slices.ContainsFunc(c.Candidates, func(k Candidate) bool {
		return k.Barred.IsZero() && c.OrganisationOf(k.Keys) == o.Address && (k.Keys.ID() == o.Pin.Keys.ID() || slices.Contains(o.Pin.Was, k.Keys.Hashes()))
	}) {
		return c
	}
	c = c.clone()
	c.Pin = copied(o.Pin)
	c.Pin.Of = o.Address
	if c.Suspension == nil && o.Suspension != nil {
		c.Suspension = &Suspension{At: o.Suspension.At, Reason: o.Suspension.Reason, Of: o.Address}
	}
	c.settle()
	return c
}

// Part undoes [Contact.Join] after a transition: the contact's own side, and the
// organisation with what became of it.
func (c Contact) Part(organisation Contact) (own, o Contact) {
	if c.Pin == nil || c.Pin.Of == "" {
		return c, organisation
	}
	own, o = c.clone(), organisation.clone()
	own.Pin, o.Pin = nil, own.Pin
	o.Pin.Of = ""
	switch s := own.Suspension; {
	case s == nil:
		o.Suspension = nil
	case s.Of != "":
		own.Suspension, o.Suspension = s.own, &Suspension{At: s.At, Reason: s.Reason}
	}
	own.settle()
	o.settle()
	return own, o
}

// succeeded lists the key sets that the one of the last record took the place of, each
// by an announcement, since the call.
func succeeded(records []Record) (was []keyset.KeyHashes) {
	var now keyset.KeyHashes
	for _, r := range records {
		switch {
		case r.Kind == RecordVerified:
			was = nil
		case r.Kind == RecordRenewed && r.Keys != now:
			was = append(was, now)
		case r.Kind != RecordRenewed:
			continue
		}
		now = r.Keys
	}
	return was
}
