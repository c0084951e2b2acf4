package server

import (
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/mailer/message"
)

// What a Memory holds at most, in all mailboxes together. A message to several
// people counts once in bytes.
const (
	memoryBytes    = 512 << 20
	memoryMessages = 20_000
	maxFlags       = 32 // of one message
	maxFlagLength  = 64
)

// Memory is a Store in memory.
type Memory struct {
	// Observe is told of every message delivered, as it came. It must be set before
	// the first delivery and must not change the bytes.
	Observe func(from string, to []string, raw []byte)

	mu       sync.Mutex
	boxes    map[string]*box
	bytes    int64
	messages int
}

// NewMemory returns a store without mailboxes.
func NewMemory() *Memory { return &Memory{boxes: map[string]*box{}} }

// Add makes a mailbox for an address, which is also its user name. One that the
// address had before goes, with all that is in it.
func (m *Memory) Add(address, password string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := &box{store: m, address: key(address), password: password}
	if before := m.boxes[b.address]; before != nil {
		for _, s := range before.folders {
			for _, h := range s.bytes {
				m.release(h)
			}
		}
	}
	validity := uint32(time.Now().Unix())
	for _, f := range []Folder{{"INBOX", ""}, {"Archive", `\Archive`}, {"Drafts", `\Drafts`}, {"Junk", `\Junk`}, {"Sent", `\Sent`}, {"Trash", `\Trash`}} {
		b.folders = append(b.folders, &shelf{Folder: f, validity: validity, next: 1, changed: make(chan struct{})})
	}
	m.boxes[b.address] = b
}

// key is an address as it is compared here. The store is asked for its own users'
// addresses only, so that ASCII is enough.
func key(address string) string { return strings.ToLower(address) }

// SignIn returns a user's mailbox, or ErrSignIn.
func (m *Memory) SignIn(user, password string) (Mailbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[key(user)]
	if b == nil || subtle.ConstantTimeCompare([]byte(b.password), []byte(password)) != 1 {
		return nil, ErrSignIn
	}
	return b, nil
}

// Takes reports whether the address has a mailbox here.
func (m *Memory) Takes(address string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boxes[key(address)] != nil
}

// Deliver puts a message into the inbox of every address.
func (m *Memory) Deliver(from string, to []string, r io.Reader) error {
	raw, err := m.read(r)
	if err != nil {
		return err
	}
	if err := m.deliver(to, raw); err != nil {
		return err
	}
	if m.Observe != nil {
		m.Observe(from, to, raw)
	}
	return nil
}

func (m *Memory) deliver(to []string, raw []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var inboxes []*shelf
	for _, address := range to {
		b := m.boxes[key(address)]
		if b == nil {
			return fmt.Errorf("delivering to %d people: %w", len(to), ErrGone)
		}
		if !slices.Contains(inboxes, b.folders[0]) {
			inboxes = append(inboxes, b.folders[0])
		}
	}
	if err := m.reserve(len(inboxes), int64(len(raw))); err != nil {
		return err
	}
	held := &held{raw: raw, holders: len(inboxes)}
	for _, s := range inboxes {
		s.put(held, Message{Received: time.Now(), Size: int64(len(raw))})
	}
	return nil
}

// read takes a message into memory, but never more than there is room for.
func (m *Memory) read(r io.Reader) ([]byte, error) {
	m.mu.Lock()
	room := memoryBytes - m.bytes
	m.mu.Unlock()
	raw, err := io.ReadAll(io.LimitReader(r, room+1))
	if err == nil && int64(len(raw)) > room {
		err = ErrFull
	}
	return raw, err
}

func (m *Memory) reserve(messages int, bytes int64) error {
	if m.messages+messages > memoryMessages || m.bytes+bytes > memoryBytes {
		return ErrFull
	}
	m.messages += messages
	m.bytes += bytes
	return nil
}

// release gives back what one folder's copy of a message took.
func (m *Memory) release(h *held) {
	if h.holders--; h.holders == 0 {
		m.bytes -= int64(len(h.raw))
	}
	m.messages--
}

// held is the bytes of one message, in one or more folders.
type held struct {
	raw     []byte
	holders int
}

type shelf struct {
	Folder
	validity, next uint32
	version        uint64
	messages       []Message
	bytes          []*held // of the message at the same index
	changed        chan struct{}
}

func (s *shelf) put(h *held, m Message) uint32 {
	m.UID = s.next
	s.next++
	s.messages = append(s.messages, m)
	s.bytes = append(s.bytes, h)
	s.touch()
	return m.UID
}

func (s *shelf) touch() {
	s.version++
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *shelf) find(uid uint32) (int, bool) {
	return slices.BinarySearchFunc(s.messages, uid, func(m Message, uid uint32) int {
		return int(int64(m.UID) - int64(uid))
	})
}

// box is one mailbox. It is guarded by the store's lock.
type box struct {
	store             *Memory
	address, password string
	folders           []*shelf // INBOX first
}

func (b *box) Owns(address string) bool { return key(address) == b.address }

func (b *box) Folders() []Folder {
	var all []Folder
	for _, s := range b.folders {
		all = append(all, s.Folder)
	}
	return all
}

// shelf finds a folder; the lock is held.
func (b *box) shelf(name string) (*shelf, error) {
	for _, s := range b.folders {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, ErrGone
}

func (b *box) View(folder string) (View, error) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	s, err := b.shelf(folder)
	if err != nil {
		return View{}, err
	}
	return View{Validity: s.validity, Next: s.next, Version: s.version, Messages: slices.Clone(s.messages)}, nil
}

func (b *box) Changed(folder string) <-chan struct{} {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	s, err := b.shelf(folder)
	if err != nil {
		return nil
	}
	return s.changed
}

func (b *box) Message(folder string, uid uint32) (message.Source, error) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	s, err := b.shelf(folder)
	if err != nil {
		return nil, err
	}
	i, found := s.find(uid)
	if !found {
		return nil, ErrGone
	}
	return message.Bytes(s.bytes[i].raw), nil
}

func (b *box) Append(folder string, m Message, r io.Reader) (uint32, error) {
	raw, err := b.store.read(r)
	if err != nil {
		return 0, err
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	s, err := b.shelf(folder)
	if err != nil {
		return 0, err
	}
	if err := b.store.reserve(1, int64(len(raw))); err != nil {
		return 0, err
	}
	m.Size, m.Flags = int64(len(raw)), flags(m.Flags)
	if m.Received.IsZero() {
		m.Received = time.Now()
	}
	return s.put(&held{raw: raw, holders: 1}, m), nil
}

func (b *box) Flag(folder string, uid uint32, change func([]string) []string) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	s, err := b.shelf(folder)
	if err != nil {
		return err
	}
	i, found := s.find(uid)
	if !found {
		return ErrGone
	}
	was := s.messages[i].Flags
	now := flags(change(slices.Clone(was)))
	if !slices.Equal(was, now) {
		s.messages[i].Flags = now
		s.touch()
	}
	return nil
}

// flags is a set of flags in a fixed order, within bounds.
func flags(wanted []string) []string {
	var kept []string
	for _, f := range wanted {
		if f != "" && len(f) <= maxFlagLength && len(kept) < maxFlags {
			kept = append(kept, f)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

func (b *box) Remove(folder string, uids []uint32) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	s, err := b.shelf(folder)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		i, found := s.find(uid)
		if !found {
			continue
		}
		b.store.release(s.bytes[i])
		s.messages = slices.Delete(s.messages, i, i+1)
		s.bytes = slices.Delete(s.bytes, i, i+1)
		s.touch()
	}
	return nil
}
