package vault_test

import (
	"crypto/x509"
	"testing"
	"time"

	"countersign/vault"
)

// both is a vault in which one key follows another, with a clock.
func both(t *testing.T, now *time.Time, ends time.Time) (v *vault.Vault, old, next vault.Identity) {
	t.Helper()
	o := options()
	o.Clock = func() time.Time { return *now }
	v = must(vault.Open(t.Context(), t.TempDir(), newMemory(), o))
	t.Cleanup(func() { v.Close() })
	old = importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public(), func(c *x509.Certificate) { c.NotAfter = ends })))
	*now = now.Add(time.Hour)
	next = importFile(t, v, p12(t, otherRSA(), certificate(t, otherRSA().Public(), func(c *x509.Certificate) { c.NotAfter = noon.AddDate(2, 0, 0) })))
	return v, old, next
}

// stands says which of two identities sign, in a word each.
func stands(t *testing.T, v *vault.Vault, ids ...string) (list [2]string) {
	t.Helper()
	for _, i := range identities(t, v) {
		for n, id := range ids {
			switch {
			case i.ID != id:
			case !i.Lost.IsZero():
				list[n] = "lost"
			case i.Retired:
				list[n] = "retired"
			case i.Coming:
				list[n] = "coming"
			default:
				list[n] = "signs"
			}
		}
	}
	return list
}

// TestTakesOver is V7 from our side, by the day: a new key signs 30 days after it was
// announced, or 7 days before the old one ends; or at once.
func TestTakesOver(t *testing.T) {
	const day = 24 * time.Hour
	const hour = time.Hour
	ctx := t.Context()
	waits, over := [2]string{"signs", "coming"}, [2]string{"retired", "signs"}
	for name, c := range map[string]struct {
		ends     time.Duration // of the old certificate, after noon
		then     func(v *vault.Vault, old, next string) error
		wait     time.Duration // before then is done
		at       time.Duration // after that
		want     [2]string
		restarts bool
	}{
		"at first":                    {ends: 365 * day, want: waits},
		"before the day":              {ends: 365 * day, at: 30*day - time.Second, want: waits},
		"on the day":                  {ends: 365 * day, at: 30 * day, want: over},
		"the old one ends sooner":     {ends: 20 * day, at: 13*day - hour, want: over},
		"an hour before that":         {ends: 20 * day, at: 13*day - 2*hour, want: waits},
		"no time for both":            {ends: 7 * day, want: over},
		"announced later":             {ends: 365 * day, wait: 10 * day, then: func(v *vault.Vault, _, next string) error { return v.Announced(ctx, next) }, at: 30*day - time.Second, want: waits},
		"announced later, 30 days on": {ends: 365 * day, wait: 10 * day, then: func(v *vault.Vault, _, next string) error { return v.Announced(ctx, next) }, at: 30 * day, want: over},
		"announced too late to wait":  {ends: 40 * day, wait: 29 * day, then: func(v *vault.Vault, _, next string) error { return v.Announced(ctx, next) }, at: 4 * day, want: over},
		"the user says so":            {ends: 365 * day, then: func(v *vault.Vault, _, next string) error { return v.TakeOver(ctx, next) }, want: over},
		"said twice":                  {ends: 365 * day, then: func(v *vault.Vault, old, next string) error { _ = v.TakeOver(ctx, next); return v.TakeOver(ctx, old) }, want: over},
		"the old one is lost":         {ends: 365 * day, then: func(v *vault.Vault, old, _ string) error { _, err := v.Lose(ctx, old); return err }, want: [2]string{"lost", "signs"}},
		"the new one is lost":         {ends: 365 * day, then: func(v *vault.Vault, _, next string) error { _, err := v.Lose(ctx, next); return err }, at: 60 * day, want: [2]string{"signs", "lost"}},
		"both are imported again": {ends: 365 * day, then: func(v *vault.Vault, old, next string) error {
			for _, i := range identities(t, v) {
				key := rsaKey()
				if i.ID == next {
					key = otherRSA()
				}
				importFile(t, v, p12(t, key, i.Signing))
			}
			return nil
		}, at: 29 * day, want: waits},
	} {
		now := noon
		v, old, next := both(t, &now, noon.Add(c.ends))
		now = now.Add(c.wait)
		if c.then != nil {
			if err := c.then(v, old.ID, next.ID); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		now = now.Add(c.at)
		if got := stands(t, v, old.ID, next.ID); got != c.want {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
		all := identities(t, v)
		for _, i := range all {
			if !opens(t, v, i.Encryption) {
				t.Errorf("%s: mail to one of the two does not open", name)
			}
		}
		if before := must(v.Before(ctx, all[0])); c.want == over && before.ID != old.ID {
			t.Errorf("%s: the old key does not announce the new one", name)
		}
	}
}

// TestThirdKey: another key that comes while one was to take over signs at once, since
// others may know that one already.
func TestThirdKey(t *testing.T) {
	now := noon
	v, old, next := both(t, &now, noon.AddDate(1, 0, 0))
	third := importFile(t, v, p12(t, thirdRSA(), certificate(t, thirdRSA().Public())))
	if got := stands(t, v, old.ID, next.ID); got != [2]string{"retired", "retired"} || stands(t, v, third.ID)[0] != "signs" {
		t.Error(got)
	}
	if before := must(v.Before(t.Context(), third)); before.ID != next.ID {
		t.Error("it is not announced to those who know the second")
	}
}

// TestNoReminderWithSuccessor: whoever has the next key is not told to ask for one.
func TestNoReminderWithSuccessor(t *testing.T) {
	now := noon
	v, _, next := both(t, &now, noon.AddDate(0, 0, 50))
	if due := must(v.Reminders(t.Context())); len(due) != 0 {
		t.Errorf("%+v", due)
	}
	if _, err := v.Lose(t.Context(), next.ID); err != nil {
		t.Fatal(err)
	}
	if due := must(v.Reminders(t.Context())); len(due) != 1 {
		t.Errorf("%+v", due)
	}
}
