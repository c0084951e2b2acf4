// Package transport moves bytes between this machine and a user's own mail
// servers: out by SMTP submission, in by IMAP. It knows neither MIME nor
// S/MIME; what it carries it carries unchanged.
//
// What it promises:
//
//   - TLS always, implicit or by STARTTLS, 1.2 or later, with a certificate valid
//     for the name that the account gives (RFC 8314). Nothing is ever said in the
//     clear but the STARTTLS dialogue itself, in [secure]'s own few lines: what a
//     server slips in before the handshake is not carried over.
//   - A password is sent only inside TLS, only to a server that offers PLAIN or
//     LOGIN, and never where it announces LOGINDISABLED (RFC 9051, section 6.2.3).
//   - [Submitter.Submit] hands over a message only after its Door has read the very
//     bytes and did not object. A Submitter without a Door refuses everything. Should
//     the source give other bytes the second time, the message is broken off
//     before its end, so no server takes it.
//   - [Mailbox.Fetch] streams: a message of 100 MB needs no more memory than one
//     of 1 KB. It resumes after the last message that the caller accepted, follows a
//     change of UIDVALIDITY, and connects anew when a server breaks off or says
//     something that cannot be understood.
//   - A server can neither stall nor flood: silence, a trickle, endless replies
//     and oversized messages each end in an [Error] (conn.go), and only answers
//     that were asked for, in their proper form, reach the IMAP library (gate.go).
//   - Every failure is an [*Error]: a plain sentence for a person, whether trying
//     again is any use, and whether the message may have been taken all the same.
//
// Standards: SMTP (RFC 5321) submission (RFC 6409) with STARTTLS (3207), AUTH
// (4954), SIZE (1870), SMTPUTF8 (6531), enhanced codes (2034); IMAP4rev1 (RFC 3501)
// with UIDs, IDLE (2177) where offered. Not here: POP3, direct delivery to MX,
// PIPELINING and CHUNKING (go-smtp has neither), CONDSTORE.
package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// Security is how TLS begins. The zero value is [Implicit].
type Security string

const (
	Implicit Security = "implicit" // from the first byte: ports 465 and 993
	StartTLS Security = "starttls" // before anything else is said: ports 587 and 143
)

// Server is one mail server, as an account names it.
type Server struct {
	Host     string   `json:"host"` // DNS name or IP address; the certificate must be valid for it
	Port     int      `json:"port"`
	Security Security `json:"tls"`
	RootsPEM string   `json:"roots_pem,omitempty"` // authorities trusted beside the system's, for this server only
}

// Address returns host:port.
func (s Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Secret is a password. However it is printed, encoded or logged, it reads
// "[secret]".
type Secret string

const secretText = "[secret]"

// Format prints [secret] for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, secretText) }

// String returns [secret].
func (Secret) String() string { return secretText }

// MarshalJSON returns "[secret]".
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(secretText) }

// LogValue returns [secret].
func (Secret) LogValue() slog.Value { return slog.StringValue(secretText) }

// Credential signs in to one server.
type Credential struct {
	User     string
	Password Secret
}

// check refuses what would change the command that carries it.
func (c Credential) check() error {
	if strings.ContainsAny(c.User+string(c.Password), "\x00\r\n") {
		return fail(SignIn, nil, "The user name or password holds a character that cannot be sent.")
	}
	return nil
}

// Source is a message whose every Open gives the same bytes from the start.
type Source interface {
	Open() (io.ReadCloser, error)
}

// Dialer is how servers are reached. Its zero value is ready for use.
type Dialer struct {
	// DialContext connects; nil means net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	Connect time.Duration // to connect and agree on TLS; 0 means 30 s
	Reply   time.Duration // to wait for a reply; 0 means 5 minutes for SMTP (RFC 5321, 4.5.3.2) and 1 for IMAP
	Final   time.Duration // to wait for the verdict on a whole message; 0 means 10 minutes

	// MaxMessage is the largest message to fetch, in bytes; 0 means 200 MiB. A
	// larger one is left on the server and told in [Fetched].
	MaxMessage int64
}

const (
	defaultConnect    = 30 * time.Second
	defaultSMTPReply  = 5 * time.Minute
	defaultIMAPReply  = time.Minute
	defaultFinal      = 10 * time.Minute
	defaultMaxMessage = 200 << 20
)

func or[T time.Duration | int64](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}
