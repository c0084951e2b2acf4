// Package session tells when the user's session is locked and when it is open again, so
// that keys can be dropped meanwhile (SECURITY.md, K2). A computer that is about to sleep
// counts as locked until it is awake.
//
// On Linux it listens to logind on the system bus (org.freedesktop.login1: the signals
// Lock and Unlock and the property LockedHint of every session of this user, and
// PrepareForSleep) and to the screen saver on the session bus (org.freedesktop.ScreenSaver
// and org.gnome.ScreenSaver: ActiveChanged). Each bus has a private connection; one that
// breaks is made anew, and until then what it said last holds. Before sleep the system is
// held back, up to logind's limit (5 seconds by default), until [Watch]'s function has
// returned or the process has ended.
//
// On Windows it listens to the notifications of the terminal services and of the power
// manager, by a window that nobody sees. On macOS, and where no bus answers, nothing is
// noticed: there the user locks by hand.
package session

import "sync"

// state joins what several sources say. The session is locked if one of them says so.
type state struct {
	tell func(locked bool)

	mu      sync.Mutex
	says    map[string]bool
	unheard int // sources that have not said yet how things stand at first
	told    bool
	first   bool // something was told
}

// newState waits for so many sources before it tells anything: else one that knows of
// nothing would be believed before another that does.
func newState(sources int, tell func(bool)) *state {
	return &state{tell: tell, says: map[string]bool{}, unheard: sources}
}

// heard notes that a source has said how things stand at first, or cannot be asked.
func (s *state) heard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unheard--
	s.settle()
}

// set notes what one source says, and tells of a change of the whole. It returns when
// that was heard.
func (s *state) set(source string, locked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says[source] = locked
	s.settle()
}

// keep forgets the sources that begin like this, but for those named: sessions that ended.
func (s *state) keep(prefix string, now map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for source := range s.says {
		if len(source) > len(prefix) && source[:len(prefix)] == prefix {
			if _, there := now[source]; !there {
				delete(s.says, source)
			}
		}
	}
	for source, locked := range now {
		s.says[source] = locked
	}
	s.settle()
}

func (s *state) settle() {
	locked := false
	for _, l := range s.says {
		locked = locked || l
	}
	if s.unheard > 0 {
		return
	}
	if !s.first || locked != s.told {
		s.first, s.told = true, locked
		s.tell(locked)
	}
}
