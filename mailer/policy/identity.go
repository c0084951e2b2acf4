package policy

import (
	"crypto/sha256"
	"fmt"

	"countersign/mailer/smime"
)

// Identity is what makes two messages the same: the digest of their CMS, or of
// everything where there is none (I3). Where the header shown is not in the CMS it
// counts as well, with the field that says how to read the rest: else whoever has a
// copy of a message could hide it behind a twin in another's name.
func Identity(o *smime.Opened, whole [32]byte) [32]byte {
	switch {
	case len(o.Layers) == 0:
		return whole
	case len(o.Protected) > 0:
		return o.Digest
	}
	h := sha256.New()
	h.Write(o.Digest[:])
	for _, name := range []string{"From", "To", "Cc", "Subject", "Date", "Content-Type"} {
		for _, value := range o.Outer.All(name) {
			fmt.Fprintf(h, "%s %d %s", name, len(value), value)
		}
	}
	return [32]byte(h.Sum(nil))
}
