// Package keys is the life of the user's own keys, as people see it: which there are,
// a new one and its request, the certificate that comes, what is announced of it, the
// reminders before it runs out, and what to do when it is lost. It puts vault, the
// address book and the mailer together and decides nothing itself.
package keys

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"countersign/mailer"
	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/tray/control"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/issued"
	"countersign/vault/pkcs10"
	"countersign/vault/renewal"
	"countersign/vault/trust"
)

// Keys is what the room stands on. Its fields are set by whoever makes it.
type Keys struct {
	Vault  *vault.Vault
	Mailer *mailer.Mailer
	Book   *book.Book
	Log    *slog.Logger
	Clock  func() time.Time

	Note func(ctx context.Context, kind, person, says string) error // writes the journal
	Tell func(ctx context.Context, kind, id, says string) error     // tells the faces
	// Asked says of something that the user just did it, and may be asked for a PIN (K3).
	Asked func(ctx context.Context, purpose string) context.Context
	// What is done with keys on tokens.
	OnToken  func(ctx context.Context, token string, o vault.RequestOrder) (vault.Request, error) // makes one, and its request
	TakeBack func(ctx context.Context, request string) (r vault.Request, says []string, err error)
	Store    func(ctx context.Context, all []vault.Identity) (says []string) // puts certificates beside them
	Words    func(error) error                                               // turns a room's error into what a person reads

	untold atomic.Int64 // people whose announcement waits for a token
}

// List tells of each key set of the user's own, and whether it can be used.
func (s *Keys) List(ctx context.Context, _ control.None) ([]control.Identity, error) {
	own, err := s.Vault.Identities(ctx)
	if err != nil {
		return nil, s.Words(err)
	}
	list := make([]control.Identity, 0, len(own))
	for _, i := range own {
		list = append(list, s.Describe(ctx, i, own))
	}
	return list, nil
}

// Describe describes one of all. Of one that is retired, a half that another goes on
// using is not shown: what was replaced is the rest.
func (s *Keys) Describe(ctx context.Context, i vault.Identity, all []vault.Identity) control.Identity {
	v := control.Identity{ID: i.ID, Address: i.Address, Name: i.Name, Retired: i.Retired, KeyPlace: i.KeyPlace, State: "good", Lost: i.Lost}
	if i.Coming {
		v.From = i.From
	}
	v.Movable = !i.Retired && i.Lost.IsZero() && i.Encryption != nil && i.EncryptionToken == ""
	for _, one := range shown(i, all) {
		v.Usage = strings.TrimPrefix(v.Usage+" and "+one.name, " and ")
		v.Issuer = one.cert.Issuer.CommonName
		v.Expires = earlier(v.Expires, one.cert.NotAfter)
		if i.Retired || v.State != "good" {
			continue
		}
		if verdict := s.Mailer.Own(ctx, i, one.usage); !verdict.Good() {
			v.State, v.Problem = string(verdict.Status), verdict.Reason
		}
	}
	v.Certificates = ownCertificates(i)
	return v
}

// earlier is the earlier of two times, of which the first may not be set yet.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// Request makes a new key and what the authority needs to certify it.
func (s *Keys) Request(ctx context.Context, o control.RequestOrder) (control.IdentityRequest, error) {
	address, err := people.Canonical(o.Address)
	if err != nil || strings.ContainsFunc(address, func(r rune) bool { return r > '~' }) { // rfc822Name is ASCII
		return control.IdentityRequest{}, s.Words(people.ErrAddress)
	}
	own, err := s.Vault.Identities(ctx)
	if err != nil {
		return control.IdentityRequest{}, s.Words(err)
	}
	name := policy.CleanLine(o.Name)
	for _, i := range own {
		if i.Address == address {
			name = cmp.Or(name, i.Name)
		}
	}
	order := vault.RequestOrder{Address: address, Name: name, Kind: cmp.Or(pkcs10.Kind(o.Key), pkcs10.RSA3072), Separate: o.Separate}
	var r vault.Request
	if o.Token != "" {
		r, err = s.OnToken(ctx, o.Token, order)
	} else {
		r, err = s.Vault.MakeRequest(ctx, order)
	}
	if err != nil {
		return control.IdentityRequest{}, s.Words(err)
	}
	if err := s.Note(ctx, "request", address, "A new key was made, and a certificate for it asked for."); err != nil {
		return control.IdentityRequest{}, err
	}
	return request(r), s.Tell(ctx, "status", "", "A new key waits for its certificate.")
}

func request(r vault.Request) control.IdentityRequest {
	return control.IdentityRequest{
		ID: r.ID, Address: r.Address, Name: r.Name, Key: string(r.Kind), Separate: len(r.Keys) > 1, Made: r.Made,
		Half: slices.ContainsFunc(r.Keys, func(k vault.RequestedKey) bool { return k.Certificate != nil }), PEM: string(r.PEM()),
	}
}

func described(all []vault.Request) []control.IdentityRequest {
	list := make([]control.IdentityRequest, 0, len(all))
	for _, r := range all {
		list = append(list, request(r))
	}
	return list
}

// Requests lists what waits for its certificate.
func (s *Keys) Requests(ctx context.Context, _ control.None) ([]control.IdentityRequest, error) {
	all, err := s.Vault.Requests(ctx)
	return described(all), s.Words(err)
}

// Discard takes a request back.
func (s *Keys) Discard(ctx context.Context, q control.RequestQuery) (control.None, error) {
	r, says, err := s.TakeBack(ctx, q.ID)
	if err != nil {
		return control.None{}, s.Words(err)
	}
	if err := s.Note(ctx, "request", r.Address, "A request for a certificate was discarded, and its key destroyed."); err != nil {
		return control.None{}, err
	}
	return control.None{}, s.Tell(ctx, "status", "", strings.Join(append([]string{"A request for a certificate was discarded."}, says...), " "))
}

// Install takes in what the authority issued.
func (s *Keys) Install(ctx context.Context, _ control.None, file io.Reader) (control.Installed, error) {
	data, err := io.ReadAll(io.LimitReader(file, vault.MaxCertificates+1))
	if err != nil {
		return control.Installed{}, fmt.Errorf("reading the certificate file: %w", err)
	}
	done, err := s.Vault.Install(ctx, data, func(i vault.Identity) error { return s.vouched(ctx, i) })
	if err != nil {
		return control.Installed{}, s.Words(err)
	}
	if done.Waits {
		return control.Installed{Identities: []control.Identity{}, Waits: true, Says: []string{
			"This certificate is kept. The one for the other key of your request is still to come."}}, nil
	}
	return s.welcome(ctx, done, "A new certificate was installed.", "The new certificate is in use.")
}

// welcome notes what came into use, or is to on a later day, and announces it.
func (s *Keys) welcome(ctx context.Context, done vault.Installed, noted, says string) (control.Installed, error) {
	for _, i := range done.Identities {
		if err := s.Note(ctx, "identity", i.Address, noted); err != nil {
			return control.Installed{}, err
		}
	}
	s.Announce(ctx)
	all, err := s.Vault.Identities(ctx) // they say where the keys came to lie, and since when they sign
	if err != nil {
		return control.Installed{}, s.Words(err)
	}
	result := control.Installed{Says: []string{says}}
	for n, i := range done.Identities {
		for _, now := range all {
			if now.ID == i.ID {
				done.Identities[n] = now
				result.Identities = append(result.Identities, s.Describe(ctx, now, all))
			}
		}
		if now := done.Identities[n]; now.Coming {
			result.Says[0] = "The new certificate is in use from " + now.From.In(time.Local).Format("2 January 2006") +
				". Until then the one before signs what you write, and mail to either can be read."
		}
	}
	if len(done.Replaced) > 0 {
		result.Says = append(result.Says, "The one before is kept, so that old mail can still be read.")
	}
	more, err := s.succession(ctx, done.Identities)
	if err != nil {
		return control.Installed{}, err
	}
	result.Says = append(append(result.Says, more...), s.Store(ctx, done.Identities)...)
	return result, s.Tell(ctx, "status", "", "Your certificates have changed.")
}

// TakeOver makes the keys that are to take over sign from now on.
func (s *Keys) TakeOver(ctx context.Context, q control.IdentityQuery) (control.None, error) {
	own, err := s.Vault.Identities(ctx)
	if err == nil {
		err = s.Vault.TakeOver(ctx, q.ID)
	}
	if err != nil {
		return control.None{}, s.Words(err)
	}
	for _, i := range own {
		if i.ID == q.ID && i.Coming {
			if err := s.Note(ctx, "identity", i.Address, "The new certificate was taken into use before its day."); err != nil {
				return control.None{}, err
			}
		}
	}
	s.Announce(ctx)
	return control.None{}, s.Tell(ctx, "status", "", "Your certificates have changed.")
}

// vouched refuses what nobody would accept: it would take the place of what works.
func (s *Keys) vouched(ctx context.Context, i vault.Identity) error {
	for _, half := range halves(i) {
		switch v := s.Mailer.Own(ctx, i, half.usage); v.Status {
		case trust.Trusted, trust.Unknown: // whether it was withdrawn is asked again before each letter
		case trust.Untrusted:
			return &vault.Problem{Code: "untrusted", Says: "No authority that you trust stands behind this certificate. " + v.Reason,
				Next: "If it is from the right authority, add that authority's certificate first, then install this one again."}
		default:
			return &vault.Problem{Code: string(v.Status), Says: "This certificate cannot be used. " + v.Reason, Next: "Ask your authority for a new one."}
		}
	}
	return nil
}

// succession says what new keys mean for the recovery file and for other people.
func (s *Keys) succession(ctx context.Context, now []vault.Identity) (says []string, err error) {
	recovery, err := s.Vault.Recovery(ctx)
	if err != nil {
		return nil, s.Words(err)
	}
	says = recoverable(recovery.State, now)
	for _, i := range now {
		before, err := s.Vault.Before(ctx, i)
		switch {
		case err != nil:
			return nil, s.Words(err)
		case before.ID == "":
		case i.Coming:
			says = append(says, "The people you write to are told now, signed with both keys, so that they need not confirm you again.")
		case s.Mailer.CanAnnounce(ctx, before):
			says = append(says, "The people you wrote to are told of the new key, signed with the old one, so that they need not confirm you again.")
		default:
			says = append(says, "The old certificate is no longer in force, so it cannot vouch for the new one: people who confirmed you have to do so again.")
		}
	}
	return says, nil
}

// Lost gives up the keys of an identity (K2), and begins a new key.
func (s *Keys) Lost(ctx context.Context, o control.LostOrder) (control.LostReport, error) {
	i, err := s.Vault.Lose(ctx, o.ID)
	if err != nil {
		return control.LostReport{}, s.Words(err)
	}
	if err := s.Note(ctx, "lost", i.Address, "The keys of a certificate were given up: lost, or in other hands. Nothing is signed with them any more."); err != nil {
		return control.LostReport{}, err
	}
	if err := s.Mailer.Reconsider(ctx); err != nil {
		return control.LostReport{}, err
	}
	r := control.LostReport{Address: i.Address, Name: i.Name, At: i.Lost, Certificates: ownCertificates(i)}
	if r.Call, err = s.toCall(ctx); err != nil {
		return r, err
	}
	q, err := s.Request(ctx, control.RequestOrder{Address: i.Address, Name: i.Name})
	var known *control.Error
	switch {
	case err == nil:
		r.Request = &q
	case errors.As(err, &known) && known.Code == vault.ErrRequested.Code:
		r.Says = append(r.Says, "A certificate for a new key was asked for before. If this computer was in other hands since, take that request back and make another.")
	default:
		return r, err
	}
	says := []string{
		"Nothing is signed with this key any more. Mail that was encrypted to it can still be read here.",
		"Telephone your authority's revocation desk now, and read out what stands below.",
	}
	if len(r.Call) > 0 {
		says = append(says, "Then call the people below, on the numbers recorded when you confirmed them, and ask them to stop writing to you until you have a new certificate.")
	}
	r.Says = append(append(says, "If somebody else may have the key, mail that was sent to you earlier may be read by them: tell those who sent it."), r.Says...)
	return r, s.Tell(ctx, "status", "", "A key of yours was given up. Nothing is signed with it any more.")
}

// toCall lists who was verified, and so may have the user's key, by number.
func (s *Keys) toCall(ctx context.Context) ([]control.ToCall, error) {
	list := []control.ToCall{}
	reached, err := s.Mailer.Outbox.Reached(ctx, s.Clock().Add(time.Second))
	for _, address := range reached {
		c, err := s.Book.Get(ctx, address)
		if errors.Is(err, book.ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, s.Words(err)
		}
		if c.Pin != nil {
			list = append(list, control.ToCall{Name: c.Name, Address: c.Address, Number: c.Pin.Call.Number, Source: string(c.Pin.Call.Source)})
		}
	}
	slices.SortFunc(list, func(a, b control.ToCall) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	return list, err
}

// shown lists the halves of one of all identities that are its own: of one that is
// retired, not those that another, in use, goes on with.
func shown(i vault.Identity, all []vault.Identity) []half {
	return slices.DeleteFunc(halves(i), func(one half) bool {
		return i.Retired && slices.ContainsFunc(all, func(o vault.Identity) bool {
			return !o.Retired && slices.ContainsFunc(halves(o), func(h half) bool { return h.usage == one.usage && h.cert.Equal(one.cert) })
		})
	})
}

// half is one of the two uses of an identity.
type half struct {
	cert  *x509.Certificate
	usage trust.Usage
	name  string
}

// halves lists the uses that an identity has a certificate for.
func halves(i vault.Identity) (list []half) {
	for _, h := range []half{{i.Signing, trust.Sign, "signing"}, {i.Encryption, trust.Encrypt, "encryption"}} {
		if h.cert != nil {
			list = append(list, h)
		}
	}
	return list
}

func ownCertificates(i vault.Identity) (list []control.OwnCertificate) {
	for _, h := range halves(i) {
		if n := len(list) - 1; n >= 0 && h.cert.Equal(i.Signing) {
			list[n].Usage += " and " + h.name
			continue
		}
		sum := sha256.Sum256(h.cert.Raw)
		list = append(list, control.OwnCertificate{
			Usage: h.name, Key: issued.KeyKind(h.cert), Subject: h.cert.Subject.String(), Issuer: h.cert.Issuer.String(),
			Serial: hex.EncodeToString(h.cert.SerialNumber.Bytes()), Fingerprint: hex.EncodeToString(sum[:]),
			Addresses: trust.Names(h.cert), Starts: h.cert.NotBefore, Expires: h.cert.NotAfter,
		})
	}
	return list
}

// Tend looks after the user's own certificates, and is to be called every hour:
// reminders, and announcements that could not be made when they were due.
func (s *Keys) Tend(ctx context.Context) error {
	err := s.remind(ctx)
	s.Announce(ctx)
	return err
}

// Announce tells of new keys whoever has not been told. What stands in the way now is
// looked at again in an hour.
func (s *Keys) Announce(ctx context.Context) {
	n, err := s.Mailer.Announce(ctx)
	var refused *mailer.Refused
	waits := vault.WhyToken(err) != nil
	if err != nil && ctx.Err() == nil && !errors.As(err, &refused) && !waits {
		s.Log.Warn("announcing new keys", "error", err)
	}
	var left int64
	if waits {
		people, _ := s.Mailer.Untold(ctx) // that there are some is known
		left = int64(max(people, 1))
	}
	if was := s.untold.Swap(left); (was > 0) != waits && n == 0 {
		says := "" // for those that show it as long as it waits
		if waits {
			says = untold.Reason
		}
		if err := s.Tell(ctx, "status", "", says); err != nil {
			s.Log.Warn("telling the faces", "error", err)
		}
	}
	if n > 0 {
		if err := s.Tell(ctx, "status", "", "Your new key is announced to "+counted(n)+" you wrote to."); err != nil {
			s.Log.Warn("telling the faces", "error", err)
		}
	}
}

// untold is what the faces say while an announcement waits for a token.
var untold = control.Refusal{
	Person: "you", Code: "announcement-waits", Reason: "People you write to have not been told of your new key: that waits for your card.",
	Next: "Insert the card and unlock it, and they are told.", Command: "countersign token unlock", Link: "/cards", Button: "To the card",
}

// Untold says that an announcement waits for a token; else it is nil.
func (s *Keys) Untold() *control.Refusal {
	n := s.untold.Load()
	if n == 0 {
		return nil
	}
	v := untold
	if n > 1 {
		v.Next += fmt.Sprintf(" That is %d signatures: a card that asks for its PIN at each will ask %d times.", n, n)
	}
	return &v
}

func counted(n int) string {
	if n == 1 {
		return "one person"
	}
	return fmt.Sprintf("%d people", n)
}

// remind tells the user, once for each stage, that a certificate runs out.
func (s *Keys) remind(ctx context.Context) error {
	due, err := s.Vault.Reminders(ctx)
	for _, r := range due {
		if !r.Owed {
			continue
		}
		says, err := s.renew(ctx, r)
		if err == nil {
			err = s.Note(ctx, "renewal", r.Identity.Address, says.Reason)
		}
		if err == nil {
			err = s.Tell(ctx, "status", "", says.Reason+" "+says.Next)
		}
		if err == nil {
			err = s.Vault.Reminded(ctx, r)
		}
		if err != nil {
			return err
		}
	}
	return err
}

// renew says that a certificate runs out, and the step to take.
func (s *Keys) renew(ctx context.Context, r vault.Reminder) (control.Refusal, error) {
	v := control.Refusal{
		Person: "you", Address: r.Identity.Address, Code: "renew", Reason: renewal.Says(r.Ends, s.Clock(), time.Local),
		Next: "Ask your authority for a new one.", Command: "countersign identity request " + r.Identity.Address + " --out FILE",
		Link: "/setup", Button: "Renew it",
	}
	if r.Stage == renewal.Out {
		v.Code, v.Reason = "run-out", v.Reason+" Nothing can be sent with it."
	}
	waiting, err := s.Vault.Requests(ctx)
	if slices.ContainsFunc(waiting, func(q vault.Request) bool { return q.Address == r.Identity.Address }) {
		v.Next, v.Command, v.Button = "You have asked for a new one: install it when it comes.", "countersign identity install FILE", "Install it"
	}
	return v, err
}

// Renewing is what the status says of the certificate that runs out first.
func (s *Keys) Renewing(ctx context.Context) (*control.Refusal, error) {
	due, err := s.Vault.Reminders(ctx)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	first := slices.MinFunc(due, func(x, y vault.Reminder) int { return x.Ends.Compare(y.Ends) })
	v, err := s.renew(ctx, first)
	return &v, err
}
