package people

import (
	"context"
	"crypto/x509"

	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// Renewal judges certificates that may take the place of the confirmed ones (V7). That the
// authority of a confirmed certificate tells nothing about withdrawal was known when the
// key was confirmed, so it may go on doing so for the same key. Another authority's
// silence would be a way around a withdrawal.
func (p *People) Renewal(ctx context.Context, address string, pin *contacts.Pin, keys contacts.KeySet) (sign, encrypt trust.Verdict) {
	judge := func(next, old *x509.Certificate, u trust.Usage) trust.Verdict {
		q := trust.Question{Certificate: next, Address: address, Usage: u}
		v := p.Judge(ctx, q, false)
		if v.Status != trust.Unknown || old == nil {
			return v
		}
		q.Certificate = old
		before := p.Judge(ctx, q, false)
		if len(before.Checked) > 0 && before.Checked[0].Status == trust.Unpublished && contacts.SameAuthority(before, v) {
			q.Certificate, q.Silent = next, true
			v = p.Judge(ctx, q, false)
		}
		return v
	}
	var old contacts.KeySet
	if pin != nil && pin.Keys.ID() == keys.ID() {
		old = pin.Keys
	}
	return judge(keys.Sign, old.Sign, trust.Sign), judge(keys.Encrypt, old.Encrypt, trust.Encrypt)
}
