package agent

import (
	"reflect"
	"testing"

	"countersign/vault/discover"
	"countersign/vault/settings"
)

// TestFetching: lists first, so that authorities do not learn who writes to whom, unless the
// administrator wants the newest word.
func TestFetching(t *testing.T) {
	for _, c := range []struct {
		prefs  settings.Preferences
		policy settings.Policy
		chosen bool
		want   discover.Rules
	}{
		{settings.Default(), settings.Policy{}, false, discover.Rules{}},
		{settings.Default(), settings.Policy{}, true, discover.Rules{Chosen: true}},
		{settings.Preferences{AllowPrivate: true}, settings.Policy{RevocationHosts: []string{"crl.example"}}, false,
			discover.Rules{AllowPrivate: true, Hosts: []string{"crl.example"}}},
		{settings.Default(), settings.Policy{RespondersFirst: true}, true, discover.Rules{Chosen: true, OCSPFirst: true, Nonce: true}},
	} {
		if got := fetching(c.prefs, c.policy, c.chosen); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v, %+v: %+v", c.prefs, c.policy, got)
		}
	}
}
