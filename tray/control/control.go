// Package control is everything that a person or a program can ask of the
// agent: a [Service] of small interfaces, a server that answers it on a local
// socket, and a client that is the same Service at the other end. The icon
// and the command line know nothing else of keys and mail; the page asks the
// same Service inside the agent.
//
// # The wire
//
// HTTP/1.1, one request a connection, over a stream whose both ends
// platform/localsock has checked. [Dial] reaches it, [Serve] answers it.
//
//   - A call is POST /v1/mail/send with the query as JSON (at most 1 MiB, no
//     unknown field, nothing after it) and is answered by the answer as JSON.
//   - A call that takes a file carries the query in the header Query, as
//     base64url of JSON, and the file as the body. It streams, at any length.
//   - A call that returns a file carries the answer in the header Answer,
//     written the same way, and the file as the body. A failure on the way
//     stands in the trailer Failure; a body that ends early without one fails
//     as io.ErrUnexpectedEOF. What was read before is not to be trusted.
//   - Events.Watch is GET /v1/events/watch: server-sent events whose ids are
//     cursors. Last-Event-ID resumes after a cursor. The client reconnects by
//     itself, so a watcher misses nothing and is told nothing twice.
//   - The header Terminal, written as Query, says at which terminal the caller sits.
//   - A refusal is status 403 and {"refused":{...}}, any other failure 4xx or
//     500 and {"failure":{...}}. They arrive as the [Refused] or [Error] that
//     was returned. An error of another type arrives as an [Error] with code
//     "failed" that reads the same.
//
// A request with an Origin or a Referer, or for a Host other than
// "countersign", is refused before anything else: it comes from a browser that
// was talked into it. When a client goes away, the context of its call ends.
//
// # Identifiers
//
// Drafts are named by the face that makes them, by [NewID], so that a repeated
// request is recognised as one.
package control

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"net"

	"countersign/platform/localsock"
)

// NewID returns 26 random characters (a to z, 2 to 7; 128 bits).
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return lowerBase32.EncodeToString(b[:])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// At returns the service of the agent whose socket lies in the folder dir, as
// [Dial] does.
func At(dir string) *Service {
	return Dial(func(ctx context.Context) (net.Conn, error) { return localsock.Dial(ctx, dir) })
}

// Limits of what one side accepts from the other.
const (
	maxQuery  = 1 << 20  // bytes of JSON in a query
	maxAnswer = 32 << 20 // bytes of JSON in an answer: a message's text may be long
	maxHeader = 64 << 10 // bytes of a request's header, a file's query included
	maxDrain  = 64 << 20 // bytes of a refused upload read so that the refusal arrives
)

// host is the only name that a request may be for.
const host = "countersign"

// Header names of our own.
const (
	headerQuery    = "Query"
	headerAnswer   = "Answer"
	headerFailure  = "Failure"
	headerTerminal = "Terminal"
)
