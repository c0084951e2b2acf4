package policy

import (
	"strings"
	"testing"

	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// Where nothing is published about withdrawal a connection does not help, and nobody is told to wait for one.
func TestSilentAuthorityAdvice(t *testing.T) {
	for status, next := range map[trust.Status]string{trust.Unknown: "has a connection", trust.Unpublished: "look after this computer"} {
		r := recipient(t, "bea@north.example", "Bea")
		r.Contact.State = contacts.Verified
		r.Encrypt = trust.Verdict{Status: trust.Unknown, Bound: trust.BoundAddress, Checked: []trust.Finding{{Status: status}}}
		f := Check(r)
		if f == nil || f.Code != "not-checked" || !strings.Contains(f.Next, next) {
			t.Errorf("%s: %+v", status, f)
		}
	}
}
