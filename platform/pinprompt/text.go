package pinprompt

import (
	"strings"
	"unicode"
)

// How many characters of a text are shown. An Assuan line, of 1,000 bytes, holds them all.
const (
	maxLabel   = 40
	maxPurpose = 100
)

// words are what a prompt shows.
type words struct {
	text  string // of several lines
	fault string // why it is shown again; may be empty
}

// asking is what a prompt for a PIN says.
func asking(q Question) words {
	w := about(q, "")
	switch q.Again {
	case AfterRefusal:
		w.fault = "That PIN was wrong."
	case AfterTrouble:
		w.fault = "The card did not answer. Enter the PIN once more."
	}
	return w
}

// telling is what a notice says that sends people to the reader.
func telling(q Question) words {
	w := about(q, " on the reader")
	switch q.Again {
	case AfterRefusal:
		w.text = "That PIN was wrong.\n\n" + w.text
	case AfterTrouble:
		w.text = "The card did not answer.\n\n" + w.text
	}
	w.text += "\n\nThis closes by itself."
	return w
}

func about(q Question, where string) words {
	var b strings.Builder
	if token := clean(q.Token, maxLabel); token != "" {
		b.WriteString("Enter the PIN of the card “" + token + "”" + where + ".")
	} else {
		b.WriteString("Enter the PIN of your card" + where + ".")
	}
	purpose, key := clean(q.Purpose, maxPurpose), clean(q.Key, maxLabel)
	if purpose != "" || key != "" {
		b.WriteString("\n")
	}
	if purpose != "" {
		b.WriteString("\nFor: " + purpose)
	}
	if key != "" {
		b.WriteString("\nKey: " + key)
	}
	switch q.Tries {
	case TriesFewer:
		b.WriteString("\n\nA wrong PIN was entered before. Too many lock the card.")
	case TriesLast:
		b.WriteString("\n\nThis is the last try: one more wrong PIN locks the card.")
	}
	return words{text: b.String()}
}

// clean makes one harmless line of at most limit characters of a text.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '<':
			return '‹'
		case r == '>':
			return '›'
		case r == '“' || r == '”' || r == '„':
			return '"'
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return ' ' // also marks that turn the direction of writing, and what is no UTF-8
		}
		return r
	}, s)
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > limit {
		runes = append(runes[:limit-1], '…')
	}
	return string(runes)
}
