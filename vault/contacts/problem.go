package contacts

// Problem is an error that a person reads: what is wrong, and what to do next.
// Every error that a transition returns for something the user can put right is
// one of the values below; compare with errors.Is.
type Problem struct {
	Code string // stable, for programs
	Says string // one sentence
	Next string // one sentence; may be empty
}

func (p *Problem) Error() string { return "contacts: " + p.Code + ": " + p.Says }

var (
	ErrAddress = &Problem{"bad-address", "That is not an e-mail address.", "Check the spelling."}

	ErrNoCertificate = &Problem{"no-certificate", "There is no certificate for this person yet.",
		"Look for their certificate, ask them for a signed message, or add it from a file."}
	ErrOtherAddress = &Problem{"other-address", "That certificate belongs to another address.",
		"Ask for the certificate of the address that you want to write to."}
	ErrTooLarge = &Problem{"too-large", "That certificate is larger than any honest one.",
		"Ask for the right file."}
	ErrIncomplete = &Problem{"incomplete", "Only one half of their certificates is known: signing or encryption.",
		"Ask them for a signed message that carries both certificates."}
	ErrChoose = &Problem{"choose", "Several certificates were seen for this person.",
		"Choose the one to test. If you cannot tell, ask on the telephone who issued theirs and when it ends."}
	ErrBarred = &Problem{"barred", "Wrong words were heard for this certificate.",
		"Test another certificate, or say that you misheard and start again."}

	ErrNoTest = &Problem{"no-test", "There is no test to finish.", "Send a test message first."}
	ErrNumber = &Problem{"number-needed", "A telephone number is needed before anything else counts.",
		"Type the number that you called. Do not take it from an e-mail."}
	ErrBadNumber = &Problem{"bad-number", "That does not look like a telephone number.",
		"Use digits, spaces and + ( ) - only."}
	ErrSource = &Problem{"source-needed", "Say where the number is from.",
		"Choose a directory, a letterhead, an earlier record, somebody you know, or met in person."}
	ErrInPersonNumber = &Problem{"no-number-in-person", "When you met in person there is no number.",
		"Leave the number empty, or choose where it is from."}
	ErrNotEarlier = &Problem{"not-earlier", "That is not the number of the earlier record.",
		"Call the earlier number, or say where this one is from."}
	ErrReader = &Problem{"reader-needed", "Several people read this mailbox: say who read out the words.",
		"Ask for the name, and type it."}
	ErrNothingHeard = &Problem{"nothing-heard", "Nothing was typed.", "Type the words as you hear them."}

	ErrNotVerified  = &Problem{"not-verified", "This person is not confirmed.", "Send a test message, then call."}
	ErrNotMismatch  = &Problem{"not-mismatch", "Nothing was misheard here.", ""}
	ErrOrganisation = &Problem{"organisation", "A test goes to a person or a team, not to a whole organisation.",
		"Test somebody there whose certificate is the organisation's."}
	ErrNotTrusted = &Problem{"not-trusted", "The new certificate is not vouched for by anybody you trust.",
		"Send a test message to it, then call."}
	ErrNotLater  = &Problem{"not-later", "That certificate does not last longer than the one you confirmed.", ""}
	ErrOtherKeys = &Problem{"other-keys", "That certificate has other keys than the ones you confirmed.",
		"Send a test message to it, then call."}
)
