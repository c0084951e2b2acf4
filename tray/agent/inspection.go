package agent

import (
	"countersign/mailer"
	"countersign/mailer/detail"
	"countersign/tray/control"
)

func inspection(i mailer.Inspection) control.Inspection {
	d := i.Detail
	return control.Inspection{
		Layers: each(d.Layers, inspectedLayer), Verdict: verdict(i.Verdict), Findings: each(d.Findings, same), Code: d.Code,
		Subject: i.Subject, From: i.From, To: i.To, Cc: i.Cc, Date: i.Date, MessageID: i.MessageID,
		Text: i.Text, Sanitised: i.Sanitised, Files: each(i.Files, attachment), Outer: each(i.Outer, field),
		Protected: each(d.Protected, same), Confidential: each(d.Confidential, same), Unprotected: each(d.Unprotected, same),
		Problem: i.Problem,
	}
}

func same(s string) string { return s }

func inspectedLayer(l detail.Layer) control.InspectedLayer {
	return control.InspectedLayer{
		Layer: layer(l.Layer), Code: l.Code, Cipher: l.Cipher, KeyCipher: l.KeyCipher, Authenticated: l.Authenticated, Weak: l.Weak,
		Recipients: each(l.Recipients, func(r detail.Recipient) control.InspectedRecipient { return control.InspectedRecipient(r) }),
		Signers:    each(l.Signers, inspectedSigner), Certificates: each(l.Certificates, inspectedCertificate),
	}
}

func inspectedSigner(s detail.Signer) control.InspectedSigner {
	v := control.InspectedSigner{
		Issuer: s.Issuer, Serial: s.Serial, KeyID: s.KeyID, Valid: s.Valid, Counts: s.Counts, Code: s.Code, Problem: s.Problem, Method: s.Method, Digest: s.Digest, Time: s.Time, Attributes: s.Attributes,
		Chain: s.Chain, Reason: s.Reason, Path: s.Path, RevokedAt: s.RevokedAt, Revocation: s.Revocation, RevocationAsOf: s.RevocationAsOf, Names: s.Names,
	}
	if s.Certificate != nil {
		c := inspectedCertificate(*s.Certificate)
		v.Certificate = &c
	}
	return v
}

func inspectedCertificate(c detail.Certificate) control.InspectedCertificate {
	return control.InspectedCertificate(c)
}
