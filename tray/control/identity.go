package control

import (
	"context"
	"io"
	"time"
)

// Renewals is the life of the user's keys: asked for, certified, lost.
type Renewals interface {
	// Request makes a new key, in the keychain, and returns what the authority needs.
	Request(context.Context, RequestOrder) (IdentityRequest, error)
	// Requests lists the keys that wait for their certificate.
	Requests(context.Context, None) ([]IdentityRequest, error)
	// Discard takes a request back and destroys its key.
	Discard(context.Context, RequestQuery) (None, error)
	// Install takes in what the authority issued: PEM, DER or PKCS #7, at most 1 MiB.
	// What it replaces is kept for old mail, and the new key is announced.
	Install(context.Context, None, io.Reader) (Installed, error)
	// TakeOver makes a new key sign at once that was to do so on a later day.
	TakeOver(context.Context, IdentityQuery) (None, error)
	// Lost stops the use of an identity's keys for good, except to read mail, says whom
	// to tell, and begins a new key (K2).
	Lost(context.Context, LostOrder) (LostReport, error)
}

const (
	identitiesRequest  route[RequestOrder, IdentityRequest] = "identities/request"
	identitiesRequests route[None, []IdentityRequest]       = "identities/requests"
	identitiesDiscard  route[RequestQuery, None]            = "identities/discard"
	identitiesInstall  route[None, Installed]               = "identities/install" // takes a file
	identitiesTakeOver route[IdentityQuery, None]           = "identities/take-over"
	identitiesLost     route[LostOrder, LostReport]         = "identities/lost"
)

// OwnCertificate is one certificate of the user's own.
type OwnCertificate struct {
	Usage       string    `json:"usage"` // "signing and encryption", "signing", "encryption"
	Key         string    `json:"key"`   // "RSA 3072", "P-256" ...
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`      // hexadecimal
	Fingerprint string    `json:"fingerprint"` // SHA-256, hexadecimal
	Addresses   []string  `json:"addresses"`
	Starts      time.Time `json:"starts"`
	Expires     time.Time `json:"expires"`
}

// RequestOrder asks for a new key, and for what an authority needs to certify it.
type RequestOrder struct {
	Address  string `json:"address"`
	Name     string `json:"name,omitempty"`     // empty: as in the certificate there is, or none
	Key      string `json:"key,omitempty"`      // rsa-2048 | rsa-3072 | rsa-4096 | p-256 | p-384; empty: rsa-3072
	Separate bool   `json:"separate,omitempty"` // a key for signing and one for encryption
	// Token is the token that makes the key for signing; the one for encryption is made in
	// the keychain, and moved there once it is in the recovery file (Tokens.Move).
	Token string `json:"token,omitempty"`
}

// IdentityRequest is a key made here that waits for its certificate.
type IdentityRequest struct {
	ID       string    `json:"id"` // opaque
	Address  string    `json:"address"`
	Name     string    `json:"name,omitempty"`
	Key      string    `json:"key"`
	Separate bool      `json:"separate,omitempty"`
	Made     time.Time `json:"made"`
	Half     bool      `json:"half,omitempty"` // one of two certificates has come
	PEM      string    `json:"pem"`            // PKCS #10, for the authority; nothing secret
}

// RequestQuery names a request.
type RequestQuery struct {
	ID string `json:"id"`
}

// Installed is what came of the authority's file.
type Installed struct {
	Identities []Identity `json:"identities"`
	Waits      bool       `json:"waits,omitempty"` // the other certificate of the request is still to come
	Says       []string   `json:"says"`            // what was done and what is to be done, a sentence each
}

// IdentityQuery names one of the user's own.
type IdentityQuery struct {
	ID string `json:"id"`
}

// LostOrder says that the keys of an identity are lost, or in other hands (K2).
type LostOrder struct {
	ID string `json:"id"`
}

// LostReport is what to do about it.
type LostReport struct {
	Address      string           `json:"address"`
	Name         string           `json:"name"`
	At           time.Time        `json:"at"`
	Certificates []OwnCertificate `json:"certificates"` // for the authority's revocation desk
	Call         []ToCall         `json:"call"`         // by number
	Request      *IdentityRequest `json:"request,omitempty"`
	Says         []string         `json:"says"` // a sentence each
}

// ToCall is somebody who confirmed the lost key, or may have, and must hear of it.
type ToCall struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
	Number  string `json:"number,omitempty"` // recorded when they were verified; none if met in person
	Source  string `json:"source,omitempty"`
}

// Request makes a new key and returns what the authority needs.
func (i identitiesClient) Request(ctx context.Context, q RequestOrder) (IdentityRequest, error) {
	return ask(ctx, i.client, identitiesRequest, q)
}

func (i identitiesClient) Requests(ctx context.Context, q None) ([]IdentityRequest, error) {
	return ask(ctx, i.client, identitiesRequests, q)
}

func (i identitiesClient) Discard(ctx context.Context, q RequestQuery) (None, error) {
	return ask(ctx, i.client, identitiesDiscard, q)
}

func (i identitiesClient) Install(ctx context.Context, q None, file io.Reader) (Installed, error) {
	return put(ctx, i.client, identitiesInstall, q, file)
}

func (i identitiesClient) TakeOver(ctx context.Context, q IdentityQuery) (None, error) {
	return ask(ctx, i.client, identitiesTakeOver, q)
}

func (i identitiesClient) Lost(ctx context.Context, q LostOrder) (LostReport, error) {
	return ask(ctx, i.client, identitiesLost, q)
}
