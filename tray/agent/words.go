package agent

import (
	"errors"

	"countersign/mailer"
	"countersign/mailer/outbox"
	"countersign/mailer/transport"
	"countersign/tray/control"
	"countersign/vault"
	"countersign/vault/contacts"
	"countersign/vault/sealed"
	"countersign/vault/settings"
)

// words turns an error of a room into what a person reads. What has no words of
// its own travels as it is and arrives as a failure.
func words(err error) error {
	var (
		refused *mailer.Refused
		letter  *mailer.Problem
		own     *vault.Problem
		contact *contacts.Problem
		server  *transport.Error
	)
	if p, ok := accountWords(err); ok {
		return p
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return &control.Refused{Refusals: each(refused.Refusals, refusal)}
	case errors.As(err, &letter):
		return &control.Error{Code: letter.Code, Says: letter.Says, Next: letter.Next}
	case errors.As(err, &own):
		return &control.Error{Code: own.Code, Says: own.Says, Next: own.Next}
	case errors.As(err, &contact):
		return &control.Error{Code: contactCode(contact), Says: contact.Says, Next: contact.Next}
	case errors.As(err, &server):
		return &control.Error{Code: string(server.Kind), Says: server.Says}
	case errors.Is(err, outbox.ErrUnknown):
		return notFound("message in the outbox")
	case errors.Is(err, outbox.ErrTaken):
		return &control.Error{Code: "taken", Says: "A server already has this message, so it cannot be taken back.", Next: "Telephone the person if it must not be read."}
	case errors.Is(err, outbox.ErrSending):
		return &control.Error{Code: "sending", Says: "This message is going out at this moment.", Next: "Look again in a minute."}
	case errors.Is(err, settings.ErrIllFormed):
		return &control.Error{Code: "policy-file", Says: "The administrator's policy file cannot be understood, so nothing is sent.", Next: "Tell the people who look after your computers: " + err.Error()}
	case errors.Is(err, sealed.ErrNoBlob):
		return notFound("message any more")
	}
	return err
}

// contactCode is one code for every absence, so that programs need to know one.
func contactCode(p *contacts.Problem) string {
	if p.Code == "no-contact" {
		return control.CodeNotFound
	}
	return p.Code
}

func notFound(what string) error {
	return &control.Error{Code: control.CodeNotFound, Says: "There is no such " + what + ".", Next: "Look at the list again."}
}
