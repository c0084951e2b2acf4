package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
	"countersign/tray/demo/authority"
)

// wire keeps what the mail server took, as a courier would have seen it.
type wire struct {
	mu      sync.Mutex
	taken   []parcel
	changed chan struct{} // closed and replaced at each delivery
}

type parcel struct {
	from string
	to   []string
	raw  []byte
}

func newWire() *wire { return &wire{changed: make(chan struct{})} }

// observe is told of every delivery by the mail server.
func (w *wire) observe(from string, to []string, raw []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = append(w.taken, parcel{from, slices.Clone(to), bytes.Clone(raw)})
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.taken)
}

// first is the first message from one address to another, nil when there is none.
func (w *wire) first(from, to string) []byte {
	raw, _ := w.after(0, from, to)
	return raw
}

func (w *wire) after(n int, from, to string) ([]byte, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.taken[n:] {
		if p.from == from && slices.Contains(p.to, to) {
			return p.raw, w.changed
		}
	}
	return nil, w.changed
}

// wait is the first message from one address to another after the first n.
func (w *wire) wait(ctx context.Context, n int, from, to string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		raw, changed := w.after(n, from, to)
		if raw != nil {
			return raw, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.New("the message did not reach the mail server")
		}
	}
}

// courier describes what somebody with no key can tell of a message: the outer
// header, the kind of content, and to whom it is encrypted.
func (s *stage) courier(raw []byte) ([]string, error) {
	o, err := smime.Open(message.Bytes(raw), nil, smime.Options{})
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, f := range o.Outer.Fields {
		lines = append(lines, f.Name+": "+f.Value)
	}
	for _, l := range o.Layers {
		if l.Enveloped == nil {
			continue
		}
		lines = append(lines, fmt.Sprintf("content: %s, %s", l.Form, l.Enveloped.Cipher))
		for _, r := range l.Enveloped.Recipients {
			lines = append(lines, "recipient: "+s.holder(r)+", "+r.Algorithm)
		}
	}
	return lines, nil
}

// holder names whose certificate a recipient info means.
func (s *stage) holder(r cms.Recipient) string {
	for _, p := range []*authority.Person{s.ada.Person, s.bea.Person, s.mallory} {
		if r.Serial != nil && p.Certificate.SerialNumber.Cmp(r.Serial) == 0 {
			return fmt.Sprintf("serial %.8x... (%s)", r.Serial, p.Name)
		}
	}
	return "somebody else"
}

// cannotOpen shows that a key which the message was not encrypted to opens nothing.
func (s *stage) cannotOpen(raw []byte) error {
	keys := []cms.Key{{Certificate: s.mallory.Certificate, Decrypter: s.mallory.Key}}
	o, err := smime.Open(message.Bytes(raw), keys, smime.Options{})
	if err != nil {
		return err
	}
	if o.Problem == nil || o.Payload != nil || strings.Contains(o.Header.Get("Subject"), "Mrs K") {
		return errors.New("a stranger's key opened the letter")
	}
	return nil
}
