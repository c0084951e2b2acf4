package store

import (
	"context"
	"strings"
	"sync"
)

// Filed is a message that waited and is open, and what came of filing it.
type Filed struct {
	Arrival
	Failed error
}

// filing is what is filed in a moment, some in one transaction.
type filing struct {
	mu   sync.Mutex // held while it is filed as well, so that no summary is forgotten in vain
	list []*Filed
}

// forget drops the summaries that speak of some.
func (f *filing) forget(speaks func(peer string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.list {
		if speaks(a.Peer) {
			a.Summary = nil
		}
	}
}

// holds says whether one with that digest is to be filed.
func (f *filing) holds(r Message) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.list {
		if a.Folder == r.Folder && a.Digest == r.Digest {
			return true
		}
	}
	return false
}

func at(domain string) func(string) bool {
	return func(peer string) bool { return strings.HasSuffix(peer, "@"+domain) }
}

// Later has a message filed by [Mail.Flush] as [Mail.Opened] does. It is for one caller at a
// time.
func (m Mail) Later(a *Filed) {
	m.filing.mu.Lock()
	defer m.filing.mu.Unlock()
	m.filing.list = append(m.filing.list, a)
}

// Flush files what is to be filed, in one transaction, and notes what came of each: one that
// cannot be filed stops no other.
func (m Mail) Flush(ctx context.Context) {
	m.filing.mu.Lock()
	defer m.filing.mu.Unlock()
	list := m.filing.list
	m.filing.list = nil
	var all []Arrival
	for _, a := range list {
		all = append(all, a.Arrival)
	}
	if len(list) == 0 || len(list) > 1 && m.Opened(ctx, all...) == nil {
		return
	}
	for i, a := range list {
		a.Failed = m.Opened(ctx, all[i])
	}
}
