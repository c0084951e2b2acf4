package pinprompt

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

func TestUTF8(t *testing.T) {
	for _, want := range []string{"1234", "12%34 56", "Grüße", "\U0001f511", ""} {
		units := append(utf16.Encode([]rune(want)), 0, 'x')
		if got, err := utf8Of(units); err != nil || string(got) != want {
			t.Errorf("%q becomes %q, %v", want, got, err)
		}
	}
	if got, err := utf8Of(utf16.Encode([]rune(strings.Repeat("1", MaxPIN+1)))); !errors.Is(err, ErrCancelled) {
		t.Errorf("too long: %q, %v", got, err)
	}
	if got, err := utf8Of([]uint16{0xd800}); err != nil || string(got) != "\ufffd" {
		t.Errorf("half a character: %q, %v", got, err)
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]string{"abc": "abc", "abcd": "abc", "ab\U0001f511": "ab", "a\U0001f511": "a\U0001f511"} {
		if got := cut(text, 3); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func TestLayout(t *testing.T) {
	word := unsafe.Sizeof(uintptr(0))
	var i info
	if unsafe.Sizeof(i) != 5*word || unsafe.Offsetof(i.parent) != word || unsafe.Offsetof(i.message) != 2*word || unsafe.Offsetof(i.banner) != 4*word {
		t.Errorf("CREDUI_INFOW is %+v", i)
	}
}

// desktop skips unless this is wine, whose dialogs can be driven, and windows can be made.
func desktop(t *testing.T) person {
	t.Helper()
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() != nil {
		t.Skip("the dialogs of a real Windows are not driven by tests")
	}
	runtime.LockOSThread() // only the thread that made a window can take it away
	defer runtime.UnlockOSThread()
	user := windows.NewLazySystemDLL("user32.dll")
	class, err := windows.UTF16PtrFromString("STATIC")
	if err != nil {
		t.Fatal(err)
	}
	window, _, err := user.NewProc("CreateWindowExW").Call(0, uintptr(unsafe.Pointer(class)), 0, 0, 0, 0, 1, 1, 0, 0, 0, 0)
	if window == 0 {
		t.Skip("there is no screen: ", err)
	}
	_, _, _ = user.NewProc("DestroyWindow").Call(window)
	return person{next: user.NewProc("FindWindowExW"), text: user.NewProc("GetWindowTextW"), style: user.NewProc("GetWindowLongW"), send: user.NewProc("SendMessageW"), post: user.NewProc("PostMessageW")}
}

// person is somebody at the screen.
type person struct{ next, text, style, send, post *windows.LazyProc }

// find waits for a dialog with our title that shows a text.
func (p person) find(t *testing.T, shows string) uintptr {
	t.Helper()
	for t.Context().Err() == nil {
		for at, _, _ := p.next.Call(0, 0, 0, 0); at != 0; at, _, _ = p.next.Call(0, at, 0, 0) {
			// A hidden one may belong to a thread that answers nothing.
			if windows.IsWindowVisible(windows.HWND(at)) && p.says(at) == "Countersign" && p.within(at, func(child uintptr) bool { return strings.Contains(p.says(child), shows) }) != 0 {
				return at
			}
		}
		runtime.Gosched()
	}
	return 0
}

// within finds a part of a window.
func (p person) within(window uintptr, is func(uintptr) bool) uintptr {
	for at, _, _ := p.next.Call(window, 0, 0, 0); at != 0; at, _, _ = p.next.Call(window, at, 0, 0) {
		if is(at) {
			return at
		}
	}
	return 0
}

func (p person) says(window uintptr) string {
	var text [2048]uint16
	n, _, _ := p.text.Call(window, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)))
	return windows.UTF16ToString(text[:n])
}

// enters types a text where what is typed is hidden, and presses a button.
func (p person) enters(t *testing.T, window uintptr, pin string, button uintptr) {
	t.Helper()
	const hidden, current, setText, command = 0x20, ^uintptr(15), 0xc, 0x111 // ES_PASSWORD, GWL_STYLE, WM_SETTEXT, WM_COMMAND
	field := p.within(window, func(child uintptr) bool {
		style, _, _ := p.style.Call(child, current)
		return style&hidden != 0 && p.says(child) == ""
	})
	text, err := windows.UTF16PtrFromString(pin)
	if err != nil || field == 0 {
		t.Errorf("there is no field to type in: %v", err)
	}
	_, _, _ = p.send.Call(field, setText, 0, uintptr(unsafe.Pointer(text)))
	_, _, _ = p.post.Call(window, command, button, 0)
}

// TestDialog: a person reads what is asked, types, and the PIN arrives; or cancels; or the end
// of the context takes the dialog away.
func TestDialog(t *testing.T) {
	at := desktop(t)
	p := New(Config{})
	q := Question{Token: "Dr Lee", Purpose: "signing a letter", Again: AfterRefusal, Tries: TriesLast}
	type result struct {
		pin []byte
		err error
	}
	ask := func(ctx context.Context) chan result {
		got := make(chan result, 1)
		go func() {
			pin, err := p.Ask(ctx, q)
			got <- result{pin, err}
		}()
		return got
	}
	got := ask(t.Context())
	at.enters(t, at.find(t, "signing a letter"), "12%34 ß", 1)
	if r := <-got; r.err != nil || string(r.pin) != "12%34 ß" {
		t.Errorf("entered: %q, %v", r.pin, r.err)
	}
	got = ask(t.Context())
	at.enters(t, at.find(t, "That PIN was wrong."), "1234", 2)
	if r := <-got; !errors.Is(r.err, ErrCancelled) {
		t.Errorf("cancelled: %q, %v", r.pin, r.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got = ask(ctx)
	at.find(t, "last try")
	cancel()
	if r := <-got; !errors.Is(r.err, context.Canceled) {
		t.Errorf("taken away: %q, %v", r.pin, r.err)
	}
	done := p.Tell(t.Context(), q)
	at.find(t, "on the reader")
	if err := done(); err != nil {
		t.Error(err)
	}
}
