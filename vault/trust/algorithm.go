package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// signatureAlgorithms are those that may sign a list (RFC 8550, section 4.3).
// What is missing, SHA-1 and MD5 above all, makes a list unreadable.
var signatureAlgorithms = []struct {
	id  asn1.ObjectIdentifier
	alg x509.SignatureAlgorithm
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, x509.SHA256WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, x509.SHA384WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, x509.SHA512WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, x509.ECDSAWithSHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, x509.ECDSAWithSHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, x509.ECDSAWithSHA512},
	{asn1.ObjectIdentifier{1, 3, 101, 112}, x509.PureEd25519},
}

var oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// pssParameters are the three sets in use: one hash for the message and for
// MGF1, and a salt of its length (RFC 4055, section 3.1).
var pssParameters = map[string]x509.SignatureAlgorithm{
	pss("01", "20"): x509.SHA256WithRSAPSS,
	pss("02", "30"): x509.SHA384WithRSAPSS,
	pss("03", "40"): x509.SHA512WithRSAPSS,
}

func pss(hash, salt string) string {
	h := "300d06096086480165030402" + hash + "0500"
	return "3034a00f" + h + "a11c301a06092a864886f70d010108" + h + "a2030201" + salt
}

// signatureAlgorithm reads an AlgorithmIdentifier.
func signatureAlgorithm(in cryptobyte.String) (x509.SignatureAlgorithm, error) {
	var body cryptobyte.String
	var id asn1.ObjectIdentifier
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&id) {
		return 0, fmt.Errorf("%w: signature algorithm", ErrCRL)
	}
	if id.Equal(oidPSS) {
		if alg, ok := pssParameters[hex.EncodeToString(body)]; ok {
			return alg, nil
		}
	}
	for _, a := range signatureAlgorithms {
		if a.id.Equal(id) && (len(body) == 0 || hex.EncodeToString(body) == "0500") {
			return a.alg, nil
		}
	}
	return 0, fmt.Errorf("%w: signature algorithm %v is not used", ErrCRL, id)
}
