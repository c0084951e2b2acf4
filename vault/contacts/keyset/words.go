package keyset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"strings"

	"github.com/tyler-smith/go-bip39/wordlists"
	"golang.org/x/crypto/argon2"
)

// Words is the list that codes and safety words are made of: 2,048 English
// words, of which the first four letters suffice (BIP-39).
func Words() []string { return slices.Clone(wordlists.English) }

// SafetyWords returns what the owner of a key set reads out when somebody
// verifies them: version 1 of SECURITY.md, V2. They belong to the person, never
// to a pair of people.
//
// The input is, without any separator:
//
//	2 octets   length of the address, most significant first
//	n octets   the address, ASCII lower case, domain in A-labels
//	32 octets  SHA-256 of the signing key's SubjectPublicKeyInfo in DER
//	32 octets  SHA-256 of the encryption key's SubjectPublicKeyInfo in DER
//
// Argon2id (t=4, m=32 MiB, p=1) with the first 16 octets of
// SHA-256("countersign safety words 1") as salt makes 32 octets of it. Their
// first 66 bits, most significant first, are six indices of 11 bits into the
// BIP-39 English list. Vectors are in testdata/safety-words.json.
//
// It takes about 60 ms on purpose: that is the price of each try for somebody
// who looks for keys with the same words. An incomplete key set has none.
func SafetyWords(address string, k KeySet) [6]string {
	if !k.Complete() || len(address) > 1<<16-1 {
		return [6]string{}
	}
	address = asciiLower(address)
	h := k.Hashes()
	in := binary.BigEndian.AppendUint16(nil, uint16(len(address)))
	in = append(in, address...)
	in = append(in, h.Sign[:]...)
	in = append(in, h.Encrypt[:]...)
	salt := sha256.Sum256([]byte("countersign safety words 1"))
	sum := argon2.IDKey(in, salt[:16], 4, 32*1024, 1, 32)
	return [6]string(wordsOf(sum, 6))
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// wordsOf takes the first 11*n bits of b as n words.
func wordsOf(b []byte, n int) []string {
	bits := new(big.Int).SetBytes(b)
	bits.Rsh(bits, uint(len(b)*8-11*n))
	words := make([]string, n)
	for i := n - 1; i >= 0; i-- {
		words[i] = wordlists.English[new(big.Int).And(bits, big.NewInt(2047)).Int64()]
		bits.Rsh(bits, 11)
	}
	return words
}

// Code is the four words of a test message. It prints as [secret].
type Code []string

// Text is the words for the one message that carries them, and for the page of
// the one who reads them out.
func (c Code) Text() string { return strings.Join(c, " ") }

// Format prints [secret], whatever the verb.
func (c Code) Format(s fmt.State, _ rune) { io.WriteString(s, "[secret]") }

// LogValue keeps it out of logs.
func (c Code) LogValue() slog.Value { return slog.StringValue("[secret]") }

// NewCode draws four words: 44 bits.
func NewCode(random io.Reader) (Code, error) {
	b := make([]byte, 6)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	return wordsOf(b, 4), nil
}

// Listed finds the word meant by what was typed. Case, spaces and everything
// after the fourth letter are forgiven; a wrong letter never is.
func Listed(typed string) (string, bool) {
	letters := strings.Join(strings.Fields(strings.ToLower(typed)), "")
	if len(letters) < 3 {
		return "", false
	}
	short := letters[:min(4, len(letters))]
	i, _ := slices.BinarySearch(wordlists.English, short)
	if i == len(wordlists.English) || first4(wordlists.English[i]) != short {
		return "", false
	}
	return wordlists.English[i], true
}

func first4(w string) string { return w[:min(4, len(w))] }

// Heard turns typed boxes into n words of the list. Where the number of boxes is
// another, they are read as one line. Unknown holds the positions, from 1, of
// what is not on the list or missing.
func Heard(typed []string, n int) (words []string, unknown []int) {
	if len(typed) != n {
		typed = strings.Fields(strings.Join(typed, " "))
	}
	for i := range max(n, len(typed)) {
		var word string
		ok := false
		if i < len(typed) && i < n {
			word, ok = Listed(typed[i])
		}
		if !ok {
			unknown = append(unknown, i+1)
		}
		words = append(words, word)
	}
	return words, unknown
}

// Canonical accepts local@domain or domain in printable lower-case ASCII, at
// most 254 octets (RFC 5321, section 4.5.3.1.3).
func Canonical(address string) bool {
	if address == "" || len(address) > 254 {
		return false
	}
	for _, b := range []byte(address) {
		if b <= ' ' || b > '~' || (b >= 'A' && b <= 'Z') {
			return false
		}
	}
	at := strings.LastIndexByte(address, '@')
	return at != 0 && at != len(address)-1
}
