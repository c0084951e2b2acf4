package transport

import "github.com/emersion/go-smtp"

// aboutRecipient says in a sentence what a refusal of RCPT means (RFC 3463 where
// the server gives an enhanced code, else RFC 5321, section 4.2.3), and quotes it.
func aboutRecipient(host string, said *smtp.SMTPError) string {
	words := host + " refused this address for good."
	if stateOf(said) == Waiting {
		words = host + " cannot take mail for this address now."
	}
	switch class(said) {
	case noSuchAddress:
		words = "There is no such address, says " + host + "."
	case mailboxFull:
		words = "The mailbox of this address is full, says " + host + "."
	case mailboxClosed:
		words = "The mailbox of this address takes no mail, says " + host + "."
	case forbidden:
		words = host + " does not let you send to this address."
	}
	return words + quote(said.Message)
}

// aboutMessage says in a sentence what a refusal of MAIL or DATA means.
func aboutMessage(host string, said *smtp.SMTPError) string {
	switch class(said) {
	case tooLarge:
		return "The message is too large for " + host + "."
	case needsSignIn:
		return host + " did not accept the user name or password."
	case forbidden:
		return host + " does not let you send this message."
	}
	if said.Code/100 == 5 {
		return host + " refused the message for good."
	}
	return host + " cannot take the message now."
}

type meaning int

const (
	unclear meaning = iota
	noSuchAddress
	mailboxFull
	mailboxClosed
	tooLarge
	forbidden
	needsSignIn
)

func class(said *smtp.SMTPError) meaning {
	switch subject, detail := said.EnhancedCode[1], said.EnhancedCode[2]; {
	case said.EnhancedCode[0] < 4: // none was given
	case subject == 1 && detail <= 3 && detail > 0, subject == 1 && detail == 10:
		return noSuchAddress
	case subject == 2 && detail == 1:
		return mailboxClosed
	case subject == 2 && detail == 2:
		return mailboxFull
	case subject == 2 && detail == 3, subject == 3 && detail == 4:
		return tooLarge
	case subject == 7 && (detail == 0 || detail == 8 || detail == 9) && said.Code/10 == 53:
		return needsSignIn
	case subject == 7 && said.Code/100 == 5:
		return forbidden
	default:
		return unclear
	}
	switch said.Code {
	case 530, 534, 535, 538:
		return needsSignIn
	case 552:
		return tooLarge
	}
	return unclear
}
