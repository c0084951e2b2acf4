package session

import (
	"context"
	"testing"
	"time"
)

// TestWatch: how things stand is told, and it ends; and the same again.
func TestWatch(t *testing.T) {
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		told, done := make(chan bool, 8), make(chan struct{})
		go func() {
			defer close(done)
			Watch(ctx, func(locked bool) { told <- locked })
		}()
		select {
		case locked := <-told:
			if locked {
				t.Error("the session of a test is locked")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was told")
		}
		cancel()
		<-done
	}
}

// TestProcedure: what Windows says of the session and of the power.
func TestProcedure(t *testing.T) {
	var told []bool
	s := newState(1, func(locked bool) { told = append(told, locked) })
	s.heard()
	for _, m := range [][2]uintptr{
		{wmSessionChange, wtsSessionLock}, {wmSessionChange, 5}, {wmSessionChange, wtsSessionUnlock},
		{wmPowerBroadcast, pbtSuspend}, {wmPowerBroadcast, pbtResumeAutomatic}, {wmPowerBroadcast, pbtResumeSuspend},
	} {
		s.procedure(0, m[0], m[1], 0)
	}
	want := []bool{false, true, false, true, false}
	if len(told) != len(want) {
		t.Fatalf("%v", told)
	}
	for i := range want {
		if told[i] != want[i] {
			t.Fatalf("%v", told)
		}
	}
}
