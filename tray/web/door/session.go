package door

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

const (
	keyLife    = 2 * time.Minute // of a one-time address
	keyCount   = 8               // one-time addresses good at once
	idleLimit  = 12 * time.Hour  // of a session that nobody uses
	seatCount  = 8               // sessions at once; the one unused for longest goes
	cookieName = "countersign"
)

// A key is a one-time address not yet used.
type key struct {
	until time.Time
	file  string // goes with it
}

// cut makes a key good, dropping those that are over and, beyond keyCount, the oldest.
func (d *Door) cut(secret string, k key, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var oldest [32]byte
	for h, o := range d.keys {
		if !now.Before(o.until) {
			d.drop(h)
		} else if old, ok := d.keys[oldest]; !ok || o.until.Before(old.until) {
			oldest = h
		}
	}
	if len(d.keys) >= keyCount {
		d.drop(oldest)
	}
	d.keys[sha256.Sum256([]byte(secret))] = k
}

// drop voids a key and removes its file. The caller holds the lock.
func (d *Door) drop(h [32]byte) {
	if k := d.keys[h]; k.file != "" {
		os.Remove(k.file)
	}
	delete(d.keys, h)
}

// use voids a key and says whether it was still good. Keys and cookies are
// looked up by hash, so that the time it takes tells nothing.
func (d *Door) use(secret string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := sha256.Sum256([]byte(secret))
	k, ok := d.keys[h]
	d.drop(h)
	return ok && now.Before(k.until)
}

// seat begins a session.
func (d *Door) seat(cookie, token string, now time.Time) {
	end := make(chan struct{})
	s := &Session{Token: token, Ended: end, Held: d.o.Hold(), seen: now, end: end}
	d.mu.Lock()
	defer d.mu.Unlock()
	var idlest [32]byte
	for h, o := range d.seats {
		if old, ok := d.seats[idlest]; !ok || o.seen.Before(old.seen) {
			idlest = h
		}
	}
	if len(d.seats) >= seatCount {
		d.leave(idlest)
	}
	d.seats[sha256.Sum256([]byte(cookie))] = s
}

// leave ends a session. The caller holds the lock.
func (d *Door) leave(h [32]byte) {
	close(d.seats[h].end)
	delete(d.seats, h)
}

// find returns the session of a request's cookie, or nil.
func (d *Door) find(r *http.Request, now time.Time) *Session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	h := sha256.Sum256([]byte(c.Value))
	s := d.seats[h]
	if s == nil {
		return nil
	}
	if now.Sub(s.seen) > idleLimit {
		d.leave(h)
		return nil
	}
	s.seen = now
	return s
}

// Lock ends every session and voids every one-time address: for screen lock,
// suspend and stop (rule K2).
func (d *Door) Lock() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := range d.keys {
		d.drop(h)
	}
	for h := range d.seats {
		d.leave(h)
	}
}

// Address returns an address that signs one browser in, once, within two
// minutes. It waits for Serve, and is empty if randomness fails.
func (d *Door) Address() string {
	address, err := d.address("")
	if err != nil {
		return ""
	}
	return address
}

func (d *Door) address(file string) (string, error) {
	secret, err := d.random()
	if err != nil {
		return "", err
	}
	<-d.ready
	now := d.o.Clock()
	d.cut(secret, key{until: now.Add(keyLife), file: file}, now)
	return d.origin + d.base + "in/" + secret, nil
}

// SignInFile writes a file into dir, which must be the user's own (0700; it is
// made if absent), that sends the browser which opens it to a one-time address.
// The file is readable by this user alone. It goes when it is used, when it is
// over and another is made, and at Lock; what an earlier start left goes first.
func (d *Door) SignInFile(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the sign-in folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("looking at the sign-in folder: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("door: the sign-in folder %s is open to others (%v)", dir, info.Mode().Perm())
	}
	d.sweep(dir)
	f, err := os.CreateTemp(dir, "open-*.html") // 0600
	if err != nil {
		return "", fmt.Errorf("making the sign-in file: %w", err)
	}
	defer f.Close()
	address, err := d.address(f.Name())
	if err == nil {
		err = draw(f, sheet{Go: address})
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("writing the sign-in file: %w", err)
	}
	return f.Name(), nil
}

// sweep removes sign-in files that no key stands behind.
func (d *Door) sweep(dir string) {
	found, err := filepath.Glob(filepath.Join(dir, "open-*.html"))
	if err != nil {
		return // the folder's name is a pattern: nothing is removed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	used := map[string]bool{}
	for _, k := range d.keys {
		used[k.file] = true
	}
	for _, name := range found {
		if !used[name] {
			os.Remove(name)
		}
	}
}
