package session

import (
	"context"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	user32   = windows.NewLazySystemDLL("user32.dll")
	wtsapi32 = windows.NewLazySystemDLL("wtsapi32.dll")

	registerClass    = user32.NewProc("RegisterClassExW")
	unregisterClass  = user32.NewProc("UnregisterClassW")
	createWindow     = user32.NewProc("CreateWindowExW")
	defaultProcedure = user32.NewProc("DefWindowProcW")
	getMessage       = user32.NewProc("GetMessageW")
	dispatchMessage  = user32.NewProc("DispatchMessageW")
	postMessage      = user32.NewProc("PostMessageW")
	postQuit         = user32.NewProc("PostQuitMessage")
	destroyWindow    = user32.NewProc("DestroyWindow")
	suspendResume    = user32.NewProc("RegisterSuspendResumeNotification")

	registerSession   = wtsapi32.NewProc("WTSRegisterSessionNotification")
	unregisterSession = wtsapi32.NewProc("WTSUnRegisterSessionNotification")
	querySession      = wtsapi32.NewProc("WTSQuerySessionInformationW")
	freeMemory        = wtsapi32.NewProc("WTSFreeMemory")
)

// Of the Windows headers WinUser.h and WtsApi32.h.
const (
	wmDestroy        = 0x0002
	wmClose          = 0x0010
	wmPowerBroadcast = 0x0218
	wmSessionChange  = 0x02B1

	pbtSuspend         = 0x0004
	pbtResumeSuspend   = 0x0007
	pbtResumeAutomatic = 0x0012

	wtsSessionLock   = 7
	wtsSessionUnlock = 8
	wtsInfoEx        = 25 // WTSSessionInfoEx
	currentSession   = 0xFFFFFFFF
	flagLocked       = 0 // WTS_SESSIONSTATE_LOCK
	thisSession      = 0 // NOTIFY_FOR_THIS_SESSION
	byWindow         = 0 // DEVICE_NOTIFY_WINDOW_HANDLE
)

// messageOnly is the parent of windows that only get messages: HWND_MESSAGE, -3.
const messageOnly = ^uintptr(2)

type windowClass struct {
	size, style                        uint32
	procedure                          uintptr
	classExtra, windowExtra            int32
	instance, icon, cursor, background uintptr
	menu, name                         *uint16
	smallIcon                          uintptr
}

type message struct {
	window         uintptr
	number         uint32
	wParam, lParam uintptr
	time           uint32
	x, y           int32
	private        uint32
}

// Watch calls tell with how things stand and at each change, until ctx ends. Calls do
// not overlap.
func Watch(ctx context.Context, tell func(locked bool)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A window belongs to the thread that made it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		newState(1, tell).listen(ctx)
	}()
	<-done
	<-ctx.Done()
}

// listen runs the window. It returns at once where one cannot be made.
func (s *state) listen(ctx context.Context) {
	name, err := windows.UTF16PtrFromString("CountersignSession")
	if err != nil {
		return
	}
	class := windowClass{name: name, procedure: windows.NewCallback(s.procedure)}
	class.size = uint32(unsafe.Sizeof(class))
	if atom, _, _ := registerClass.Call(uintptr(unsafe.Pointer(&class))); atom == 0 {
		return
	}
	defer unregisterClass.Call(uintptr(unsafe.Pointer(name)), 0) // the next one is of another state
	window, _, _ := createWindow.Call(0, uintptr(unsafe.Pointer(name)), 0, 0, 0, 0, 0, 0, messageOnly, 0, 0, 0)
	if window == 0 {
		return
	}
	if ok, _, _ := registerSession.Call(window, thisSession); ok != 0 {
		defer unregisterSession.Call(window)
	}
	if suspendResume.Find() == nil { // since Windows 8
		suspendResume.Call(window, byWindow)
	}
	s.set("session", lockedNow())
	s.heard()
	stop := context.AfterFunc(ctx, func() { postMessage.Call(window, wmClose, 0, 0) })
	defer stop()
	var m message
	for {
		got, _, _ := getMessage.Call(uintptr(unsafe.Pointer(&m)), 0, 0, 0)
		if int32(got) <= 0 {
			return
		}
		dispatchMessage.Call(uintptr(unsafe.Pointer(&m)))
	}
}

// procedure is the window's.
func (s *state) procedure(window, number, wParam, lParam uintptr) uintptr {
	switch number {
	case wmSessionChange:
		switch wParam {
		case wtsSessionLock:
			s.set("session", true)
		case wtsSessionUnlock:
			s.set("session", false)
		}
		return 0
	case wmPowerBroadcast:
		switch wParam {
		case pbtSuspend:
			s.set("sleep", true)
		case pbtResumeSuspend, pbtResumeAutomatic:
			s.set("sleep", false)
		}
		return 1
	case wmClose:
		destroyWindow.Call(window)
		return 0
	case wmDestroy:
		postQuit.Call(0)
		return 0
	}
	result, _, _ := defaultProcedure.Call(window, number, wParam, lParam)
	return result
}

// sessionInfo is the beginning of WTSINFOEXW, level 1.
type sessionInfo struct {
	level, _       uint32
	session, state uint32
	flags          int32
}

// lockedNow asks how this session stands. What is not known counts as open.
func lockedNow() bool {
	var info *sessionInfo
	var size uint32
	ok, _, _ := querySession.Call(0, currentSession, wtsInfoEx, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)))
	if ok == 0 || info == nil {
		return false
	}
	defer freeMemory.Call(uintptr(unsafe.Pointer(info)))
	return uintptr(size) >= unsafe.Sizeof(*info) && info.level == 1 && info.flags == flagLocked
}
