//go:build unix

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3/driver"

	"countersign/vault/book"
	"countersign/vault/contacts"
	database "countersign/vault/sealed"
)

// The cases of the address book: a million contacts, in the sealed database with every
// row authenticated, beside the same in plain SQLite. A look-up is by the whole address.
// A search is for the first 20 by one or two beginnings of words, of one letter to
// all, from the name, the address or the organisation of somebody who is there; the
// peer does less: it reads the first 20 by the beginning of the name, from an index.
const (
	people   = 1_000_000
	lookUps  = 20_000
	searches = 4_000
)

// contactWorks are what [contactWork] does.
var contactWorks = []string{"book-fixture", "plain-fixture", "book-lookup", "plain-lookup", "book-search", "plain-search"}

// runContacts runs the cases that are wanted; none named is all.
func runContacts(self, tmp string, names []string) (known bool, err error) {
	dir := filepath.Join(tmp, "contacts")
	for _, what := range []string{"lookup", "search"} {
		name := "contacts/" + what + "-1M"
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		if !known {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return true, err
			}
			for _, fixture := range []string{"book-fixture", "plain-fixture"} {
				if _, _, err := timed(self, dir, fixture); err != nil {
					return true, fmt.Errorf("preparing %s: %w", name, err)
				}
			}
		}
		known = true
		ours, rssOurs, err := timed(self, dir, "book-"+what)
		if err != nil {
			return true, fmt.Errorf("%s: %w", name, err)
		}
		peer, rssPeer, err := timed(self, dir, "plain-"+what)
		if err != nil {
			return true, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Printf("bench %s ratio=%.2f ours=%.6f peer=%.6f rss_ours=%d rss_peer=%d p50_us=%.0f p99_us=%.0f worst_us=%.0f peer_p50_us=%.0f\n",
			name, ours[0]/peer[0], ours[0], peer[0], rssOurs>>10, rssPeer>>10, ours[0]*1e6, ours[1]*1e6, ours[2]*1e6, peer[0]*1e6)
	}
	return known, nil
}

// timed runs one piece of work in a process of its own, which tells the median, the
// 99th percentile and the longest of its times, in seconds.
func timed(self, dir, what string) (t [3]float64, rss int64, err error) {
	cmd := exec.Command(self, "-dir", dir, "-child", what)
	out, err := cmd.Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return t, 0, err
	}
	if len(out) > 0 {
		if _, err := fmt.Sscan(string(out), &t[0], &t[1], &t[2]); err != nil {
			return t, 0, err
		}
	}
	if use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		rss = use.Maxrss
	}
	return t, rss, nil
}

// benchKey is the key of the database, and the record key's seed.
var benchKey = database.Key{1: 1}

// keeper holds a record key of which no record is made.
type keeper struct{ private ed25519.PrivateKey }

func (k keeper) Public() ed25519.PublicKey                       { return k.private.Public().(ed25519.PublicKey) }
func (k keeper) Sign(m []byte) []byte                            { return ed25519.Sign(k.private, m) }
func (k keeper) Head() (head [32]byte, counter uint64)           { return }
func (k keeper) Advance(context.Context, [32]byte, uint64) error { return nil }
func (k keeper) Restart(context.Context, [32]byte) error         { return nil }
func (k keeper) Epoch() uint64                                   { return 0 }

func (k keeper) Derive(info string) []byte {
	key, err := hkdf.Key(sha256.New, k.private.Seed(), nil, info, 32)
	if err != nil {
		panic(err) // 32 bytes are within what HKDF can give
	}
	return key
}

// contactWork is one piece of work on the address book or the plain table.
func contactWork(what, dir string) error {
	ctx := context.Background()
	if on, ok := strings.CutPrefix(what, "plain-"); ok {
		return plainWork(ctx, on, filepath.Join(dir, "plain.db"))
	}
	db, err := database.Open(filepath.Join(dir, "book.db"), benchKey)
	if err != nil {
		return err
	}
	defer db.Close()
	b, err := book.Open(ctx, db, keeper{ed25519.NewKeyFromSeed(benchKey[:])}, time.Now)
	if err != nil {
		return err
	}
	switch what {
	case "book-fixture":
		return b.Import(ctx, crowd())
	case "book-lookup":
		return lookUp(func(address string) error {
			_, err := b.Get(ctx, address)
			return err
		})
	}
	return seek(func(text string) error {
		found, err := b.Search(ctx, text, 20)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("nobody is found by %q", text)
		}
		return err
	})
}

// plainWork is the peer: an unencrypted table with an index on the name.
func plainWork(ctx context.Context, what, path string) error {
	db, err := driver.Open("file:" + path)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	read := func(query string, args ...any) error {
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var data []byte
		for rows.Next() {
			if err := rows.Scan(&data); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	switch what {
	case "fixture":
		return plainFixture(ctx, db)
	case "lookup":
		return lookUp(func(address string) error { return read(`SELECT data FROM contact WHERE address = ?`, address) })
	}
	return seek(func(text string) error {
		text, _, _ = strings.Cut(text, " ")
		return read(`SELECT data FROM contact WHERE name >= ? AND name < ? ORDER BY name LIMIT 20`, text, text+"\U0010FFFF")
	})
}

func plainFixture(ctx context.Context, db *sql.DB) error {
	for _, s := range []string{
		`PRAGMA journal_mode=off`, `PRAGMA synchronous=off`, `PRAGMA cache_size=-65536`,
		`CREATE TABLE contact (address TEXT NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL) STRICT`,
	} {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit this does nothing
	store, err := tx.PrepareContext(ctx, `INSERT INTO contact VALUES (?, ?, ?)`)
	if err != nil {
		return err
	}
	for c := range crowd() {
		data := fmt.Sprintf(`{"address":%q,"name":%q,"org":%q}`, c.Address, c.Name, c.Org)
		if _, err := store.ExecContext(ctx, c.Address, strings.ToLower(c.Name), []byte(data)); err != nil {
			return err
		}
	}
	for _, s := range []string{`CREATE UNIQUE INDEX by_address ON contact (address)`, `CREATE INDEX by_name ON contact (name)`} {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// crowd makes up the people, the same ones each time.
func crowd() iter.Seq[contacts.Contact] {
	return func(yield func(contacts.Contact) bool) {
		for i := range people {
			if !yield(person(i)) {
				return
			}
		}
	}
}

var (
	syllables = strings.Fields("an ber chri da el fran ga hei in jo ka lu mar na ol pe ro sa tho ur vi wal xe yo zi smi hart well ton son man berg stein dor ley")
	kinds     = []string{"Hospital", "Clinic", "Practice", "Surgery", "University Hospital", "Health Centre"}
)

// name makes up a word: few are common and many are rare, as names are.
func name(kind, n uint64) string {
	r := mathrand.New(mathrand.NewPCG(kind, n))
	word := ""
	for range 2 + r.IntN(2) {
		word += syllables[r.IntN(len(syllables))]
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// person makes up one contact.
func person(i int) contacts.Contact {
	r := mathrand.New(mathrand.NewPCG(uint64(i), 0))
	skewed := func(n float64) uint64 { f := r.Float64(); return uint64(f * f * f * n) }
	first, last := name(1, skewed(3_000)), name(2, skewed(40_000))
	org := name(3, skewed(20_000)) + " " + kinds[r.IntN(len(kinds))]
	domain := strings.ToLower(strings.ReplaceAll(org, " ", "-")) + ".example"
	branch, number := i/1500, i%1500 // what tells all addresses apart
	return contacts.Contact{
		Address: strings.ToLower(fmt.Sprintf("%s.%c%c.%s%d@%s", first, 'a'+branch/26, 'a'+branch%26, last, number, domain)),
		Name:    first + " " + last, Org: org, State: contacts.Unknown,
	}
}

// lookUp looks up people all over the book.
func lookUp(one func(address string) error) error {
	return spell(lookUps, func(r *mathrand.Rand) string { return person(r.IntN(people)).Address }, one)
}

// seek types the beginnings of one or two words of people all over the book.
func seek(one func(text string) error) error {
	return spell(searches, func(r *mathrand.Rand) string {
		p := person(r.IntN(people))
		all := strings.FieldsFunc(strings.ToLower(p.Name+" "+p.Address+" "+p.Org), func(r rune) bool { return strings.ContainsRune(" .@-", r) })
		begin := func() string { w := all[r.IntN(len(all))]; return w[:1+r.IntN(len(w))] }
		if r.IntN(2) == 0 {
			return begin()
		}
		return begin() + " " + begin()
	}, one)
}

// spell does one thing n times and prints how long it took: the median, the 99th
// percentile and the longest.
func spell(n int, pick func(*mathrand.Rand) string, one func(string) error) error {
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	r := mathrand.New(mathrand.NewChaCha8(seed))
	var times []float64
	for range n {
		text := pick(r)
		began := time.Now()
		if err := one(text); err != nil {
			return err
		}
		times = append(times, time.Since(began).Seconds())
	}
	slices.Sort(times)
	fmt.Println(times[n/2], times[n*99/100], times[n-1])
	return nil
}
