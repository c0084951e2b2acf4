package mailer_test

import (
	"testing"

	"countersign/mailer"
	"countersign/mailer/cms/ber"
)

// TestCertsOnlyFile: certificates may come in a file as they come in a message
// (RFC 8551, section 3.8). That of the authority is no candidate.
func TestCertsOnlyFile(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	oid := func(last byte) []byte { return []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, last} }
	file := func(certs ...[]byte) []byte {
		return ber.Nest(ber.Sequence, oid(2), ber.Nest(ber.Context, ber.Nest(ber.Sequence, []byte{2, 1, 1, 0x31, 0},
			ber.Nest(ber.Sequence, oid(1)), ber.Nest(ber.Context, certs...), []byte{0x31, 0})))
	}
	if _, err := ada.AddContact(t.Context(), mailer.NewContact{Address: beaAddress, Certificates: file()}); err == nil {
		t.Error("a file of none was taken")
	}
	c, err := ada.AddContact(t.Context(), mailer.NewContact{Address: beaAddress, Certificates: file(bea.who.Certificate.Raw, w.ca.Issuing.Raw)})
	if err != nil || len(c.Candidates) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}
