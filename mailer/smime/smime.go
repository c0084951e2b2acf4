// Package smime turns letters into S/MIME messages and describes S/MIME messages
// that came in (RFC 8551). It describes and does not judge: whether a certificate
// is to be believed, and what may be shown or sent, is for policy to say.
//
// # Going out
//
// Seal makes multipart/signed with a detached signature, inside EnvelopedData, or
// AuthEnvelopedData if an Envelope asks for it.
// Sign leaves the envelope out; it is for the fixed forms that go to somebody
// who has no certificate yet. Header fields are protected by RFC 9788: the
// letter's true header stands on the signed payload (hp="cipher" or "clear"),
// and outside stand only the fields of SECURITY.md O2, by the policy hcp_shy:
// Subject "[...]" (or a fixed form's), addresses without names, the Date in UTC.
// HP-Outer fields inside say what stood outside. The signing time is the Date. What
// stood outside in other words is also written at the head of the text, in a legacy
// display element: Thunderbird and Outlook know no other way to show the Subject.
//
// CheckOuter is the last door before the network and looks at bytes, not at how
// they were made.
//
// # Coming in
//
// Open follows the cryptographic layers from the root inwards for as long as each
// layer is the whole of what is inside the one before it; that is the
// Cryptographic Envelope of RFC 9787. A signature or an envelope anywhere else,
// in a part beside others or in a forwarded message, is errant: it is not
// verified, and not decrypted, so it can neither lend its authority to its surroundings nor
// lend them its text. Opened.Errant says that there is one, for whoever wonders where
// the signature went. What is inside the last layer is the payload, and only the
// payload is ever shown. A signer who encloses no certificate is looked for in
// Options.Known.
//
// Everything is read twice (a GCM envelope a third time, before, for its tag). The first
// pass finds the parts and verifies; they are given out only after it, and what
// gives them out checks each piece again (package cms). A CBC envelope proves nothing about its content; if the payload
// is not signed inside of it, Layers say so.
//
// A message is described as far as it can be. What stands in the way is
// Opened.Problem and the Err of a layer. Open itself fails only if the bytes can't
// be read.
//
// # Standards
//
// RFC 8551: signed-data, enveloped-data and authEnveloped-data, nested as wanted,
// the old application/x-pkcs7 names, files by name (section 3.10), message/rfc822
// inside (section 3.1; written by Envelope.Direct only), compressed-data (read only,
// up to 128 MiB, and once in a message). RFC 9788: read and written, with
// legacy display elements, which are left out when read. OpenPGP is recognised and left
// alone. Not done: signed receipts, security labels (RFC 2634).
package smime

import (
	"crypto/x509"
	"errors"
	"io"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/vault/contacts/form"
)

// What can keep a message from being opened, as Opened.Problem and Layer.Err say. Each
// comes together with its cause, from cms or message.
var (
	// ErrNoKey says that no key given opens the envelope.
	ErrNoKey = errors.New("smime: no key opens the message")
	// ErrKey says that a key that should open it could not be used: a token that
	// is locked or gone. Another try may succeed.
	ErrKey = errors.New("smime: the key can't be used")
	// ErrDamaged says that the message is malformed, cut short or changed.
	ErrDamaged = errors.New("smime: the message is damaged")
	// ErrLimit says that the message is built beyond all measure.
	ErrLimit = errors.New("smime: the message exceeds the limits")
	// ErrUnsupported says that it is made in a way not known here.
	ErrUnsupported = errors.New("smime: the message is of a kind not supported")
	// ErrNoContent says that there is a signature or certificates, but no message.
	ErrNoContent = errors.New("smime: there is no message in it")
	// ErrForm says that a multipart/signed does not have the two parts that it must have.
	ErrForm = errors.New("smime: not a signed part and its signature")
)

// ErrLetter says that a letter can't be written as it is.
var ErrLetter = errors.New("smime: the letter can't be written")

// ErrOuter says that a message may not go out: it is not protected, or tells too much outside.
var ErrOuter = errors.New("smime: the message may not go out")

// hiddenSubject stands outside instead of the Subject (RFC 9788, section 3.2.1).
const hiddenSubject = "[...]"

// FormType is the media type of the part that makes a message a fixed form.
const FormType = form.MediaType

// An Attachment is a file that goes with a letter.
type Attachment struct {
	Name    string // made safe when written
	Type    string // media type; one that makes no sense is written as octets
	Inline  bool
	Content message.Source // read several times; must stay the same
}

// A Letter is a message to be protected. There is no Bcc: each hidden recipient has
// an envelope of their own.
type Letter struct {
	From         message.Address
	To, Cc       []message.Address
	Subject      string
	OuterSubject string    // a fixed form's; "" stands for "[...]" when encrypted
	Date         time.Time // to the second, also the signing time
	MessageID    string    // with its angle brackets
	InReplyTo    string
	References   []string
	// AutoSubmitted is "auto-replied" or "auto-generated" on what no person wrote
	// (RFC 3834, section 5).
	AutoSubmitted string
	// Hidden are canonical addresses that stand in To and Cc inside only: an answer must
	// not tell what the letter before it hid (RFC 9788, section 6.1.2).
	Hidden      []string
	Text        string // UTF-8, lines end in LF
	Attachments []Attachment
}

// Keys is what a letter is signed with. Encryption is the certificate to answer to;
// Chain is enclosed beside both (SECURITY.md O3). Also signs beside Signer: a new key
// that is announced (V7).
type Keys struct {
	Signer     cms.Signer
	Also       []cms.Signer
	Encryption *x509.Certificate
	Chain      []*x509.Certificate
}

func (k Keys) signers() []cms.Signer { return append([]cms.Signer{k.Signer}, k.Also...) }

// Kind says what a layer does.
type Kind string

// The kinds of layers. Compressed protects nothing; Other neither signs nor encrypts, and
// is not read; OpenPGP is not ours, and only ever errant.
const (
	Signed     Kind = "signed"
	Encrypted  Kind = "encrypted"
	Compressed Kind = "compressed"
	Other      Kind = "other"
	OpenPGP    Kind = "openpgp"
)

// A Layer is one cryptographic layer. Err is about the layer as such: it could not be
// read or opened. Of a signed layer that could be read, each signer has an Err
// of their own, and a layer without signers is not signed.
type Layer struct {
	Kind      Kind
	Form      string // "multipart/signed" or the smime-type of RFC 8551, section 3.2.2
	Signed    *cms.Signed
	Enveloped *cms.Enveloped
	Err       error
}

// Options say how to open. The zero value will do.
type Options struct {
	// ContentKey opens the outermost envelope without a key, if it was opened
	// before. Keys are still tried if it doesn't fit.
	ContentKey cms.ContentKey
	// Identify computes Opened.Digest. A message that has just come needs that; it
	// takes a sixth more time.
	Identify bool
	// Known are certificates in which signers are looked for who did not enclose theirs.
	Known  []*x509.Certificate
	Limits message.Limits
	Rand   io.Reader // nil is crypto/rand
}

// Opened describes a message.
type Opened struct {
	Outer  message.Header // what everybody on the way could read and change
	Root   *message.Part  // the message as it came; its parts only one level deep if there are layers
	Layers []Layer        // outermost first, without gap from the root

	// Payload is what the layers protect, or the whole message if there are none.
	// nil if it can't be reached: Problem says why.
	Payload *message.Part

	// Errant are the kinds of what looks like a layer in the payload and is none of the
	// envelope's: in an attachment, beside a mailing list's footer, of OpenPGP. It was
	// neither decrypted nor verified, and protects nothing (RFC 9787, section 4.5). What
	// a signature encloses stands in its place.
	Errant []Kind

	// Header is the one to show: the payload's where it protects its header, else
	// Outer. Nothing is ever mixed. Protected names the fields that layers cover.
	Header    message.Header
	Protected []string
	// Confidential names those of Protected that did not stand outside as well:
	// an answer must not tell them outside either (RFC 9788, section 6.1).
	Confidential []string
	// Hidden are the addresses of people who stood nowhere outside, canonical. An answer
	// has them in Letter.Hidden.
	Hidden []string

	Problem error

	// ContentKey is that of the outermost envelope, set once its content was read
	// to the end: Options.ContentKey for the next time.
	ContentKey cms.ContentKey

	// Digest is, if Options.Identify asks for it, the SHA-256 of the root's CMS, decoded; of the
	// body as it came where the root is no CMS. Messages with the same one are the same message
	// (SECURITY.md I3).
	Digest [32]byte
}
