package agent

import (
	"context"
	"errors"

	"countersign/mailer/account"
	"countersign/mailer/transport"
	"countersign/tray/control"
)

// mailboxes answers control.Accounts.
type mailboxes struct{ *Agent }

func (a *Agent) mailbox(acc account.Account) control.Account {
	v := control.Account{Address: acc.Address, IMAP: server(acc.IMAP), SMTP: server(acc.SMTP)}
	v.LastFetch, v.Problem = a.fetched.Of(acc.Address)
	return v
}

func server(s transport.Server) control.Server {
	return control.Server{Host: s.Host, Port: s.Port, TLS: string(s.Security)}
}

// List returns every mailbox.
func (s mailboxes) List(ctx context.Context, _ control.None) ([]control.Account, error) {
	list, err := s.accounts.List(ctx)
	return each(list, s.mailbox), words(err)
}

// Add signs in to both servers and, if both answer, stores the account.
func (s mailboxes) Add(ctx context.Context, n control.NewAccount) (control.Account, error) {
	at := func(v control.Server) transport.Server {
		return transport.Server{Host: v.Host, Port: v.Port, Security: transport.Security(v.TLS), RootsPEM: n.RootsPEM}
	}
	acc, err := s.accounts.Add(ctx, account.Order{
		Account:  account.Account{Address: n.Address, User: n.User, IMAP: at(n.IMAP), SMTP: at(n.SMTP)},
		Password: transport.Secret(n.Password), Confirmed: n.Confirmed,
	})
	if err != nil {
		return control.Account{}, words(err)
	}
	if err := s.note(ctx, "account", acc.Address, "A mailbox was added."); err != nil {
		return control.Account{}, err
	}
	s.wake()
	if err := s.mailer.Outbox.Retry(ctx); err != nil {
		return control.Account{}, err
	}
	return s.mailbox(acc), s.tell(ctx, "status", "", "A mailbox was added.")
}

// Remove forgets an account and its password. Its messages stay.
func (s mailboxes) Remove(ctx context.Context, q control.AccountQuery) (control.None, error) {
	if _, err := s.accounts.Get(ctx, q.Address); err != nil {
		return control.None{}, words(err)
	}
	if err := s.accounts.Remove(ctx, q.Address); err != nil {
		return control.None{}, words(err)
	}
	s.wake()
	return control.None{}, s.note(ctx, "account", q.Address, "A mailbox was removed.")
}

func (a *Agent) hasAccount(ctx context.Context, address string) bool {
	_, err := a.accounts.Get(ctx, address)
	return err == nil
}

// dial signs in to the mailbox of an address.
func (a *Agent) dial(ctx context.Context, address string) (*transport.Mailbox, error) {
	server, as, err := a.accounts.Mailbox(ctx, address)
	if err != nil {
		return nil, err
	}
	return transport.Dialer{}.DialMailbox(ctx, server, as)
}

// accountWords turns an error of accounts into what a person reads.
func accountWords(err error) (*control.Error, bool) {
	var p *account.Problem
	switch {
	case errors.As(err, &p):
		return &control.Error{Code: p.Code, Says: p.Says, Next: p.Next}, true
	case errors.Is(err, account.ErrNone):
		return &control.Error{Code: control.CodeNotFound, Says: "There is no such mailbox.", Next: "Look at the list again."}, true
	}
	return nil, false
}
