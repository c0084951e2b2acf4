//go:build !windows

package certstore

import (
	"crypto/sha256"
	"crypto/x509"
)

// nowhere is a system without such a store.
type nowhere struct{}

func opened() system { return nowhere{} }

func (nowhere) list() ([]Certificate, error) { return nil, nil }

func (nowhere) authorities() ([]*x509.Certificate, error) { return nil, nil }

func (nowhere) acquire([sha256.Size]byte, access) (handle, error) { return nil, fail(NoKey, nil) }
