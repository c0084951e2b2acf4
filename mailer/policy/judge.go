package policy

import (
	"slices"
	"strings"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// Level is for shape and colour.
type Level string

// The levels, worst first. The zero value is as good as Stop.
const (
	Stop Level = "stop" // nothing here may be relied on
	Care Level = "care" // something is missing, and the reasons say what
	Good Level = "good" // encrypted, and signed by the confirmed key
)

// Verdict is what may be said of a message. Faces show Label and Reasons as they are.
type Verdict struct {
	Protection string   `json:"protection"` // none | signed | encrypted | encrypted-and-signed
	Signature  string   `json:"signature"`  // none | valid | invalid
	Signer     string   `json:"signer,omitempty"`
	Chain      string   `json:"chain"`             // trusted | untrusted | expired | revoked | unknown
	From       string   `json:"from"`              // match | mismatch
	Contact    string   `json:"contact,omitempty"` // the state of the contact
	Level      Level    `json:"level"`
	Label      string   `json:"label"` // who, and how sure
	Short      string   `json:"short"` // a few words for a list
	Reasons    []string `json:"reasons"`
	Denied     string   `json:"denied,omitempty"` // why the text may not be quoted, forwarded inline or indexed (O3); empty: it may
	Uncovered  []string `json:"uncovered,omitempty"`
}

// Facts is what vault knows about a message that mailer/smime described.
type Facts struct {
	Contact  contacts.Contact // of the From that is shown; only Address set for a stranger
	Signers  []trust.Verdict  // of each of [Signatures], for that From
	Mine     []string         // the user's own addresses, canonical
	OwnKeys  []contacts.Hash  // SPKI of the user's own signing keys, old ones too
	Received time.Time        // by our own clock, if provably so (I2); else zero
	Zone     *time.Location   // in which days are told; nil: UTC
	Then     contacts.Hash    // SPKI of the key that was the confirmed one when it came, if provably so
	Locked   bool             // the key that opens it is on a card that cannot be asked now
	// Here is since when the message is here, by our own clock: Received, or else now. Up
	// to its last day the key that the confirmed one follows counts as well (V7).
	Here time.Time
	// SHA1Before is the time before which a message must have been received for a
	// signature with SHA-1 to count; zero: none does.
	SHA1Before time.Time
}

// The sentences that are fixed.
const (
	unsecured      = "Not secured. Anyone on the way could read or change this."
	unsignedLabel  = "Encrypted, but not signed. Anyone could have written or changed this."
	closedLabel    = "Encrypted, and cannot be opened here."
	lockedLabel    = "Locked: it needs your card."
	writtenLabel   = "You wrote this, and signed it."
	otherKeyLabel  = "NOT the key you verified for "
	deniedUnsigned = "It is not signed by the person it says it is from, so it is not quoted."
	deniedOutside  = "The signature does not cover what was encrypted, so it is not quoted."
)

// judgement gathers a verdict.
type judgement struct {
	Verdict
	o       *smime.Opened
	f       Facts
	from    string          // the one address that From shows, canonical; or empty
	signer  *cms.SignerInfo // the one that counts; nil: none is valid
	trust   trust.Verdict   // of it
	outside bool
}

// Judge says what may be said of a message. It never says more than the weakest
// part of it allows.
func Judge(o *smime.Opened, f Facts) Verdict {
	j := &judgement{o: o, f: f}
	j.Reasons = []string{}
	j.Level, j.Chain, j.From, j.Signature = Stop, string(trust.Untrusted), "mismatch", "none"
	j.Contact = string(f.Contact.State)
	if f.Contact.State == "" {
		j.Contact = string(contacts.Unknown)
	}
	j.from = From(o)
	j.protection()
	j.chooseSigner()
	j.label()
	if j.signer != nil && j.signer.Known {
		j.Reasons = append(j.Reasons, "It came without the signer's certificate, and was checked with the one known here.")
	}
	j.Reasons = append(j.Reasons, j.trust.Notes...)
	j.Reasons = append(j.Reasons, j.oddities()...)
	j.cover()
	return j.Verdict
}

func (j *judgement) protection() {
	has := func(k smime.Kind) bool {
		return slices.ContainsFunc(j.o.Layers, func(l smime.Layer) bool {
			weak := l.Enveloped != nil && l.Enveloped.Weak // RFC 9787, section 6.5
			return l.Kind == k && !weak && !certificatesOnly(l) && !claimsOnly(l)
		})
	}
	switch signed, encrypted := has(smime.Signed), has(smime.Encrypted); {
	case signed && encrypted:
		j.Protection = "encrypted-and-signed"
	case signed:
		j.Protection = "signed"
	case encrypted:
		j.Protection = "encrypted"
	default:
		j.Protection = "none"
	}
}

// chooseSigner takes, of the valid signatures, the pinned key's, else one that From
// names, else the first.
func (j *judgement) chooseSigner() {
	list, signed, outside := Signatures(j.o)
	if !signed {
		return
	}
	j.outside = outside
	j.Signature = "invalid"
	if j.o.Payload == nil && !outside {
		return
	}
	best := -1
	for i, signature := range list {
		s := signature.Info
		if !j.f.Counts(s) {
			continue
		}
		v := j.evidence(i)
		rank := 0
		switch {
		case j.f.Contact.Pin.Signs(contacts.KeySet{Sign: s.Certificate}):
			rank = 3
		case j.pinned(s):
			rank = 2
		case v.Bound != trust.BoundNone && v.Bound != "":
			rank = 1
		}
		if rank > best {
			best, j.signer, j.trust = rank, s, v
		}
	}
	if j.signer == nil {
		return
	}
	j.Signature, j.Signer, j.Chain = "valid", Named(j.signer.Certificate), string(j.trust.Status)
	if j.stranger() {
		j.Signer = Named(j.f.Contact.Pin.Keys.Sign)
	}
	if j.from != "" && j.from == j.f.Contact.Address && best > 0 {
		j.From = "match"
	}
}

func (j *judgement) evidence(i int) trust.Verdict {
	if i < len(j.f.Signers) && j.f.Signers[i].Status != "" {
		return j.f.Signers[i]
	}
	return trust.Verdict{Status: trust.Untrusted, Bound: trust.BoundNone}
}

// pinned says that the confirmed key made a signature, or the one that it follows while
// that counts.
func (j *judgement) pinned(s *cms.SignerInfo) bool {
	return j.f.Contact.Pin.Holder(s.Certificate, j.f.Here) != nil
}

// spent says that the key which made the signature is the one that the confirmed key
// follows.
func (j *judgement) spent() bool {
	return j.f.Contact.Pin.Spent(contacts.KeySet{Sign: j.signer.Certificate})
}

// stranger says that the certificate which came with the confirmed key names somebody
// else: anybody may be given one for a key that is not theirs.
func (j *judgement) stranger() bool {
	return j.pinned(j.signer) && (j.trust.Bound == trust.BoundNone || j.trust.Bound == "")
}

func (j *judgement) own() bool {
	return j.signer != nil && slices.Contains(j.f.Mine, j.from) && slices.Contains(j.f.OwnKeys, keyset.SPKI(j.signer.Certificate))
}

// say sets the verdict's heading.
func (j *judgement) say(level Level, label, short string, reasons ...string) {
	j.Level, j.Label, j.Short = level, label, short
	j.Reasons = append(j.Reasons, reasons...)
}

func (j *judgement) label() {
	claims := "It does not say clearly whom it is from."
	if j.from != "" {
		claims = "It says it is from " + j.from + ". There is no way to tell."
	}
	switch {
	case slices.ContainsFunc(j.o.Layers, certificatesOnly):
		j.say(Stop, "There is no message in it, only certificates.", "Certificates only", claims)
	case len(j.o.Layers) == 0 && j.openPGP():
		j.say(Stop, "Protected with OpenPGP, which this program cannot check. Treat it as not secured.", "OpenPGP, not checked", claims)
	case !strings.HasPrefix(j.Protection, "encrypted") && j.o.Payload == nil && slices.ContainsFunc(j.o.Layers, claimsOnly):
		j.say(Stop, "It says that it is encrypted, but it is nothing that can be read. Treat it as not secured.", "Cannot be read", Problem(j.o.Problem), claims)
	case j.Protection == "none":
		j.say(Stop, unsecured, "Not secured", claims)
	case j.closed() != "" && j.f.Locked:
		j.say(Care, lockedLabel, "Locked: needs your card",
			"It is encrypted to the key on your card. Insert the card, open the message and enter the PIN. Who wrote it can be told only then.")
	case j.closed() != "":
		j.say(Care, closedLabel, "Cannot be opened", j.closed())
	case j.Signature == "none":
		j.say(Stop, unsignedLabel, "Encrypted, not signed", claims)
	case j.Signature == "invalid":
		label := "Not secured. The signature does not count, so anyone could have changed this."
		if j.Protection != "signed" {
			label = "Encrypted, but the signature does not count. Anyone could have written or changed this."
		}
		j.say(Stop, label, "Signature not valid", j.fault(), claims)
	case j.own():
		j.From = "match"
		j.say(Good, writtenLabel, "Written by you")
	case j.From == "mismatch":
		j.say(Stop, "Signed by "+j.Signer+", but it says it is from "+orNobody(j.from)+".", "Signed by somebody else",
			"The signature proves nothing about the address that it shows.")
	case j.pinned(j.signer):
		j.confirmed()
	case j.f.Then != contacts.Hash{} && j.f.Then == keyset.SPKI(j.signer.Certificate):
		j.say(Care, "From "+who(j.f.Contact)+", signed with a key that you had confirmed when this came. It is no longer in use.", "Confirmed, earlier key",
			"The time at which it came, and the key confirmed then, were recorded and signed here.")
	case j.f.Contact.Pin != nil:
		j.say(Stop, otherKeyLabel+who(j.f.Contact)+".", "NOT the key you verified",
			j.otherKey(), "Call them on a number that you had before. Do not act on this message until then.")
	default:
		j.unconfirmed()
	}
	j.lower()
	switch {
	case j.Signature != "valid" || j.From != "match" || j.Level == Stop:
		j.Denied = deniedUnsigned
	case j.outside:
		j.Denied = deniedOutside
	}
}

// otherKey says which key it is that is not the confirmed one.
func (j *judgement) otherKey() string {
	if j.spent() {
		return "It is signed with the key that they announced to use until " + j.day(j.f.Contact.Pin.Earlier.Until) + ", and nothing proves that it was here by then."
	}
	return "It is signed with another key than the one that you confirmed" + j.on(j.f.Contact.Pin.Call.At) + "."
}

// confirmed is for the pinned key: the contact and the certificate must both be in
// force, or have been when the message came.
func (j *judgement) confirmed() {
	c := j.f.Contact
	name := who(c)
	switch {
	case c.State == contacts.Mismatch:
		j.say(Stop, "From "+name+", but the words read out on a call did not match: someone may be between you.", "Words did not match",
			"Speak with them in person, or on another line.")
	case j.trust.Status == trust.Revoked && !j.harmless():
		j.say(Stop, "The certificate of "+name+" was withdrawn. This may not be from them.", "Certificate withdrawn",
			"It was withdrawn on "+j.day(j.trust.RevokedAt)+", and nothing proves that this message came before.")
	case c.State != contacts.Verified:
		j.say(Care, "From "+name+", who is suspended"+because(c)+".", "Suspended",
			"It is signed with the key that you confirmed"+j.on(c.Pin.Call.At)+".")
	default:
		label := "From " + name + ". " + c.Label(j.f.Zone) + "."
		if organisation(c) {
			label = c.Label(j.f.Zone) + "."
		}
		j.say(Good, label, short(c))
		if j.spent() {
			j.Reasons = append(j.Reasons, "It is signed with the key that they use until "+j.day(c.Pin.Earlier.Until)+". The key that follows it is known here.")
		} else {
			j.Reasons = append(j.Reasons, "It is signed with the key that you confirmed"+j.on(c.Pin.Call.At)+".")
		}
		if j.stranger() {
			j.Reasons = append(j.Reasons, "The certificate that came with it names somebody else: "+Named(j.signer.Certificate)+".")
		}
		j.validity()
	}
	if organisation(c) {
		j.Reasons = append(j.Reasons, "The certificate names an organisation. It does not prove which person wrote this.")
	}
}

// validity lowers a confirmed key's verdict by what is wrong with its certificate.
func (j *judgement) validity() {
	switch j.trust.Status {
	case trust.Trusted:
	case trust.Revoked:
		j.Level = Care
		j.Short = "Confirmed, certificate withdrawn"
		j.Label += " The certificate was withdrawn on " + j.day(j.trust.RevokedAt) + "."
	case trust.Expired:
		j.Level, j.Short = Care, "Confirmed, certificate run out"
		j.Label += " The certificate has run out since."
	case trust.Unknown:
		j.Level, j.Short = Care, "Confirmed, not checked"
		j.Label += " Whether the certificate was withdrawn could not be found out."
	default:
		j.Level, j.Short = Care, "Confirmed, authority not trusted"
		j.Label += " The authority of the certificate is not one that you trust."
	}
	if j.trust.Reason != "" {
		j.Reasons = append(j.Reasons, j.trust.Reason)
	}
}

// harmless says that the reason for which a certificate was withdrawn says nothing
// against its key (I2). What provably came before the withdrawal never gets here:
// trust, asked for that time, does not call it revoked.
func (j *judgement) harmless() bool {
	switch j.trust.RevocationReason {
	case 3, 4, 5: // affiliationChanged, superseded, cessationOfOperation: RFC 5280, section 5.3.1
		return true
	}
	return false
}

// unconfirmed is for a valid signature of somebody who is not verified.
func (j *judgement) unconfirmed() {
	c := j.f.Contact
	name := who(c)
	switch j.trust.Status {
	case trust.Trusted, trust.Unknown:
		by, whose := "Signed by "+name, "to this address"
		if j.trust.Bound == trust.BoundDomain {
			by, whose = "Signed by an organisation for "+name, "to the organisation, and it names no person"
		}
		label := by + ". Certificate valid, person not verified."
		if j.trust.Status == trust.Unknown {
			label = by + ". Whether the certificate was withdrawn is not checked, and the person is not verified."
		}
		j.say(Care, label, "Signed, not yet confirmed by you", "A certification authority says that the certificate belongs "+whose+". You have not confirmed it.")
	case trust.Expired:
		j.say(Stop, "Signed by "+name+", with a certificate that has run out or is not valid yet. Person not verified.", "Certificate out of date",
			"Outside its dates a certificate proves nothing.")
	case trust.Revoked:
		j.say(Stop, "Signed by "+name+", with a certificate that was withdrawn. Person not verified.", "Certificate withdrawn",
			"A certificate is withdrawn when its key may be in other hands, or its owner has left.")
	default:
		if !trust.Allows(j.signer.Certificate, trust.Sign) {
			j.say(Stop, "Signed in the name of "+name+", with a certificate that was not made for this. Person not verified.", "Signed, wrong certificate")
			break
		}
		j.say(Stop, "Signed in the name of "+name+", but no authority that you trust says so. Person not verified.", "Signed, authority not trusted",
			"Anyone can make such a certificate.")
	}
	if c.State == contacts.Mismatch {
		j.say(Stop, "Signed by "+name+", but the words read out on a call did not match: someone may be between you.", "Words did not match")
	}
	if j.trust.Reason != "" {
		j.Reasons = append(j.Reasons, j.trust.Reason)
	}
}

// lower takes back what the message's shape does not bear out.
func (j *judgement) lower() {
	if j.Signature != "valid" || j.From != "match" {
		return
	}
	if j.outside {
		j.demote("The signature is on the outside: it shows who sent this on, not who wrote it.", "Signed on the outside only")
	} else if j.Protection == "signed" {
		j.demote("Not encrypted: others could have read it.", j.Short+", not encrypted")
	} else if p := j.o.Payload; p != nil && strings.EqualFold(p.Params["hp"], "clear") {
		// Its own header says that it was signed to travel open (RFC 9788, section 2.1.1).
		j.demote("It was signed for all to read, and encrypted by somebody later: others may have read it.", j.Short+", perhaps read by others")
	}
	if j.f.bygone(j.signer) {
		j.demote("It is signed with SHA-1, an old method. It counts because it was here when that was still safe.", j.Short+", by an old method")
	}
	if !j.own() && j.addressedToOthers() {
		j.demote("Not addressed to you.", j.Short+", not addressed to you")
		j.Reasons = append(j.Reasons, "The signed address lines do not name you. It may be a hidden copy, or somebody passed it on.")
	}
}

// demote lowers a good verdict to care and says why in its heading.
func (j *judgement) demote(label, short string) {
	if j.Level == Good {
		j.Level = Care
	}
	j.Label += " " + label
	j.Short = short
}

// addressedToOthers says that signed To and Cc lines exist and lack the user (I4).
func (j *judgement) addressedToOthers() bool {
	covered := false
	for _, name := range []string{"To", "Cc"} {
		if !j.covers(name) {
			continue
		}
		covered = true
		for _, a := range j.o.Header.Addresses(name) {
			if c, err := message.Canonical(a.Addr); err == nil && slices.Contains(j.f.Mine, c) {
				return false
			}
		}
	}
	return covered
}

func (j *judgement) covers(name string) bool {
	return slices.ContainsFunc(j.o.Protected, func(p string) bool { return strings.EqualFold(p, name) })
}

// cover lists the lines shown that no layer covers. Where From is bound to the
// signer's certificate it needs no cover.
func (j *judgement) cover() {
	if j.Protection == "none" {
		return
	}
	for _, name := range []string{"From", "To", "Cc", "Subject", "Date"} {
		if j.o.Header.Get(name) != "" && !j.covers(name) && (name != "From" || j.From != "match") {
			j.Uncovered = append(j.Uncovered, name)
		}
	}
	if slices.Contains(j.Uncovered, "To") && j.Signature == "valid" && !j.covers("Cc") {
		j.Reasons = append(j.Reasons, "Whom it was written to is not covered by the signature: it may have been written to somebody else and passed on.")
	}
	if slices.Contains(j.Uncovered, "Subject") && j.Signature == "valid" {
		j.Reasons = append(j.Reasons, "The subject is not covered by the signature: anyone on the way could have changed it.")
	}
}

// closed tells why the message cannot be opened, or nothing.
func (j *judgement) closed() string {
	if j.o.Payload != nil || j.Protection == "signed" {
		return ""
	}
	return Obstacle(j.o)
}

// fault tells why no signature counts.
func (j *judgement) fault() string {
	list, _, _ := Signatures(j.o)
	if len(list) > 0 && list[0].Info.Err != nil {
		return Problem(list[0].Info.Err)
	}
	for _, l := range j.o.Layers {
		if l.Kind == smime.Signed && l.Err != nil {
			return Problem(l.Err)
		}
	}
	if len(list) > 0 {
		return "What was signed cannot be read."
	}
	return "It is marked as signed, but there is no signature in it."
}

func short(c contacts.Contact) string {
	switch {
	case organisation(c):
		return "Organisation verified"
	case c.Pin.Call.Source == contacts.SourceInPerson:
		return "Confirmed in person"
	}
	return "Confirmed by telephone"
}

// on is a day as the end of a sentence, or nothing where the records lost it.
func (j *judgement) on(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " on " + j.day(t)
}

func (j *judgement) day(t time.Time) string {
	zone := j.f.Zone
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("2 January 2006")
}

func orNobody(address string) string {
	if address == "" {
		return "several people, or nobody"
	}
	return address
}
