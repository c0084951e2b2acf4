package pinprompt

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"time"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What wincred.h says of the credential dialog.
const (
	flagIncorrectPassword  = 0x00001 // CREDUI_FLAGS_INCORRECT_PASSWORD
	flagDoNotPersist       = 0x00002
	flagExcludeCertificate = 0x00008
	flagAlwaysShow         = 0x00080
	flagGeneric            = 0x40000
	flagKeepUsername       = 0x100000

	maxMessage  = 1023 // CREDUI_MAX_MESSAGE_LENGTH
	maxUsername = 513  // CREDUI_MAX_USERNAME_LENGTH
	maxPassword = 256  // CREDUI_MAX_PASSWORD_LENGTH
)

// How a notice is shown (winuser.h).
const notice = windows.MB_OK | windows.MB_ICONINFORMATION | windows.MB_SETFOREGROUND | windows.MB_TOPMOST

const wmClose = 0x10 // WM_CLOSE

// info is CREDUI_INFOW.
type info struct {
	size    uint32
	parent  windows.HWND
	message *uint16
	caption *uint16
	banner  windows.Handle
}

// system is what of Windows is called.
type system struct {
	prompt, next, post, front *windows.LazyProc
}

func open() system {
	user := windows.NewLazySystemDLL("user32.dll")
	return system{
		prompt: windows.NewLazySystemDLL("credui.dll").NewProc("CredUIPromptForCredentialsW"),
		next:   user.NewProc("FindWindowExW"),
		post:   user.NewProc("PostMessageW"),
		front:  user.NewProc("SetForegroundWindow"),
	}
}

func (p *Prompter) ask(ctx context.Context, q Question, w words) ([]byte, error) {
	s := open()
	if err := s.prompt.Find(); err != nil {
		return nil, &Unavailable{"Windows cannot ask for the PIN here.", err}
	}
	text := w.text
	flags := uintptr(flagGeneric | flagDoNotPersist | flagAlwaysShow | flagKeepUsername | flagExcludeCertificate)
	if w.fault != "" {
		text = w.fault + "\n\n" + text
	}
	if q.Again == AfterRefusal {
		flags |= flagIncorrectPassword
	}
	message, err1 := windows.UTF16PtrFromString(cut(text, maxMessage))
	caption, err2 := windows.UTF16PtrFromString("Countersign")
	token := clean(q.Token, maxLabel)
	if token == "" {
		token = "PIN" // where the dialog has a name; it cannot be changed
	}
	name, err3 := windows.UTF16FromString(token)
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, &Unavailable{"Windows cannot ask for the PIN here.", windows.ERROR_INVALID_PARAMETER}
	}
	var username [maxUsername + 1]uint16
	var password [maxPassword + 1]uint16
	defer clear(password[:])
	copy(username[:], name)
	about := info{message: message, caption: caption}
	about.size = uint32(unsafe.Sizeof(about))
	var save int32
	var code uintptr
	s.whileShown(ctx, func() {
		code, _, _ = s.prompt.Call(uintptr(unsafe.Pointer(&about)), uintptr(unsafe.Pointer(caption)), 0, 0,
			uintptr(unsafe.Pointer(&username[0])), uintptr(len(username)),
			uintptr(unsafe.Pointer(&password[0])), uintptr(len(password)),
			uintptr(unsafe.Pointer(&save)), flags)
	})
	switch err := syscall.Errno(code); err {
	case 0:
		return utf8Of(password[:])
	case windows.ERROR_CANCELLED:
		return nil, ErrCancelled
	default:
		return nil, &Unavailable{"Windows cannot ask for the PIN here.", fmt.Errorf("CredUIPromptForCredentials: %w", err)}
	}
}

func (p *Prompter) tell(ctx context.Context, _ Question, w words) error {
	text, err1 := windows.UTF16PtrFromString(cut(w.text, maxMessage))
	caption, err2 := windows.UTF16PtrFromString("Countersign")
	if err1 != nil || err2 != nil {
		return &Unavailable{"Windows cannot show this.", windows.ERROR_INVALID_PARAMETER}
	}
	var err error
	open().whileShown(ctx, func() { _, err = windows.MessageBox(0, text, caption, notice) })
	if err != nil {
		return &Unavailable{"Windows cannot show this.", err}
	}
	return nil
}

// whileShown runs what shows a window and waits for a person. It brings the window to the
// front, for this program is in none that the person uses, and at the end of ctx closes it.
func (s system) whileShown(ctx context.Context, show func()) {
	started, over := make(chan uint32), make(chan struct{})
	go func() {
		defer close(over)
		runtime.LockOSThread() // a window belongs to a thread
		defer runtime.UnlockOSThread()
		started <- windows.GetCurrentThreadId()
		show()
	}()
	thread := <-started
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	front := false
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		if window := s.windowOf(thread); window != 0 && !front {
			front = true
			_, _, _ = s.front.Call(uintptr(window)) // Windows may refuse: then it blinks
		} else if window != 0 && ctx.Err() != nil {
			_, _, _ = s.post.Call(uintptr(window), wmClose, 0, 0) // it may be gone
		}
	}
}

// windowOf is the visible window that a thread shows; 0 if it shows none.
func (s system) windowOf(thread uint32) windows.HWND {
	var at uintptr
	for range maxWindows { // one that goes away meanwhile makes it begin anew
		if at, _, _ = s.next.Call(0, at, 0, 0); at == 0 {
			break
		}
		var process uint32
		if owner, err := windows.GetWindowThreadProcessId(windows.HWND(at), &process); err == nil && owner == thread && windows.IsWindowVisible(windows.HWND(at)) {
			return windows.HWND(at)
		}
	}
	return 0
}

// maxWindows is how many windows of the whole screen are looked through.
const maxWindows = 10000

// cut is text within limit UTF-16 units.
func cut(text string, limit int) string {
	units := 0
	for i, r := range text {
		if units += utf16.RuneLen(r); units > limit {
			return text[:i]
		}
	}
	return text
}

// utf8Of is a PIN up to its terminating zero, never in a string.
func utf8Of(units []uint16) ([]byte, error) {
	pin := make([]byte, 0, utf8.UTFMax*len(units))
	for i := 0; i < len(units) && units[i] != 0; i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) && i+1 < len(units) {
			r = utf16.DecodeRune(r, rune(units[i+1]))
			i++
		}
		pin = utf8.AppendRune(pin, r)
	}
	if len(pin) > MaxPIN {
		clear(pin)
		return nil, ErrCancelled
	}
	return pin, nil
}
