// Package phrase seals a few bytes under eight words that a person prints and types back:
// the form of the recovery file.
//
// The words are drawn from a list of 2,048, whose first four letters tell them apart: 88
// bits. The file is an age file under a passphrase, the words joined by hyphens, so that the
// age program opens it too.
package phrase

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"math/big"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"countersign/vault/issued"
)

const (
	number  = 8
	maxFile = 1 << 20
)

// What can be wrong with what a person gives.
var (
	ErrWords = &issued.Problem{Code: "wrong-words", Says: "Those are not the words that were asked for.",
		Next: "Look at the printed words and try again."}
	ErrFile = &issued.Problem{Code: "not-recovery", Says: "This is not a recovery file, or it is damaged.",
		Next: "Choose the file that you saved when you made the words."}
)

// Pick draws words from the list, and which two of them (1 to 8, in order) a person is to
// type back.
func Pick(list []string, random io.Reader) (words []string, ask []int, err error) {
	if len(list) != 2048 {
		return nil, nil, errors.New("the list of words is missing")
	}
	for range number {
		i, err := rand.Int(random, big.NewInt(int64(len(list))))
		if err != nil {
			return nil, nil, err
		}
		words = append(words, list[i.Int64()])
	}
	a, err := rand.Int(random, big.NewInt(number))
	if err != nil {
		return nil, nil, err
	}
	b, err := rand.Int(random, big.NewInt(number-1))
	if err != nil {
		return nil, nil, err
	}
	first, second := int(a.Int64()), int(b.Int64())
	if second >= first {
		second++
	}
	return words, []int{min(first, second) + 1, max(first, second) + 1}, nil
}

// fold makes of a word what counts of it: its first four letters.
func fold(word string) string {
	word = strings.ToLower(strings.TrimSpace(word))
	return word[:min(4, len(word))]
}

// Same says that the words typed are those asked for.
func Same(typed, words []string, ask []int) bool {
	if len(typed) != len(ask) {
		return false
	}
	for n, at := range ask {
		if fold(typed[n]) != fold(words[at-1]) {
			return false
		}
	}
	return true
}

// Read finds the words that were typed in the list.
func Read(typed, list []string) (words []string, err error) {
	known := make(map[string]string, len(list))
	for _, w := range list {
		known[fold(w)] = w
	}
	for _, w := range strings.Fields(strings.ReplaceAll(strings.Join(typed, " "), "-", " ")) {
		full, ok := known[fold(w)]
		if !ok {
			return nil, ErrWords
		}
		words = append(words, full)
	}
	if len(words) != number {
		return nil, ErrWords
	}
	return words, nil
}

func passphrase(words []string) string { return strings.Join(words, "-") }

// Seal seals data under the words. work is the base-2 logarithm of the scrypt work that
// they cost to try.
func Seal(data []byte, words []string, work int) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(passphrase(words))
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(work)
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), text.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Open opens a file of at most 1 MiB that costs at most work to try. The caller clears what
// it returns.
func Open(file []byte, words []string, work int) ([]byte, error) {
	if len(file) > maxFile {
		return nil, ErrFile
	}
	identity, err := age.NewScryptIdentity(passphrase(words))
	if err != nil {
		return nil, ErrWords
	}
	identity.SetMaxWorkFactor(work)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(file)), identity)
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return nil, ErrWords
	}
	if err != nil {
		return nil, ErrFile
	}
	data, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		clear(data)
		return nil, ErrFile
	}
	return data, nil
}
