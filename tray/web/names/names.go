// Package names gives people and refusals their places among the addresses of pages, none of
// which tells who somebody is.
package names

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"

	"countersign/tray/control"
)

// Names gives people opaque identifiers for addresses of pages: a keyed hash,
// new at each start. Every identifier in a link was given out before it is
// asked for, so remembering them is enough to find the way back.
type Names struct {
	key []byte
	mu  sync.Mutex
	of  map[string]string // identifier to e-mail address
}

// New makes names that nobody without the key can tell apart.
func New(key []byte) *Names { return &Names{key: key, of: map[string]string{}} }

// Opaque returns the identifier of an e-mail address.
func (n *Names) Opaque(address string) string {
	address = strings.ToLower(strings.TrimSpace(address))
	mac := hmac.New(sha256.New, n.key)
	mac.Write([]byte(address))
	id := hex.EncodeToString(mac.Sum(nil)[:12])
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of[id] = address
	return id
}

// Address returns whom an identifier stands for.
func (n *Names) Address(id string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	address, ok := n.of[id]
	return address, ok
}

// Place turns the path of a refusal's button into one of ours. A path names a
// page by its first segment; the person is the refusal's address, never part
// of the path.
func (n *Names) Place(f control.Refusal) string {
	page, _, _ := strings.Cut(strings.Trim(f.Link, "/"), "/")
	page, _, _ = strings.Cut(page, "?")
	switch page {
	case "setup", "settings", "cards", "outbox", "drafts", "words", "record":
		return page
	case "identity", "identities", "anchor", "anchors", "account", "accounts", "recovery":
		return "setup"
	case "verify":
		if f.Address != "" {
			return "contacts/" + n.Opaque(f.Address) + "/verify"
		}
	}
	if f.Address != "" {
		return "contacts/" + n.Opaque(f.Address)
	}
	return "contacts"
}
