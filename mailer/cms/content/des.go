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

// unread refuses a cipher by name. There is no RC2 and no CCM in the standard library
// or x/crypto, and what others offer is not looked after well enough for mail.
func unread(name string) func(key, params []byte, encrypt bool) (mode, error) {
	return func([]byte, []byte, bool) (mode, error) {
		return nil, fmt.Errorf("%w, and cannot be read here", algorithm.Refuse("content cipher", name))
	}
}
