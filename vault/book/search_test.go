package book_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign/vault/book"
	"countersign/vault/contacts"
)

func TestSearch(t *testing.T) {
	p := newProfile(t)
	const drX, dora, seen = "dr.x_100%@spital.example", "o.brien@xn--mnchen-3ya.example", "seen@clinic.example"
	for _, c := range []contacts.Contact{
		{Address: ada, Name: "Ada Byron", Org: "St. Mary's Hospital"}, {Address: bea, Name: "Béa Müller-Lüdenscheidt"}, {Address: carol},
		{Address: drX, Name: "Adalbert Zweig"}, {Address: dora, Name: "Dora O’Brien-Großmann", Org: "Gesundheitsamt Ørsted"},
		{Address: "clinic.example", Name: "王小明"},
		{Address: seen, Candidates: []contacts.Candidate{{ID: "c1", Keys: contacts.KeySet{Sign: certificateOf(t, seen, "Praxis Dr. Weiß")}}}},
	} {
		c.State = contacts.Unknown
		if err := p.book.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"clinic.example", ada, bea, carol, dora, drX, seen}
	slices.Sort(all)
	for range 2 { // the second time from an index made anew
		for text, want := range map[string][]string{
			"":                {ada, drX, bea, carol, dora, seen, "clinic.example"},
			"  ":              {ada, drX, bea, carol, dora, seen, "clinic.example"},
			"ada":             {ada, drX}, // the whole word first
			"ADA":             {ada, drX},
			"ada by":          {ada},
			"by ada":          {ada},
			"mül":             {bea},
			"mul":             {bea},
			"mu\u0308l":       {bea},
			"LÜDEN":           {bea},
			"luden béa":       {bea},
			"clinic":          {ada, bea, carol, seen, "clinic.example"},
			"clinic.ex":       {ada, bea, carol, seen, "clinic.example"},
			"carol@":          {carol},
			ada:               {ada},
			"st marys":        {ada},
			"ST. MARY'S":      {ada},
			"mary s hosp":     {ada},
			"obrien":          {dora},
			"O'Brien":         {dora},
			"brien grossm":    {dora},
			"munchen":         {dora},
			"mnchen":          {dora},
			"gesundheitsam":   {dora},
			"gesundheitszent": nil, // the same first twelve letters
			"orsted":          {dora},
			"weiss":           {seen},
			"spital 100":      {drX},
			"x100":            {drX},
			"王小":              {"clinic.example"},
			"%":               nil,
			"_":               nil,
			"da":              nil,
			"ada nobody":      nil,
			"'; DROP TABLE":   nil,
		} {
			found, err := p.book.Search(t.Context(), text, 10)
			var got []string
			for _, c := range found {
				got = append(got, c.Address)
			}
			if len(want) > 2 && strings.TrimSpace(text) != "" {
				slices.Sort(got)
				slices.Sort(want)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q finds %v (%v), want %v", text, got, err, want)
			}
		}
		p.sql(`UPDATE book_indexed SET version = 0`)
		p.reopen()
	}
	for _, text := range []string{"", "e", "clinic e"} {
		if found, err := p.book.Search(t.Context(), text, 2); err != nil || len(found) != 2 {
			t.Errorf("%q: limit 2 gives %d (%v)", text, len(found), err)
		}
	}
	c := p.get(carol)
	c.Name = "Carol Renamed"
	if err := p.book.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if found, _ := p.book.Search(t.Context(), "renam", 10); len(found) != 1 {
		t.Error("a new name is not found")
	}
	c.Name = ""
	if err := p.book.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if found, _ := p.book.Search(t.Context(), "renam", 10); len(found) != 0 {
		t.Error("an old name is found")
	}
}

// TestIndexProvesNothing edits the index of words, and a row, by hand.
func TestIndexProvesNothing(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	p.verify(bea)
	p.sql(`UPDATE book_index SET ids = x'0100020003000400ffff05'`) // everybody, nobody, and half a number
	if found, err := p.book.Search(t.Context(), "ada", 10); err != nil || len(found) != 1 || found[0].Address != ada {
		t.Errorf("ada finds %v, %v", found, err)
	}
	p.sql(`UPDATE book_contact SET data = ? WHERE address = ?`, edit(t, p.blob(row, ada), func(m map[string]any) { m["name"] = "Dr Bea" }), ada)
	found, err := p.book.Search(t.Context(), "ada", 10)
	if err != nil || len(found) != 1 || found[0].State != contacts.Suspended || !errors.Is(p.book.Problem(), book.ErrEdited) {
		t.Errorf("an edited row is found as %v, %v, %v", found, err, p.book.Problem())
	}
}

// TestImport fills more than one block of the index.
func TestImport(t *testing.T) {
	p := newProfile(t)
	if c, _ := contacts.New(ada, "Ada Byron"); p.book.Put(t.Context(), c) != nil {
		t.Fatal("not stored")
	}
	p.sql(`UPDATE book_contact SET id = 65500`)
	p.sql(`UPDATE book_indexed SET version = 0`)
	p.reopen()
	const many = 200
	crowd := func(yield func(contacts.Contact) bool) {
		for i := range many {
			c := contacts.Contact{Address: fmt.Sprintf("a%d@b", i), State: contacts.Unknown}
			if i == many-1 {
				c.Name = "Ada Last"
			}
			if !yield(c) {
				return
			}
		}
	}
	if err := p.book.Import(t.Context(), crowd); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"ada": 2, "b": 100, "a19": 11, "a199 b": 1, "last": 1, "b last": 1, "byron a": 1, "byron last": 0, "35": 1, "nobody": 0} {
		if found, err := p.book.Search(t.Context(), text, 100); err != nil || len(found) != want {
			t.Errorf("%q finds %d, %v", text, len(found), err)
		}
	}
	if s := p.state("a70@b"); s != contacts.Unknown || p.book.Problem() != nil {
		t.Errorf("%s, %v", s, p.book.Problem())
	}
	for _, add := range []contacts.Contact{{Address: ada, State: contacts.Unknown}, func() contacts.Contact { c, _ := verified(t, bea); return c }()} {
		if err := p.book.Import(t.Context(), slices.Values([]contacts.Contact{add})); err == nil {
			t.Errorf("%s was added", add.Address)
		}
	}
}

// TestFirstFormat opens a book as the first version wrote it: rows signed with the
// record key, no numbers, another index.
func TestFirstFormat(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	c, _ := contacts.New(bea, "Bea Brandt")
	if err := p.book.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.sql(`CREATE TABLE old (address TEXT PRIMARY KEY, sort TEXT NOT NULL, last INTEGER NOT NULL, data BLOB NOT NULL, signature BLOB NOT NULL) STRICT;
		INSERT INTO old SELECT address, sort, last, data, signature FROM book_contact;
		DROP TABLE book_contact; DROP TABLE book_index; DROP TABLE book_indexed;
		ALTER TABLE old RENAME TO book_contact;
		CREATE TABLE book_word (word TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (word, address)) STRICT, WITHOUT ROWID;
		UPDATE migrations SET steps = 1 WHERE room = 'book'`)
	for address, last := range map[string]uint64{ada: 1, bea: 0} {
		data := p.blob(row, address)
		text := binary.BigEndian.AppendUint64([]byte("countersign contact 1\x00"), last)
		text = binary.BigEndian.AppendUint64(text, uint64(len(address)))
		p.sql(`UPDATE book_contact SET signature = ? WHERE address = ?`, p.Sign(append(append(text, address...), data...)), address)
	}
	p.reopen()
	if found, err := p.book.Search(t.Context(), "brandt", 10); err != nil || len(found) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	if s := p.state(ada); s != contacts.Verified || p.book.Problem() != nil {
		t.Errorf("ada is %s: %v", s, p.book.Problem())
	}
	p.sql(`UPDATE book_contact SET signature = zeroblob(64) WHERE address = ?`, ada)
	if s := p.state(ada); s != contacts.Suspended {
		t.Errorf("with no signature ada is %s", s)
	}
}

// TestEveryBeginning: words of any length are found by every beginning of theirs, and by
// no other.
func TestEveryBeginning(t *testing.T) {
	p := newProfile(t)
	const long = "wëißenbürgermeisterschaften"
	for i, name := range []string{long, "weissenburgxx", "weissenbu", "weissen", "we"} {
		c := contacts.Contact{Address: fmt.Sprintf("p%d@clinic.example", i), Name: name, State: contacts.Unknown}
		if err := p.book.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	folded := "weissenburgermeisterschaften"
	for n := 1; n <= len(folded); n++ {
		want := 0
		for _, name := range []string{folded, "weissenburgxx", "weissenbu", "weissen", "we"} {
			if strings.HasPrefix(name, folded[:n]) {
				want++
			}
		}
		for typed, want := range map[string]int{folded[:n]: want, folded[:n] + "q": 0, "clinic " + folded[:n]: want} {
			if found, err := p.book.Search(t.Context(), typed, 10); err != nil || len(found) != want {
				t.Errorf("%q finds %d, want %d (%v)", typed, len(found), want, err)
			}
		}
	}
}
