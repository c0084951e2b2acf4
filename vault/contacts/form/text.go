package form

import "strings"

// Subject is the fixed subject of a form. It is the same outside and inside, and
// tells those who read along nothing about the people but that they use
// Countersign.
func (f Form) Subject() string {
	switch f.Kind {
	case Invitation:
		return "Please answer with a signed message"
	case Test:
		return "Test message: please wait for a telephone call"
	case Answer:
		return "Answer to your test message"
	case KeyAnnouncement:
		return "My certificate will change"
	case Receipt:
		return "Your message has arrived"
	case CourtesyNotice:
		return "Your message arrived without protection"
	}
	return ""
}

// Text is what any mail program shows of a form. It is made of the form's data
// alone. Lines are at most 72 characters but for a long address.
func (f Form) Text() string {
	body := map[Kind]string{
		Invitation: `{from}
would like to write to you in confidence.

Please answer this message with a signed e-mail. It can be empty: the
signature carries your certificate, and that is all that is needed. If
you do not know how to sign an e-mail, please ask the people who look
after your computer.

After that you will get a test message, and then a telephone call to
make sure that the certificate is yours.`,

		Test: `{from}
wants to be sure that this mailbox and its certificate are yours before
writing to you in confidence.

Please wait for a telephone call. When the sender calls and asks, read
out these four words:

    {code}

You will also be asked for your safety words. If you use Countersign,
you find them beside this message. If you do not, you will be asked to
read out the fingerprint of your certificate, and told where to find it.

Do not send the four words by e-mail, and do not read them to anybody
who did not send you this message. To be sure in your turn who is
calling, hang up and call back on a number that you had before.

If you answer this message, please sign and encrypt your answer and
leave the next line in it.

Reference: {id}
Good until {expires}`,

		Answer: `Your test message has arrived and was opened by
{from}

Please call now, on a number that you did not get by e-mail, and ask for
the four words of the test and for the safety words.

Reference: {test}`,

		KeyAnnouncement: `A new certificate will soon replace the present one of
{from}

This message is signed so that a program can check it. If yours does not
know this form, please keep the message until the new certificate is in
use, and call if in doubt.`,

		Receipt: `Your message has arrived and was opened by
{from}

A program sent this when the message was read. Which message it confirms
is noted inside, where your program can compare it.`,

		CourtesyNotice: `Your message has arrived, but nothing protected it on the way to
{from}

Others may have read or changed it. Please do not send information about
patients like that. If your mail program can sign and encrypt, please
answer this message with a signed e-mail: a confidential conversation
can start from there.

A program sent this notice. It comes once, not for each message.`,
	}[f.Kind]
	if body == "" {
		return ""
	}
	return strings.NewReplacer(
		"{from}", f.From, "{code}", f.Code.Text(), "{id}", f.ID, "{test}", f.TestID,
		"{expires}", f.Expires.UTC().Format("2 January 2006, 15:04 UTC"),
	).Replace(body) + "\n"
}
