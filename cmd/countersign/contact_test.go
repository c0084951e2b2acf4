package main

import (
	"strings"
	"testing"

	"countersign/tray/control"
)

// TestManyContacts: a list that was cut says so, and how to find the others.
func TestManyContacts(t *testing.T) {
	for _, c := range []struct {
		line []string
		n    int
		want string
	}{
		{[]string{"contact", "list"}, control.MaxList, "contact list NAME"},
		{[]string{"contact", "list"}, 2, ""},
		{[]string{"contact", "list", "--limit", "2"}, 2, "contact list NAME"},
		{[]string{"verify", "status"}, control.MaxList, "verify status ADDRESS"},
		{[]string{"verify", "status"}, 2, ""},
	} {
		f := &fake{answers: map[string]any{"Contacts.List": make([]control.Contact, c.n)}}
		r := run(t, f, nil, c.line...)
		if r.code != done || (r.err != "") != (c.want != "") || !strings.Contains(r.err, c.want) {
			t.Errorf("%q with %d people: %d %s", c.line, c.n, r.code, r.err)
		}
		if got := f.queries("Contacts.List")[0].(control.SearchQuery); c.n == control.MaxList && got.Limit != c.n {
			t.Errorf("%q asks for %+v", c.line, got)
		}
	}
}
