package control

import (
	"context"
	"net/http"
	"time"
)

// Tokens is the smartcards and security tokens in the readers. A PIN never travels here
// (K3): where one is needed, the agent asks on the desktop or the reader's own pad.
type Tokens interface {
	// List tells what is in the readers, without any PIN.
	List(context.Context, None) (TokenList, error)
	// Use takes certificates on a token into use, as an identity of the user's.
	Use(context.Context, TokenUse) (Installed, error)
	// Move puts the decryption key of an identity on a token, once it is in the recovery
	// file, and takes it out of the keychain (K1).
	Move(context.Context, TokenMove) (Installed, error)
	// Unlock asks for the PIN of a token and opens all mail that waits for it.
	Unlock(context.Context, TokenQuery) (Unlocked, error)
	// Lock forgets every PIN and locks every token.
	Lock(context.Context, None) (None, error)
}

// TokenList is what is in the readers.
type TokenList struct {
	Tokens     []Token  `json:"tokens"`
	Problems   []string `json:"problems"`    // about card makers' software, a sentence each
	PINMinutes int      `json:"pin_minutes"` // how long a token stays unlocked after its last use
	Waiting    int      `json:"waiting"`     // messages that wait for a token
}

// Token is one smartcard or security token.
type Token struct {
	ID       string     `json:"id"` // opaque; stays the same when it is put back
	Label    string     `json:"label"`
	Maker    string     `json:"maker"`
	Model    string     `json:"model"`
	Serial   string     `json:"serial"`
	Reader   string     `json:"reader"`
	Software string     `json:"software"` // of the card's maker: the name of its file
	Pad      bool       `json:"pad,omitempty"`
	State    string     `json:"state"`             // ready | last-try | pin-locked | no-pin
	Lock     string     `json:"lock"`              // locked | unlocked | none: nothing to unlock; empty: not known
	Until    time.Time  `json:"until,omitzero"`    // if unlocked, and not used meanwhile; zero: until it is next locked
	Problem  string     `json:"problem,omitempty"` // what State means, or why it cannot be read
	Keys     []TokenKey `json:"keys"`
	More     bool       `json:"more,omitempty"` // it holds more than is listed
}

// TokenKey is one key on a token, mostly with its certificate.
type TokenKey struct {
	Number      int       `json:"number"` // in this list, from 1
	URI         string    `json:"uri"`    // RFC 7512, or cng: and the certificate's SHA-256
	Label       string    `json:"label"`
	Key         string    `json:"key"`              // "RSA 3072", "P-256" ...
	Always      bool      `json:"always,omitempty"` // it asks for the PIN at each use
	Addresses   []string  `json:"addresses"`
	Name        string    `json:"name,omitempty"`
	Usage       string    `json:"usage"` // "signing and encryption", "signing", "encryption"; empty: not for mail
	Issuer      string    `json:"issuer,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"` // SHA-256 of the certificate, hexadecimal; empty: there is none
	Expires     time.Time `json:"expires,omitzero"`
	InUse       string    `json:"in_use,omitempty"` // what for, by this profile: as Usage
}

// TokenUse names, by URI, the certificates to take into use: one for both, or one each.
type TokenUse struct {
	Signing    string `json:"signing,omitempty"`
	Encryption string `json:"encryption,omitempty"`
	// OnlyCopy confirms that mail to this key is lost if the token dies (K1). Without it a
	// decryption key that is on the token alone fails with code "only-copy".
	OnlyCopy bool `json:"only_copy,omitempty"`
}

// CodeOnlyCopy is the code of an Error that asks for [TokenUse].OnlyCopy.
const CodeOnlyCopy = "only-copy"

// TokenQuery names a token. Without an ID the only one that waits, or is there, is meant.
type TokenQuery struct {
	ID string `json:"id,omitempty"`
}

// TokenMove names an identity, and the token for its decryption key, as in [TokenQuery].
type TokenMove struct {
	Identity string `json:"identity"`
	Token    string `json:"token,omitempty"`
}

// Unlocked is what a PIN opened.
type Unlocked struct {
	Label  string `json:"label"`  // of the token
	Opened int    `json:"opened"` // messages
	Left   int    `json:"left"`   // messages that still wait, for another token perhaps
}

const (
	tokensList   route[None, TokenList]      = "tokens/list"
	tokensUse    route[TokenUse, Installed]  = "tokens/use"
	tokensMove   route[TokenMove, Installed] = "tokens/move"
	tokensUnlock route[TokenQuery, Unlocked] = "tokens/unlock"
	tokensLock   route[None, None]           = "tokens/lock"
)

type tokensClient struct{ *client }

func (t tokensClient) List(ctx context.Context, q None) (TokenList, error) {
	return ask(ctx, t.client, tokensList, q)
}

func (t tokensClient) Use(ctx context.Context, q TokenUse) (Installed, error) {
	return ask(ctx, t.client, tokensUse, q)
}

func (t tokensClient) Move(ctx context.Context, q TokenMove) (Installed, error) {
	return ask(ctx, t.client, tokensMove, q)
}

func (t tokensClient) Unlock(ctx context.Context, q TokenQuery) (Unlocked, error) {
	return ask(ctx, t.client, tokensUnlock, q)
}

func (t tokensClient) Lock(ctx context.Context, q None) (None, error) {
	return ask(ctx, t.client, tokensLock, q)
}

// serveTokens binds their routes.
func serveTokens(mux *http.ServeMux, t Tokens) {
	call(mux, tokensList, t.List)
	call(mux, tokensUse, t.Use)
	call(mux, tokensMove, t.Move)
	call(mux, tokensUnlock, t.Unlock)
	call(mux, tokensLock, t.Lock)
}
