package contacts

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

// TestEarlierKey is V7 and I2: how long the key of before counts, to the second, and for
// whom.
func TestEarlierKey(t *testing.T) {
	const days = 24 * time.Hour
	for name, c := range map[string]struct {
		until time.Duration // after now, as announced
		end   time.Duration // of the old certificate; 0: far away
		want  time.Duration // 0: not at all
	}{
		"as announced":                  {until: 37 * days, want: 37 * days},
		"at most 45 days":               {until: 3650 * days, want: 45 * days},
		"not after it has run out":      {until: 37 * days, end: 10 * days, want: 10 * days},
		"taken over already":            {until: 0},
		"taken over long ago":           {until: -30 * days},
		"until it has run out, no more": {until: 3650 * days, end: time.Second, want: time.Second},
	} {
		s := newScene(t, "verified")
		s.me.now = s.me.now.AddDate(0, 1, 0)
		next := newKeys(t, s.her.own.Address)
		r := announcement(t, s.me, s.her, next)
		r.Form.Expires = s.me.now.Add(c.until)
		old := s.c.Pin.Keys.Sign
		if c.end != 0 {
			brief := *old
			brief.NotAfter = s.me.now.Add(c.end)
			s.c.Pin.Keys.Sign, old = &brief, &brief
		}
		got, _, err := s.c.ReceiveAnnouncement(s.me.at(), r, s.me.own, RolloverSigned, s.me.new)
		if err != nil {
			t.Fatal(err)
		}
		if c.want == 0 {
			if got.Pin.Earlier != nil || got.Pin.Holder(old, s.me.now.Add(-time.Hour)) != nil {
				t.Errorf("%s: it counts until %s", name, got.Pin.Earlier.Until)
			}
			continue
		}
		last := s.me.now.Add(c.want)
		for _, h := range []struct {
			of   *x509.Certificate
			here time.Time
			want *x509.Certificate
		}{
			{old, s.me.now, old}, {old, last.Add(-time.Second), old}, {old, last, nil}, {old, last.AddDate(9, 0, 0), nil},
			{next.Sign, s.me.now, next.Sign}, {next.Sign, last.AddDate(9, 0, 0), next.Sign},
			{s.eve.own.Keys.Sign, s.me.now, nil}, {nil, s.me.now, nil},
		} {
			if holder := got.Pin.Holder(h.of, h.here); holder != h.want {
				t.Errorf("%s: %s after now, not as it should", name, h.here.Sub(s.me.now))
			}
		}
		if got.Pin.Signs(KeySet{Sign: old}) || !got.Pin.Spent(KeySet{Sign: old}) || got.Pin.Spent(KeySet{Sign: next.Sign}) {
			t.Errorf("%s: the old key is the pinned one", name)
		}
		if nobody := (*Pin)(nil); nobody.Holder(old, s.me.now) != nil || nobody.Spent(KeySet{Sign: old}) {
			t.Error("it counts for somebody who is not verified")
		}
	}
}

// TestEarlierKeyStays: through storage and a renewed certificate; until the next rollover.
func TestEarlierKeyStays(t *testing.T) {
	s := newScene(t, "verified")
	old, second := s.c.Pin.Keys, newKeys(t, s.her.own.Address)
	c, _, err := s.c.ReceiveAnnouncement(s.me.at(), announcement(t, s.me, s.her, second), s.me.own, RolloverSigned, s.me.new)
	if err != nil {
		t.Fatal(err)
	}
	c = stored(t, c)
	if c.Pin.Holder(old.Sign, s.me.now) == nil || c.clone().Pin.Earlier == c.Pin.Earlier {
		t.Error("it is lost in storage")
	}
	// Whoever has it announces nothing with it.
	eve := announcement(t, s.me, s.her, newKeys(t, s.her.own.Address))
	if _, _, err := c.ReceiveAnnouncement(s.me.at(), eve, s.me.own, RolloverSigned, s.me.new); !errors.Is(err, ErrNotSuccessor) {
		t.Errorf("the key of before announces: %v", err)
	}
	s.her.own.Keys = second
	third := newKeys(t, s.her.own.Address)
	c, _, err = c.ReceiveAnnouncement(s.me.at(), announcement(t, s.me, s.her, third), s.me.own, RolloverSigned, s.me.new)
	if err != nil || c.Pin.Holder(second.Sign, s.me.now) == nil || c.Pin.Holder(old.Sign, s.me.now) != nil {
		t.Errorf("after the second rollover: %v", err)
	}
}

// TestEarlierKeyAfterCall: where the administrator asks for words or a call, the key that
// announced goes on counting once they were heard; not if it was stopped in between.
func TestEarlierKeyAfterCall(t *testing.T) {
	for _, rule := range []Rollover{RolloverWords, RolloverCall} {
		for _, stopped := range []bool{false, true} {
			s := newScene(t, "verified")
			old, next := s.c.Pin.Keys.Sign, newKeys(t, s.her.own.Address)
			c, _, err := s.c.ReceiveAnnouncement(s.me.at(), announcement(t, s.me, s.her, next), s.me.own, rule, s.me.new)
			if err != nil || c.Pin.Earlier != nil {
				t.Fatal(err)
			}
			if stopped {
				c, _, _ = c.Suspend(s.me.at(), ByUser)
			}
			if rule == RolloverCall {
				if want := "A new key was announced on 3 March 2026. Send a test message"; !stopped && c.Next(nil)[:len(want)] != want {
					t.Errorf("%q", c.Next(nil))
				}
				k := c.announced()
				c, f, err := c.SendTest(s.me.at(), s.me.own, k.ID)
				if err != nil {
					t.Fatal(err)
				}
				report := directory.words(safety(c.Address, next))
				report.Code = f.Code
				got, o := s.me.call(c, report)
				if !o.Verified || (got.Pin.Holder(old, s.me.now) == nil) != stopped {
					t.Errorf("%s, stopped %v: %+v", rule, stopped, o)
				}
				if got.announced() != nil {
					t.Error("it still asks for a call")
				}
				continue
			}
			got, o := s.me.call(c, directory.words(safety(c.Address, next)))
			if !o.Verified || (got.Pin.Holder(old, s.me.now) == nil) != stopped {
				t.Errorf("%s, stopped %v: %+v", rule, stopped, o)
			}
		}
	}
}
