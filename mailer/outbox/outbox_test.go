package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/mailer/outbox"
	"countersign/mailer/transport"
	"countersign/vault/sealed"
)

// post is a mail server that answers as it is told.
type post struct {
	t       *testing.T
	answers map[string]transport.Recipient // by address; absent: sent
	fail    error
	got     []string // "address: bytes"
	asked   int
	refuse  json.RawMessage
	during  func() // runs while a submission is under way
}

func (p *post) again(_ context.Context, list []outbox.Envelope) (json.RawMessage, error) {
	p.asked += len(list)
	return p.refuse, nil
}

func (p *post) submit(_ context.Context, e outbox.Envelope, src sealed.Source) (transport.Result, error) {
	p.t.Helper()
	if p.during != nil {
		p.during()
	}
	r, err := src.Open()
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		p.t.Fatal(err)
	}
	var result transport.Result
	for _, to := range e.To {
		a := transport.Recipient{Address: to, State: transport.Sent}
		if p.fail != nil {
			a.State = transport.Waiting
		}
		if told, ok := p.answers[to]; ok {
			a = told
			a.Address = to
		}
		if a.State == transport.Sent {
			p.got = append(p.got, to+": "+string(data))
		}
		result.Recipients = append(result.Recipients, a)
	}
	return result, p.fail
}

type fixture struct {
	*testing.T
	db   *sealed.DB
	box  *outbox.Box
	post *post
	now  time.Time
	path string
}

func open(t *testing.T) *fixture {
	f := &fixture{T: t, now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), path: filepath.Join(t.TempDir(), "db")}
	f.reopen()
	t.Cleanup(func() { f.db.Close() })
	return f
}

// reopen is a restart of the agent.
func (f *fixture) reopen() {
	f.Helper()
	if f.db != nil {
		if err := f.db.Close(); err != nil {
			f.Fatal(err)
		}
	}
	db, err := sealed.Open(f.path, sealed.Key{1})
	if err != nil {
		f.Fatal(err)
	}
	f.db, f.post = db, &post{t: f.T}
	f.box = &outbox.Box{
		DB: db, Clock: func() time.Time { return f.now }, Rand: bytes.NewReader(make([]byte, 1<<16)),
		Again: f.post.again, Submit: f.post.submit,
	}
	if err := f.box.Open(f.Context()); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) blob(text string) outbox.Envelope {
	f.Helper()
	b, err := f.db.WriteBlob(f.Context(), strings.NewReader(text))
	if err != nil {
		f.Fatal(err)
	}
	return outbox.Envelope{From: "ada@harbour.example", Blob: b.ID, Size: b.Size, Plan: json.RawMessage(`{}`)}
}

func (f *fixture) accept(id string, to ...[]string) bool {
	f.Helper()
	a := outbox.Acceptance{ID: id, MessageID: "<" + id + "@harbour.example>", Subject: "Echo"}
	for _, addresses := range to {
		e := f.blob("bytes of " + id)
		e.To = addresses
		a.Envelopes = append(a.Envelopes, e)
	}
	var fresh bool
	err := f.db.Update(f.Context(), func(tx *sql.Tx) (err error) {
		fresh, err = f.box.Accept(f.Context(), tx, a)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return fresh
}

func (f *fixture) round() time.Time {
	f.Helper()
	next, err := f.box.Round(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return next
}

// stands compares where a message stands with "state; address state; ...".
func (f *fixture) stands(id, want string) outbox.Message {
	f.Helper()
	m, err := f.box.Get(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	got := string(m.State)
	for _, d := range m.Deliveries {
		got += "; " + d.Address + " " + string(d.State)
	}
	if got != want {
		f.Errorf("%s stands %q, not %q", id, got, want)
	}
	return m
}

func TestSent(t *testing.T) {
	f := open(t)
	var changed []string
	f.box.Changed = func(id string) { changed = append(changed, id) }
	if !f.accept("one", []string{"bea@n.example", "carl@n.example"}, []string{"dora@n.example"}) {
		t.Fatal("not accepted")
	}
	f.stands("one", "waiting; bea@n.example waiting; carl@n.example waiting; dora@n.example waiting")
	if next := f.round(); !next.IsZero() {
		t.Errorf("something is still due at %v", next)
	}
	f.stands("one", "sent; bea@n.example sent; carl@n.example sent; dora@n.example sent")
	if len(f.post.got) != 3 || f.post.got[2] != "dora@n.example: bytes of one" {
		t.Errorf("the server got %q", f.post.got)
	}
	if f.post.asked != 3 { // both envelopes, then the second once more
		t.Errorf("permission was asked for %d envelopes", f.post.asked)
	}
	if len(changed) != 2 {
		t.Errorf("changed: %q", changed)
	}
	if n, err := f.box.Unfinished(f.Context()); n != 0 || err != nil {
		t.Errorf("%d unfinished, %v", n, err)
	}
}

func TestAcceptedOnce(t *testing.T) {
	f := open(t)
	if !f.accept("one", []string{"bea@n.example"}) || f.accept("one", []string{"bea@n.example"}) {
		t.Fatal("the second acceptance was not recognised")
	}
	f.round()
	if len(f.post.got) != 1 {
		t.Errorf("sent %d times", len(f.post.got))
	}
	if f.accept("one", []string{"bea@n.example"}) {
		t.Error("accepted again after it was sent")
	}
}

func TestNothingHalfAccepted(t *testing.T) {
	f := open(t)
	e := f.blob("x")
	e.To = []string{"bea@n.example"}
	missing := e
	missing.Blob = 99
	stop := errors.New("the draft could not be removed")
	for _, c := range []struct {
		a    outbox.Acceptance
		then error
	}{
		{outbox.Acceptance{ID: "one", Envelopes: []outbox.Envelope{e, missing}}, nil},
		{outbox.Acceptance{ID: "one", Envelopes: []outbox.Envelope{e, {From: "a", Blob: e.Blob}}}, nil},
		{outbox.Acceptance{ID: "one", Envelopes: []outbox.Envelope{e}}, stop},
	} {
		err := f.db.Update(t.Context(), func(tx *sql.Tx) error {
			if _, err := f.box.Accept(t.Context(), tx, c.a); err != nil {
				return err
			}
			return c.then
		})
		if err == nil {
			t.Error("no error")
		}
		if _, err := f.box.Get(t.Context(), "one"); !errors.Is(err, outbox.ErrUnknown) {
			t.Errorf("Get: %v", err)
		}
	}
}

func TestRetriedWithBackoff(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example"})
	f.post.fail = &transport.Error{Kind: transport.Unreachable, Says: "mail.harbour.example did not answer."}
	var waits []time.Duration
	for range 12 {
		next := f.round()
		waits = append(waits, next.Sub(f.now))
		f.now = next.Add(-time.Millisecond)
		before := f.post.asked
		f.round()
		if f.post.asked != before {
			t.Fatal("tried before its time")
		}
		f.now = next
	}
	for i := 1; i < len(waits); i++ {
		if waits[i] < waits[i-1] {
			t.Errorf("the pauses shrink: %v", waits)
		}
	}
	if waits[11] > 5*time.Hour {
		t.Errorf("the pauses grow beyond measure: %v", waits)
	}
	m := f.stands("one", "waiting; bea@n.example waiting")
	if m.Attempts != 12 || m.Problem != "mail.harbour.example did not answer." || !m.Next.Equal(f.now) {
		t.Errorf("%+v", m)
	}
	f.post.fail = nil
	f.round()
	f.stands("one", "sent; bea@n.example sent")
	if f.post.got[0] != "bea@n.example: bytes of one" {
		t.Errorf("%q", f.post.got)
	}
}

func TestGivesUpInWords(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example"})
	f.post.fail = &transport.Error{Says: "mail.harbour.example did not answer."}
	f.round()
	f.now = f.now.Add(73 * time.Hour)
	if next := f.round(); !next.IsZero() {
		t.Errorf("due again at %v", next)
	}
	m := f.stands("one", "failed; bea@n.example failed")
	if got := m.Deliveries[0].Problem; got != "No server took it in three days. mail.harbour.example did not answer." {
		t.Errorf("%q", got)
	}
}

func TestPartlyTaken(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example", "carl@n.example", "gone@n.example"})
	f.post.answers = map[string]transport.Recipient{
		"carl@n.example": {State: transport.Waiting, Says: "The server takes no mail for carl@n.example now."},
		"gone@n.example": {State: transport.Failed, Says: "There is no mailbox gone@n.example."},
	}
	next := f.round()
	m := f.stands("one", "waiting; bea@n.example sent; carl@n.example waiting; gone@n.example failed")
	if m.Deliveries[2].Problem != "There is no mailbox gone@n.example." || m.Deliveries[0].At.IsZero() {
		t.Errorf("%+v", m.Deliveries)
	}
	f.post.answers, f.post.got, f.now = nil, nil, next
	f.round()
	f.stands("one", "failed; bea@n.example sent; carl@n.example sent; gone@n.example failed")
	if len(f.post.got) != 1 || f.post.got[0] != "carl@n.example: bytes of one" {
		t.Errorf("the second round sent %q", f.post.got)
	}
}

func TestRefusedForGood(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example"})
	f.post.fail = &transport.Error{Permanent: true, Says: "The message is too large."}
	f.post.answers = map[string]transport.Recipient{"bea@n.example": {State: transport.Failed, Says: "The message is too large."}}
	f.round()
	m := f.stands("one", "failed; bea@n.example failed")
	if m.Deliveries[0].Problem != "The message is too large." {
		t.Errorf("%+v", m)
	}
}

func TestOtherFailuresAreTriedAgain(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example"})
	f.box.Submit = func(context.Context, outbox.Envelope, sealed.Source) (transport.Result, error) {
		return transport.Result{}, errors.New("account: no account")
	}
	f.round()
	if m := f.stands("one", "waiting; bea@n.example waiting"); m.Problem != "It could not be handed to a mail server yet." {
		t.Errorf("%q", m.Problem)
	}
}

func TestHeld(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example"}, []string{"carl@n.example"})
	f.accept("two", []string{"dora@n.example"})
	f.post.refuse = json.RawMessage(`[{"code":"revoked"}]`)
	f.box.Again = func(ctx context.Context, list []outbox.Envelope) (json.RawMessage, error) {
		if list[0].To[0] == "dora@n.example" {
			return nil, nil
		}
		return f.post.again(ctx, list)
	}
	f.round()
	m := f.stands("one", "held; bea@n.example waiting; carl@n.example waiting")
	if string(m.Refusals) != `[{"code":"revoked"}]` || m.Attempts != 0 {
		t.Errorf("%+v", m)
	}
	f.stands("two", "sent; dora@n.example sent")
	f.round()
	if f.post.asked != 2 {
		t.Errorf("asked %d times", f.post.asked)
	}
	if err := f.box.Retry(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.post.refuse = nil
	f.round()
	if m := f.stands("one", "sent; bea@n.example sent; carl@n.example sent"); m.Refusals != nil {
		t.Errorf("refusals stayed: %s", m.Refusals)
	}
}

func TestHeldAfterSomeGotIt(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example"}, []string{"carl@n.example"})
	f.post.during = func() { f.post.refuse = json.RawMessage(`[{}]`) }
	f.round()
	f.stands("one", "held; bea@n.example sent; carl@n.example waiting")
	if err := f.box.Withdraw(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	f.stands("one", "withdrawn; bea@n.example sent; carl@n.example withdrawn")
}

func TestWithdraw(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example"})
	f.post.during = func() {
		if err := f.box.Withdraw(t.Context(), "one"); !errors.Is(err, outbox.ErrSending) {
			t.Errorf("withdrawn while going out: %v", err)
		}
	}
	f.post.fail = &transport.Error{Says: "later"}
	f.round()
	if err := f.box.Withdraw(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	f.stands("one", "withdrawn; bea@n.example withdrawn")
	f.now = f.now.Add(time.Hour)
	f.post.during, f.post.fail = nil, nil
	if f.round(); len(f.post.got) != 0 {
		t.Errorf("sent after it was withdrawn: %q", f.post.got)
	}
	if err := f.box.Withdraw(t.Context(), "one"); !errors.Is(err, outbox.ErrTaken) {
		t.Errorf("withdrawn twice: %v", err)
	}
	f.accept("two", []string{"bea@n.example"})
	f.round()
	if err := f.box.Withdraw(t.Context(), "two"); !errors.Is(err, outbox.ErrTaken) {
		t.Errorf("withdrawn after it was sent: %v", err)
	}
	if err := f.box.Withdraw(t.Context(), "three"); !errors.Is(err, outbox.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
}

func TestRestart(t *testing.T) {
	f := open(t)
	f.accept("one", []string{"bea@n.example"})
	crash := errors.New("crash")
	f.box.Submit = func(context.Context, outbox.Envelope, sealed.Source) (transport.Result, error) {
		panic(crash)
	}
	func() {
		defer func() {
			if recover() != crash {
				t.Error("no crash")
			}
		}()
		f.round()
	}()
	f.stands("one", "sending; bea@n.example waiting")
	f.reopen()
	f.stands("one", "waiting; bea@n.example waiting")
	f.round()
	f.stands("one", "sent; bea@n.example sent")
}

func TestRunSubmitsWhenWoken(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.box.Changed = func(string) { cancel() }
	ended := make(chan error)
	go func() { ended <- f.box.Run(ctx) }()
	f.accept("one", []string{"bea@n.example"})
	f.box.Wake()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	f.stands("one", "sent; bea@n.example sent")
}

func TestListKeepsAHundred(t *testing.T) {
	f := open(t)
	f.accept("held back", []string{"bea@n.example"})
	f.post.fail = errors.New("later")
	f.round()
	f.post.fail = nil
	for i := range 105 {
		f.now = f.now.Add(time.Millisecond)
		f.accept("m"+string(rune('a'+i/26))+string(rune('a'+i%26)), []string{"bea@n.example"})
	}
	f.round()
	list, err := f.box.List(t.Context())
	if err != nil || len(list) != 101 {
		t.Fatalf("%d in the list, %v", len(list), err)
	}
	if list[0].ID != "mea" || list[100].ID != "held back" || len(list[100].Deliveries) != 1 {
		t.Errorf("from %q to %q", list[0].ID, list[100].ID)
	}
}
