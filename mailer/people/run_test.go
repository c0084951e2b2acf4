package people

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"countersign/vault/trust"
)

// TestRun: in a run what was found trusted is not asked again, until it may have changed.
func TestRun(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	now := noon
	p := &People{Clock: func() time.Time { return now }}
	cert := &x509.Certificate{Raw: []byte("a"), NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)}
	good := trust.Verdict{Status: trust.Trusted, Path: []*x509.Certificate{cert}}
	q := trust.Question{Certificate: cert, Address: "a@x.example", Usage: trust.Sign}
	ctx := p.Run(t.Context())
	ask := func(ctx context.Context, q trust.Question, v trust.Verdict) bool {
		asked := false
		p.ask(ctx, q, false, func() trust.Verdict { asked = true; return v })
		return asked
	}
	if !ask(ctx, q, good) || ask(ctx, q, good) || !ask(t.Context(), q, good) {
		t.Error("not once in a run, or not each time outside")
	}
	at := q
	for name, c := range map[string]struct {
		change func()
		asked  bool
	}{
		"another time":               {func() { at.At = noon.Add(-time.Minute) }, false},
		"before the certificate":     {func() { at.At = noon.Add(-2 * time.Hour) }, true},
		"after it":                   {func() { at.At = noon.Add(2 * time.Hour) }, true},
		"another address":            {func() { at.Address = "b@x.example" }, true},
		"another use":                {func() { at.Usage = trust.Encrypt }, true},
		"confirmed":                  {func() { at.Confirmed = true }, true},
		"with others":                {func() { at.Enclosed = []*x509.Certificate{{Raw: []byte("b")}} }, true},
		"with evidence of a message": {func() { at.Evidence.OCSP = []*trust.OCSP{{}} }, true},
	} {
		at = q
		c.change()
		if got := ask(ctx, at, trust.Verdict{Status: trust.Unknown}); got != c.asked {
			t.Errorf("%s: asked %v", name, got)
		}
	}
	if v := p.ask(ctx, q, false, func() trust.Verdict { return trust.Verdict{} }); v.Status != trust.Trusted {
		t.Errorf("%+v", v)
	}
	p.Rethink()
	if !ask(ctx, q, trust.Verdict{Status: trust.Revoked, RevokedAt: noon}) || !ask(ctx, q, good) {
		t.Error("remembered beyond a change, or one that is not trusted was remembered")
	}
	if now = now.Add(2 * time.Minute); !ask(ctx, q, good) {
		t.Error("remembered for too long")
	}
}

// What was being judged while things changed is not kept.
func TestRunOvertaken(t *testing.T) {
	p := &People{Clock: time.Now}
	ctx := p.Run(t.Context())
	q := trust.Question{Certificate: &x509.Certificate{Raw: []byte("a"), NotAfter: time.Now().Add(time.Hour)}}
	good := trust.Verdict{Status: trust.Trusted, Path: []*x509.Certificate{q.Certificate}}
	p.ask(ctx, q, false, func() trust.Verdict { p.Rethink(); return good })
	asked := false
	p.ask(ctx, q, false, func() trust.Verdict { asked = true; return good })
	if !asked {
		t.Error("an old verdict was kept")
	}
}
