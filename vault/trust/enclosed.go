package trust

import (
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/vault/trust/der"
)

// maxEnclosed is how many lists and responses one message may bring.
const maxEnclosed = 16

// oidOCSPResponse is id-ri-ocsp-response (RFC 5940, section 2.1).
var oidOCSPResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 16, 2}

// errEnclosed says that RevocationInfoChoices are malformed.
var errEnclosed = errors.New("trust: malformed revocation information")

// ReadEnclosed reads RevocationInfoChoices (RFC 5652, section 10.2.1), given as the
// DER of what its SET holds: lists and OCSP responses that came with a message.
// What cannot be read, or is of another kind, is passed over, and so is all beyond
// the first 16. An error says that the rest could not be looked through.
func ReadEnclosed(choices []byte) (e Evidence, err error) {
	for in := cryptobyte.String(choices); !in.Empty() && len(e.CRLs)+len(e.OCSP) < maxEnclosed; {
		var one, other, value cryptobyte.String
		var tag cbasn1.Tag
		var id asn1.ObjectIdentifier
		if !in.ReadAnyASN1Element(&one, &tag) {
			return e, errEnclosed
		}
		switch tag {
		case cbasn1.SEQUENCE:
			if l, err := ParseCRL(one); err == nil {
				e.CRLs = append(e.CRLs, l)
			}
		case der.Context(1).Constructed():
			if !one.ReadASN1(&other, tag) || !other.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidOCSPResponse) ||
				!other.ReadASN1Element(&value, cbasn1.SEQUENCE) || !other.Empty() {
				continue
			}
			if r, err := ParseOCSP(value); err == nil {
				e.OCSP = append(e.OCSP, r)
			}
		}
	}
	return e, nil
}
