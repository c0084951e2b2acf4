package book

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"countersign/vault/contacts"
)

// Bounds of what one contact is found by; a stranger's certificate may hold more.
const (
	maxWords = 64
	maxWord  = 40 // runes; the rest of a longer word is left out
)

// plain letters stand for those that are not a letter with a mark, but that people
// without the key for them type so.
var plain = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ħ': "h", 'ŧ': "t", 'ı': "i", 'ŋ': "n",
}

// fold brings text to the form in which it is compared: compatibility forms and
// accents taken apart (Unicode, NFKD), marks left out, in lower case.
func fold(text string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(text) {
		if unicode.Is(unicode.M, r) {
			continue
		}
		r = unicode.ToLower(r)
		if s, ok := plain[r]; ok {
			b.WriteString(s)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// split takes folded text apart into words: runs of letters, and runs of digits.
func split(folded string) (words []string) {
	const apart, letter, digit = 0, 1, 2
	class, start := apart, 0
	word := func(end int) {
		if class != apart {
			words = append(words, cut(folded[start:end], maxWord))
		}
	}
	for i, r := range folded {
		is := apart
		switch {
		case unicode.IsLetter(r):
			is = letter
		case unicode.IsNumber(r):
			is = digit
		}
		if is != class {
			word(i)
			class, start = is, i
		}
	}
	word(len(folded))
	return words
}

// cut leaves the first n runes of a word.
func cut(word string, n int) string {
	for i := range word {
		if n--; n < 0 {
			return word[:i]
		}
	}
	return word
}

// joined leaves out apostrophes: O'Brien is found as obrien.
func joined(folded string) string {
	return strings.NewReplacer("'", "", "\u2019", "", "\u02bc", "").Replace(folded)
}

// wordsOf lists what a contact is found by, sorted: the words of the name, of the
// address and its domain (as it is read, too), and of the organisation.
func wordsOf(c contacts.Contact) []string {
	text := c.Name + "\n" + strings.Join(c.Organisations(), "\n")
	if _, domain, ok := strings.Cut(c.Address, "@"); ok || c.Organisation() {
		if !ok {
			domain = c.Address
		}
		if strings.Contains(domain, "xn--") {
			if read, err := idna.ToUnicode(domain); err == nil {
				text += "\n" + read
			}
		}
	}
	folded := fold(c.Address + "\n" + text)
	words := split(joined(folded))
	if strings.ContainsAny(folded, "'\u2019\u02bc") {
		words = append(words, split(folded)...) // O'Brien is found as brien as well
	}
	words = words[:min(len(words), maxWords)]
	slices.Sort(words)
	return slices.Compact(words)
}

// wanted lists the words of what was typed. The last is being typed still.
func wanted(typed string) []string {
	words := split(joined(fold(typed)))
	return words[:min(len(words), maxWanted)]
}

// maxWanted is how many words of what was typed are looked for.
const maxWanted = 8

// fits says that each word wanted begins one of the words, which are sorted.
func fits(words, wanted []string) bool {
	for _, w := range wanted {
		i, _ := slices.BinarySearch(words, w) // the first that is not before it
		if i == len(words) || !strings.HasPrefix(words[i], w) {
			return false
		}
	}
	return true
}
