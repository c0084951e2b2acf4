package session

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// TestWatch: how things stand is told, then what Windows sends to the window, before its sender
// goes on; and it ends; and the same again.
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
		class, err := windows.UTF16PtrFromString("CountersignSession")
		if err != nil {
			t.Fatal(err)
		}
		window, _, _ := user32.NewProc("FindWindowExW").Call(messageOnly, 0, uintptr(unsafe.Pointer(class)), 0)
		if window == 0 {
			t.Fatal("there is no window")
		}
		for _, m := range []struct {
			number, parameter uintptr
			locked            bool
		}{
			{wmSessionChange, wtsSessionLock, true}, {wmSessionChange, wtsSessionUnlock, false},
			{wmPowerBroadcast, pbtSuspend, true}, {wmPowerBroadcast, pbtResumeAutomatic, false},
		} {
			user32.NewProc("SendMessageW").Call(window, m.number, m.parameter, 0)
			select {
			case locked := <-told:
				if locked != m.locked {
					t.Errorf("after message %#x %d: %v", m.number, m.parameter, locked)
				}
			default:
				t.Errorf("after message %#x %d nothing was told", m.number, m.parameter)
			}
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
