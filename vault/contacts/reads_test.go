package contacts

import (
	"testing"
	"time"
)

// TestHear: the latest honest word counts, for the key set that gave it.
func TestHear(t *testing.T) {
	me, her := newPerson(t, "ada@harbour.example"), newPerson(t, "imran@hill.example")
	c, _ := me.verified(her)
	now := me.at().Now.Truncate(time.Second)
	if c.Reads() != (Reads{}) {
		t.Fatal("something is known before anything was said")
	}
	gcm := func(at time.Time) Reads { return Reads{Said: at, GCM: true} }
	c = c.Hear(me.at(), her.own.Keys, gcm(now.Add(-time.Hour)))
	if !c.Reads().GCM {
		t.Fatal("not remembered")
	}
	if c = stored(t, c); !c.Reads().GCM {
		t.Fatal("not stored")
	}
	sign := KeySet{Sign: her.own.Keys.Sign}
	for _, b := range []struct {
		name string
		keys KeySet
		said Reads
		want bool // GCM is still known
	}{
		{"an older one", her.own.Keys, Reads{Said: now.Add(-2 * time.Hour)}, true},
		{"a later one of the same second", her.own.Keys, Reads{Said: now.Add(-time.Hour)}, false},
		{"without a time", her.own.Keys, Reads{}, true},
		{"from the future", her.own.Keys, Reads{Said: now.Add(time.Second)}, true},
		{"by another signing key", newKeys(t, her.own.Address), Reads{Said: now}, true},
		{"naming another encryption key", KeySet{Sign: her.own.Keys.Sign, Encrypt: newKeys(t, her.own.Address).Encrypt}, Reads{Said: now}, true},
		{"a newer one", her.own.Keys, Reads{Said: now.Add(-time.Minute)}, false},
		{"a newer one that names no encryption key", sign, Reads{Said: now.Add(-time.Minute)}, false},
	} {
		if got := c.Hear(me.at(), b.keys, b.said).Reads().GCM; got != b.want {
			t.Errorf("%s: %v", b.name, got)
		}
	}
	// Another key set starts with nothing, whatever its signer says.
	other := newKeys(t, her.own.Address)
	c = must[Contact](t)(c.AddCandidate(me.at(), other, FromMessage))
	c = c.Hear(me.at(), other, Reads{Said: now, OAEP: true})
	if r := c.Reads(); r.OAEP || !r.GCM {
		t.Errorf("%+v", r)
	}
	c.Pin.Keys = other
	if r := c.Reads(); !r.OAEP || r.GCM {
		t.Errorf("another key set: %+v", r)
	}
	c.Pin.Keys = newKeys(t, her.own.Address)
	if r := c.Reads(); r != (Reads{}) {
		t.Errorf("a new key set: %+v", r)
	}
}
