package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/mailer/server"

	"github.com/emersion/go-imap/v2"
)

// panics makes a panic again of every one that the libraries caught and logged.
type panics struct{ slog.Handler }

func (panics) Enabled(context.Context, slog.Level) bool { return true }

func (panics) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "panic") {
		panic(r.Message)
	}
	return nil
}

// talk says lines over a connection and returns all that comes back until the server
// hangs up, which the last line must ask it to.
func talk(t testing.TB, c net.Conn, text string) string {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(8 * time.Second))
	go io.WriteString(c, text)
	said, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", said, err)
	}
	return string(said)
}

// babble says anything, and that this is all, and waits for the server to hang up.
func babble(t testing.TB, c net.Conn, text string) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(8 * time.Second))
	go func() {
		io.WriteString(c, text)
		c.(*tls.Conn).CloseWrite()
	}()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server does not end after %q", text)
	}
}

func (h house) dial(t testing.TB, address net.Addr) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", address.String(), h.tls)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNoPasswordInTheClear(t *testing.T) {
	h := start(t, func(o *server.Options) { o.StartTLS = true })
	c, err := net.Dial("tcp", h.IMAP.String())
	if err != nil {
		t.Fatal(err)
	}
	said := talk(t, c, "a LOGIN bea@clinic.example sun\r\nb AUTHENTICATE PLAIN AGJlYUBjbGluaWMuZXhhbXBsZQBzdW4=\r\nc LOGOUT\r\n")
	if !strings.Contains(said, "LOGINDISABLED") || strings.Contains(said, "AUTH=") || strings.Count(said, "[PRIVACYREQUIRED]") != 2 {
		t.Errorf("IMAP said %q", said)
	}
	if c, err = net.Dial("tcp", h.SMTP.String()); err != nil {
		t.Fatal(err)
	}
	said = talk(t, c, "EHLO me\r\nAUTH PLAIN AGJlYUBjbGluaWMuZXhhbXBsZQBzdW4=\r\nMAIL FROM:<bea@clinic.example>\r\nQUIT\r\n")
	if strings.Contains(said, "AUTH PLAIN") || strings.Contains(said, "235") || !strings.Contains(said, "530") {
		t.Errorf("SMTP said %q", said)
	}
}

// odd are messages that have brought mail servers down.
func odd() map[string]string {
	return map[string]string{
		"empty":                "",
		"multipart of nothing": "Content-Type: multipart/\r\n\r\nx",
		"no boundary":          "Content-Type: multipart/mixed\r\n\r\nx",
		"no parts":             "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n",
		"not closed":           "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\n\r\nsecond",
		"no colon":             "Subject: x\r\nwhat is this\r\n\r\nbody\r\n",
		"no header":            "\r\nbody",
		"bare LF":              "Subject: x\n\nbody\n",
		"NUL and 8 bit":        "Subject: \xff\x00\r\nFrom: \"\r\n x\" <a@b>, (((, <\r\n\r\n\x00\xff",
		"inside itself":        strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 200),
		"deep":                 deep(500),
		"many parts":           "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 2000) + "--b--\r\n",
		"long header":          "Subject: " + strings.Repeat("x", 3<<20) + "\r\n\r\nbody\r\n",
		"odd date":             "Date: Tue, 99 Xyz 99999999999 99:99:99 +9999\r\nMessage-ID: <<>>\r\nIn-Reply-To: > <\r\n\r\n",
		"odd type":             "Content-Type: /;=;\"\r\nContent-Disposition: ;;;\r\n\r\nx",
	}
}

func deep(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return b.String()
}

// everything is each way to describe a message.
func everything() *imap.FetchOptions {
	o := &imap.FetchOptions{UID: true, Flags: true, Envelope: true, RFC822Size: true, InternalDate: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}}
	for _, part := range [][]int{nil, {1}, {2}, {1, 1}, {1, 2, 3}, {4000}} {
		for _, specifier := range []imap.PartSpecifier{imap.PartSpecifierNone, imap.PartSpecifierHeader, imap.PartSpecifierText, imap.PartSpecifierMIME} {
			if part == nil && specifier == imap.PartSpecifierMIME {
				continue
			}
			o.BodySection = append(o.BodySection, &imap.FetchItemBodySection{Part: part, Specifier: specifier, Peek: true})
		}
	}
	o.BodySection = append(o.BodySection,
		&imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Offset: 3, Size: 5}},
		&imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Offset: 1 << 62, Size: 1 << 62}},
		&imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"subject", "From"}},
		&imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader, HeaderFieldsNot: []string{"subject"}})
	return o
}

// TestOddMessages: whatever a message is, it can be described, and its bytes are
// given as they came.
func TestOddMessages(t *testing.T) {
	describe(t, odd())
}

func TestMalformedVectors(t *testing.T) {
	paths, _ := filepath.Glob("../../../shared/vectors/malformed-mime/*.eml")
	if len(paths) == 0 {
		t.Skip("shared/vectors/malformed-mime is not here")
	}
	found := map[string]string{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(path)] = string(raw)
	}
	describe(t, found)
}

func describe(t *testing.T, messages map[string]string) {
	h := start(t, nil)
	c := h.imap(t, nil)
	inbox(t, c)
	uid := imap.UID(0)
	for name, raw := range messages {
		h.put(t, raw)
		uid++
		if err := c.Noop().Wait(); err != nil {
			t.Fatal(err)
		}
		got, err := c.Fetch(imap.UIDSetNum(uid), everything()).Collect()
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %d, %v", name, len(got), err)
		}
		m := got[0]
		part := func(i int) string { return string(m.BodySection[i].Bytes) }
		if part(0) != raw || m.RFC822Size != int64(len(raw)) {
			t.Errorf("%s: %d bytes of %d", name, len(part(0)), len(raw))
		}
		if whole := part(1) + part(2); whole != raw {
			t.Errorf("%s: header and text are %.80q", name, whole)
		}
		if want := raw[min(3, len(raw)):min(8, len(raw))]; part(len(m.BodySection)-4) != want {
			t.Errorf("%s: bytes 3 to 8 are %q", name, part(len(m.BodySection)-4))
		}
	}
}

func TestSections(t *testing.T) {
	inner := "Subject: inner\r\n\r\ninside\r\n"
	raw := "Subject: outer\r\nFrom: Dr A <a@x.example>\r\nTO: b@x.example,\r\n c@x.example\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n" +
		"--b\r\nContent-Type: text/plain\r\nContent-ID: <1>\r\n\r\nfirst\r\nline\r\n" +
		"--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner +
		"\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"x.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepilogue\r\n"
	h := start(t, nil)
	h.put(t, raw)
	c := h.imap(t, nil)
	inbox(t, c)
	sections := []struct {
		item imap.FetchItemBodySection
		want string
	}{
		{imap.FetchItemBodySection{Part: []int{1}}, "first\r\nline"},
		{imap.FetchItemBodySection{Part: []int{1}, Specifier: imap.PartSpecifierMIME}, "Content-Type: text/plain\r\nContent-ID: <1>\r\n\r\n"},
		{imap.FetchItemBodySection{Part: []int{2}}, inner},
		{imap.FetchItemBodySection{Part: []int{2}, Specifier: imap.PartSpecifierHeader}, "Subject: inner\r\n\r\n"},
		{imap.FetchItemBodySection{Part: []int{2}, Specifier: imap.PartSpecifierText}, "inside\r\n"},
		{imap.FetchItemBodySection{Part: []int{2, 1}}, "inside\r\n"},
		{imap.FetchItemBodySection{Part: []int{3}}, "AAAA"},
		{imap.FetchItemBodySection{Part: []int{4}}, ""},
		{imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"to", "subject"}}, "Subject: outer\r\nTO: b@x.example,\r\n c@x.example\r\n\r\n"},
		{imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFieldsNot: []string{"to", "content-type"}}, "Subject: outer\r\nFrom: Dr A <a@x.example>\r\n\r\n"},
	}
	o := &imap.FetchOptions{Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}}
	for i := range sections {
		sections[i].item.Peek = true
		o.BodySection = append(o.BodySection, &sections[i].item)
	}
	m := all(t, c, o)[0]
	for i, s := range sections {
		if got := string(m.BodySection[i].Bytes); got != s.want {
			t.Errorf("%v%s: %q", s.item.Part, s.item.Specifier, got)
		}
	}
	if e := m.Envelope; e.Subject != "outer" || len(e.To) != 2 || e.From[0].Name != "Dr A" || e.To[1].Addr() != "c@x.example" {
		t.Errorf("%+v", e)
	}
	root, ok := m.BodyStructure.(*imap.BodyStructureMultiPart)
	if !ok || len(root.Children) != 3 || root.Extended.Params["boundary"] != "b" {
		t.Fatalf("%+v", m.BodyStructure)
	}
	text := root.Children[0].(*imap.BodyStructureSinglePart)
	if text.MediaType() != "text/plain" || text.Text.NumLines != 1 || text.Size != 11 || text.ID != "<1>" {
		t.Errorf("%+v", text)
	}
	if inside := root.Children[1].(*imap.BodyStructureSinglePart).MessageRFC822; inside == nil || inside.Envelope.Subject != "inner" {
		t.Errorf("%+v", root.Children[1])
	}
	if file := root.Children[2].(*imap.BodyStructureSinglePart); file.Filename() != "x.pdf" || file.Encoding != "base64" {
		t.Errorf("%+v", file)
	}
}

// failing gives a mailbox whose messages cannot be read to their end.
type failing struct{ server.Store }

func (f failing) SignIn(user, password string) (server.Mailbox, error) {
	m, err := f.Store.SignIn(user, password)
	return failingMailbox{m}, err
}

type failingMailbox struct{ server.Mailbox }

func (m failingMailbox) View(folder string) (server.View, error) {
	v, err := m.Mailbox.View(folder)
	for i := range v.Messages {
		v.Messages[i].Size += 10
	}
	return v, err
}

// TestFailingStore: where a message ends early the connection is cut, so that nobody
// takes half of it for the whole; other sessions go on.
func TestFailingStore(t *testing.T) {
	h := start(t, nil)
	f := start(t, func(o *server.Options) { o.Store = failing{h.Memory} })
	h.put(t, note(1))
	for range 2 {
		c := f.imap(t, nil)
		inbox(t, c)
		got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
		if err == nil {
			t.Errorf("half a message came as whole: %+v", got)
		}
	}
}

// TestTooManyConnections: beyond its places the server hangs up, and a place that is
// left can be had again.
func TestTooManyConnections(t *testing.T) {
	h := start(t, nil)
	var open []net.Conn
	for range 65 {
		c, err := net.Dial("tcp", h.IMAP.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	last := open[len(open)-1]
	last.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := last.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one too many: %v", err)
	}
	open[0].Close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		c, err := tls.Dial("tcp", h.IMAP.String(), h.tls)
		if err != nil {
			continue // the server has not noticed yet
		}
		defer c.Close()
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "* OK") {
			t.Errorf("%q, %v", line, err)
		}
		return
	}
	t.Error("no place came free")
}

// Each fuzz target gives a signed-in session hostile lines, or a hostile message, and
// wants an orderly end: no panic, and an answer to a session that comes after.
func FuzzIMAP(f *testing.F) {
	for _, seed := range []string{
		"FETCH 1:* (UID FLAGS BODY[] BODYSTRUCTURE ENVELOPE)", "UID FETCH 1 BODY[1.2.MIME]<0.10>", "SEARCH NOT (OR SEEN BODY x)", "LIST \"\" (* %) RETURN (STATUS (MESSAGES))",
		"APPEND INBOX (\\Seen) {3+}\r\nabc", "STORE 1 +FLAGS (\\Deleted)\r\nc EXPUNGE", "MOVE 1:* Trash", "IDLE\r\nDONE", "STATUS INBOX (UNSEEN SIZE APPENDLIMIT)", "UID SEARCH RETURN (ALL SAVE) $", "COPY 4294967295:* Sent",
	} {
		f.Add(seed)
	}
	h := start(f, nil)
	f.Fuzz(func(t *testing.T, commands string) {
		h.Memory.Add(bea, "sun") // begins anew: thousands of messages take long to fetch
		if err := h.Deliver("x", []string{bea}, strings.NewReader(note(1))); err != nil {
			t.Fatal(err)
		}
		babble(t, h.dial(t, h.IMAP), "a LOGIN "+bea+" sun\r\nb SELECT INBOX\r\nc "+commands+"\r\n.\r\nd LOGOUT\r\n")
	})
}

func FuzzSMTP(f *testing.F) {
	for _, seed := range []string{
		"MAIL FROM:<" + bea + ">\r\nRCPT TO:<" + ada + ">\r\nDATA\r\nSubject: x\r\n\r\n.\r\n", "MAIL FROM:<> SIZE=99999999999999999999 BODY=8BITMIME", "BDAT 5 LAST\r\nabc\r\n",
		"RCPT TO:<@a,@b:c@d>", "AUTH PLAIN ====", "EHLO \x00\r\nHELO\r\nRSET", "MAIL FROM:<" + bea + ">\r\nRCPT TO:<" + bea + ">\r\nBDAT 3\r\nabcBDAT 0 LAST",
	} {
		f.Add(seed)
	}
	h := start(f, nil)
	f.Fuzz(func(t *testing.T, commands string) {
		babble(t, h.dial(t, h.SMTP), "EHLO me\r\nAUTH PLAIN AGJlYUBjbGluaWMuZXhhbXBsZQBzdW4=\r\n"+commands+"\r\n.\r\nQUIT\r\n")
	})
}

func FuzzMessage(f *testing.F) {
	for _, raw := range odd() {
		if len(raw) < 10_000 {
			f.Add(raw)
		}
	}
	h := start(f, nil)
	f.Fuzz(func(t *testing.T, raw string) {
		h.Memory.Add(bea, "sun") // an empty mailbox
		if err := h.Deliver("x", []string{bea}, strings.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		said := talk(t, h.dial(t, h.IMAP), "a LOGIN "+bea+" sun\r\nb SELECT INBOX\r\nc FETCH 1 (ENVELOPE BODYSTRUCTURE BODY[1.MIME] BODY[1.TEXT] BODY[HEADER] BODY[TEXT] BODY[])\r\nd LOGOUT\r\n")
		if !strings.Contains(said, "BODY[] {"+fmt.Sprint(len(raw))+"}\r\n"+raw) || !strings.Contains(said, "\r\nd OK") {
			t.Errorf("%q became %q", raw, said)
		}
	})
}
