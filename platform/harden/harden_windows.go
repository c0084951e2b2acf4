package harden

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// noHeap is WER_FAULT_REPORTING_FLAG_NOHEAP.
const noHeap = 1

// Process keeps the heap of this process out of crash reports.
func Process() error {
	windows.SetErrorMode(windows.SEM_FAILCRITICALERRORS | windows.SEM_NOGPFAULTERRORBOX)
	set := windows.NewLazySystemDLL("kernel32.dll").NewProc("WerSetFlags")
	if err := set.Find(); err != nil {
		return fmt.Errorf("keeping memory out of crash reports: %w", err)
	}
	if result, _, _ := set.Call(noHeap); result != 0 {
		return fmt.Errorf("keeping memory out of crash reports: code %#x", result)
	}
	return nil
}
