package people

import (
	"context"
	"time"

	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// Receipt is when a message was here, and which key was the confirmed one then (I2).
type Receipt struct {
	At        time.Time
	Proved    bool // it is as it was signed
	Ours      bool // the message was written here
	Confirmed contacts.Hash
}

// Facts gathers what policy needs to know to judge a message as of a time (zero: its provable
// receipt, else now).
func (p *People) Facts(ctx context.Context, o *smime.Opened, r Receipt, at time.Time) (f policy.Facts, err error) {
	f.Zone = p.Zone
	if _, rules, err := p.Settings(ctx); err == nil {
		f.SHA1Before = rules.SHA1Before
	}
	var here time.Time // since when it is here, if that is beyond doubt
	if r.Proved || r.Ours {
		here = r.At
	}
	if f.Mine, f.OwnKeys, err = p.All(ctx, here); err != nil {
		return f, err
	}
	if r.Proved {
		f.Received, f.Then = r.At, r.Confirmed
	}
	if at.IsZero() {
		at = f.Received
	}
	if f.Here = at; at.IsZero() {
		f.Here = p.Clock()
	}
	from := policy.From(o)
	person, err := p.Recipient(ctx, from)
	if err != nil {
		return f, err
	}
	f.Contact = person.Contact
	signatures, _, _ := policy.Signatures(o)
	for _, signature := range signatures {
		s := signature.Info
		// What no valid signature stands for is not looked up anywhere (I1).
		if !f.Counts(s) || from == "" {
			f.Signers = append(f.Signers, trust.Verdict{})
			continue
		}
		holder := f.Contact.Pin.Holder(s.Certificate, f.Here)
		confirmed := holder != nil && holder.Equal(s.Certificate)
		evidence, _ := trust.ReadEnclosed(signature.Revocation) // what cannot be read is none
		v := p.Judge(ctx, trust.Question{
			Certificate: s.Certificate, Address: from, Usage: trust.Sign, Enclosed: signature.Enclosed, Evidence: evidence, At: at, Confirmed: confirmed,
		}, confirmed)
		// Whoever holds the confirmed key can make other certificates for it; that the
		// confirmed one was withdrawn holds for all of them (I2).
		if !confirmed && holder != nil {
			of := p.Judge(ctx, trust.Question{Certificate: holder, Address: from, Usage: trust.Sign, At: at, Confirmed: true}, true)
			if of.Status == trust.Revoked {
				v = of
			}
		}
		f.Signers = append(f.Signers, v)
	}
	return f, nil
}
