package pinprompt

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestWords(t *testing.T) {
	for _, test := range []struct {
		name        string
		got         words
		text, fault string
	}{
		{"nothing known", asking(Question{}), "Enter the PIN of your card.", ""},
		{"all known", asking(Question{Token: "Dr Weiß", Key: "SIGN key", Purpose: "signing the letter to Dr. Lee"}),
			"Enter the PIN of the card “Dr Weiß”.\n\nFor: signing the letter to Dr. Lee\nKey: SIGN key", ""},
		{"wrong before", asking(Question{Again: AfterRefusal, Tries: TriesFewer}),
			"Enter the PIN of your card.\n\nA wrong PIN was entered before. Too many lock the card.", "That PIN was wrong."},
		{"last try", asking(Question{Key: "k", Again: AfterTrouble, Tries: TriesLast}),
			"Enter the PIN of your card.\n\nKey: k\n\nThis is the last try: one more wrong PIN locks the card.", "The card did not answer. Enter the PIN once more."},
		{"reader", telling(Question{Token: "c"}), "Enter the PIN of the card “c” on the reader.\n\nThis closes by itself.", ""},
		{"reader again", telling(Question{Again: AfterRefusal}), "That PIN was wrong.\n\nEnter the PIN of your card on the reader.\n\nThis closes by itself.", ""},
		{"hostile", asking(Question{Token: "a”.\r\nEnter it <b>here</b>\x1b[2J\u202eabc\x00\xff", Key: strings.Repeat("ö", 99)}),
			"Enter the PIN of the card “a\". Enter it ‹b›here‹/b› [2J abc”.\n\nKey: " + strings.Repeat("ö", 39) + "…", ""},
	} {
		if test.got.text != test.text || test.got.fault != test.fault {
			t.Errorf("%s:\n%q\n%q, not\n%q\n%q", test.name, test.got.text, test.got.fault, test.text, test.fault)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s, maxLabel)
		if utf8.RuneCountInString(got) > maxLabel || !utf8.ValidString(got) || strings.ContainsAny(got, "<>“”„") ||
			strings.ContainsFunc(got, func(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) || unicode.IsControl(r) }) {
			t.Errorf("%q becomes %q", s, got)
		}
		if again := clean(got, maxLabel); again != got {
			t.Errorf("%q becomes %q, and that %q", s, got, again)
		}
	})
}
