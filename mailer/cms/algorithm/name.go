package algorithm

import (
	"fmt"
	"slices"
)

// names are what people call algorithms, for the reason why a message can't be read.
// Most are of those that never are.
var names = map[string]string{
	"1.2.840.113549.2.2":      "MD2",
	"1.2.840.113549.2.4":      "MD4",
	"1.2.840.113549.2.5":      "MD5",
	"1.3.36.3.2.1":            "RIPEMD-160",
	"2.16.840.1.101.3.4.2.5":  "SHA-512/224",
	"2.16.840.1.101.3.4.2.6":  "SHA-512/256",
	"2.16.840.1.101.3.4.2.7":  "SHA3-224",
	"2.16.840.1.101.3.4.2.8":  "SHA3-256",
	"2.16.840.1.101.3.4.2.9":  "SHA3-384",
	"2.16.840.1.101.3.4.2.10": "SHA3-512",
	"2.16.840.1.101.3.4.2.11": "SHAKE128",
	"2.16.840.1.101.3.4.2.12": "SHAKE256",

	"1.2.840.10045.4.1":          "ECDSA",
	"1.2.840.10045.4.3.1":        "ECDSA",
	"1.2.840.10045.4.3.2":        "ECDSA",
	"1.2.840.10045.4.3.3":        "ECDSA",
	"1.2.840.10045.4.3.4":        "ECDSA",
	"1.2.840.113549.1.1.5":       "RSA",
	"1.2.840.113549.1.1.11":      "RSA",
	"1.2.840.113549.1.1.12":      "RSA",
	"1.2.840.113549.1.1.13":      "RSA",
	"1.2.840.113549.1.1.14":      "RSA",
	"1.2.840.113549.1.1.2":       "RSA with MD2",
	"1.2.840.113549.1.1.4":       "RSA with MD5",
	"1.2.840.10040.4.1":          "DSA",
	"1.2.840.10040.4.3":          "DSA with SHA-1",
	"2.16.840.1.101.3.4.3.1":     "DSA with SHA-224",
	"2.16.840.1.101.3.4.3.2":     "DSA with SHA-256",
	"2.16.840.1.101.3.4.3.9":     "ECDSA with SHA3-224",
	"2.16.840.1.101.3.4.3.10":    "ECDSA with SHA3-256",
	"2.16.840.1.101.3.4.3.11":    "ECDSA with SHA3-384",
	"2.16.840.1.101.3.4.3.12":    "ECDSA with SHA3-512",
	"2.16.840.1.101.3.4.3.13":    "RSA with SHA3-224",
	"2.16.840.1.101.3.4.3.14":    "RSA with SHA3-256",
	"2.16.840.1.101.3.4.3.15":    "RSA with SHA3-384",
	"2.16.840.1.101.3.4.3.16":    "RSA with SHA3-512",
	"2.16.840.1.101.3.4.3.17":    "ML-DSA-44",
	"2.16.840.1.101.3.4.3.18":    "ML-DSA-65",
	"2.16.840.1.101.3.4.3.19":    "ML-DSA-87",
	"1.2.840.113549.1.9.16.3.17": "HSS/LMS",
	"1.3.101.113":                "Ed448",
	"1.3.101.112":                "Ed25519",
	"1.2.840.113549.1.1.1":       "RSA",
	"1.2.840.113549.1.1.7":       "RSA-OAEP",
	"1.2.840.113549.1.1.10":      "RSA-PSS",

	"1.3.101.111":                "X448",
	"1.2.840.113549.1.9.16.3.5":  "Diffie-Hellman",
	"1.2.840.113549.1.9.16.3.10": "Diffie-Hellman",
	"1.3.133.16.840.63.0.16":     "ECMQV",
	"1.3.132.1.15.0":             "ECMQV",
	"1.3.132.1.15.1":             "ECMQV",
	"1.3.132.1.15.2":             "ECMQV",
	"1.3.132.1.15.3":             "ECMQV",
	"1.2.840.113549.1.9.16.3.14": "RSA-KEM",
	"2.16.840.1.101.3.4.4.1":     "ML-KEM-512",
	"2.16.840.1.101.3.4.4.2":     "ML-KEM-768",
	"2.16.840.1.101.3.4.4.3":     "ML-KEM-1024",

	"1.2.840.113549.1.9.16.3.7":  "RC2 key wrap",
	"2.16.840.1.101.3.4.1.8":     "AES-128 key wrap with padding",
	"2.16.840.1.101.3.4.1.28":    "AES-192 key wrap with padding",
	"2.16.840.1.101.3.4.1.48":    "AES-256 key wrap with padding",
	"1.2.392.200011.61.1.1.3.2":  "Camellia-128 key wrap",
	"1.2.392.200011.61.1.1.3.3":  "Camellia-192 key wrap",
	"1.2.392.200011.61.1.1.3.4":  "Camellia-256 key wrap",
	"1.2.410.200004.7.1.1.1":     "SEED key wrap",
	"1.2.840.113549.1.9.16.3.11": "3DES key wrap with HMAC",
	"1.2.840.113549.1.9.16.3.12": "AES key wrap with HMAC",
	"1.2.840.113549.3.4":         "RC4",
	"1.2.840.113549.3.9":         "RC5",
	"1.2.840.113533.7.66.10":     "CAST5",
	"1.3.6.1.4.1.188.7.1.1.2":    "IDEA",
	"1.2.410.200004.1.4":         "SEED",
	"1.2.392.200011.61.1.1.1.2":  "Camellia-128",
	"1.2.392.200011.61.1.1.1.3":  "Camellia-192",
	"1.2.392.200011.61.1.1.1.4":  "Camellia-256",
	"1.2.840.113549.1.9.16.3.22": "AES-SIV",
	"1.2.840.113549.1.9.16.3.23": "AES-SIV",
	"1.2.840.113549.1.9.16.3.24": "AES-SIV",
	"1.2.840.113549.1.9.16.3.15": "AES with HMAC",
	"1.2.840.113549.1.9.16.3.16": "AES with HMAC",
	"1.2.156.10197.1.301":        "SM2",
	"1.2.156.10197.1.501":        "SM2 with SM3",
	"1.2.156.10197.1.401":        "SM3",
	"1.2.643.7.1.1.3.2":          "GOST R 34.10",
	"1.2.643.7.1.1.3.3":          "GOST R 34.10",
	"1.2.643.7.1.1.2.2":          "GOST R 34.11",
	"1.2.643.7.1.1.2.3":          "GOST R 34.11",
}

// Name is what people call the algorithm: its object identifier where no better name is
// known.
func (a Identifier) Name() string {
	if name := names[a.OID.String()]; name != "" {
		return name
	}
	return a.OID.String()
}

// obsolete are those that keep nothing safe any more.
var obsolete = []string{"MD2", "MD4", "MD5", "RSA with MD2", "RSA with MD5", "RC2", "RC4", "RC5", "RC2 key wrap"}

// Refuse is the error for an algorithm of a kind, by its name: ErrObsolete, or ErrUnsupported.
func Refuse(kind, name string) error {
	if slices.Contains(obsolete, name) {
		return fmt.Errorf("%w: the %s %s", ErrObsolete, kind, name)
	}
	return fmt.Errorf("%w: the %s %s", ErrUnsupported, kind, name)
}
