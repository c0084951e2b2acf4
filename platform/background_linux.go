package platform

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Background makes this process one that works behind what the user is doing: a thread of it
// that wakes up takes the processor from nobody, but waits for the turn that is due to it
// (SCHED_BATCH). Its share stays what it was. So an answer of the token helper does not push
// the helper itself aside, either, and opening mail by a card takes a tenth less time. Where
// somebody chose another policy for the process, that stays.
//
// All its threads are meant, since a new one has the policy of the one that starts it. What
// this process starts has it as well, except by [Program.Start].
func Background() error {
	for changed, pass := true, 0; changed && pass < 8; pass++ { // threads start meanwhile
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("listing the threads: %w", err)
		}
		changed = false
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return fmt.Errorf("listing the threads: %w", err)
			}
			switched, err := schedule(id, unix.SCHED_NORMAL, unix.SCHED_BATCH)
			if err != nil && !errors.Is(err, unix.ESRCH) { // it ended
				return fmt.Errorf("going to the background: %w", err)
			}
			changed = changed || switched
		}
	}
	return nil
}

// schedule puts a thread under another policy, if it is under the one given.
func schedule(thread int, from, to uint32) (bool, error) {
	now, err := unix.SchedGetAttr(thread, 0)
	if err != nil || now.Policy != from {
		return false, err
	}
	return true, unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: to, Nice: now.Nice}, 0)
}

// foreground starts a program that is not in the background. Failing that, it is.
func foreground(start func() error) error {
	runtime.LockOSThread() // whose policy the program takes over
	defer runtime.UnlockOSThread()
	if switched, err := schedule(0, unix.SCHED_BATCH, unix.SCHED_NORMAL); switched && err == nil {
		defer func() { _, _ = schedule(0, unix.SCHED_NORMAL, unix.SCHED_BATCH) }() // as it was a moment ago
	}
	return start()
}
