package sealed

import "sync"

// maxMemo is how much one memo holds.
const maxMemo = 64

// Memo holds what was read of the database until something is written to it, by whomever:
// what many letters ask one after the other is read once. The zero value is ready, for one
// database. What it gives is shared, and nowhere to be changed in place.
type Memo[V any] struct {
	mu   sync.Mutex
	at   uint64 // the count of writes for which it holds
	what map[string]V
}

// Get returns what is held by a name, or what read reads. Errors are not held.
func (m *Memo[V]) Get(db *DB, name string, read func() (V, error)) (V, error) {
	at := db.writes.Load() // before reading: what is written meanwhile counts as not read
	m.mu.Lock()
	v, held := m.what[name]
	held = held && m.at == at
	m.mu.Unlock()
	if held {
		return v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at != at || m.what == nil || len(m.what) >= maxMemo {
		m.at, m.what = at, map[string]V{}
	}
	m.what[name] = v
	return v, nil
}
