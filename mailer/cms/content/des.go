package content

import (
	"crypto/des"
	"encoding/asn1"
	"fmt"

	"countersign/mailer/cms/algorithm"
)

// Ciphers of the last century are read, because their mail is still kept, and never written.
var (
	oidTripleDES = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
	oidRC2       = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 2}
	oidDES       = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}
)

func startTripleDES(key, params []byte, encrypt bool) (mode, error) {
	b, err := des.NewTripleDESCipher(key)
	if err != nil {
		return nil, err
	}
	return startCBC(b, params, encrypt)
}

func startDES(key, params []byte, encrypt bool) (mode, error) {
	b, err := des.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return startCBC(b, params, encrypt)
}

// startRC2 is for the name in the error: the standard library has no RC2.
func startRC2([]byte, []byte, bool) (mode, error) {
	return nil, fmt.Errorf("%w: the content cipher RC2", algorithm.ErrUnsupported)
}
