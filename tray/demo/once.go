package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"countersign/tray/control"
)

// script plays the main path and prints it. Each step either holds or ends the
// play with an error that says what did not.
type script struct {
	*stage
	out  io.Writer
	step int
}

// letter is what the user of the demo writes.
const letter = `Dear Bea,

Mrs K's echo is attached. EF 45, mild MR, no effusion. Would you restart the
beta blocker at the lower dose and see her in two weeks?

Ada`

// echo is the attachment: small, and unlike anything else on the wire.
var echo = []byte("ECHOCARDIOGRAM 2026-11-20\r\nLVEF 45 percent; mild mitral regurgitation; no effusion.\r\n")

func (s *script) play(ctx context.Context) error {
	s.say("Countersign, played once from beginning to end.\n\n"+
		"%s writes to\n%s.\n\n"+
		"Two whole agents, one mail server and one certification authority, all on this\n"+
		"machine and gone when this ends, the recovery files made for both included.",
		s.ada.who(), s.bea.who())
	steps := []struct {
		title string
		do    func(context.Context) error
	}{
		{"Writing to somebody who is not verified", s.refused},
		{"A test message goes out, and is answered", s.test},
		{"The call", s.call},
		{"She verifies Ada in turn, by a call of her own", s.callBack},
		{"A letter with an attachment", s.send},
		{"Her answer", s.answer},
		{"An unsecured message arrives", s.unsecured},
		{"Somebody else, with a valid certificate for her address", s.impostor},
	}
	for _, step := range steps {
		s.step++
		s.say("\n%d. %s\n", s.step, step.title)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("step %d, %s: %w", s.step, strings.ToLower(step.title), err)
		}
	}
	s.say("\nEvery step held.")
	return nil
}

func (s *script) refused(ctx context.Context) error {
	if _, err := s.ada.svc.Contacts.Add(ctx, control.NewContact{Address: s.bea.Address, Name: s.bea.Name}); err != nil {
		return err
	}
	before := s.wire.count()
	_, err := s.write(ctx, "Mrs K, echo result")
	var refused *control.Refused
	if !errors.As(err, &refused) || len(refused.Refusals) == 0 {
		return fmt.Errorf("the letter was not refused: %v", err)
	}
	for _, r := range refused.Refusals {
		s.say("   Refused. %s: %s", r.Person, r.Reason)
		s.say("   Next: %s", r.Next)
		s.say("   $ %s", r.Command)
		if r.Address == "" || r.Next == "" || r.Command == "" {
			return errors.New("the refusal does not say whom it concerns and what to do")
		}
	}
	if s.wire.count() != before {
		return errors.New("something went over the wire all the same")
	}
	return s.must(ctx, "not-verified", "unknown")
}

// must checks the state of the colleague in Ada's address book.
func (s *script) must(ctx context.Context, what string, states ...string) error {
	c, err := s.ada.svc.Contacts.Show(ctx, control.ContactQuery{Address: s.bea.Address})
	if err != nil {
		return err
	}
	for _, state := range states {
		if c.State == state {
			return nil
		}
	}
	return fmt.Errorf("%s: the contact is %q, not %s", what, c.State, strings.Join(states, " or "))
}

func (s *script) test(ctx context.Context) error {
	contact, err := s.ada.svc.Contacts.Add(ctx, control.NewContact{Address: s.bea.Address, Certificates: s.bea.PEM()})
	if err != nil {
		return err
	}
	s.say("   Ada adds the certificate file that she was sent. It says: %s", contact.Label)
	if _, err := s.ada.svc.Contacts.StartTest(ctx, control.TestOrder{Address: s.bea.Address}); err != nil {
		return err
	}
	contact, err = s.contact(ctx, s.ada, s.bea, "answered")
	if err != nil {
		return err
	}
	s.say("   The test went to %s and her program answered it.", s.bea.Address)
	s.say("   %s. %s", contact.Label, contact.Next)
	s.show(s.wire.first(s.ada.Address, s.bea.Address))
	return nil
}

func (s *script) call(ctx context.Context) error {
	talk, err := s.Dial(ctx, control.DialOrder{Number: s.bea.number})
	if err != nil {
		return err
	}
	s.say("   Ada dials %s, from the clinic's printed directory.", s.bea.number)
	s.lines(talk.Lines)
	heard, err := s.bea.speaks(ctx, s.ada)
	if err != nil {
		return err
	}
	report := control.CallReport{Address: s.bea.Address, Number: s.bea.number, Source: control.SourceDirectory, Code: heard.Words}
	result, err := s.ada.svc.Contacts.Call(ctx, report)
	if err != nil {
		return err
	}
	s.say("   Ada types the four words. %s", result.Says)
	if !result.Matched {
		return errors.New("the code that she read out did not match")
	}
	result, err = s.ada.svc.Contacts.Call(ctx, control.CallReport{Address: s.bea.Address, Words: heard.Mine})
	if err != nil {
		return err
	}
	s.say("   Ada types the six safety words. %s", result.Says)
	s.say("   Now: %s", result.Contact.Label)
	return s.must(ctx, "after the call", "verified")
}

func (s *script) callBack(ctx context.Context) error {
	if _, err := s.contact(ctx, s.bea, s.ada, "test-sent", "answered"); err != nil {
		return err
	}
	if _, err := s.incoming(ctx, s.ada, s.bea); err != nil {
		return err
	}
	s.say("   Her test to Ada has arrived. Ada presses Answer.")
	if _, err := s.ada.svc.Contacts.Answer(ctx, control.ContactQuery{Address: s.bea.Address}); err != nil {
		return err
	}
	if err := s.ring(ctx, func(line string) { s.lines([]string{line}) }); err != nil {
		return err
	}
	c, err := s.contact(ctx, s.bea, s.ada, "verified")
	if err != nil {
		return err
	}
	s.say("   In her address book: %s: %s", s.ada.Address, c.Label)
	return nil
}

func (s *script) send(ctx context.Context) error {
	before := s.wire.count()
	if _, err := s.write(ctx, "Mrs K, echo result"); err != nil {
		return err
	}
	raw, err := s.wire.wait(ctx, before, s.ada.Address, s.bea.Address)
	if err != nil {
		return err
	}
	s.show(raw)
	for _, secret := range []string{"Mrs K", "beta blocker", "echo-2026-11-20", "LVEF"} {
		if strings.Contains(string(raw), secret) {
			return fmt.Errorf("%q can be read on the wire", secret)
		}
	}
	if err := s.cannotOpen(raw); err != nil {
		return err
	}
	m, err := s.received(ctx, s.bea, func(m control.Summary) bool { return m.Subject == "Mrs K, echo result" })
	if err != nil {
		return err
	}
	s.say("   She opens it:")
	s.message(m)
	if m.Verdict.Level != "good" || m.Text == "" || len(m.Files) != 1 {
		return errors.New("she did not get the letter whole, protected and from Ada")
	}
	_, body, err := s.bea.svc.Mail.Attachment(ctx, control.AttachmentQuery{ID: m.ID, Part: m.Files[0].Part})
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || string(got) != string(echo) {
		return fmt.Errorf("the attachment did not arrive byte for byte (%v)", err)
	}
	return nil
}

func (s *script) answer(ctx context.Context) error {
	m, err := s.received(ctx, s.ada, func(m control.Summary) bool {
		return m.Form == "" && m.From == s.bea.Address && m.Verdict.Level == "good"
	})
	if err != nil {
		return err
	}
	s.message(m)
	v := m.Verdict
	if v.Protection != "encrypted-and-signed" || v.Contact != "verified" || v.From != "match" {
		return errors.New("her answer is not shown as from the verified contact")
	}
	return nil
}

func (s *script) unsecured(ctx context.Context) error {
	if _, err := s.Play(ctx, control.ActQuery{Name: actUnsecured}); err != nil {
		return err
	}
	m, err := s.received(ctx, s.ada, func(m control.Summary) bool { return m.Verdict.Protection == "none" })
	if err != nil {
		return err
	}
	s.message(m)
	if m.Verdict.Level == "good" {
		return errors.New("an unsecured message is shown as if it were protected")
	}
	return nil
}

func (s *script) impostor(ctx context.Context) error {
	if _, err := s.Play(ctx, control.ActQuery{Name: actImpostor}); err != nil {
		return err
	}
	m, err := s.received(ctx, s.ada, func(m control.Summary) bool { return m.Subject == impostorSubject })
	if err != nil {
		return err
	}
	s.message(m)
	if v := m.Verdict; v.Level != "stop" || v.Signature != "valid" || v.Chain != "trusted" || !strings.Contains(v.Label, "NOT the key you verified") {
		return errors.New("the impostor is not shown as NOT the key you verified")
	}
	return s.must(ctx, "after the impostor", "verified")
}

// write sends Ada's letter to the colleague.
func (s *script) write(ctx context.Context, subject string) (control.Sent, error) {
	mail := s.ada.svc.Mail
	d, err := mail.SaveDraft(ctx, control.Draft{ID: control.NewID(), To: []string{s.bea.Address}, Subject: subject, Text: letter})
	if err != nil {
		return control.Sent{}, err
	}
	file := control.AttachOrder{Draft: d.ID, Name: "echo-2026-11-20.txt", Type: "text/plain"}
	if _, err := mail.Attach(ctx, file, strings.NewReader(string(echo))); err != nil {
		return control.Sent{}, err
	}
	sent, err := mail.Send(ctx, control.DraftQuery{ID: d.ID})
	var refused *control.Refused
	if errors.As(err, &refused) {
		if _, dropped := mail.DiscardDraft(ctx, control.DraftQuery{ID: d.ID}); dropped != nil {
			return sent, dropped
		}
	}
	return sent, err
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *script) lines(lines []string) {
	for _, line := range lines {
		s.say("     %s", line)
	}
}

// message prints a message as its reader sees it.
func (s *script) message(m control.Message) {
	s.say("   +-- %s", m.Verdict.Label)
	s.say("   | Subject: %s", m.Subject)
	for line := range strings.Lines(strings.TrimSpace(m.Text)) {
		s.say("   | %s", strings.TrimRight(line, "\r\n"))
	}
	for _, f := range m.Files {
		s.say("   | [%s, %d bytes]", f.Name, f.Size)
	}
	s.say("   +-- %s", m.Verdict.Short)
}

// show prints what anybody on the way could read of a message.
func (s *script) show(raw []byte) {
	view, err := s.courier(raw)
	if err != nil {
		s.say("   (on the wire: %v)", err)
		return
	}
	s.say("   On the wire, %d bytes; all that can be read:", len(raw))
	s.lines(view)
}

// patience is how long a step may wait for mail before it counts as lost.
const patience = 20 * time.Second
