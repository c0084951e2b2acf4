package contacts

import "time"

// Reads is what the programs behind a key set said that they read, beyond what every
// program does (RFC 8551, section 2.5.2). It is no part of a verification: where it
// is lost, letters are encrypted as everybody reads them.
type Reads struct {
	Said   time.Time `json:"said"` // signingTime of the message that said so
	GCM    bool      `json:"gcm,omitempty"`
	OAEP   bool      `json:"oaep,omitempty"`   // RSA-OAEP with SHA-256
	Derive bool      `json:"derive,omitempty"` // derived content keys (RFC 9709)
}

// Profile is the kind of mail system at the other end, as far as it asks for letters
// of another form.
type Profile string

// The profiles. The zero Profile is as good as SMIME.
const (
	SMIME  Profile = "smime"
	Direct Profile = "direct" // Applicability Statement for Secure Health Transport
)

// Hear notes what a message announces to read, for the key set that signed it and no
// other: another key set of the contact's starts with nothing. The caller has found
// the signature valid and the contact's. The latest signingTime counts (of one second
// what was heard last), and none in the future (RFC 8551, section 2.7.1). A key set without an encryption certificate
// stands for the pinned one, if that has its signing key.
func (c Contact) Hear(m Moment, keys KeySet, said Reads) Contact {
	if keys.Encrypt == nil && c.Pin.Signs(keys) {
		keys = c.Pin.Keys
	}
	if said.Said.IsZero() || said.Said.After(m.now()) {
		return c
	}
	id := keys.ID()
	for i, k := range c.Candidates {
		if k.Keys.ID() == id && !said.Said.Before(k.Reads.Said) {
			c = c.clone()
			c.Candidates[i].Reads = said
			return c
		}
	}
	return c
}

// Reads is what the pinned key set was heard to read. It is zero where nothing was.
func (c Contact) Reads() Reads {
	if c.Pin == nil {
		return Reads{}
	}
	id := c.Pin.Keys.ID()
	for _, k := range c.Candidates {
		if k.Keys.ID() == id {
			return k.Reads
		}
	}
	return Reads{}
}
