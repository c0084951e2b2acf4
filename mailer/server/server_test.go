package server_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/mailer/server"
	"countersign/mailer/server/servertest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const ada, bea = "ada@clinic.example", "bea@clinic.example"

// house is a running server with the mailboxes of ada and bea.
type house struct {
	*server.Memory
	*server.Server
	tls *tls.Config
}

func start(t testing.TB, change func(*server.Options)) house {
	t.Helper()
	authority := servertest.NewAuthority(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authority.PEM))
	h := house{Memory: server.NewMemory(), tls: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	h.Add(ada, "rain")
	h.Add(bea, "sun")
	o := server.Options{Store: h.Memory, Certificate: authority.Localhost(t), Log: slog.New(panics{slog.DiscardHandler})}
	if change != nil {
		change(&o)
	}
	s, err := server.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h.Server = s
	return h
}

// imap signs in as bea.
func (h house) imap(t testing.TB, handler *imapclient.UnilateralDataHandler) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(h.IMAP.String(), &imapclient.Options{TLSConfig: h.tls, UnilateralDataHandler: handler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(bea, "sun").Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (h house) put(t testing.TB, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := h.Deliver("stranger@elsewhere.example", []string{bea}, strings.NewReader(m)); err != nil {
			t.Fatal(err)
		}
	}
}

func inbox(t testing.TB, c *imapclient.Client) *imap.SelectData {
	t.Helper()
	data, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func all(t *testing.T, c *imapclient.Client, o *imap.FetchOptions) []*imapclient.FetchMessageBuffer {
	t.Helper()
	o.UID, o.Flags = true, true
	got, err := c.Fetch(imap.SeqSet{{Start: 1}}, o).Collect()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func note(n int) string {
	return fmt.Sprintf("From: a@x.example\r\nSubject: note %d\r\n\r\nbody %d\r\n", n, n)
}

func TestFlags(t *testing.T) {
	h := start(t, nil)
	h.put(t, note(1), note(2))
	c := h.imap(t, nil)
	data := inbox(t, c)
	if data.NumMessages != 2 || data.UIDNext != 3 || data.UIDValidity == 0 || !slices.Contains(data.PermanentFlags, imap.FlagSeen) ||
		!slices.Contains(data.PermanentFlags, imap.FlagWildcard) || !slices.Contains(data.Flags, imap.FlagFlagged) {
		t.Errorf("%+v", data)
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	all(t, c, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}})
	if got := all(t, c, &imap.FetchOptions{}); len(got[0].Flags) != 0 {
		t.Errorf("a peek left %v", got[0].Flags)
	}
	if _, err := c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).Collect(); err != nil {
		t.Fatal(err)
	}
	set := func(op imap.StoreFlagsOp, want string, flags ...imap.Flag) {
		t.Helper()
		got, err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: op, Flags: flags}, nil).Collect()
		if err != nil || len(got) != 1 || fmt.Sprint(got[0].Flags) != want {
			t.Errorf("%v, %v", got, err)
		}
	}
	set(imap.StoreFlagsAdd, `[$Forwarded \Flagged \Seen]`, "$forwarded", `\FLAGGED`)
	set(imap.StoreFlagsAdd, `[$Forwarded \Flagged \Seen]`, `\seen`)
	set(imap.StoreFlagsDel, `[\Flagged \Seen]`, "$FORWARDED")
	set(imap.StoreFlagsSet, `[\Answered]`, `\Answered`, `\Recent`)
	many := []imap.Flag{}
	for n := range 100 {
		many = append(many, imap.Flag(fmt.Sprintf("flag%d%s", n, strings.Repeat("x", n))))
	}
	if _, err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Flags: many}, nil).Collect(); err != nil {
		t.Fatal(err)
	}
	if got := all(t, c, &imap.FetchOptions{}); len(got[0].Flags) > 32 || len(got[1].Flags) != 0 {
		t.Errorf("%d and %d flags", len(got[0].Flags), len(got[1].Flags))
	}
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Store(imap.UIDSetNum(2), &imap.StoreFlags{Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err == nil {
		t.Error("changed a folder that was opened for reading only")
	}
	all(t, c, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}})
	if got := all(t, c, &imap.FetchOptions{}); len(got[1].Flags) != 0 {
		t.Errorf("reading left %v", got[1].Flags)
	}
}

func TestFolders(t *testing.T) {
	h := start(t, nil)
	h.put(t, note(1), note(2), note(3))
	c := h.imap(t, nil)
	list, err := c.List("", "*", &imap.ListOptions{ReturnSpecialUse: true, ReturnStatus: &imap.StatusOptions{NumMessages: true, NumUnseen: true, Size: true}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, fmt.Sprint(l.Mailbox, l.Attrs[1:], *l.Status.NumMessages))
	}
	if want := `[INBOX[] 3 Archive[\Archive] 0 Drafts[\Drafts] 0 Junk[\Junk] 0 Sent[\Sent] 0 Trash[\Trash] 0]`; fmt.Sprint(names) != want {
		t.Errorf("%v", names)
	}
	for pattern, want := range map[string]int{"inbox": 1, "S%t": 1, "%": 6, "x*": 0, "*a*": 2, strings.Repeat("*", 40) + "z": 0, strings.Repeat("*a", 2000): 0} {
		list, err := c.List("", pattern, nil).Collect()
		if err != nil || len(list) != want {
			t.Errorf("%.20q: %d, %v", pattern, len(list), err)
		}
	}
	for name, err := range map[string]error{
		"create": c.Create("Other", nil).Wait(), "delete": c.Delete("Sent").Wait(), "rename": c.Rename("Sent", "Other", nil).Wait(),
		"select": func() error { _, err := c.Select("Other", nil).Wait(); return err }(),
	} {
		var no *imap.Error
		if !errors.As(err, &no) || no.Type != imap.StatusResponseTypeNo {
			t.Errorf("%s: %v", name, err)
		}
	}
	inbox(t, c)
	moved, err := c.Move(imap.UIDSetNum(1, 3), "Archive").Wait()
	if err != nil || fmt.Sprint(moved.SourceUIDs, moved.DestUIDs) != "1,3 1:2" {
		t.Errorf("%+v, %v", moved, err)
	}
	if moved, err := c.Move(imap.UIDSetNum(77), "Archive").Wait(); err != nil || moved.UIDValidity != 0 {
		t.Errorf("moving nothing: %+v, %v", moved, err)
	}
	if _, err := c.Copy(imap.UIDSetNum(2), "Nowhere").Wait(); err == nil {
		t.Error("copied to nowhere")
	}
	copied, err := c.Copy(imap.UIDSetNum(2), "Sent").Wait()
	if err != nil || fmt.Sprint(copied.SourceUIDs) != "2" {
		t.Errorf("%+v, %v", copied, err)
	}
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if gone, err := c.Expunge().Collect(); err != nil || fmt.Sprint(gone) != "[1]" {
		t.Errorf("%v, %v", gone, err)
	}
	if got, err := c.Select("Archive", nil).Wait(); err != nil || got.NumMessages != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	bodies := all(t, c, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	if string(bodies[1].BodySection[0].Bytes) != note(3) {
		t.Errorf("%q", bodies[1].BodySection[0].Bytes)
	}
}

func TestAppend(t *testing.T) {
	h := start(t, func(o *server.Options) { o.MaxMessage = 10_000 })
	c := h.imap(t, nil)
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.FixedZone("", 3600))
	put := func(folder, text string) (*imap.AppendData, error) {
		c := h.imap(t, nil) // the library closes the connection when a literal is refused
		a := c.Append(folder, int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}, Time: at})
		io.WriteString(a, text)
		a.Close()
		return a.Wait()
	}
	text := "Subject: as it is\n\nno CR, a NUL \x00 and no end"
	data, err := put("Sent", text)
	if err != nil || data.UID != 1 {
		t.Fatalf("%+v, %v", data, err)
	}
	var no *imap.Error
	if _, err := put("Other", text); !errors.As(err, &no) || no.Code != imap.ResponseCodeTryCreate {
		t.Errorf("into no folder: %v", err)
	}
	if _, err := put("Sent", strings.Repeat("x", 10_001)); !errors.As(err, &no) || no.Code != imap.ResponseCodeTooBig {
		t.Errorf("too large: %v", err)
	}
	if _, err := c.Select("Sent", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	got := all(t, c, &imap.FetchOptions{RFC822Size: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	if len(got) != 1 || string(got[0].BodySection[0].Bytes) != text || !got[0].InternalDate.Equal(at) ||
		got[0].RFC822Size != int64(len(text)) || fmt.Sprint(got[0].Flags) != `[\Seen]` {
		t.Errorf("%+v", got)
	}
}

// TestTwoSessions: each learns what the other did, in numbers that fit what it knows.
func TestTwoSessions(t *testing.T) {
	h := start(t, nil)
	h.put(t, note(1), note(2), note(3))
	heard := make(chan string, 100)
	watcher := h.imap(t, &imapclient.UnilateralDataHandler{
		Expunge: func(n uint32) { heard <- fmt.Sprint("gone ", n) },
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				heard <- fmt.Sprint("there are ", *d.NumMessages)
			}
		},
		Fetch: func(m *imapclient.FetchMessageData) {
			b, _ := m.Collect()
			heard <- fmt.Sprint("flags of ", b.SeqNum, b.Flags)
		},
	})
	inbox(t, watcher)
	idle, err := watcher.Idle()
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-heard:
				if got != w {
					t.Errorf("heard %q, not %q", got, w)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("never heard %q", w)
			}
		}
	}
	actor := h.imap(t, nil)
	inbox(t, actor)
	h.put(t, note(4))
	expect("there are 4")
	store := func(uid imap.UID, flag imap.Flag) {
		t.Helper()
		if err := actor.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}}, nil).Close(); err != nil {
			t.Fatal(err)
		}
	}
	store(2, imap.FlagDeleted)
	expect(`flags of 2 [\Deleted]`)
	if err := actor.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	expect("gone 2")
	if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
		t.Fatal(err)
	}

	// Now watcher is not told while it fetches: message 2 of its picture is UID 3.
	store(1, imap.FlagDeleted)
	if err := actor.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	got, err := watcher.Fetch(imap.SeqSetNum(2, 3), &imap.FetchOptions{UID: true}).Collect()
	if err != nil || len(got) != 2 || got[0].UID != 3 || got[1].UID != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := watcher.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{UID: true}).Collect(); err != nil || len(got) != 0 {
		t.Errorf("a message that is gone: %+v, %v", got, err)
	}
	if err := watcher.Noop().Wait(); err != nil {
		t.Fatal(err)
	}
	expect("gone 1")
}

func TestSearch(t *testing.T) {
	h := start(t, nil)
	h.put(t, note(1), "Subject: Other\r\nX: y\r\n\r\nlong "+strings.Repeat("body ", 100), note(3))
	c := h.imap(t, nil)
	inbox(t, c)
	if err := c.Store(imap.UIDSetNum(3), &imap.StoreFlags{Flags: []imap.Flag{imap.FlagSeen, "$Junk"}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	tomorrow := time.Now().Add(36 * time.Hour)
	for name, q := range map[string]struct {
		imap.SearchCriteria
		want string
	}{
		"all":     {imap.SearchCriteria{}, "[1 2 3]"},
		"seen":    {imap.SearchCriteria{Flag: []imap.Flag{imap.FlagSeen}}, "[3]"},
		"unseen":  {imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, "[1 2]"},
		"keyword": {imap.SearchCriteria{Flag: []imap.Flag{"$junk"}}, "[3]"},
		"uid":     {imap.SearchCriteria{UID: []imap.UIDSet{{{Start: 2, Stop: 9}}}}, "[2 3]"},
		"last":    {imap.SearchCriteria{UID: []imap.UIDSet{{{Start: 9, Stop: 0}}}}, "[3]"},
		"header":  {imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "NOTE"}}}, "[1 3]"},
		"has":     {imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "X"}}}, "[2]"},
		"body":    {imap.SearchCriteria{Body: []string{"BODY 3"}}, "[3]"},
		"text":    {imap.SearchCriteria{Text: []string{"other"}}, "[2]"},
		"larger":  {imap.SearchCriteria{Larger: 200}, "[2]"},
		"smaller": {imap.SearchCriteria{Smaller: 200}, "[1 3]"},
		"not":     {imap.SearchCriteria{Not: []imap.SearchCriteria{{Body: []string{"long"}}}}, "[1 3]"},
		"or":      {imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{{Body: []string{"long"}}, {Flag: []imap.Flag{imap.FlagSeen}}}}}, "[2 3]"},
		"before":  {imap.SearchCriteria{Before: tomorrow}, "[1 2 3]"},
		"since":   {imap.SearchCriteria{Since: tomorrow}, "[]"},
		"sent":    {imap.SearchCriteria{SentSince: time.Unix(0, 0)}, "[]"},
	} {
		got, err := c.UIDSearch(&q.SearchCriteria, nil).Wait()
		if err != nil || fmt.Sprint(got.AllUIDs()) != q.want {
			t.Errorf("%s: %v, %v", name, got.AllUIDs(), err)
		}
	}
	got, err := c.Search(&imap.SearchCriteria{}, &imap.SearchOptions{ReturnMin: true, ReturnMax: true, ReturnCount: true}).Wait()
	if err != nil || got.Min != 1 || got.Max != 3 || got.Count != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSubmission(t *testing.T) {
	type delivery struct {
		from string
		to   []string
		raw  string
	}
	var seen []delivery
	h := start(t, func(o *server.Options) { o.MaxMessage = 10_000 })
	h.Observe = func(from string, to []string, raw []byte) { seen = append(seen, delivery{from, to, string(raw)}) }
	c, err := smtp.DialTLS(h.SMTP.String(), h.tls)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	refused := func(err error, code int) {
		t.Helper()
		var e *smtp.SMTPError
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%v, not %d", err, code)
		}
	}
	refused(c.Mail(ada, nil), 530)
	refused(c.Auth(sasl.NewPlainClient("", ada, "sun")), 535)
	refused(c.Auth(sasl.NewPlainClient(bea, ada, "rain")), 535)
	if err := c.Auth(sasl.NewPlainClient("", "ADA@clinic.example", "rain")); err != nil {
		t.Fatal(err)
	}
	refused(c.Mail(bea, nil), 553)
	send := func(text string, to ...string) error {
		if err := c.Mail(ada, nil); err != nil {
			return err
		}
		for _, address := range to {
			if err := c.Rcpt(address, nil); err != nil {
				return err
			}
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		io.WriteString(w, text)
		return w.Close()
	}
	refused(send(note(1), "carl@clinic.example"), 550)
	refused(send(strings.Repeat(strings.Repeat("x", 78)+"\r\n", 200), bea), 552)
	dots := "Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n"
	if err := send(dots, bea, ada, "BEA@clinic.example"); err != nil {
		t.Fatal(err)
	}
	want := delivery{ada, []string{bea, ada, "BEA@clinic.example"}, dots}
	if len(seen) != 1 || fmt.Sprint(seen[0]) != fmt.Sprint(want) {
		t.Errorf("observed %q", seen)
	}
	reader := h.imap(t, nil)
	inbox(t, reader)
	got := all(t, reader, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	if len(got) != 1 || !bytes.Equal(got[0].BodySection[0].Bytes, []byte(dots)) {
		t.Errorf("bea has %d messages", len(got))
	}
}
