// Package watch is what the fetching of mail remembers: how it went for each mailbox,
// and how those that wait for new mail are woken. The zero values are ready for use,
// by several goroutines.
package watch

import (
	"sync"
	"time"
)

// Fetched remembers, for the edge of every face, how the fetching went.
type Fetched struct {
	mu       sync.Mutex
	at       map[string]time.Time
	problems map[string]string // by address; "" for what concerns no mailbox
}

// Done notes that a mailbox was read to its end.
func (f *Fetched) Done(address string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil {
		f.at = map[string]time.Time{}
	}
	f.at[address] = at
	delete(f.problems, address)
}

// Fail notes, in words, why a mailbox or a message in it could not be had; an empty
// address is for what concerns no mailbox.
func (f *Fetched) Fail(address, says string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.problems == nil {
		f.problems = map[string]string{}
	}
	f.problems[address] = says
}

// Of returns when a mailbox was read last, and its problem.
func (f *Fetched) Of(address string) (time.Time, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[address], f.problems[address]
}

// Last returns when any mailbox was read last.
func (f *Fetched) Last() (t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.at {
		if at.After(t) {
			t = at
		}
	}
	return t
}

// Problem returns one problem that there is, or nothing.
func (f *Fetched) Problem() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.problems[""]; p != "" {
		return p
	}
	for address, p := range f.problems {
		return address + ": " + p
	}
	return ""
}

// Waits ends the waiting of every mailbox at once: something was done here that its
// server is to know.
type Waits struct {
	mu    sync.Mutex
	n     int
	stops map[int]func()
}

// Add notes how one waiting is ended. Gone takes that back.
func (s *Waits) Add(stop func()) (gone func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stops == nil {
		s.stops = map[int]func(){}
	}
	s.n++
	n := s.n
	s.stops[n] = stop
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.stops, n)
	}
}

// End ends them all.
func (s *Waits) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stop := range s.stops {
		stop()
	}
}
