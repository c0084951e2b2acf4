package control

import (
	"context"
	"net/http"
)

// Terminal is where somebody sits who asks for something from a command line. If what they ask
// for needs the PIN of a card, they are asked for it there; the PIN itself never travels here
// (K3). A client says it with each call in the header Terminal, and the agent believes none
// that does not belong to its own user.
type Terminal struct {
	Path   string `json:"path"`             // such as /dev/pts/3
	Kind   string `json:"kind"`             // $TERM there
	Screen bool   `json:"screen,omitempty"` // the agent's screen, if it has one, is before the same person
}

type terminalKey struct{}

// WithTerminal marks a context as that of somebody who sits at a terminal.
func WithTerminal(ctx context.Context, t Terminal) context.Context {
	return context.WithValue(ctx, terminalKey{}, t)
}

// TerminalOf is the terminal of who asks; the zero value where there is none.
func TerminalOf(ctx context.Context) Terminal {
	t, _ := ctx.Value(terminalKey{}).(Terminal)
	return t
}

// writeTerminal says in a request where its sender sits.
func writeTerminal(ctx context.Context, h http.Header) error {
	t := TerminalOf(ctx)
	if t == (Terminal{}) {
		return nil
	}
	value, err := encodeHeader(t)
	h.Set(headerTerminal, value)
	return err
}

// readTerminal reads it.
func readTerminal(req *http.Request) (context.Context, error) {
	value := req.Header.Get(headerTerminal)
	if value == "" {
		return req.Context(), nil
	}
	t, err := decodeHeader[Terminal](value)
	return WithTerminal(req.Context(), t), err
}
