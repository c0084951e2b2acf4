package server

import (
	"errors"
	"io"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// submission is one SMTP session.
type submission struct {
	store   Store
	mailbox Mailbox // nil until signed in
	from    string
	to      []string
}

func refusal(code int, enhanced smtp.EnhancedCode, words string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: words}
}

// AuthMechanisms offers PLAIN; the library offers it inside TLS only.
func (s *submission) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth begins sign-in.
func (s *submission) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(identity, user, password string) error {
		if identity != "" && identity != user {
			return smtp.ErrAuthFailed
		}
		mailbox, err := s.store.SignIn(user, password)
		if err != nil {
			return smtp.ErrAuthFailed
		}
		s.mailbox = mailbox
		return nil
	}), nil
}

// Mail begins a message from one of the user's own addresses.
func (s *submission) Mail(from string, _ *smtp.MailOptions) error {
	switch {
	case s.mailbox == nil:
		return refusal(530, smtp.EnhancedCode{5, 7, 0}, "Sign in first")
	case !s.mailbox.Owns(from):
		return refusal(553, smtp.EnhancedCode{5, 7, 1}, "That is not an address of yours")
	}
	s.from = from
	return nil
}

// Rcpt adds a recipient whom the store takes mail for.
func (s *submission) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !s.store.Takes(to) {
		return refusal(550, smtp.EnhancedCode{5, 1, 1}, "There is no such address here")
	}
	s.to = append(s.to, to)
	return nil
}

// Data delivers the message.
func (s *submission) Data(r io.Reader) error {
	err := s.store.Deliver(s.from, s.to, r)
	switch {
	case errors.Is(err, ErrFull):
		return refusal(452, smtp.EnhancedCode{4, 3, 1}, "There is no room for the message now")
	case errors.Is(err, smtp.ErrDataTooLarge):
		return smtp.ErrDataTooLarge
	case err != nil:
		return refusal(451, smtp.EnhancedCode{4, 3, 0}, "The message could not be stored")
	}
	return nil
}

// Reset forgets the message begun.
func (s *submission) Reset() { s.from, s.to = "", nil }

// Logout ends the session.
func (s *submission) Logout() error { return nil }
