// Package account is the user's mailboxes: which servers hold them and how to sign
// in. Passwords lie in the keychain, everything else in the sealed database.
//
// An account is stored only once both of its servers accepted the password. A
// password goes to no server whose name the user has not confirmed, unless the name
// is the address's own domain or below it, or a known provider's (SECURITY.md, O4;
// RFC 6186, section 6): the name of a server may have come from a stranger, and a
// certificate says only that it is the server of that name.
//
// What can go wrong comes back as a [*Problem], in words for a person.
//
// Not here yet: finding servers by DNS or by guessing, OAuth2, POP3.
package account

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/mailer/transport"
	"countersign/vault"
)

// ErrNone says that there is no account of that address.
var ErrNone = errors.New("account: there is no such account")

// signInTime bounds the test of one server.
const signInTime = 45 * time.Second

// Account is one mailbox and its servers.
type Account struct {
	Address string           `json:"address"` // canonical
	User    string           `json:"user"`    // the name to sign in with
	IMAP    transport.Server `json:"imap"`
	SMTP    transport.Server `json:"smtp"`
}

// Order asks for an account to be added.
type Order struct {
	Account                    // User may be empty: it is the address then
	Password  transport.Secret // for both servers
	Confirmed bool             // the user confirmed the names of both servers
}

// Accounts is the accounts of one profile. Its methods may be called from several
// goroutines.
type Accounts struct {
	Dialer transport.Dialer // how the test of Add reaches servers
	vault  *vault.Vault
}

const table = `
	CREATE TABLE account (
		address TEXT PRIMARY KEY,
		data    BLOB NOT NULL
	) STRICT`

// Open returns the accounts kept in a vault.
func Open(v *vault.Vault) (*Accounts, error) {
	if err := v.DB().Migrate("account", table); err != nil {
		return nil, fmt.Errorf("opening accounts: %w", err)
	}
	return &Accounts{vault: v}, nil
}

// List returns every account, by address.
func (a *Accounts) List(ctx context.Context) ([]Account, error) {
	var all []Account
	err := a.vault.DB().View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT data FROM account ORDER BY address`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var data []byte
			var one Account
			if err := rows.Scan(&data); err != nil {
				return err
			}
			if err := json.Unmarshal(data, &one); err != nil {
				return err
			}
			all = append(all, one)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("listing accounts: %w", err)
	}
	return all, nil
}

// Get returns the account of an address, or ErrNone.
func (a *Accounts) Get(ctx context.Context, address string) (Account, error) {
	var one Account
	err := a.vault.DB().View(ctx, func(tx *sql.Tx) error {
		var data []byte
		row := tx.QueryRowContext(ctx, `SELECT data FROM account WHERE address = ?`, strings.ToLower(address))
		if err := row.Scan(&data); err != nil {
			return err
		}
		return json.Unmarshal(data, &one)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, ErrNone
	}
	if err != nil {
		return Account{}, fmt.Errorf("reading an account: %w", err)
	}
	return one, nil
}

// Submission returns the server that sends for an address, and what signs in to it.
func (a *Accounts) Submission(ctx context.Context, address string) (transport.Server, transport.Credential, error) {
	one, as, err := a.withCredential(ctx, address)
	return one.SMTP, as, err
}

// Mailbox returns the server that holds the mail of an address, and what signs in to it.
func (a *Accounts) Mailbox(ctx context.Context, address string) (transport.Server, transport.Credential, error) {
	one, as, err := a.withCredential(ctx, address)
	return one.IMAP, as, err
}

func (a *Accounts) withCredential(ctx context.Context, address string) (Account, transport.Credential, error) {
	one, err := a.Get(ctx, address)
	if err != nil {
		return Account{}, transport.Credential{}, err
	}
	password, err := a.vault.Credential(ctx, credentialName(one.Address))
	if err != nil {
		return Account{}, transport.Credential{}, fmt.Errorf("fetching the password of an account: %w", err)
	}
	return one, transport.Credential{User: one.User, Password: transport.Secret(password)}, nil
}

func credentialName(address string) string { return "mail " + address }

// Add signs in to both servers and, if both accept, stores the account and its
// password. An account of the same address is replaced. Refusals are of type
// [*Problem].
func (a *Accounts) Add(ctx context.Context, o Order) (Account, error) {
	one := o.Account
	one.Address = strings.ToLower(strings.TrimSpace(one.Address))
	if one.User == "" {
		one.User = one.Address
	}
	for _, s := range []*transport.Server{&one.IMAP, &one.SMTP} {
		s.Host = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s.Host), "."))
		if s.Security == "" {
			s.Security = transport.Implicit
		}
	}
	if err := check(one, o.Password); err != nil {
		return Account{}, err
	}
	if unknown := foreign(one); len(unknown) > 0 && !o.Confirmed {
		return Account{}, unconfirmed(one.Address, unknown)
	}
	if err := a.signIn(ctx, one, o.Password); err != nil {
		return Account{}, err
	}
	if err := a.store(ctx, one, o.Password); err != nil {
		return Account{}, fmt.Errorf("storing an account: %w", err)
	}
	return one, nil
}

// signIn tries one server after the other, so that a wrong password counts as one
// attempt and not as two.
func (a *Accounts) signIn(ctx context.Context, one Account, password transport.Secret) error {
	as := transport.Credential{User: one.User, Password: password}
	timed, cancel := context.WithTimeout(ctx, signInTime)
	defer cancel()
	inbox, err := a.Dialer.DialMailbox(timed, one.IMAP, as)
	if err != nil {
		return problem(ctx, "Receiving mail", err)
	}
	inbox.Close()
	timed, cancel = context.WithTimeout(ctx, signInTime)
	defer cancel()
	if err := a.Dialer.SignIn(timed, one.SMTP, as); err != nil {
		return problem(ctx, "Sending mail", err)
	}
	return nil
}

func (a *Accounts) store(ctx context.Context, one Account, password transport.Secret) error {
	name := credentialName(one.Address)
	before, err := a.vault.Credential(ctx, name)
	if err != nil && !errors.Is(err, vault.ErrNoCredential) {
		return err
	}
	if err := a.vault.SetCredential(ctx, name, vault.Secret(password)); err != nil {
		return err
	}
	data, err := json.Marshal(one)
	if err == nil {
		err = a.vault.DB().Update(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO account (address, data) VALUES (?, ?)
				ON CONFLICT (address) DO UPDATE SET data = excluded.data`, one.Address, data)
			return err
		})
	}
	if err == nil {
		return nil
	}
	if before == "" {
		return errors.Join(err, a.vault.DeleteCredential(context.WithoutCancel(ctx), name))
	}
	return errors.Join(err, a.vault.SetCredential(context.WithoutCancel(ctx), name, before))
}

// Remove forgets an account and its password. One that is not there is no error.
func (a *Accounts) Remove(ctx context.Context, address string) error {
	address = strings.ToLower(address)
	err := a.vault.DB().Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM account WHERE address = ?`, address)
		return err
	})
	if err == nil {
		err = a.vault.DeleteCredential(ctx, credentialName(address))
	}
	if err != nil {
		return fmt.Errorf("removing an account: %w", err)
	}
	return nil
}
