package trust

import "crypto/x509"

// Allows tells whether a certificate's own extensions allow a use.
func Allows(c *x509.Certificate, u Usage) bool { return c != nil }

// Names lists every address and domain that a certificate names.
func Names(c *x509.Certificate) []string { return nil }

// Binds tells how a certificate names an address.
func Binds(c *x509.Certificate, address string) Bound { return BoundNone }
