//go:build !windows

package certstore

// opened is nil: this system has no such store.
func opened() system { return nil }
