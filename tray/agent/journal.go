package agent

import (
	"context"

	"countersign/tray/control"
)

// usualList is how many are listed where nobody says.
const usualList = 50

// record answers control.Journal.
type record struct{ *Agent }

// List returns the journal, newest first.
func (s record) List(ctx context.Context, q control.JournalQuery) ([]control.Entry, error) {
	list, err := s.journal.List(ctx, q.Before, atMost(q.Limit))
	if err != nil {
		return nil, err
	}
	entries := make([]control.Entry, 0, len(list))
	for _, e := range list {
		entries = append(entries, control.Entry(e))
	}
	return entries, nil
}

// Verify checks the chain of the journal.
func (s record) Verify(ctx context.Context, _ control.None) (control.JournalProof, error) {
	p, err := s.journal.Verify(ctx)
	return control.JournalProof(p), err
}

func atMost(limit int) int {
	if limit <= 0 {
		return usualList
	}
	return min(limit, control.MaxList)
}
