package server

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"time"

	"countersign/mailer/message"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// searchBytes is how much of each message SEARCH BODY and TEXT look at.
const searchBytes = 1 << 20

// Search answers SEARCH. Text is compared in the raw bytes, ASCII case aside, not in
// what they decode to.
func (s *session) Search(kind imapserver.NumKind, c *imap.SearchCriteria, _ *imap.SearchOptions) (*imap.SearchData, error) {
	var numbers []uint32
	err := s.each(imap.SeqSet{{Start: 1, Stop: 0}}, func(number uint32, m Message) error {
		if !s.meets(number, m, c) {
			return nil
		}
		if kind == imapserver.NumKindUID {
			number = m.UID
		}
		numbers = append(numbers, number)
		return nil
	})
	if err != nil {
		return nil, err
	}
	data := &imap.SearchData{Count: uint32(len(numbers))}
	if len(numbers) > 0 {
		data.Min, data.Max = numbers[0], numbers[len(numbers)-1]
	}
	if kind == imapserver.NumKindUID {
		var all imap.UIDSet
		for _, n := range numbers {
			all.AddNum(imap.UID(n))
		}
		data.All = all
	} else {
		data.All = imap.SeqSetNum(numbers...)
	}
	return data, nil
}

func (s *session) meets(number uint32, m Message, c *imap.SearchCriteria) bool {
	last := number == uint32(len(s.told))
	for _, set := range c.SeqNum {
		if !set.Contains(number) && !(last && set.Dynamic()) {
			return false
		}
	}
	for _, set := range c.UID {
		if !set.Contains(imap.UID(m.UID)) && !(last && set.Dynamic() && !imap.IsSearchRes(set)) {
			return false
		}
	}
	lacks := func(f imap.Flag) bool { return !m.has(f) }
	switch {
	case slices.ContainsFunc(c.Flag, lacks), slices.ContainsFunc(c.NotFlag, m.has),
		c.Larger > 0 && m.Size <= c.Larger, c.Smaller > 0 && m.Size >= c.Smaller,
		!between(m.Received, c.Since, c.Before):
		return false
	}
	for i := range c.Not {
		if s.meets(number, m, &c.Not[i]) {
			return false
		}
	}
	for i := range c.Or {
		if !s.meets(number, m, &c.Or[i][0]) && !s.meets(number, m, &c.Or[i][1]) {
			return false
		}
	}
	return s.says(m, c)
}

// says looks into the message, if the criteria ask for that.
func (s *session) says(m Message, c *imap.SearchCriteria) bool {
	if len(c.Header)+len(c.Body)+len(c.Text) == 0 && c.SentSince.IsZero() && c.SentBefore.IsZero() {
		return true
	}
	src, err := s.mailbox.Message(s.folder, m.UID)
	if err != nil {
		return false
	}
	l := newLetter(src, m.Size)
	p := l.part()
	for _, field := range c.Header {
		if !slices.ContainsFunc(p.All(field.Key), func(v string) bool { return holds([]byte(v), field.Value) }) {
			return false
		}
	}
	if sent, err := p.Date(); err != nil && !(c.SentSince.IsZero() && c.SentBefore.IsZero()) || !between(sent, c.SentSince, c.SentBefore) {
		return false
	}
	body, text := head(l.cut(p.Body, p.End)), head(l.cut(0, l.size))
	return !slices.ContainsFunc(c.Body, func(v string) bool { return !holds(body, v) }) &&
		!slices.ContainsFunc(c.Text, func(v string) bool { return !holds(text, v) })
}

func holds(text []byte, words string) bool {
	return bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(words)))
}

func head(s message.Source) []byte {
	r, err := s.Open()
	if err != nil {
		return nil
	}
	defer r.Close()
	text, _ := io.ReadAll(io.LimitReader(r, searchBytes))
	return text
}

// between compares days, disregarding time and zone (RFC 9051, section 6.4.4).
func between(t, since, before time.Time) bool {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return (since.IsZero() || !day.Before(since)) && (before.IsZero() || day.Before(before))
}
