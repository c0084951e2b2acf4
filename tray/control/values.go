package control

import "time"

// None is the empty value: nothing to say, or nothing to answer.
type None struct{}

// Refusal is one reason why something was not done: whom it concerns, why, and
// what to do about it. Every face shows it unchanged.
type Refusal struct {
	Person  string `json:"person"`            // whom it concerns: a name and address, or "you"
	Address string `json:"address,omitempty"` // the address concerned, if any
	Code    string `json:"code"`              // stable, for programs: "not-verified", "revoked" ...
	Reason  string `json:"reason"`            // one sentence in a clinician's words
	Next    string `json:"next"`              // what to do about it, one sentence
	Command string `json:"command,omitempty"` // the command that does it
	Link    string `json:"link,omitempty"`    // the page that does it, a path
	Button  string `json:"button,omitempty"`  // the words on the button to Link
}

// RecipientState is one address while a message is being written.
type RecipientState struct {
	Address string   `json:"address"`
	Name    string   `json:"name,omitempty"`
	OK      bool     `json:"ok"`
	Label   string   `json:"label"` // "Confirmed by telephone on 3 March 2026", "Not confirmed yet"
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Verdict is what may be said of a message. Faces show Label and Reasons as they
// are and draw Shape; they never judge.
type Verdict struct {
	Protection string   `json:"protection"` // none | signed | encrypted | encrypted-and-signed
	Signature  string   `json:"signature"`  // none | valid | invalid
	Signer     string   `json:"signer,omitempty"`
	Chain      string   `json:"chain"`             // trusted | untrusted | expired | revoked | unknown
	From       string   `json:"from"`              // match | mismatch
	Contact    string   `json:"contact,omitempty"` // the state of the contact: verified, unknown ...
	Level      string   `json:"level"`             // good | care | stop: for shape and colour
	Label      string   `json:"label"`             // the heading: who, and how sure
	Short      string   `json:"short"`             // a few words for a list: "Confirmed by telephone"
	Reasons    []string `json:"reasons"`           // how this was checked, a sentence each
}

// Summary is one line of a list of messages.
type Summary struct {
	ID          string    `json:"id"`
	Folder      string    `json:"folder"` // inbox | sent
	From        string    `json:"from"`   // bare address
	FromName    string    `json:"from_name,omitempty"`
	To          []string  `json:"to"`
	Subject     string    `json:"subject"`
	Snippet     string    `json:"snippet,omitempty"`
	Date        time.Time `json:"date"`     // as the message says
	Received    time.Time `json:"received"` // our own clock
	Read        bool      `json:"read"`
	Attachments int       `json:"attachments"`
	Form        string    `json:"form,omitempty"` // fixed form: invitation | test | answer ...
	Verdict     Verdict   `json:"verdict"`
	Locked      bool      `json:"locked,omitempty"` // the key that opens it is on a card that was not asked yet
}

// Attachment is one file in a message or a draft.
type Attachment struct {
	Part string `json:"part"` // its identifier within the message or draft
	Name string `json:"name"` // a safe file name
	Type string `json:"type"` // media type as stated
	Size int64  `json:"size"` // bytes
}

// Message is one message, opened.
type Message struct {
	Summary
	Cc          []string     `json:"cc,omitempty"`
	MessageID   string       `json:"message_id"`
	Text        string       `json:"text"` // sanitised plain text, UTF-8
	Sanitised   bool         `json:"sanitised"`
	Files       []Attachment `json:"files,omitempty"`
	Problem     string       `json:"problem,omitempty"`      // why it cannot be opened, in words
	Waits       string       `json:"waits,omitempty"`        // the code of that, while Locked: token-locked | token-absent | pin-wrong ...
	Next        string       `json:"next,omitempty"`         // what to do about it
	Unprotected []string     `json:"unprotected,omitempty"`  // header names shown that no layer covers
	Test        *Incoming    `json:"test,omitempty"`         // an incoming test, explained
	ReplyDenied string       `json:"reply_denied,omitempty"` // why it may not be quoted (O3)
	Layers      []Layer      `json:"layers,omitempty"`
}

// Incoming is a test message that somebody sent to the user.
type Incoming struct {
	From     string    `json:"from"`
	Words    []string  `json:"words"` // the code to read out when they call
	Mine     []string  `json:"mine"`  // the user's own safety words, to read out as well
	Expires  time.Time `json:"expires"`
	Answered time.Time `json:"answered,omitzero"`
	Advice   string    `json:"advice"` // "Now hang up and call Dr A on a number of your own"
}

// Layer is one cryptographic layer of a message, outermost first.
type Layer struct {
	Kind       string   `json:"kind"`       // signed | encrypted | compressed | other
	Form       string   `json:"form"`       // multipart/signed, or the smime-type: signed-data | enveloped-data | authEnveloped-data ...
	Algorithms []string `json:"algorithms"` // "AES-256-CBC", "RSA PKCS#1 v1.5", "SHA-256"
	People     []string `json:"people"`     // signers or recipients, as their certificates name them
	Problem    string   `json:"problem,omitempty"`
}

// Field is one header field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Draft is a message being written. To, Cc and Bcc are addresses.
type Draft struct {
	ID        string       `json:"id"`
	To        []string     `json:"to"`
	Cc        []string     `json:"cc,omitempty"`
	Bcc       []string     `json:"bcc,omitempty"`
	Subject   string       `json:"subject"`
	Text      string       `json:"text"`
	InReplyTo string       `json:"in_reply_to,omitempty"` // the ID of the message answered
	Files     []Attachment `json:"files,omitempty"`       // stored; ignored by SaveDraft
	Saved     time.Time    `json:"saved,omitzero"`
}

// Sent says what was accepted.
type Sent struct {
	ID        string   `json:"id"` // the draft's
	MessageID string   `json:"message_id"`
	To        []string `json:"to"`
	Again     bool     `json:"again,omitempty"` // it had been accepted before
}

// Outgoing is one accepted message and where each envelope stands.
type Outgoing struct {
	ID        string     `json:"id"`
	MessageID string     `json:"message_id"`
	Subject   string     `json:"subject"`
	Form      string     `json:"form,omitempty"`
	Accepted  time.Time  `json:"accepted"`
	State     string     `json:"state"` // waiting | sending | sent | held | failed | withdrawn
	Recipient []Delivery `json:"recipients"`
	Refusals  []Refusal  `json:"refusals,omitempty"` // why it is held
	Attempts  int        `json:"attempts"`
	Next      time.Time  `json:"next,omitzero"`
	Problem   string     `json:"problem,omitempty"` // the last failure, in words
}

// Delivery is one recipient of an outgoing message.
type Delivery struct {
	Address string    `json:"address"`
	State   string    `json:"state"` // waiting | sent | failed
	At      time.Time `json:"at,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

// Fetched counts what Fetch brought.
type Fetched struct {
	New      int      `json:"new"`
	Problems []string `json:"problems,omitempty"` // one sentence an account that could not be reached
}

// Contact is one person or team in the address book, or an organisation that was
// verified, whose address is a bare domain.
type Contact struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
	// Organisation is as the user typed it, else as the confirmed certificate says.
	Organisation string `json:"organisation,omitempty"`
	// CountsBy is the domain of the organisation whose certificate was verified for them,
	// and for everybody else there who has it; of the organisation, its own.
	CountsBy   string      `json:"counts_by,omitempty"`
	Team       bool        `json:"team,omitempty"`
	Profile    string      `json:"profile,omitempty"` // smime | direct, as the user set it, or as learned
	State      string      `json:"state"`             // unknown | has-certificate | test-sent | answered | verified | mismatch | suspended
	Label      string      `json:"label"`             // the state in words
	Level      string      `json:"level"`             // good | care | stop
	Next       string      `json:"next"`              // what to do next, one sentence
	Verified   time.Time   `json:"verified,omitzero"`
	Expires    time.Time   `json:"expires,omitzero"`   // of the pinned certificates, the earlier
	Test       *Test       `json:"test,omitempty"`     // the test that the user sent
	Script     *Script     `json:"script,omitempty"`   // what to say on the call; with Show only
	Incoming   *Incoming   `json:"incoming,omitempty"` // a test that they sent to the user
	Candidates []Candidate `json:"candidates,omitempty"`
	Number     string      `json:"number,omitempty"` // of the earlier verification, offered first
	Source     string      `json:"source,omitempty"`
	Refusal    *Refusal    `json:"refusal,omitempty"` // why nothing can be sent to them now
	// NewKey is what a key waits for that the confirmed one announced: "words" heard on a
	// call, or a "test" message and a call. Until then the confirmed one is used.
	NewKey string `json:"new_key,omitempty"`
}

// Script is what to say on the call, in order.
type Script struct {
	Open         string `json:"open"` // after the greeting
	Code         string `json:"code"`
	Words        string `json:"words"`
	Fingerprints string `json:"fingerprints"` // where there are no safety words at the other end
	Close        string `json:"close"`
}

// Program is a mail program, and the clicks to say aloud for finding the
// fingerprint of one's own certificate in it.
type Program struct {
	Name  string   `json:"name"`
	Shows string   `json:"shows"` // which fingerprint it shows
	Steps []string `json:"steps"`
}

// Test is how far the verification of a contact has come.
type Test struct {
	Sent         time.Time `json:"sent"`
	Expires      time.Time `json:"expires"`
	Answered     time.Time `json:"answered,omitzero"`
	Number       string    `json:"number,omitempty"`
	Source       string    `json:"source,omitempty"`
	CodeMatched  time.Time `json:"code_matched,omitzero"`
	WordsMatched time.Time `json:"words_matched,omitzero"`
	CodeTries    int       `json:"code_tries_left"`
	Fingerprints int       `json:"fingerprints"` // how many certificates would have to be read out: 1 or 2
}

// Candidate is a certificate seen for a contact. While the contact is not
// verified it carries nothing that would have to be read out on the call (V5).
type Candidate struct {
	ID      string    `json:"id"` // opaque
	Issuer  string    `json:"issuer"`
	Usage   string    `json:"usage"` // "signing and encryption", "signing", "encryption"
	Expires time.Time `json:"expires"`
	Seen    time.Time `json:"seen"`
	From    string    `json:"from"`  // "a message of 3 March", "a file you added"
	Chain   string    `json:"chain"` // trusted | untrusted | expired | revoked | unknown
	Pinned  bool      `json:"pinned,omitempty"`
	Of      string    `json:"of,omitempty"` // the domain of whose organisation it is, for everybody there
}

// Search is what came of looking for somebody's certificate.
type Search struct {
	Contact Contact  `json:"contact"` // as it stands now; of somebody of whom nothing is known, the address
	Found   bool     `json:"found"`   // there is one that can be used
	Looked  []Looked `json:"looked"`  // in order
}

// Looked is one place where a certificate was looked for.
type Looked struct {
	// Place is address-book, dns-address, dns-domain, ldap-address, ldap-domain, smimea,
	// directory or mail.
	Place        string    `json:"place"`
	Where        string    `json:"where"`          // in words
	Says         string    `json:"says,omitempty"` // why there is nothing to use, or what else there is to say
	At           time.Time `json:"at"`             // when it was asked: answers are kept for an hour at most
	Certificates []Seen    `json:"certificates,omitempty"`
}

// Seen is one certificate that a place had. It carries nothing that would have to be
// read out on the call (V5).
type Seen struct {
	Issuer  string    `json:"issuer"`
	Usage   string    `json:"usage"` // as of a Candidate
	Expires time.Time `json:"expires"`
	Good    bool      `json:"good"`
	Why     string    `json:"why,omitempty"` // it does not do
}

// The sources a telephone number can come from (V1).
const (
	SourceDirectory  = "directory"  // the organisation's own or a printed directory
	SourceLetterhead = "letterhead" // held before
	SourceEarlier    = "earlier"    // an earlier verified record
	SourceKnown      = "known"      // known personally
	SourceInPerson   = "in-person"  // met, so no number
)

// CallReport is what was heard. Number and Source are needed before anything
// else counts, unless they were given before.
type CallReport struct {
	Address     string   `json:"address"`
	Number      string   `json:"number,omitempty"`
	Source      string   `json:"source,omitempty"`
	Code        []string `json:"code,omitempty"`        // four words
	Words       []string `json:"words,omitempty"`       // six safety words
	Fingerprint []string `json:"fingerprint,omitempty"` // one or two, signing first
	Reader      string   `json:"reader,omitempty"`      // for a team: who read them
	Wrong       bool     `json:"wrong,omitempty"`       // "something does not match"
}

// CallResult says what matched, in words.
type CallResult struct {
	Contact Contact `json:"contact"`
	Matched bool    `json:"matched"`           // everything in this report matched
	Says    string  `json:"says"`              // plain words, never which word was wrong
	Unknown []int   `json:"unknown,omitempty"` // positions not on the list: these cost no try
}

// OwnWords is what the user reads out when somebody verifies them.
type OwnWords struct {
	Address      string   `json:"address"`
	Words        []string `json:"words"`
	Fingerprints []string `json:"fingerprints"` // for callers without Countersign: last 24 hex digits

	Next *NextWords `json:"next,omitempty"` // of the keys that are to take over
}

// NextWords is what is read out to those who were told of the keys that are to take over.
type NextWords struct {
	From         time.Time `json:"from"`
	Words        []string  `json:"words"`
	Fingerprints []string  `json:"fingerprints"`
}

// Identity is one key set of the user's own.
type Identity struct {
	ID       string    `json:"id"`
	Address  string    `json:"address"`
	Name     string    `json:"name"`
	Issuer   string    `json:"issuer"`
	Usage    string    `json:"usage"`
	Expires  time.Time `json:"expires"`
	Retired  bool      `json:"retired,omitempty"`
	From     time.Time `json:"from,omitzero"` // when it takes over from the one in use; zero: it has
	State    string    `json:"state"`         // good | expired | revoked | unknown | untrusted
	Problem  string    `json:"problem,omitempty"`
	KeyPlace string    `json:"key_place"` // "keychain", "sealed under the keychain"
	// Movable says that the key which opens mail is on this computer alone: Tokens.Move can
	// put it on a token.
	Movable bool `json:"movable,omitempty"`

	Lost         time.Time        `json:"lost,omitzero"` // when its keys were given up: they only open mail
	Certificates []OwnCertificate `json:"certificates,omitempty"`
}

// PKCS12Order names the passphrase of a PKCS #12 file.
type PKCS12Order struct {
	Password string `json:"password"`
}

// Recovery is the state of the recovery file.
type Recovery struct {
	State string    `json:"state"` // missing | unconfirmed | ready | outdated
	Made  time.Time `json:"made,omitzero"`
	Path  string    `json:"path,omitempty"`
	Ask   []int     `json:"ask,omitempty"` // which two words (1 to 8) are to be typed back
}

// RecoveryFile is the file and the words that open it, shown once.
type RecoveryFile struct {
	Name  string   `json:"name"`
	Bytes []byte   `json:"bytes"`
	Words []string `json:"words"`
	Ask   []int    `json:"ask"`
}

// RecoveryCheck carries the two words asked for, in the order asked.
type RecoveryCheck struct {
	Words []string `json:"words"`
}

// Account is one mailbox.
type Account struct {
	Address   string    `json:"address"`
	IMAP      Server    `json:"imap"`
	SMTP      Server    `json:"smtp"`
	LastFetch time.Time `json:"last_fetch,omitzero"`
	Problem   string    `json:"problem,omitempty"`
}

// Server is one mail server. TLS is always used.
type Server struct {
	Host string `json:"host"`
	Port int    `json:"port"`
	TLS  string `json:"tls"` // implicit | starttls
}

// NewAccount adds a mailbox. Confirmed must be true where a server's name is
// not the address's own domain or below it (O4).
type NewAccount struct {
	Account
	User      string `json:"user"`
	Password  string `json:"password"`
	Confirmed bool   `json:"confirmed"`
	RootsPEM  string `json:"roots_pem,omitempty"` // extra TLS roots of a private server
}

// Entry is one line of the journal. It holds no subject, body or file name.
type Entry struct {
	Seq    int64     `json:"seq"`
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"`
	Person string    `json:"person,omitempty"`
	Says   string    `json:"says"`
}

// JournalProof is the result of checking the chain.
type JournalProof struct {
	OK      bool      `json:"ok"`
	Entries int64     `json:"entries"`
	Proved  time.Time `json:"proved,omitzero"` // up to the head held outside
	Says    string    `json:"says"`
}

// Status is what stands at the edge of every face.
type Status struct {
	Shut      bool      `json:"shut,omitempty"` // the agent is locked, without keys and sessions: nothing else is known (K2)
	Version   string    `json:"version"`
	Address   string    `json:"address,omitempty"`
	Name      string    `json:"name,omitempty"`
	Setup     []Step    `json:"setup"` // what is still to be done before mail can go
	LastFetch time.Time `json:"last_fetch,omitzero"`
	Problem   string    `json:"problem,omitempty"` // one sentence that needs attention
	// AddressBook says that the address book was changed from outside, and what to
	// do about it: code "rolled-back" (Contacts.StartOver begins anew) or "edited".
	AddressBook *Refusal `json:"address_book,omitempty"`
	// Certificate says that the user's own certificate runs out soon, or has, and what
	// to do about it: code "renew" or "run-out".
	Certificate *Refusal `json:"certificate,omitempty"`
	// Announcement says that people are not told of the user's new key until a card is
	// unlocked: code "announcement-waits".
	Announcement *Refusal `json:"announcement,omitempty"`
	Unread       int      `json:"unread"`
	Waiting      int      `json:"waiting"`         // contacts with something to do
	Outbox       int      `json:"outbox"`          // not yet taken by a server
	Locked       int      `json:"locked"`          // messages that wait for a card
	Cards        []string `json:"cards,omitempty"` // what is wrong with card makers' software
	Demo         bool     `json:"demo,omitempty"`
	Keys         string   `json:"keys"` // where the keys are, in words
}

// Step is one step of the first set-up.
type Step struct {
	Name    string `json:"name"` // identity | anchor | account | recovery
	Title   string `json:"title"`
	Why     string `json:"why"`
	Done    bool   `json:"done"`
	Command string `json:"command"`
}

// Preferences is the few things the user can set.
type Preferences struct {
	FetchMinutes  int  `json:"fetch_minutes"`  // 1 to 60
	AllowPrivate  bool `json:"allow_private"`  // authorities and directories at private addresses (a clinic's own)
	GraceHours    int  `json:"grace_hours"`    // past nextUpdate, 0 to 168
	KeepSummaries bool `json:"keep_summaries"` // sealed summaries so that the inbox opens at once
	// Directories are where people's certificates are looked for as well, with spaces
	// between: ldaps://host or ldap://host.
	Directories string `json:"directories"`

	LockWithScreen bool `json:"lock_with_screen"` // keys and sessions are dropped when the screen is locked
}

// PageAddress is the loopback page's address, good for one sign-in.
type PageAddress struct {
	URL string `json:"url"`
}

// Cursor numbers the events of one profile, from 1.
type Cursor int64

// Event is one thing that happened.
type Event struct {
	Cursor Cursor    `json:"cursor"`
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"` // mail | unsecured | contact | stopped (a contact who cannot be written to any more) | outbox | status | simulation | locked | unlocked (mail) | token-in | token-out | token-waits | token-unlocked | token-locked
	ID     string    `json:"id,omitempty"`
	Says   string    `json:"says"` // may be shown in a notification: no subject, no body
}

// Stage is what the demo's simulated colleague offers.
type Stage struct {
	Name   string `json:"name"`
	Number string `json:"number"` // as printed in the clinic's directory
	Next   string `json:"next"`   // what to try next, one sentence
	Acts   []Act  `json:"acts"`
}

// Act is one thing that can be made to happen in the demo.
type Act struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Done  string `json:"done"` // what happened, once it did
}

// Conversation is a simulated telephone call.
type Conversation struct {
	Answered bool     `json:"answered"`
	Lines    []string `json:"lines"` // what she says, in order
}
