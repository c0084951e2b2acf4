package watch

import (
	"context"
	"testing"
	"time"
)

func TestFetched(t *testing.T) {
	var f Fetched
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	if at, problem := f.Of("a"); !at.IsZero() || problem != "" || !f.Last().IsZero() || f.Problem() != "" {
		t.Error("something is known before anything was fetched")
	}
	f.Fail("a", "no answer")
	f.Done("b", noon)
	if _, problem := f.Of("a"); problem != "no answer" || f.Problem() != "a: no answer" || !f.Last().Equal(noon) {
		t.Error(problem, f.Problem(), f.Last())
	}
	f.Fail("", "locked") // what concerns everything comes first
	if f.Problem() != "locked" {
		t.Error(f.Problem())
	}
	f.Done("", noon)
	f.Done("a", noon.Add(time.Hour))
	if at, problem := f.Of("a"); !at.Equal(noon.Add(time.Hour)) || problem != "" || f.Problem() != "" {
		t.Error(at, problem, f.Problem())
	}
}

func TestWaits(t *testing.T) {
	var w Waits
	a, stopA := context.WithCancel(t.Context())
	b, stopB := context.WithCancel(t.Context())
	defer stopB()
	w.Add(stopA)
	gone := w.Add(stopB)
	gone()
	w.End()
	if a.Err() == nil || b.Err() != nil {
		t.Error(a.Err(), b.Err())
	}
}
