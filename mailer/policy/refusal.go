package policy

import (
	"crypto/rsa"
	"fmt"
	"slices"

	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// choice is what a refusal offers: the command and the page that help.
type choice struct{ command, link, button string }

var (
	verifying = choice{"countersign verify start", "/verify", "Verify now"}
	calling   = choice{"countersign verify call", "/verify", "Go on with the call"}
	asking    = choice{"countersign contact invite", "/contacts", "Ask for a signed message"}
	outbox    = choice{link: "/outbox", button: "Open the outbox"}
	looking   = choice{"countersign contact show", "/contacts", "Show the contact"}
)

// about makes a refusal that concerns a contact.
func about(c contacts.Contact, code, reason, next string, ch choice) Refusal {
	if ch.command != "" {
		ch.command += " " + c.Address
	}
	return Refusal{
		Person: who(c), Address: c.Address, Code: code, Reason: reason, Next: next,
		Command: ch.command, Link: ch.link, Button: ch.button,
	}
}

func stranger(c contacts.Contact) Refusal {
	return about(c, "no-certificate", c.Who()+" has no certificate here yet.",
		"Look for their certificate, ask them for a signed message, or add it from a file.", asking)
}

// refuse tells why nothing may go to a recipient, or nil.
func (r Recipient) refuse() *Refusal {
	c := r.Contact
	name := c.Who()
	var f Refusal
	switch c.State {
	case contacts.Verified:
		return r.current()
	case contacts.HasCertificate:
		f = about(c, "not-verified", name+" is not confirmed yet.", "Send a test message, then call.", verifying)
	case contacts.TestSent:
		f = about(c, "not-verified", name+" is not confirmed yet: your test message is not answered.",
			"Call, and ask for the words in the test message.", calling)
	case contacts.Answered:
		if c.Test == nil {
			f = about(c, "not-verified", name+" is not confirmed yet: you answered their test, but they have not had yours.",
				"Send your own test message, then call on a number of your own.", verifying)
			break
		}
		f = about(c, "not-verified", name+" is not confirmed yet: your test message is answered.",
			"A short call is all that is missing.", calling)
	case contacts.Mismatch:
		f = about(c, "mismatch", "The words that were read out for "+name+" did not match: someone may be between you.",
			"Speak with them in person or on another line. If you misheard, say so and start again.", looking)
	case contacts.Suspended:
		f = about(c, "suspended", name+" is suspended"+because(c)+".", "Send a test message, then call.", verifying)
		if s := r.spent(); s != nil && c.Pin != nil && !anew(c) { // a test to it would be refused
			f.Next, f.Command, f.Link, f.Button = s.Next, s.Command, s.Link, s.Button
		}
	default:
		f = stranger(c)
	}
	return &f
}

// because is why a contact is suspended, as the end of a sentence.
func because(c contacts.Contact) string {
	if c.Suspension == nil {
		return ""
	}
	return ": " + c.Suspension.Reason.String()
}

// current tells why a verified recipient's certificates cannot be used now, or nil.
func (r Recipient) current() *Refusal {
	c := r.Contact
	if c.Pin == nil || !c.Pin.Keys.Complete() {
		f := stranger(c)
		return &f
	}
	if f := tooShort(c, c.Pin.Keys); f != nil {
		return f
	}
	for _, v := range []trust.Verdict{r.Encrypt, r.Sign} {
		if f := spent(c, v); f != nil {
			return f
		}
		switch v.Status {
		case trust.Trusted:
		case trust.Unknown:
			next := "Try again when this computer has a connection. If that authority is inside your own network, allow private addresses in the settings."
			if slices.ContainsFunc(v.Checked, func(f trust.Finding) bool { return f.Status == trust.Unpublished }) {
				next = "Its authority does not tell of withdrawn certificates. Ask the people who look after this computer whether that will do."
			}
			f := about(c, "not-checked", "It could not be found out whether the certificate of "+c.Who()+" was withdrawn.", next, looking)
			return &f
		default:
			f := about(c, "untrusted", "The authority of "+c.Who()+"'s certificate is not one that you trust for sending.",
				"Ask the people who look after this computer whether it should be.",
				choice{link: "/setup", button: "Show the authorities"})
			return &f
		}
	}
	return nil
}

// tooShort tells that a key of theirs is too short to protect anything, or nil
// (RFC 8550, section 4.3).
func tooShort(c contacts.Contact, keys contacts.KeySet) *Refusal {
	for _, cert := range keys.Certificates() {
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSA {
			f := about(c, "weak-key", fmt.Sprintf("The key of %s is too short to be safe: it has %d bits, and 2,048 are needed.", c.Who(), key.N.BitLen()),
				"Ask for a signed message with a new certificate, then verify that.", asking)
			return &f
		}
	}
	return nil
}

// minRSA is the shortest RSA key that is safe, in bits.
const minRSA = 2048

// anew says that there are certificates of a contact to verify that are not those
// confirmed.
func anew(c contacts.Contact) bool {
	return slices.ContainsFunc(c.Candidates, func(k contacts.Candidate) bool {
		return k.Keys.Complete() && k.Barred.IsZero() && !(k.Keys.Sign.Equal(c.Pin.Keys.Sign) && k.Keys.Encrypt.Equal(c.Pin.Keys.Encrypt))
	})
}

// spent tells that a certificate of a pinned recipient has run out or was withdrawn,
// or nil.
func (r Recipient) spent() *Refusal {
	for _, v := range []trust.Verdict{r.Encrypt, r.Sign} {
		if f := spent(r.Contact, v); f != nil {
			return f
		}
	}
	return nil
}

// spent tells that a certificate has run out or was withdrawn, or nil.
func spent(c contacts.Contact, v trust.Verdict) *Refusal {
	var f Refusal
	switch v.Status {
	case trust.Expired:
		f = about(c, "expired", "The certificate of "+c.Who()+" has run out.",
			"Ask for a signed message with their new certificate, then verify that.", asking)
	case trust.Revoked:
		f = about(c, "revoked", "The certificate of "+c.Who()+" was withdrawn.",
			"Call them. Then ask for a signed message with their new certificate, and verify that.", asking)
	default:
		return nil
	}
	return &f
}

// refuse tells why the user may send nothing at all.
func (s Sender) refuse() []Refusal {
	own := func(code, reason, next, command, link, button string) []Refusal {
		return []Refusal{{
			Person: "you", Address: s.Address, Code: code, Reason: reason, Next: next, Command: command, Link: link, Button: button,
		}}
	}
	renew, request := "Ask your authority for a new one, and install it when it comes.", "countersign identity request "+s.Address+" --out FILE"
	switch {
	case s.PolicyFile != nil:
		return own("policy-file", "Your administrator's policy file cannot be understood, so nothing is sent.",
			"Ask the people who look after this computer.", "", "/settings", "Open the settings")
	case !s.Keys.Complete():
		return own("no-identity", "You have no certificate of your own yet.", "Add the one that your authority gave you.",
			"countersign identity import FILE.p12", "/setup", "Add a certificate")
	}
	for _, v := range []trust.Verdict{s.Sign, s.Encrypt} {
		switch v.Status {
		case trust.Trusted:
		case trust.Expired:
			return own("own-expired", "Your own certificate has run out.", renew, request, "/setup", "Renew it")
		case trust.Revoked:
			return own("own-revoked", "Your own certificate was withdrawn.", renew, request, "/setup", "Renew it")
		case trust.Unknown:
			return own("own-not-checked", "It could not be found out whether your own certificate was withdrawn.",
				"Try again when this computer has a connection. If that authority is inside your own network, allow private addresses in the settings.", "countersign status", "/setup", "Show the certificate")
		default:
			return own("own-untrusted", "The authority of your own certificate is not among those you trust.",
				"Add the authority's certificate.", "countersign anchor add FILE", "/setup", "Add the authority")
		}
	}
	switch {
	case !s.Recovery:
		return own("no-recovery", "Your recovery file is not ready: if this computer broke, mail sent to you would be lost.",
			"Make the recovery file and keep it somewhere safe.", "countersign recovery make", "/setup", "Make the recovery file")
	case !s.Account:
		return own("no-account", "There is no mail account to send with yet.", "Add your account.",
			"countersign account add", "/setup", "Add an account")
	}
	return nil
}

func tooLarge(limit int64) Refusal {
	return Refusal{
		Person: "you", Code: "too-large",
		Reason: fmt.Sprintf("The message is too large: at most %d MB can be sent.", limit>>20),
		Next:   "Take out an attachment, or send it in parts.", Link: "/drafts", Button: "Open the draft",
	}
}

// BadAddress refuses something typed that is no address.
func BadAddress(typed string) Refusal {
	return Refusal{
		Person: CleanLine(typed), Code: "bad-address", Reason: "This is not an e-mail address.", Next: "Check the spelling.",
		Link: "/drafts", Button: "Open the draft",
	}
}
