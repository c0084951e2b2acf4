package server

import (
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

const delimiter = '/'

// session is one IMAP session. The library calls it from one goroutine at a time.
type session struct {
	store   Store
	conn    *imapserver.Conn
	limit   int64
	mailbox Mailbox // nil until signed in
	folder  string  // selected, or ""
	only    bool    // selected by EXAMINE: nothing is changed
	version uint64  // of the folder, as the client was last told
	told    []Message
}

func no(code imap.ResponseCode, words string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: words}
}

// answer turns an error of the store into the answer that RFC 5530 has for it.
func answer(err error) error {
	switch {
	case errors.Is(err, ErrGone):
		return no(imap.ResponseCodeNonExistent, "There is no such folder or message")
	case errors.Is(err, ErrFull):
		return no(imap.ResponseCodeOverQuota, "There is no room for the message")
	}
	return err
}

// Close ends the session.
func (s *session) Close() error { return nil }

// Login signs in; the library asks only inside TLS.
func (s *session) Login(user, password string) error {
	mailbox, err := s.store.SignIn(user, password)
	if err != nil {
		return imapserver.ErrAuthFailed
	}
	s.mailbox = mailbox
	return nil
}

// AppendLimit is the largest message that APPEND takes.
func (s *session) AppendLimit() uint32 { return uint32(min(s.limit, 1<<31)) }

// Namespace says that all folders are personal ones.
func (s *session) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: delimiter}}}, nil
}

// Select opens a folder.
func (s *session) Select(name string, o *imap.SelectOptions) (*imap.SelectData, error) {
	view, err := s.mailbox.View(name)
	if err != nil {
		return nil, answer(err)
	}
	s.folder, s.only, s.version, s.told = name, o.ReadOnly, view.Version, view.Messages
	data := &imap.SelectData{
		Flags:       systemFlags(),
		NumMessages: uint32(len(view.Messages)),
		UIDNext:     imap.UID(view.Next),
		UIDValidity: view.Validity,
	}
	if !s.only {
		data.PermanentFlags = append(systemFlags(), imap.FlagWildcard)
	}
	unseen := slices.IndexFunc(view.Messages, func(m Message) bool { return !m.has(imap.FlagSeen) })
	data.FirstUnseenSeqNum = uint32(unseen + 1)
	return data, nil
}

func systemFlags() []imap.Flag {
	return []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft}
}

// has compares as RFC 9051, section 2.3.2, says: without regard to case.
func (m Message) has(flag imap.Flag) bool {
	return slices.ContainsFunc(m.Flags, func(f string) bool { return strings.EqualFold(f, string(flag)) })
}

// Unselect closes the folder.
func (s *session) Unselect() error {
	s.folder, s.told = "", nil
	return nil
}

var errFixed = no(imap.ResponseCodeCannot, "The folders are fixed")

// Create refuses: the folders are the store's.
func (s *session) Create(string, *imap.CreateOptions) error { return errFixed }

// Delete refuses.
func (s *session) Delete(string) error { return errFixed }

// Rename refuses.
func (s *session) Rename(string, string, *imap.RenameOptions) error { return errFixed }

// Subscribe has nothing to do: every folder is subscribed.
func (s *session) Subscribe(name string) error {
	_, err := s.mailbox.View(name)
	return answer(err)
}

// Unsubscribe refuses.
func (s *session) Unsubscribe(string) error { return errFixed }

// List names the folders that match.
func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if len(patterns) == 0 { // asks for the delimiter (RFC 9051, section 6.3.9)
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delimiter})
	}
	for _, f := range s.mailbox.Folders() {
		if o.SelectSpecialUse && f.Use == "" {
			continue
		}
		if !slices.ContainsFunc(patterns, func(p string) bool { return matches(f.Name, ref+p) }) {
			continue
		}
		data := &imap.ListData{Mailbox: f.Name, Delim: delimiter, Attrs: []imap.MailboxAttr{imap.MailboxAttrHasNoChildren}}
		if f.Use != "" {
			data.Attrs = append(data.Attrs, imap.MailboxAttr(f.Use))
		}
		if o.SelectSubscribed || o.ReturnSubscribed {
			data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
		}
		if o.ReturnStatus != nil {
			status, err := s.Status(f.Name, o.ReturnStatus)
			if err != nil {
				return err
			}
			data.Status = status
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

// matches compares a folder's name with a pattern of RFC 9051, section 6.3.9, in
// time proportional to the product of their lengths, whatever the pattern.
func matches(name, pattern string) bool {
	if strings.EqualFold(pattern, "INBOX") {
		return name == "INBOX"
	}
	reached := make([]bool, len(name)+1) // the prefixes of name that the pattern so far can match
	reached[0] = true
	for i := range len(pattern) {
		next := make([]bool, len(name)+1)
		wild := pattern[i] == '*' || pattern[i] == '%'
		for n := range reached {
			if wild {
				next[n] = reached[n] || n > 0 && next[n-1] && (pattern[i] == '*' || name[n-1] != delimiter)
			} else if n > 0 {
				next[n] = reached[n-1] && name[n-1] == pattern[i]
			}
		}
		reached = next
	}
	return reached[len(name)]
}

// Status describes a folder. Every item is set, since the library follows what
// was asked for without looking.
func (s *session) Status(name string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	view, err := s.mailbox.View(name)
	if err != nil {
		return nil, answer(err)
	}
	var unseen, deleted, recent uint32
	var size, freed int64
	for _, m := range view.Messages {
		size += m.Size
		if !m.has(imap.FlagSeen) {
			unseen++
		}
		if m.has(imap.FlagDeleted) {
			deleted++
			freed += m.Size
		}
	}
	count, limit := uint32(len(view.Messages)), s.AppendLimit()
	return &imap.StatusData{
		Mailbox: name, NumMessages: &count, NumRecent: &recent, UIDNext: imap.UID(view.Next), UIDValidity: view.Validity,
		NumUnseen: &unseen, NumDeleted: &deleted, Size: &size, AppendLimit: &limit, DeletedStorage: &freed,
	}, nil
}

// Append stores a message.
func (s *session) Append(name string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	view, err := s.mailbox.View(name)
	if err != nil {
		return nil, no(imap.ResponseCodeTryCreate, "There is no such folder")
	}
	m := Message{Size: r.Size(), Received: o.Time, Flags: names(o.Flags)}
	uid, err := s.mailbox.Append(name, m, r)
	if err != nil {
		return nil, answer(err)
	}
	return &imap.AppendData{UID: imap.UID(uid), UIDValidity: view.Validity}, nil
}

func names(flags []imap.Flag) []string {
	var all []string
	for _, f := range flags {
		all = append(all, string(f))
	}
	return all
}

// Poll tells the client what changed in the selected folder.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.folder == "" {
		return nil
	}
	return s.tell(w, allowExpunge)
}

// Idle tells the client of changes as they happen.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	for {
		var changed <-chan struct{}
		if s.folder != "" {
			changed = s.mailbox.Changed(s.folder)
			if err := s.tell(w, true); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-stop:
			return nil
		}
	}
}

// tell brings the client's picture of the folder up to date: what went (only
// where sequence numbers may change), whose flags changed, what came.
func (s *session) tell(w *imapserver.UpdateWriter, allowExpunge bool) error {
	view, err := s.mailbox.View(s.folder)
	if err != nil {
		return answer(err)
	}
	if view.Version == s.version {
		return nil
	}
	now := map[uint32]Message{}
	for _, m := range view.Messages {
		now[m.UID] = m
	}
	whole := true
	for i := len(s.told) - 1; i >= 0; i-- {
		told := s.told[i]
		m, there := now[told.UID]
		switch {
		case !there && !allowExpunge:
			whole = false
		case !there:
			if err := w.WriteExpunge(uint32(i + 1)); err != nil {
				return err
			}
			s.told = slices.Concat(s.told[:i], s.told[i+1:])
		case !slices.Equal(m.Flags, told.Flags):
			if err := w.WriteMessageFlags(uint32(i+1), imap.UID(m.UID), m.flags()); err != nil {
				return err
			}
			s.told = slices.Clone(s.told)
			s.told[i].Flags = m.Flags
		}
	}
	last := uint32(0)
	if len(s.told) > 0 {
		last = s.told[len(s.told)-1].UID
	}
	came := slices.IndexFunc(view.Messages, func(m Message) bool { return m.UID > last })
	if came >= 0 {
		s.told = slices.Concat(s.told, view.Messages[came:])
		if err := w.WriteNumMessages(uint32(len(s.told))); err != nil {
			return err
		}
	}
	if whole {
		s.version = view.Version
	}
	return nil
}

func (m Message) flags() []imap.Flag {
	all := []imap.Flag{}
	for _, f := range m.Flags {
		all = append(all, imap.Flag(f))
	}
	return all
}
