package people

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"countersign/vault/trust"
)

// What is remembered in one run, and for how long.
const (
	maxRun  = 1000
	runTime = time.Minute
)

// run is what was found out while much was done at once.
type run struct {
	mu       sync.Mutex
	epoch    uint64 // the state of things that it holds for: People.epoch
	since    time.Time
	verdicts map[[32]byte]trust.Verdict
}

type runKey struct{}

// Run is ctx for much that is done at once: in it a certificate that was found trusted is
// not judged again for a minute, or until [People.Rethink]. What was found for one time holds
// for another at which everything on the path is in force.
func (p *People) Run(ctx context.Context) context.Context {
	return context.WithValue(ctx, runKey{}, &run{verdicts: map[[32]byte]trust.Verdict{}})
}

// Rethink ends what runs remember: authorities, or the administrator's rules, are others.
func (p *People) Rethink() { p.epoch.Add(1) }

// ask has a question answered, unless it was in this run.
func (p *People) ask(ctx context.Context, q trust.Question, chosen bool, answer func() trust.Verdict) trust.Verdict {
	r, _ := ctx.Value(runKey{}).(*run)
	if r == nil || len(q.Evidence.CRLs)+len(q.Evidence.OCSP) > 0 { // which came with one message
		return answer()
	}
	key, epoch, now := askedAs(q, chosen), p.epoch.Load(), p.Clock()
	r.mu.Lock()
	if r.epoch != epoch || len(r.verdicts) >= maxRun || now.Sub(r.since) > runTime || now.Before(r.since) {
		clear(r.verdicts)
		r.epoch, r.since = epoch, now
	}
	v, known := r.verdicts[key]
	r.mu.Unlock()
	at := q.At
	if at.IsZero() {
		at = now
	}
	outside := func(c *x509.Certificate) bool { return at.Before(c.NotBefore) || at.After(c.NotAfter) }
	if known && !slices.ContainsFunc(v.Path, outside) {
		return v
	}
	v = answer()
	if v.Status != trust.Trusted || !v.RevokedAt.IsZero() { // of others the time has more to say
		return v
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.epoch == epoch {
		r.verdicts[key] = v
	}
	return v
}

// askedAs is what makes two questions the same but for their time.
func askedAs(q trust.Question, chosen bool) (key [32]byte) {
	h := sha256.New()
	add := func(b []byte) {
		_ = binary.Write(h, binary.BigEndian, uint32(len(b)))
		_, _ = h.Write(b) // a hash takes all
	}
	add(q.Certificate.Raw)
	add([]byte(q.Address))
	add([]byte(q.Usage))
	for _, is := range []bool{q.Confirmed, q.Standing, q.Silent, chosen} {
		_ = binary.Write(h, binary.BigEndian, is)
	}
	for _, list := range [][]*x509.Certificate{q.Enclosed, q.Evidence.Certificates} {
		add(binary.BigEndian.AppendUint32(nil, uint32(len(list))))
		for _, c := range list {
			add(c.Raw)
		}
	}
	return [32]byte(h.Sum(nil))
}
