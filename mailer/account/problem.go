package account

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"countersign/mailer/transport"
)

// Problem is why an account was not added.
type Problem struct {
	Code string // stable, for programs: server-not-confirmed, sign-in, unreachable, certificate ...
	Says string // what is wrong, one or two sentences
	Next string // what to do about it, one sentence
	Err  error  // the cause, for a log
}

// Error returns what is wrong.
func (p *Problem) Error() string { return "account: " + p.Says }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// next is what to do about each kind of failure.
var next = map[transport.Kind]string{
	transport.SignIn:      "Type the user name and the password again. Some providers want a password made for mail programs (an app password).",
	transport.Unreachable: "Check the server's name and its port, and whether this computer is connected to the network.",
	transport.Certificate: "Do not go on before you have asked whoever runs the server. A server of your own organisation may need its authority's certificate.",
	transport.NoTLS:       "Try the other kind of protection (from the first byte, or STARTTLS) with its port. Countersign never signs in without protection.",
	transport.NoSignIn:    "Ask the provider how a mail program signs in with a password; other ways are not supported yet.",
	transport.Misused:     "Correct it and try again.",
}

// problem puts the failure of a sign-in into words. What the caller stopped is
// returned as the caller's own error.
func problem(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failure *transport.Error
	if !errors.As(err, &failure) {
		return err
	}
	p := &Problem{Code: string(failure.Kind), Says: what + ": " + failure.Says, Next: next[failure.Kind], Err: err}
	if failure.Kind == transport.Stopped { // our own time for a sign-in is over
		p.Code = string(transport.Unreachable)
	}
	if p.Next == "" {
		p.Next = "Try again in a few minutes."
	}
	return p
}

func check(one Account, password transport.Secret) error {
	wrong := func(code, says, next string) error { return &Problem{Code: code, Says: says, Next: next} }
	local, domain, found := strings.Cut(one.Address, "@")
	switch {
	case !found || local == "" || domain == "" || strings.ContainsAny(one.Address, " \t\r\n<>,;"):
		return wrong("address", "That is not a mail address.", "Type it as name@clinic.example.")
	case password == "":
		return wrong("password", "A password is needed.", "Type the password of the mailbox.")
	case one.IMAP.Host == "" || one.SMTP.Host == "":
		return wrong("server", "The names of both servers are needed: one to receive mail (IMAP), one to send it (SMTP).",
			"Your organisation's IT department or your provider's help page names them.")
	}
	return nil
}

// foreign returns the servers whose names the user has to confirm.
func foreign(one Account) []string {
	var unknown []string
	for _, host := range []string{one.IMAP.Host, one.SMTP.Host} {
		if !own(one.Address, host) && !providers[host] && (len(unknown) == 0 || unknown[0] != host) {
			unknown = append(unknown, host)
		}
	}
	return unknown
}

// own reports whether a server is the address's own domain or below it.
func own(address, host string) bool {
	_, domain, _ := strings.Cut(address, "@")
	if net.ParseIP(host) != nil || !strings.Contains(domain, ".") {
		return false
	}
	return host == domain || strings.HasSuffix(host, "."+domain)
}

func unconfirmed(address string, hosts []string) error {
	_, domain, _ := strings.Cut(address, "@")
	is := "is not a server"
	if len(hosts) > 1 {
		is = "are not servers"
	}
	names := strings.Join(hosts, " and ")
	return &Problem{
		Code: "server-not-confirmed",
		Says: fmt.Sprintf("%s %s of %s, so your password was not sent there.", names, is, domain),
		Next: "Confirm if your IT department or your provider told you to use " + names + ".",
	}
}

// providers is the servers of large providers that take a password from mail
// programs, for addresses of any domain they host.
var providers = map[string]bool{
	"imap.gmail.com": true, "smtp.gmail.com": true,
	"outlook.office365.com": true, "smtp.office365.com": true, "smtp-mail.outlook.com": true,
	"imap.mail.me.com": true, "smtp.mail.me.com": true,
	"imap.mail.yahoo.com": true, "smtp.mail.yahoo.com": true,
	"imap.aol.com": true, "smtp.aol.com": true,
	"imap.fastmail.com": true, "smtp.fastmail.com": true,
	"imap.gmx.net": true, "mail.gmx.net": true, "imap.gmx.com": true, "mail.gmx.com": true,
	"imap.web.de": true, "smtp.web.de": true,
	"secureimap.t-online.de": true, "securesmtp.t-online.de": true,
	"imap.zoho.com": true, "smtp.zoho.com": true, "imap.zoho.eu": true, "smtp.zoho.eu": true,
	"imap.mailbox.org": true, "smtp.mailbox.org": true,
	"posteo.de": true,
}
