package transport

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Fetch brings every message after the position, oldest first: each is called
// with the message and a reader of its bytes, as they travelled. When it returns nil the
// message counts as accepted; when it returns an error Fetch ends with that
// error, and the next Fetch begins with the same message. What each leaves unread
// is read to the end for it; it must not use the Mailbox itself.
//
// If the mailbox was renumbered (another UIDVALIDITY), it is read from its
// beginning: the caller knows what it had by the bytes. A connection that breaks
// is made anew as long as messages keep coming.
func (m *Mailbox) Fetch(ctx context.Context, after Position, each func(Arrival, io.Reader) error) (Fetched, error) {
	f := Fetched{Position: after}
	for failures := 0; ; {
		before := f.Position
		err := m.during(ctx, func() error { return m.fetch(ctx, &f, each) })
		var failure *Error
		if !errors.As(err, &failure) || failure.Kind != Interrupted && failure.Kind != NotUnderstood {
			return f, err
		}
		if f.Position != before {
			failures = 0
		}
		if failures++; failures > 2 {
			return f, err
		}
	}
}

func (m *Mailbox) fetch(ctx context.Context, f *Fetched, each func(Arrival, io.Reader) error) error {
	if f.Position.Validity != m.validity {
		f.Restarted = f.Restarted || f.Position.Validity != 0
		f.Position = Position{Validity: m.validity}
	}
	m.expect()
	if err := m.client.Noop().Wait(); err != nil { // what arrived since SELECT
		return err
	}
	select {
	case <-m.arrived:
	default:
	}
	waiting, err := m.list(f.Position.UID)
	if err != nil {
		return err
	}
	limit := or(m.d.MaxMessage, defaultMaxMessage)
	for len(waiting) > 0 {
		if waiting[0].Size > limit {
			f.leave(m.server.Host, waiting[0], limit)
			f.Position = waiting[0].Position
			waiting = waiting[1:]
			continue
		}
		n, bytes := 0, int64(0)
		for n < len(waiting) && n < batchMessages && waiting[n].Size <= limit && (n == 0 || bytes+waiting[n].Size <= batchBytes) {
			bytes += waiting[n].Size
			n++
		}
		if err := m.batch(ctx, f, waiting[:n], each); err != nil {
			return err
		}
		waiting = waiting[n:]
	}
	return nil
}

func (f *Fetched) leave(host string, a Arrival, limit int64) {
	f.Left = append(f.Left, Left{Position: a.Position, Size: a.Size,
		Says: "A message of " + megabytes(a.Size) + " was left on " + host + ": the limit is " + megabytes(limit) + "."})
}

// list returns the messages above a UID, in order, as the server describes them. It
// goes from the newest backwards until it meets one that is not above.
func (m *Mailbox) list(above uint32) ([]Arrival, error) {
	var found []Arrival
	inbox := m.client.Mailbox()
	if inbox == nil {
		return nil, fail(NotUnderstood, nil, "%s closed the inbox.", m.server.Host)
	}
	for high := inbox.NumMessages; high > 0; {
		low := max(1, int64(high)-listMessages+1)
		described, err := m.describe(imap.SeqSet{{Start: uint32(low), Stop: high}})
		if err != nil {
			return nil, err
		}
		newer := slices.DeleteFunc(slices.Clone(described), func(a Arrival) bool { return a.UID <= above })
		found = append(found, newer...)
		if len(newer) < len(described) || len(described) == 0 {
			break
		}
		high = uint32(low) - 1
	}
	slices.SortFunc(found, func(a, b Arrival) int { return cmp.Compare(a.UID, b.UID) })
	return slices.CompactFunc(found, func(a, b Arrival) bool { return a.UID == b.UID }), nil
}

func (m *Mailbox) describe(set imap.NumSet) ([]Arrival, error) {
	m.expect()
	command := m.client.Fetch(set, &imap.FetchOptions{UID: true, Flags: true, RFC822Size: true})
	var described []Arrival
	for message := command.Next(); message != nil; message = command.Next() {
		a := Arrival{Position: Position{Validity: m.validity}}
		for item := message.Next(); item != nil; item = message.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				a.UID = uint32(item.UID)
			case imapclient.FetchItemDataFlags:
				a.Seen = slices.Contains(item.Flags, imap.FlagSeen)
			case imapclient.FetchItemDataRFC822Size:
				a.Size = item.Size
			}
		}
		if a.UID != 0 {
			described = append(described, a)
		}
	}
	return described, command.Close()
}

// batch fetches some messages with one command, so that a slow line costs one
// round trip for all of them.
func (m *Mailbox) batch(ctx context.Context, f *Fetched, wanted []Arrival, each func(Arrival, io.Reader) error) error {
	var set imap.UIDSet
	for _, a := range wanted {
		set.AddNum(imap.UID(a.UID))
	}
	m.conn.expectMessages(m.reply(), imapBudget, len(wanted))
	command := m.client.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	had := make(map[uint32]bool, len(wanted))
	for data := command.Next(); data != nil; data = command.Next() {
		if err := m.message(f, data, wanted, had, each); err != nil {
			// In the middle of a message: only a new connection leads out of it.
			err = m.inMessage(ctx, err)
			m.conn.cut()
			command.Close()
			m.drop()
			return err
		}
	}
	if err := command.Close(); err != nil {
		return err
	}
	return m.missing(f, wanted, had)
}

// missing looks after the messages that were asked for and not given: most have been
// deleted meanwhile, but one that is there all the same must not be passed over in
// silence.
func (m *Mailbox) missing(f *Fetched, wanted []Arrival, had map[uint32]bool) error {
	var set imap.UIDSet
	for _, w := range wanted {
		if !had[w.UID] {
			set.AddNum(imap.UID(w.UID))
		}
	}
	if len(set) > 0 {
		there, err := m.describe(set)
		if err != nil {
			return err
		}
		for _, a := range there {
			f.Left = append(f.Left, Left{Position: a.Position, Size: a.Size,
				Says: "A message was left on " + m.server.Host + ", which describes it but does not give it."})
		}
	}
	f.Position.UID = wanted[len(wanted)-1].UID
	return nil
}

// inMessage keeps a callback's error and names any other.
func (m *Mailbox) inMessage(ctx context.Context, err error) error {
	var own callback
	if errors.As(err, &own) {
		return err
	}
	return m.broken(ctx, err)
}

// message hands one message to the caller and moves the position as far as every
// message up to it has been dealt with: a server may answer in any order.
func (m *Mailbox) message(f *Fetched, data *imapclient.FetchMessageData, wanted []Arrival, had map[uint32]bool, each func(Arrival, io.Reader) error) error {
	var a Arrival
	for item := data.Next(); item != nil; item = data.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			if i := slices.IndexFunc(wanted, func(w Arrival) bool { return w.UID == uint32(item.UID) }); i >= 0 {
				a = wanted[i]
			}
		case imapclient.FetchItemDataBodySection:
			if a.UID == 0 || had[a.UID] || item.Literal == nil {
				continue
			}
			had[a.UID] = true
			a.Size = item.Literal.Size()
			if limit := or(m.d.MaxMessage, defaultMaxMessage); a.Size > limit {
				// Described as smaller than it is. It cannot be skipped but by reading it.
				f.leave(m.server.Host, a, limit)
				f.reach(wanted, had)
				return errFlood
			}
			if err := m.give(a, item.Literal, each); err != nil {
				had[a.UID] = false
				return err
			}
			f.New++
			f.reach(wanted, had)
		}
	}
	return nil
}

func (m *Mailbox) give(a Arrival, literal io.Reader, each func(Arrival, io.Reader) error) error {
	r := &remembering{Reader: &exactly{literal, m.conn, a.Size}}
	err := each(a, r)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	switch {
	case r.err != nil: // the line's failure, whatever the callback made of it
		return r.err
	case err != nil:
		return callback{err}
	}
	return nil
}

func (f *Fetched) reach(wanted []Arrival, had map[uint32]bool) {
	for _, w := range wanted {
		if !had[w.UID] {
			return
		}
		f.Position.UID = w.UID
	}
}
