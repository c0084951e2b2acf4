package control

import "time"

// Inspection is what `countersign inspect --json` prints.
//
// Protection, Signature, Chain and From of the Verdict say what may be relied on.
// Signature is "valid" if the mathematics holds for exactly the content shown; who
// vouches for the signer is Chain, and whether From names them is From. Codes and
// findings stay the same from version to version and are listed where they are made, in
// package mailer/detail; sentences may be reworded.
type Inspection struct {
	Layers       []InspectedLayer `json:"layers"` // outermost first
	Verdict      Verdict          `json:"verdict"`
	Findings     []string         `json:"findings"`       // what a cautious reader would want to be told, as codes
	Code         string           `json:"code,omitempty"` // why it cannot be opened or no signature counts: "no-key", "changed" ...
	Subject      string           `json:"subject"`
	From         string           `json:"from"` // bare address
	To           []string         `json:"to"`
	Cc           []string         `json:"cc,omitempty"`
	Date         time.Time        `json:"date,omitzero"` // as the message says
	MessageID    string           `json:"message_id,omitempty"`
	Text         string           `json:"text"`
	Sanitised    bool             `json:"sanitised"` // the text was taken from HTML
	Files        []Attachment     `json:"files"`
	Outer        []Field          `json:"outer"`        // the header that everyone on the way can read
	Protected    []string         `json:"protected"`    // header fields that the layers cover
	Confidential []string         `json:"confidential"` // those of them that did not stand outside as well
	Unprotected  []string         `json:"unprotected"`  // shown, and not covered
	Problem      string           `json:"problem,omitempty"`
}

// InspectedLayer is a layer in all detail. It is for files only: a message of the
// mailbox shows nothing that would have to be read out on a call.
type InspectedLayer struct {
	Layer
	Code          string                 `json:"code,omitempty"`       // why the layer does not count
	Cipher        string                 `json:"cipher,omitempty"`     // of an envelope: "AES-256-CBC"
	KeyCipher     string                 `json:"key_cipher,omitempty"` // how the key that opened it was given: "RSA-OAEP SHA-256"
	Authenticated bool                   `json:"authenticated"`        // the cipher itself shows a change
	Weak          bool                   `json:"weak"`                 // made by a method that is no longer safe
	Recipients    []InspectedRecipient   `json:"recipients,omitempty"`
	Signers       []InspectedSigner      `json:"signers,omitempty"`
	Certificates  []InspectedCertificate `json:"certificates,omitempty"` // enclosed, in their order
}

// InspectedRecipient is one of those who can open an envelope, named by Issuer and
// Serial, or else by KeyID.
type InspectedRecipient struct {
	Name   string `json:"name,omitempty"`   // of the user's own certificates only
	Issuer string `json:"issuer,omitempty"` // RFC 4514
	Serial string `json:"serial,omitempty"` // hexadecimal
	KeyID  string `json:"key_id,omitempty"` // hexadecimal
	Method string `json:"method"`           // how they get the key: "RSA PKCS#1 v1.5", "ECDH SHA-256"
	Mine   bool   `json:"mine"`             // the certificate is the user's own
	Opened bool   `json:"opened"`           // this is the one that opened it
}

// InspectedSigner is one signature.
type InspectedSigner struct {
	Certificate    *InspectedCertificate `json:"certificate,omitempty"` // absent if it is not enclosed
	Issuer         string                `json:"issuer,omitempty"`      // as the message names the certificate, with Serial; or else KeyID
	Serial         string                `json:"serial,omitempty"`
	KeyID          string                `json:"key_id,omitempty"`
	Valid          bool                  `json:"valid"`          // it holds, and by a method that proves something
	Counts         bool                  `json:"counts"`         // it speaks for the content, and not only for who sent it on
	Code           string                `json:"code,omitempty"` // why it is not valid
	Problem        string                `json:"problem,omitempty"`
	Method         string                `json:"method,omitempty"`     // "RSA", "RSA-PSS", "ECDSA P-256"
	Digest         string                `json:"digest,omitempty"`     // "SHA-256"
	Time           time.Time             `json:"time,omitzero"`        // as the signer says
	Attributes     []string              `json:"attributes,omitempty"` // what was signed beside the content: "signing-time", "receipt-request" ...
	Chain          string                `json:"chain,omitempty"`      // trusted | untrusted | expired | revoked | unknown; absent: not looked up
	Reason         string                `json:"reason,omitempty"`     // why it is not trusted
	Path           []string              `json:"path,omitempty"`       // from the certificate to the authority trusted
	RevokedAt      time.Time             `json:"revoked_at,omitzero"`
	Revocation     string                `json:"revocation,omitempty"`      // good | unpublished | unknown | revoked, the weakest on the path; absent: not looked up
	RevocationAsOf time.Time             `json:"revocation_as_of,omitzero"` // when the oldest evidence of that was made
	Names          string                `json:"names,omitempty"`           // how the certificate names From: address | domain | legacy | none
}

// InspectedCertificate is a certificate.
type InspectedCertificate struct {
	Name      string    `json:"name"`      // in one line
	Subject   string    `json:"subject"`   // RFC 4514
	Issuer    string    `json:"issuer"`    // RFC 4514
	Addresses []string  `json:"addresses"` // a bare domain stands for an organisation
	Serial    string    `json:"serial"`    // hexadecimal
	SHA256    string    `json:"sha256"`    // fingerprint, hexadecimal
	Key       string    `json:"key"`       // "RSA 2048", "EC P-256"
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
}
