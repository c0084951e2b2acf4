package server

import (
	"io"
	"slices"
	"strings"

	"countersign/mailer/message"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// each calls visit for every message of the set that the client knows of, in
// order. "*" is the last one (RFC 9051, section 9, seq-number).
func (s *session) each(set imap.NumSet, visit func(number uint32, m Message) error) error {
	for i := 0; i < len(s.told); i++ {
		number, m := uint32(i+1), s.told[i]
		last := i == len(s.told)-1
		var wanted bool
		switch set := set.(type) {
		case imap.SeqSet:
			wanted = set.Contains(number) || last && set.Dynamic()
		case imap.UIDSet:
			wanted = set.Contains(imap.UID(m.UID)) || last && set.Dynamic() && !imap.IsSearchRes(set)
		}
		if !wanted {
			continue
		}
		if err := visit(number, m); err != nil {
			return err
		}
	}
	return nil
}

// Fetch answers FETCH. Messages that went meanwhile are left out; the client hears
// of them at the next command that allows it.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	if len(o.BinarySection) > 0 || len(o.BinarySectionSize) > 0 {
		return no(imap.ResponseCodeCannot, "BINARY is not supported")
	}
	return s.each(set, func(number uint32, m Message) error {
		src, err := s.mailbox.Message(s.folder, m.UID)
		if err != nil {
			return nil
		}
		if !s.only && !m.has(imap.FlagSeen) && slices.ContainsFunc(o.BodySection, func(b *imap.FetchItemBodySection) bool { return !b.Peek }) {
			if err := s.flag(number, m.UID, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}); err != nil {
				return nil
			}
			m, o.Flags = s.told[number-1], true
		}
		return s.write(w.CreateMessage(number), m, src, o)
	})
}

// write gives one message. Whatever happens the response is closed, because the
// library holds the connection for it; where it could not be finished the line is cut.
func (s *session) write(w *imapserver.FetchResponseWriter, m Message, src message.Source, o *imap.FetchOptions) (err error) {
	defer func() {
		if err != nil {
			s.conn.NetConn().Close()
		}
		if closed := w.Close(); err == nil {
			err = closed
		}
	}()
	if o.UID {
		w.WriteUID(imap.UID(m.UID))
	}
	if o.Flags {
		w.WriteFlags(m.flags())
	}
	if o.RFC822Size {
		w.WriteRFC822Size(m.Size)
	}
	if o.InternalDate {
		w.WriteInternalDate(m.Received)
	}
	letter := newLetter(src, m.Size)
	if o.Envelope {
		w.WriteEnvelope(letter.envelope())
	}
	if o.BodyStructure != nil {
		w.WriteBodyStructure(letter.structure())
	}
	for _, section := range o.BodySection {
		if err := writeSection(w, section, letter.section(section)); err != nil {
			return err
		}
	}
	return nil
}

func writeSection(w *imapserver.FetchResponseWriter, section *imap.FetchItemBodySection, content slice) error {
	r, err := content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	out := w.WriteBodySection(section, content.size)
	if _, err := io.CopyN(out, r, content.size); err != nil {
		return err
	}
	return out.Close()
}

// Store changes flags.
func (s *session) Store(w *imapserver.FetchWriter, set imap.NumSet, change *imap.StoreFlags, _ *imap.StoreOptions) error {
	if s.only {
		return no(imap.ResponseCodeNoPerm, "The folder was opened for reading only")
	}
	return s.each(set, func(number uint32, m Message) error {
		if err := s.flag(number, m.UID, change); err != nil || change.Silent {
			return nil // it went meanwhile
		}
		r := w.CreateMessage(number)
		r.WriteUID(imap.UID(m.UID))
		r.WriteFlags(s.told[number-1].flags())
		return r.Close()
	})
}

// flag changes the flags of one message, in the store and in what the client knows.
func (s *session) flag(number, uid uint32, change *imap.StoreFlags) error {
	wanted := names(change.Flags)
	same := func(a string) func(string) bool {
		return func(b string) bool { return strings.EqualFold(a, b) }
	}
	var became []string
	err := s.mailbox.Flag(s.folder, uid, func(flags []string) []string {
		if change.Op == imap.StoreFlagsSet {
			flags = nil
		}
		for _, f := range wanted {
			flags = slices.DeleteFunc(flags, same(f))
			if change.Op != imap.StoreFlagsDel && f != `\Recent` {
				flags = append(flags, f)
			}
		}
		return flags
	})
	if err != nil {
		return err
	}
	view, err := s.mailbox.View(s.folder)
	if err != nil {
		return err
	}
	for _, m := range view.Messages {
		if m.UID == uid {
			became = m.Flags
		}
	}
	s.told = slices.Clone(s.told)
	s.told[number-1].Flags = became
	return nil
}

// Expunge removes what is marked \Deleted, of uids only where they are given.
func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	if s.only {
		return nil
	}
	var gone []uint32
	for _, m := range s.told {
		if m.has(imap.FlagDeleted) && (uids == nil || uids.Contains(imap.UID(m.UID))) {
			gone = append(gone, m.UID)
		}
	}
	return s.remove(gone, w.WriteExpunge)
}

// remove removes messages and tells the client which, from the last to the first.
func (s *session) remove(uids []uint32, told func(uint32) error) error {
	if err := s.mailbox.Remove(s.folder, uids); err != nil {
		return answer(err)
	}
	for i := len(s.told) - 1; i >= 0; i-- {
		if !slices.Contains(uids, s.told[i].UID) {
			continue
		}
		s.told = slices.Concat(s.told[:i], s.told[i+1:])
		if err := told(uint32(i + 1)); err != nil {
			return err
		}
	}
	return nil
}

// Copy copies messages to another folder.
func (s *session) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	view, err := s.mailbox.View(dest)
	if err != nil {
		return nil, no(imap.ResponseCodeTryCreate, "There is no such folder")
	}
	data := &imap.CopyData{UIDValidity: view.Validity}
	err = s.each(set, func(_ uint32, m Message) error {
		src, err := s.mailbox.Message(s.folder, m.UID)
		if err != nil {
			return answer(err)
		}
		r, err := src.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		uid, err := s.mailbox.Append(dest, m, r)
		if err != nil {
			return answer(err)
		}
		data.SourceUIDs.AddNum(imap.UID(m.UID))
		data.DestUIDs.AddNum(imap.UID(uid))
		return nil
	})
	if err != nil || len(data.SourceUIDs) == 0 {
		return nil, err // nothing matched: OK without COPYUID
	}
	return data, nil
}

// Move copies and removes.
func (s *session) Move(w *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	if s.only {
		return no(imap.ResponseCodeNoPerm, "The folder was opened for reading only")
	}
	data, err := s.Copy(set, dest)
	if err != nil || data == nil {
		return err
	}
	if err := w.WriteCopyData(data); err != nil {
		return err
	}
	var moved []uint32
	for _, m := range s.told {
		if data.SourceUIDs.Contains(imap.UID(m.UID)) {
			moved = append(moved, m.UID)
		}
	}
	return s.remove(moved, w.WriteExpunge)
}
