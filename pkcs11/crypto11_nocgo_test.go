//go:build !cgo

package pkcs11

import (
	"testing"

	"countersign/mailer/server/servertest"
)

// TestPeerCrypto11 needs cgo, because crypto11 does.
func TestPeerCrypto11(t *testing.T) {
	servertest.Absent(t, "crypto11 is built with cgo only")
}
