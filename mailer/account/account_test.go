package account_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/mailer/account"
	"countersign/mailer/server"
	"countersign/mailer/server/servertest"
	"countersign/mailer/transport"
	"countersign/platform/keychain"
	"countersign/vault"
)

const ada, password = "ada@clinic.example", "rain falls upwards"

// home is a profile with its keychain in a folder.
type home struct {
	dir string
	kc  keychain.Store
}

func newHome(t *testing.T) home {
	t.Helper()
	dir := t.TempDir()
	kc, err := keychain.OpenFile(filepath.Join(dir, "keychain.age"), []byte("open"), 10)
	if err != nil {
		t.Fatal(err)
	}
	return home{dir, kc}
}

func (h home) open(t *testing.T) (*account.Accounts, *vault.Vault) {
	t.Helper()
	v, err := vault.Open(t.Context(), h.dir, h.kc, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	a, err := account.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	return a, v
}

// clinic is a running mail server with ada's mailbox.
type clinic struct {
	*servertest.Authority
	*server.Server
}

func open(t *testing.T, names ...string) clinic {
	t.Helper()
	store := server.NewMemory()
	store.Add(ada, password)
	authority := servertest.NewAuthority(t)
	s, err := server.Listen(server.Options{Store: store, Certificate: authority.Issue(t, time.Now().Add(time.Hour), names...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return clinic{authority, s}
}

func (c clinic) order(host string) account.Order {
	return account.Order{
		Account: account.Account{
			Address: ada,
			IMAP:    transport.Server{Host: host, Port: servertest.Port(c.IMAP.String()), RootsPEM: c.PEM},
			SMTP:    transport.Server{Host: host, Port: servertest.Port(c.SMTP.String()), RootsPEM: c.PEM},
		},
		Password: password,
	}
}

// here leads every name to this machine and counts the connections.
func here(dialled *atomic.Int32) transport.Dialer {
	return transport.Dialer{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		_, port, _ := net.SplitHostPort(address)
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}
}

func TestAddKeepsAndForgets(t *testing.T) {
	h, c := newHome(t), open(t, "mail.clinic.example")
	a, v := h.open(t)
	a.Dialer = here(new(atomic.Int32))
	o := c.order("Mail.Clinic.example.")
	o.Address = " Ada@Clinic.example "
	added, err := a.Add(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if added.Address != ada || added.User != ada || added.IMAP.Host != "mail.clinic.example" {
		t.Errorf("added %+v", added)
	}
	if text := fmt.Sprintf("%v %+v", o, o); strings.Contains(text, password) {
		t.Errorf("the order prints its password: %s", text)
	}
	v.Close()

	a, _ = h.open(t)
	list, err := a.List(t.Context())
	if err != nil || len(list) != 1 || list[0] != added {
		t.Fatalf("%+v, %v", list, err)
	}
	s, as, err := a.Submission(t.Context(), "ADA@clinic.example")
	if err != nil || s != added.SMTP || as.User != ada || string(as.Password) != password {
		t.Errorf("%+v, %v", s, err)
	}
	s, _, err = a.Mailbox(t.Context(), ada)
	if err != nil || s != added.IMAP {
		t.Errorf("%+v, %v", s, err)
	}
	for range 2 { // the second time there is nothing to remove
		if err := a.Remove(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Get(t.Context(), ada); err != account.ErrNone {
		t.Error(err)
	}
	if _, _, err := a.Mailbox(t.Context(), ada); err != account.ErrNone {
		t.Error(err)
	}
	if names, err := h.kc.List(t.Context()); err != nil || strings.Contains(strings.Join(names, " "), "credential") {
		t.Errorf("the keychain still holds %q, %v", names, err)
	}
}

// TestNoPasswordToStrangers is SECURITY.md, O4.
func TestNoPasswordToStrangers(t *testing.T) {
	h := newHome(t)
	a, _ := h.open(t)
	for host, known := range map[string]bool{
		"clinic.example": true, "mail.clinic.example": true, "a.b.clinic.example": true, "imap.gmail.com": true, "outlook.office365.com": true,
		"evilclinic.example": false, "clinic.example.evil.test": false, "example": false, "mail.example": false, "localhost": false,
		"127.0.0.1": false, "gmail.com": false, "imap.gmail.com.evil.test": false,
	} {
		var dialled atomic.Int32
		a.Dialer = transport.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) {
			dialled.Add(1)
			return nil, errors.New("no network here")
		}}
		o := account.Order{Account: account.Account{Address: ada}, Password: password}
		o.IMAP = transport.Server{Host: host, Port: 993}
		o.SMTP = transport.Server{Host: "mail.clinic.example", Port: 465}
		_, err := a.Add(t.Context(), o)
		if code(err) == "server-not-confirmed" == known || dialled.Load() > 0 != known {
			t.Errorf("%s: %v, %d connections", host, err, dialled.Load())
		}
		if !known && !strings.Contains(err.Error(), host) {
			t.Errorf("%s is not named: %v", host, err)
		}
		o.Confirmed = true
		if _, err := a.Add(t.Context(), o); code(err) != "unreachable" {
			t.Errorf("%s, confirmed: %v", host, err)
		}
		o.IMAP, o.SMTP, o.Confirmed = o.SMTP, o.IMAP, false
		if _, err := a.Add(t.Context(), o); code(err) == "server-not-confirmed" == known {
			t.Errorf("%s to send: %v", host, err)
		}
	}
}

func code(err error) string {
	var p *account.Problem
	if errors.As(err, &p) {
		if p.Says == "" || p.Next == "" {
			return "without words"
		}
		return p.Code
	}
	return ""
}

func TestWhatCanGoWrong(t *testing.T) {
	h, c, other := newHome(t), open(t, "mail.clinic.example"), open(t, "another.example")
	starttls := c.order("mail.clinic.example").IMAP
	starttls.Security = transport.StartTLS
	for name, o := range map[string]struct {
		change func(*account.Order)
		code   string
		says   string
	}{
		"no address":     {func(o *account.Order) { o.Address = "ada" }, "address", "not a mail address"},
		"no password":    {func(o *account.Order) { o.Password = "" }, "password", "needed"},
		"no server":      {func(o *account.Order) { o.SMTP.Host = " " }, "server", "both servers"},
		"no port":        {func(o *account.Order) { o.IMAP.Port = 0 }, "misused", "0 is not a port number"},
		"wrong password": {func(o *account.Order) { o.Password = "sun" }, "sign-in", "Receiving mail: mail.clinic.example did not accept the user name or password."},
		"wrong name": {func(o *account.Order) {
			o.IMAP.Port = servertest.Port(other.IMAP.String())
			o.IMAP.RootsPEM = other.PEM
		}, "certificate", "not valid for the name mail.clinic.example"},
		"unknown authority": {func(o *account.Order) { o.SMTP.RootsPEM = "" }, "certificate", "Sending mail: The certificate of mail.clinic.example was issued by an authority"},
		"no certificate":    {func(o *account.Order) { o.SMTP.RootsPEM = "what?" }, "misused", "not a certificate"},
		"nobody there":      {func(o *account.Order) { o.SMTP.Port = 1 }, "unreachable", "cannot be reached on port 1"},
		"ports exchanged":   {func(o *account.Order) { o.SMTP.Port, o.IMAP.Port = o.IMAP.Port, o.SMTP.Port }, "not-understood", "cannot be understood"},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := h.open(t)
			a.Dialer = here(new(atomic.Int32))
			a.Dialer.Reply = 2 * time.Second
			order := c.order("mail.clinic.example")
			o.change(&order)
			_, err := a.Add(t.Context(), order)
			if code(err) != o.code || !strings.Contains(fmt.Sprint(err), o.says) {
				t.Errorf("%s: %v", code(err), err)
			}
			if list, _ := a.List(t.Context()); len(list) != 0 {
				t.Errorf("stored all the same: %+v", list)
			}
			if _, err := a.Get(t.Context(), ada); err != account.ErrNone {
				t.Error(err)
			}
		})
	}
}

// TestFailedChangeKeepsWhatWorked: an account that works is not lost to a failed
// attempt to change it.
func TestFailedChangeKeepsWhatWorked(t *testing.T) {
	h, c := newHome(t), open(t, "mail.clinic.example")
	a, _ := h.open(t)
	a.Dialer = here(new(atomic.Int32))
	o := c.order("mail.clinic.example")
	if _, err := a.Add(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	o.Password = "sun"
	if _, err := a.Add(t.Context(), o); code(err) != "sign-in" {
		t.Fatal(err)
	}
	_, as, err := a.Mailbox(t.Context(), ada)
	if err != nil || string(as.Password) != password {
		t.Errorf("the password that worked is gone: %v", err)
	}
}

func TestDovecotAndPostfixPeer(t *testing.T) {
	p := servertest.Start(t)
	a, _ := newHome(t).open(t)
	o := account.Order{Account: account.Account{Address: "alice@mail.test"}, Password: transport.Secret(p.Users["alice@mail.test"]), Confirmed: true}
	o.IMAP = transport.Server{Host: p.Host, Port: servertest.Port(p.IMAPStartTLS), Security: transport.StartTLS, RootsPEM: p.CAPEM}
	o.SMTP = transport.Server{Host: p.Host, Port: servertest.Port(p.SMTPAddr), RootsPEM: p.CAPEM}
	if _, err := a.Add(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	o.Password = "sun"
	if _, err := a.Add(t.Context(), o); code(err) != "sign-in" {
		t.Errorf("%v", err)
	}
	o.IMAP.Security = transport.Implicit
	if _, err := a.Add(t.Context(), o); code(err) != "no-tls" {
		t.Errorf("%v", err)
	}
	o.IMAP = transport.Server{Host: p.Host, Port: servertest.Port(p.IMAPAddr), RootsPEM: p.CAPEM}
	o.SMTP = transport.Server{Host: p.Host, Port: servertest.Port(p.MXAddr), Security: transport.StartTLS, RootsPEM: p.CAPEM}
	o.Password = transport.Secret(p.Users["alice@mail.test"])
	if _, err := a.Add(t.Context(), o); code(err) != "no-sign-in" {
		t.Errorf("a server that takes no sign-in: %v", err)
	}
}
