package policy

import (
	"crypto/x509"
	"errors"
	"slices"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// Signature is one signature that may speak for the content of a message, and what
// came with it.
type Signature struct {
	Info       *cms.SignerInfo
	Enclosed   []*x509.Certificate
	Revocation []byte // lists and the like, for trust.ReadEnclosed
}

// Signatures returns those that may speak for the content: of every signed layer
// inside of all encryption, or else of those outside of it, which then say only who
// sent it on. Signed tells that there are such layers, readable or not.
func Signatures(o *smime.Opened) (list []Signature, signed, outside bool) {
	for _, l := range o.Layers {
		switch {
		case l.Kind == smime.Encrypted:
			outside = signed
		case l.Kind == smime.Signed && !certificatesOnly(l):
			if outside {
				list, outside = nil, false
			}
			signed = true
			if l.Err != nil || l.Signed == nil {
				continue
			}
			for i := range l.Signed.Signers {
				list = append(list, Signature{&l.Signed.Signers[i], l.Signed.Certificates, l.Signed.Revocation})
			}
		}
	}
	return list, signed, outside
}

// claimsOnly says that a layer is called encrypted, and what is there shows nothing of
// the kind: anybody can call anything so.
func claimsOnly(l smime.Layer) bool {
	return l.Kind == smime.Encrypted && l.Enveloped == nil && !errors.Is(l.Err, smime.ErrNoKey)
}

// Unnamed says that somebody signed a message, and did not enclose the certificate.
func Unnamed(o *smime.Opened) bool {
	list, _, _ := Signatures(o)
	return slices.ContainsFunc(list, func(s Signature) bool { return errors.Is(s.Info.Err, cms.ErrNoCertificate) })
}

// certificatesOnly says that a layer brings certificates, and neither a message nor a
// signature (RFC 8551, section 3.8).
func certificatesOnly(l smime.Layer) bool {
	return l.Kind == smime.Signed && l.Signed != nil && len(l.Signed.Signers) == 0 && errors.Is(l.Err, smime.ErrNoContent)
}

// Counts tells whether a signature is valid. One with SHA-1 is only if the message
// provably was here before the day that the administrator chose (SECURITY I2): forging
// one takes what nobody had then.
func (f Facts) Counts(s *cms.SignerInfo) bool {
	return s.Certificate != nil && (s.Err == nil || f.bygone(s))
}

func (f Facts) bygone(s *cms.SignerInfo) bool {
	return errors.Is(s.Err, cms.ErrSHA1) && !f.Received.IsZero() && f.Received.Before(f.SHA1Before)
}

// Signer returns the valid signature that the verdict on a message speaks of, or nil.
// One that was made outside of an encryption does not speak for the content.
func Signer(o *smime.Opened, f Facts) (s *cms.SignerInfo, outside bool) {
	j := &judgement{o: o, f: f, from: From(o)}
	j.chooseSigner()
	return j.signer, j.outside
}

// From is the one address that the From shown names, canonical. Several, or none,
// are empty and match nobody.
func From(o *smime.Opened) string { return only(o.Header) }

// only is the address of the only From there is.
func only(h message.Header) string {
	list := h.Addresses("From")
	if len(list) != 1 || len(h.All("From")) != 1 {
		return ""
	}
	a, err := message.Canonical(list[0].Addr)
	if err != nil {
		return ""
	}
	return a
}
