package policy

import (
	"encoding/asn1"
	"slices"
	"strings"

	"countersign/mailer/smime"
)

// openPGP says that the whole of a message is protected by OpenPGP (RFC 3156).
func (j *judgement) openPGP() bool {
	root := j.o.Root
	return root != nil && (root.Type == "multipart/encrypted" || root.Type == "multipart/signed") && slices.Contains(j.o.Errant, smime.OpenPGP)
}

// NotLetter says that what a layer signs is no message (RFC 8551, section 2.4.2), but
// a signed receipt, a time stamp or the like.
func NotLetter(l smime.Layer) bool {
	return l.Signed != nil && len(l.Signed.Signers) > 0 && len(l.Signed.Type) > 0 && !l.Signed.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1})
}

// oddities are what is to be said of a message beside its protection: what looks like
// protection and is none, and a sender who is another one outside.
func (j *judgement) oddities() (reasons []string) {
	for _, l := range j.o.Layers {
		if l.Enveloped != nil && l.Enveloped.Weak {
			reasons = append(reasons, "It is encrypted by a method that is no longer safe ("+CleanLine(l.Enveloped.Cipher)+"), which counts as not encrypted.")
			break
		}
	}
	if slices.ContainsFunc(j.o.Layers, NotLetter) {
		reasons = append(reasons, "What is signed is not a letter but data for programs, such as a receipt.")
	}
	has := func(k smime.Kind) bool { return slices.Contains(j.o.Errant, k) }
	bare := len(j.o.Layers) == 0
	switch {
	case bare && has(smime.Signed):
		reasons = append(reasons, "A part of it is signed, but not the whole, as when a mailing list adds some lines. A signature over a part counts for nothing.")
	case !bare && (has(smime.Signed) || has(smime.Encrypted)):
		reasons = append(reasons, "A part of it has a protection of its own, which was not checked and counts for nothing.")
	}
	if bare && has(smime.Encrypted) {
		reasons = append(reasons, "A part of it is encrypted. That part is not opened, because what stands around it could give it away.")
	}
	if has(smime.OpenPGP) && !(bare && j.openPGP()) {
		reasons = append(reasons, "Something in it is protected with OpenPGP, which this program cannot read.")
	}
	enclosed := slices.ContainsFunc(j.o.Layers, func(l smime.Layer) bool { return l.Kind == smime.Encrypted })
	if p := j.o.Payload; p != nil && !bare && !enclosed && strings.EqualFold(p.Params["hp"], "cipher") {
		reasons = append(reasons, "It says that it was encrypted when it was written, and it came without: somebody may have opened it and passed it on.") // RFC 9788, section 2.1.1
	}
	if outside := only(j.o.Outer); j.o.Outer.Has("From") && j.covers("From") && (j.Signature != "valid" || j.From != "match") && outside != j.from {
		reasons = append(reasons, "Outside it says that it is from "+orNobody(outside)+", inside from "+orNobody(j.from)+". Forged messages often look like this.")
	}
	return reasons
}
