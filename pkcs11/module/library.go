package module

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"countersign/pkcs11/wire"
)

// The functions used, by their place in CK_FUNCTION_LIST (PKCS#11 v2.40, section 3.6).
const (
	cInitialize        = 0
	cFinalize          = 1
	cGetInfo           = 2
	cGetSlotList       = 4
	cGetSlotInfo       = 5
	cGetTokenInfo      = 6
	cGetMechanismInfo  = 8
	cOpenSession       = 12
	cCloseSession      = 13
	cGetSessionInfo    = 15
	cLogin             = 18
	cLogout            = 19
	cCreateObject      = 20
	cDestroyObject     = 22
	cGetAttributeValue = 24
	cSetAttributeValue = 25
	cFindObjectsInit   = 26
	cFindObjects       = 27
	cFindObjectsFinal  = 28
	cDecryptInit       = 33
	cDecrypt           = 34
	cSignInit          = 42
	cSign              = 43
	cGenerateKeyPair   = 59
	cDeriveKey         = 62
	cWaitForSlotEvent  = 67
	functions          = 68
)

// Flags of CK_TOKEN_INFO.
const (
	writeProtected = 0x2
	loginRequired  = 0x4
	pinSet         = 0x8
	pinPad         = 0x100
	pinCountLow    = 0x10000
	pinFinalTry    = 0x20000
	pinLocked      = 0x40000
)

// maxSlots is how many slots a library may have.
const maxSlots = 1024

// library is a loaded library: thin calls, one a function.
type library struct {
	layout
	entry [functions]uintptr
	alone *sync.Mutex // held for each call where the library can't lock for itself
}

// load loads and starts the library at path. reserved is its initialisation string.
func load(path, reserved string) (*library, error) {
	get, err := open(path)
	if err != nil {
		return nil, trouble{failure: wire.NotLoaded, says: err.Error()}
	}
	l := &library{layout: native()}
	var a arena
	defer a.free()
	list := new(*[2*8 + functions*8]byte)
	a.pins.Pin(list)
	if r := code(uint32(jump(get, uintptr(unsafe.Pointer(list))))); r != 0 || *list == nil {
		return nil, trouble{failure: wire.NotLoaded, code: r, says: "C_GetFunctionList: " + r.Error()}
	}
	for i := range l.entry {
		at := l.function(i)
		l.entry[i] = little((*list)[at : at+l.pointer])
	}
	var text uintptr
	if reserved != "" {
		text = a.copied(append([]byte(reserved), 0))
	}
	err = l.call(cInitialize, a.copied(l.arguments(text)))
	if err == cantLock {
		l.alone = new(sync.Mutex)
		err = l.call(cInitialize, 0)
	}
	if err != nil && err != alreadyStarted {
		return nil, trouble{failure: wire.NotLoaded, says: "C_Initialize: " + err.Error()}
	}
	return l, nil
}

// call calls function i. Its error is a [code].
func (l *library) call(i int, args ...uintptr) error {
	if l.entry[i] == 0 {
		return notSupported
	}
	if l.alone != nil {
		l.alone.Lock()
		defer l.alone.Unlock()
	}
	if r := code(uint32(jump(l.entry[i], args...))); r != 0 {
		return r
	}
	return nil
}

// describe is what the library calls itself.
func (l *library) describe() string {
	b, err := l.info(cGetInfo)
	if err != nil {
		return ""
	}
	at := l.description()
	return wire.Short(words(b[at : at+32]))
}

// info calls one of the functions that fill a structure of information.
func (l *library) info(function int, slot ...uintptr) ([]byte, error) {
	var a arena
	defer a.free()
	b, at := a.room(infoSize)
	if err := l.call(function, append(slot, at)...); err != nil {
		return nil, err
	}
	return slices.Clone(b), nil
}

// slots lists slots. Asked for the number first, because some libraries look at
// their readers only then. There is room for more, as a reader may be plugged in meanwhile.
func (l *library) slots(withToken bool) ([]uintptr, error) {
	var a arena
	defer a.free()
	var only uintptr
	if withToken {
		only = 1
	}
	n, nAt := a.room(8)
	if err := l.call(cGetSlotList, only, 0, nAt); err != nil {
		return nil, err
	}
	room := int(min(l.read(n), maxSlots-8)) + 8
	copy(n, l.number(nil, uintptr(room)))
	b, at := a.room(room * l.word)
	if err := l.call(cGetSlotList, only, at, nAt); err != nil {
		return nil, err
	}
	var all []uintptr
	for i := range int(min(l.read(n), uintptr(room))) {
		all = append(all, l.read(b[i*l.word:]))
	}
	return all, nil
}

// event tells whether the library noticed a token come or go since it was last asked, such
// as one that is back already. Not every library knows.
func (l *library) event() bool {
	const dontBlock = 1
	var a arena
	defer a.free()
	_, at := a.room(8)
	return l.call(cWaitForSlotEvent, dontBlock, at, 0) == nil
}

// readers is a line that changes when a token comes or goes. No card is spoken to.
func (l *library) readers() (string, error) {
	slots, err := l.slots(false)
	if err != nil {
		return "", err
	}
	var s strings.Builder
	for _, slot := range slots {
		b, err := l.info(cGetSlotInfo, slot)
		if err != nil {
			continue
		}
		fmt.Fprintf(&s, "%d %d\n", slot, l.read(b[flagsAt:])&1)
	}
	return s.String(), nil
}

// tokens lists what is in the readers. One bad reader does not hide the others.
func (l *library) tokens() ([]wire.Token, error) {
	slots, err := l.slots(true)
	if err != nil {
		return nil, err
	}
	var all []wire.Token
	for _, slot := range slots {
		t, err := l.tokenIn(slot)
		if err != nil || len(all) == wire.MaxTokens {
			continue
		}
		if b, err := l.info(cGetSlotInfo, slot); err == nil {
			t.Reader = words(b[:64])
		}
		t.Offers = l.offers(slot)
		all = append(all, t)
	}
	return all, nil
}

// tokenIn reads CK_TOKEN_INFO.
func (l *library) tokenIn(slot uintptr) (wire.Token, error) {
	b, err := l.info(cGetTokenInfo, slot)
	if err != nil {
		return wire.Token{}, err
	}
	flags := l.read(b[flagsAt:])
	t := wire.Token{
		Name:       wire.Name{Label: words(b[:32]), Manufacturer: words(b[32:64]), Model: words(b[64:80]), Serial: words(b[80:96])},
		NeedsLogin: flags&loginRequired != 0, Pad: flags&pinPad != 0, Ready: flags&pinSet != 0, ReadOnly: flags&writeProtected != 0,
	}
	switch {
	case flags&pinLocked != 0:
		t.Tries = wire.TriesNone
	case flags&pinFinalTry != 0:
		t.Tries = wire.TriesLast
	case flags&pinCountLow != 0:
		t.Tries = wire.TriesFewer
	}
	return t, nil
}

// offers is what the token can do. A mechanism counts if the library knows anything of it.
func (l *library) offers(slot uintptr) wire.Set {
	var s wire.Set
	for m := wire.PKCS1; int(m) < len(mechanismNumbers); m++ {
		if _, err := l.info(cGetMechanismInfo, slot, mechanismNumbers[m]); err == nil {
			s = s.With(m)
		}
	}
	return s
}

// find returns the token of this name and the slot it is in, or Removed.
func (l *library) find(name wire.Name) (uintptr, wire.Token, error) {
	slots, err := l.slots(true)
	if err != nil {
		return 0, wire.Token{}, err
	}
	for _, slot := range slots {
		if t, err := l.tokenIn(slot); err == nil && t.Name == name {
			return slot, t, nil
		}
	}
	return 0, wire.Token{}, trouble{failure: wire.Removed, says: "no token of that name in the readers"}
}
