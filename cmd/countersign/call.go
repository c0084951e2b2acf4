package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

// The call. Whoever placed it types what is read out, and nothing that is
// expected is ever shown (SECURITY.md, V1 and V5): what is typed goes to the
// agent, and only "it matched" or "it did not" comes back.

func (c *cli) verifyCall() *cobra.Command {
	var r control.CallReport
	var code, words string
	cmd := c.command("call ADDRESS", "Record what someone read out on a call that you placed", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			r.Address, r.Code, r.Words = args[0], strings.Fields(code), strings.Fields(words)
			if r.Source != "" && sourceWords(r.Source) == "" {
				return usage("--source is directory, letterhead, earlier, known or in-person, not %q", r.Source)
			}
			if r.Number == "" && r.Source == "" && r.Reader == "" && len(r.Code)+len(r.Words)+len(r.Fingerprint) == 0 && !r.Wrong {
				if c.ask == nil || c.json {
					return usage("say what you heard: --number and --source, --code, --words or --fingerprint")
				}
				return (&call{cli: c, service: s}).guide(ctx, r.Address)
			}
			got, err := s.Contacts.Call(ctx, r)
			if err := show(c, got, err, c.printCall); err != nil {
				return err
			}
			return matched(got)
		})
	cmd.Long = `Record what someone read out on a call that you placed yourself. At a terminal it leads you
through the call. Any part may also come alone, by flags; what matched is kept.

The number must not come from the e-mail, its signature or the certificate. Case does not
count, nor anything after a word's first four letters.`
	cmd.Example = `  countersign verify call bea@clinic.example
  countersign verify call bea@clinic.example --number "+44 20 7946 0018" --source directory
  countersign verify call bea@clinic.example --code "river candle stone apple"
  countersign verify call bea@clinic.example --words "one word after the other as heard"`
	f := cmd.Flags()
	f.StringVar(&r.Number, "number", "", "the `number` that you called")
	f.StringVar(&r.Source, "source", "", "`where` the number is from: directory, letterhead, earlier, known or in-person")
	f.StringVar(&code, "code", "", "the four `words` of the test message, as heard")
	f.StringVar(&words, "words", "", "the six safety `words`, as heard")
	f.StringArrayVar(&r.Fingerprint, "fingerprint", nil, "the `digits` of a certificate, as heard; signing first")
	f.StringVar(&r.Reader, "reader", "", "the `name` of who read them, where several people read the mailbox")
	f.BoolVar(&r.Wrong, "wrong", false, "something does not match: stop")
	complete(cmd, "source", control.SourceDirectory, control.SourceLetterhead, control.SourceEarlier, control.SourceKnown, control.SourceInPerson)
	return cmd
}

// matched is the exit code of a call: failed unless everything matched.
func matched(r control.CallResult) error {
	if r.Matched {
		return nil
	}
	return quiet(failed)
}

func (c *cli) printCall(r control.CallResult) {
	mark := "✗"
	if r.Matched {
		mark = "✓"
	}
	if r.Says != "" {
		c.say("%s %s", mark, r.Says)
	}
	c.printUnknown(r.Unknown)
	c.para("  ", r.Contact.Label)
	c.para("  ", r.Contact.Next)
}

// printUnknown tells which words can't be right, because they are on no list
// at all. That tells nothing about what was expected.
func (c *cli) printUnknown(positions []int) {
	for _, at := range positions {
		c.say("  Word %d is not one of the 2,048 words.", at)
	}
}

// sourceWords says where a number came from; nothing where there is no such source.
func sourceWords(source string) string {
	for _, s := range numberSources {
		if s.name == source {
			return s.words
		}
	}
	return ""
}

var numberSources = []struct{ name, words string }{
	{control.SourceDirectory, "their organisation's own directory, or a printed one"},
	{control.SourceLetterhead, "a letter or card that I had before"},
	{control.SourceKnown, "I know the number myself"},
	{control.SourceInPerson, "no number: we are in the same room"},
	{control.SourceEarlier, "the number of the earlier call"},
}

// call leads through one telephone call.
type call struct {
	*cli
	service *control.Service
	contact control.Contact
	script  control.Script // what to say, in the agent's words
}

func (c *call) guide(ctx context.Context, address string) (err error) {
	if c.contact, err = c.service.Contacts.Show(ctx, control.ContactQuery{Address: address}); err != nil {
		return err
	}
	if c.settled() {
		c.printContact(c.contact)
		return nil
	}
	if c.contact.Test == nil {
		return &control.Error{Code: "no-test", Says: "No test message is under way with " + c.who() + ".", Next: "Send one first: countersign verify start " + address}
	}
	if c.contact.Script != nil {
		c.script = *c.contact.Script
	}
	c.say("Confirming %s", plain.Person(c.contact.Name, c.contact.Address))
	c.say("Type ! for a word if something does not match: a wrong voice, words that they cannot find.")
	for _, part := range []func(context.Context) error{c.number, c.code, c.words} {
		if c.settled() {
			break
		}
		err := part(ctx)
		if errors.Is(err, errWrong) {
			_, err = c.report(ctx, control.CallReport{Wrong: true})
		}
		if err != nil {
			return err
		}
	}
	c.gap()
	if c.settled() && c.script.Close != "" {
		c.speak("Say:", c.script.Close)
	}
	c.printContact(c.contact)
	if !c.settled() {
		return quiet(failed)
	}
	return nil
}

// settled says that there is nothing to hear any more: they are confirmed, and so is the
// key that they announced or that was tested besides.
func (c *call) settled() bool {
	return c.contact.State == "verified" && c.contact.NewKey == "" && c.contact.Test == nil
}

// errWrong is a person who says that something does not match.
var errWrong = errors.New("something does not match")

func (c *call) who() string {
	if c.contact.Name != "" {
		return c.contact.Name
	}
	return c.contact.Address
}

// number asks which number is called and where it is from. The source starts
// empty, and a number is typed, except the one of an earlier call.
func (c *call) number(ctx context.Context) error {
	if c.contact.Test.Source != "" {
		c.say("You call %s (%s).", c.contact.Test.Number, sourceWords(c.contact.Test.Source))
		return nil
	}
	c.gap()
	c.say("Which number will you call? Never one from the e-mail, its signature or the certificate.")
	sources := numberSources
	if c.contact.Number == "" {
		sources = sources[:len(sources)-1]
	}
	for i, s := range sources {
		c.say("  %d  %s", i+1, s.words)
	}
	var r control.CallReport
	for r.Source == "" {
		answer, err := c.ask.Line("Where is the number from? ")
		if err != nil {
			return err
		}
		for i, s := range sources {
			if answer == fmt.Sprint(i+1) || answer == s.name {
				r.Source = s.name
			}
		}
		if r.Source == "" {
			c.remark("  Answer with a digit, 1 to %d.", len(sources))
		}
	}
	if r.Source == control.SourceEarlier {
		r.Number = c.contact.Number
		c.say("The earlier call went to %s.", r.Number)
	}
	return c.place(ctx, r)
}

// place asks for what is missing of where the call goes, and again where it will not do.
func (c *call) place(ctx context.Context, r control.CallReport) (err error) {
	typed := r.Source != control.SourceInPerson && r.Source != control.SourceEarlier
	for {
		if typed {
			if r.Number, err = c.ask.Line("Number: "); err != nil {
				return err
			}
		}
		if c.contact.Team {
			if r.Reader, err = c.ask.Line("Who will read to you? "); err != nil {
				return err
			}
		}
		_, err = c.report(ctx, r)
		var wrong *control.Error
		if !errors.As(err, &wrong) || !typed && !c.contact.Team || !slices.Contains([]string{"bad-number", "number-needed", "reader-needed"}, wrong.Code) {
			return err
		}
		c.remark("  %s %s", wrong.Says, wrong.Next)
	}
}

func (c *call) code(ctx context.Context) error {
	for c.contact.Test != nil && c.contact.Test.CodeMatched.IsZero() && c.contact.State != "mismatch" {
		c.gap()
		c.speak(c.begin(), c.script.Open, c.script.Code)
		heard, err := c.hear(4)
		if err != nil {
			return err
		}
		if _, err := c.report(ctx, control.CallReport{Code: heard}); err != nil {
			return err
		}
	}
	return nil
}

// words hears their safety words, or, from somebody without Countersign, the
// digits of their certificate.
func (c *call) words(ctx context.Context) error {
	for c.contact.Test != nil && c.contact.Test.WordsMatched.IsZero() && !c.settled() && c.contact.State != "mismatch" {
		c.gap()
		if c.contact.NewKey == "words" {
			c.speak(c.begin(), c.script.Open, c.script.Words)
		} else {
			c.speak("Then say:", c.script.Words)
		}
		with, err := c.ask.Line("Do they use Countersign? [Y/n] ")
		if err != nil {
			return err
		}
		var r control.CallReport
		if strings.HasPrefix(strings.ToLower(with), "n") {
			r.Fingerprint, err = c.digits(ctx)
		} else {
			r.Words, err = c.hear(6)
		}
		if err != nil {
			return err
		}
		if _, err := c.report(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// begin is how to come to speak with them.
func (c *call) begin() string {
	if c.contact.Test != nil && c.contact.Test.Source == control.SourceInPerson {
		return "Say to them:"
	}
	return "Call them yourself, and say:"
}

// speak prints what to say.
func (c *call) speak(first string, lines ...string) {
	c.say("%s", first)
	for _, l := range lines {
		if l != "" {
			c.para("  ", "“"+l+"”")
		}
	}
}

// hear asks for words, one at a time.
func (c *call) hear(n int) ([]string, error) {
	words := make([]string, n)
	for i := range words {
		for words[i] == "" {
			word, err := c.ask.Line(fmt.Sprintf("  word %d: ", i+1))
			if err != nil {
				return nil, err
			}
			if word == "!" {
				return nil, errWrong
			}
			if len(strings.Fields(word)) == 1 {
				words[i] = word
			} else if word != "" {
				c.remark("  One word at a time, as you hear it.")
			}
		}
	}
	return words, nil
}

// digits asks for the end of each certificate's fingerprint, and says where
// the other's mail program shows it.
func (c *call) digits(ctx context.Context) ([]string, error) {
	programs, err := c.service.Contacts.Programs(ctx, control.None{})
	if err != nil {
		return nil, err
	}
	c.speak("Say:", c.script.Fingerprints)
	for _, p := range programs {
		c.say("In %s it is the %s:", p.Name, p.Shows)
		for _, step := range p.Steps {
			c.para("  ", "“"+step+"”")
		}
	}
	prompts := []string{"The digits of their certificate: "}
	if c.contact.Test.Fingerprints > 1 {
		prompts = []string{"The digits of their certificate for signing: ", "The digits of their certificate for encryption: "}
	}
	var all []string
	for _, p := range prompts {
		digits, err := c.ask.Line(p)
		if err != nil {
			return nil, err
		}
		all = append(all, digits)
	}
	return all, nil
}

// report hands on what was heard, and tells what came of it.
func (c *call) report(ctx context.Context, r control.CallReport) (control.CallResult, error) {
	r.Address = c.contact.Address
	got, err := c.service.Contacts.Call(ctx, r)
	if err != nil {
		return got, err
	}
	c.contact = got.Contact
	mark := "✗"
	if got.Matched {
		mark = "✓"
	}
	if got.Says != "" {
		c.para("", mark+" "+got.Says)
	}
	c.printUnknown(got.Unknown)
	return got, nil
}
