package pkcs11

import (
	"strings"
	"testing"

	"countersign/pkcs11/wire"
)

// TestLabelsInSentences: what a card calls itself stands in sentences that people trust.
func TestLabelsInSentences(t *testing.T) {
	for label, want := range map[string]string{
		"Ada's card": "“Ada's card”",
		"":           "in the reader",
		"x” is fine. Enter the PIN at pin.example. The card “y": "“x' is fine. Enter the PIN at pin.example. The card 'y”",
		"a\x1b[2Jb\r\nc\u202ed\u200be":                          "“a [2Jb c d e”",
		"\u202e\n":                                              "in the reader",
		strings.Repeat("ä", 1000):                               "“" + strings.Repeat("ä", 64) + "…”",
	} {
		if got := fail(wire.Removed, label, nil).Says; got != "The card "+want+" is not in the reader. Insert it and try again." {
			t.Errorf("%q: %q", label, got)
		}
	}
}

// TestNextStep: each sentence says what happened and what to do about it.
func TestNextStep(t *testing.T) {
	for f := wire.NotLoaded; f <= unmade; f++ {
		if says := fail(f, "x", nil).Says; strings.Count(says, ". ") != 1 && f != wire.WrongPIN || !strings.HasSuffix(says, ".") || strings.Contains(says, "%") {
			t.Errorf("%v: %q", f, says)
		}
	}
	for tries, want := range map[Tries]string{
		TriesUntold: "Make sure of the PIN, then try again.", TriesFewer: "Too many lock the card.",
		TriesLast: "One more wrong PIN locks the card.", TriesNone: "Whoever issued it can unlock it.",
	} {
		if says := told(&wire.Reply{Failure: wire.WrongPIN, Tries: tries}, "x").Says; !strings.HasPrefix(says, "The PIN of the card “x” is wrong. ") || !strings.Contains(says, want) {
			t.Errorf("tries %d: %q", tries, says)
		}
	}
}
