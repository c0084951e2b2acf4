package discover

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"

	"countersign/vault/discover/directory"
	"countersign/vault/trust"
)

// maxEntryList bounds a list out of a directory, in bytes: reading one takes some
// fifteen times that in memory.
const maxEntryList = 4 << 20

// fetchEntry gets one document from a directory (RFC 5280, sections 4.2.1.13 and
// 4.2.2.1): a list, or all certificates of an authority, one after the other.
func fetchEntry(ctx context.Context, n trust.Need, allowed func(netip.Addr) bool) ([]byte, error) {
	limit := maxCertificate
	if n.Kind == trust.NeedCRL {
		limit = maxEntryList
	}
	values, err := directory.Client{Dial: newDialer(allowed).DialContext}.Fetch(ctx, n.URL, limit)
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	if n.Kind == trust.NeedIssuer {
		size := 0
		values = slices.DeleteFunc(values, func(v []byte) bool {
			_, err := x509.ParseCertificate(v)
			if err == nil && size+len(v) <= maxCertificate {
				size += len(v)
				return false
			}
			return true
		})
		values = [][]byte{bytes.Join(values, nil)}
	}
	if len(values) == 0 || len(values[0]) == 0 {
		return nil, errNothing
	}
	return values[0], nil
}
