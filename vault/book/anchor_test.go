package book_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"countersign/vault/book"
)

func TestAnchors(t *testing.T) {
	p := newProfile(t)
	one, two := book.Anchor{Certificate: certificate(t, "one")}, book.Anchor{Certificate: certificate(t, "two")}
	for range 2 { // twice is once
		if err := errors.Join(p.book.AddAnchor(t.Context(), one), p.book.AddAnchor(t.Context(), two)); err != nil {
			t.Fatal(err)
		}
	}
	if p.counter != 2 {
		t.Errorf("%d records for two anchors", p.counter)
	}
	two.For, two.Domains, two.Bundle = "receiving", []string{"clinic.example", ".lab.example"}, "https://bundle.example/a.p7b"
	if err := p.book.AddAnchor(t.Context(), two); err != nil || p.counter != 3 {
		t.Fatalf("%d records after a change: %v", p.counter, err)
	}
	if err := errors.Join(p.book.RemoveAnchor(t.Context(), one.Certificate), p.book.RemoveAnchor(t.Context(), one.Certificate)); err != nil {
		t.Fatal(err)
	}
	p.reopen()
	got, err := p.book.Anchors(t.Context())
	if err != nil || len(got) != 1 || !got[0].Certificate.Equal(two.Certificate) || !got[0].Added.Equal(noon) ||
		got[0].For != two.For || !slices.Equal(got[0].Domains, two.Domains) || got[0].Bundle != two.Bundle {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestAnchorCannotBeWidened edits what the record of an anchor says it is good for.
func TestAnchorCannotBeWidened(t *testing.T) {
	for _, field := range []string{"for", "domains", "bundle"} {
		p := newProfile(t)
		narrow := book.Anchor{Certificate: certificate(t, "one"), For: "receiving", Domains: []string{"clinic.example"}, Bundle: "https://b.example/b"}
		if err := p.book.AddAnchor(t.Context(), narrow); err != nil {
			t.Fatal(err)
		}
		data := edit(t, p.blob(`SELECT data FROM book_record`), func(m map[string]any) { delete(m, field) })
		if !json.Valid(data) {
			t.Fatal("no JSON")
		}
		p.sql(`UPDATE book_record SET data = ?`, data)
		if got, err := p.book.Anchors(t.Context()); err == nil {
			t.Errorf("without %s, while open: %v", field, got)
		}
		p.reopen()
		if got, _ := p.book.Anchors(t.Context()); len(got) > 0 || !errors.Is(p.book.Problem(), book.ErrRolledBack) {
			t.Errorf("without %s, it is still trusted: %v, %v", field, got, p.book.Problem())
		}
	}
}

func TestBundles(t *testing.T) {
	p := newProfile(t)
	const url = "https://bundle.example/a.p7b"
	if err := errors.Join(p.book.Seen(t.Context(), url, noon), p.book.Leave(t.Context(), url)); !errors.Is(err, book.ErrNoBundle) {
		t.Errorf("a bundle that is not followed: %v", err)
	}
	signer := certificate(t, "signer")
	if err := p.book.Follow(t.Context(), book.Bundle{URL: url, Signer: signer, Signed: noon, For: "sending", Domains: []string{"a.example"}}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{noon.Add(time.Hour), noon, noon.Add(time.Hour)} {
		if err := p.book.Seen(t.Context(), url, at); err != nil {
			t.Fatal(err)
		}
	}
	p.reopen()
	got, err := p.book.Bundles(t.Context())
	if err != nil || len(got) != 1 || !got[0].Signer.Equal(signer) || !got[0].Signed.Equal(noon.Add(time.Hour)) ||
		got[0].For != "sending" || !slices.Equal(got[0].Domains, []string{"a.example"}) || p.counter != 2 {
		t.Errorf("got %v, %v after %d records", got, err, p.counter)
	}
	if anchors, err := p.book.Anchors(t.Context()); err != nil || len(anchors) > 0 {
		t.Errorf("who signs a bundle became an authority: %v, %v", anchors, err)
	}
	if err := p.book.Leave(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if got, err := p.book.Bundles(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("after leaving: %v, %v", got, err)
	}
}
