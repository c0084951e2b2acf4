package module

import (
	"errors"
	"sync"

	"countersign/pkcs11/wire"
)

// Users of C_Login, flags of C_OpenSession, and states of a session in which the user is
// logged in. A session is read-only unless something is to be put on the token.
const (
	user            = 1
	contextSpecific = 2
	readWrite       = 2
	serialSession   = 4
	readOnlyUser    = 1
	readWriteUser   = 3
)

// token is one token. It does one thing at a time: so does the card.
type token struct {
	lib  *library
	name wire.Name

	mu       sync.Mutex
	slot     uintptr
	needs    bool    // a login, before keys are used
	keep     uintptr // holds the login; no operation runs in it
	work     uintptr // for operations; replaced after each error
	kept, on bool    // whether those two are open
	in       bool    // we logged in, and nothing has gone wrong since
	fresh    bool    // that was just before
	seen     bool    // a private key, since then
	barred   bool    // keys that ask at each use did not agree on a secret, just after it
	keys     map[keyName]private
}

// keyName is a [wire.Key] that can be compared.
type keyName struct {
	id, label string
	kind      wire.Kind
}

// private is a key as the token knows it, good for one session.
type private struct {
	handle uintptr
	always bool
}

func (t *token) do(r *wire.Request, reply *wire.Reply) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.open()
	if err == nil {
		switch r.Op {
		case wire.Objects:
			err = t.lib.objects(t.work, reply)
		case wire.Login:
			err = t.login(r)
		case wire.Generate, wire.Import, wire.Store, wire.Delete:
			err = t.put(r, reply)
		default:
			reply.Data, err = t.use(r)
			// A key that asks at each use was not used yet.
			t.fresh = t.fresh && err != nil && failed(r, err).Failure == wire.AsksAlways
		}
	}
	if err != nil {
		t.drop(err)
	}
	return err
}

// open makes sure that both sessions are open.
func (t *token) open() error {
	if t.on {
		return nil
	}
	if !t.kept {
		slot, info, err := t.lib.find(t.name)
		if err != nil {
			return err
		}
		keep, err := t.lib.session(slot, serialSession)
		if err != nil {
			return err
		}
		t.slot, t.needs, t.keep, t.kept, t.in = slot, info.NeedsLogin, keep, true, false
	}
	work, err := t.lib.session(t.slot, serialSession)
	if err != nil {
		t.forget()
		return err
	}
	t.work, t.on, t.keys = work, true, map[keyName]private{}
	return nil
}

func (l *library) session(slot, flags uintptr) (uintptr, error) {
	var a arena
	defer a.free()
	b, at := a.room(8)
	err := l.call(cOpenSession, slot, flags, 0, 0, at)
	return l.read(b), err
}

// drop leaves what an error may have spoilt: always the working session, and the login
// too unless the error is one that a sound session gives.
func (t *token) drop(err error) {
	reply := failed(&wire.Request{}, err)
	switch reply.Failure {
	case wire.AsksAlways, wire.NoKey, wire.NoSpace, wire.ReadOnly, wire.NeedsMaker, wire.HasCertificate:
		return // found by ourselves, or in a session that is closed: these are as they were
	case wire.NotLoggedIn:
		if !t.in {
			return
		}
	case wire.NoMechanism, wire.BadInput, wire.WrongPIN, wire.PINLocked, wire.LastTry, wire.Cancelled, wire.Malformed:
		if t.on {
			_ = t.lib.call(cCloseSession, t.work) // it is given up either way
			t.on = false
		}
		return
	}
	t.forget()
}

// forget gives up both sessions, and the login with them.
func (t *token) forget() {
	if t.on {
		_ = t.lib.call(cCloseSession, t.work) // the token may be gone
	}
	if t.kept {
		_ = t.lib.call(cCloseSession, t.keep)
	}
	t.on, t.kept, t.in, t.seen, t.keys = false, false, false, false, nil
}

// login logs in by a PIN that is truly checked: where the library says that we are
// logged in already, we log out first.
func (t *token) login(r *wire.Request) error {
	if r.Entry == wire.NoPIN { // nothing but a question
		if t.needs && !t.in {
			return trouble{failure: wire.NotLoggedIn, says: "the token is locked"}
		}
		if t.needs {
			return t.lib.unlocked(t.keep)
		}
		return nil
	}
	if t.in {
		_ = t.lib.call(cLogout, t.keep) // a failure shows in what comes next
		t.in = false
	}
	clear(t.keys) // private objects come and go with the login
	t.seen = false
	err := t.enter(r, t.keep, user)
	if errors.Is(err, alreadyLoggedIn) {
		if err = t.lib.call(cLogout, t.keep); err == nil {
			err = t.enter(r, t.keep, user)
		}
	}
	t.in, t.fresh, t.barred = err == nil, err == nil, false
	return err
}

// enter gives a PIN to the token, once it is seen to be the one it is meant for. Its
// errors tell what the token says of tries left. A login that succeeded just before gave
// all tries back, whatever OpenSC remembers: the PIN that it took is good for that key's use.
func (t *token) enter(r *wire.Request, session, as uintptr) error {
	info, err := t.lib.tokenIn(t.slot)
	switch {
	case err != nil:
		return err
	case info.Name != t.name:
		return trouble{failure: wire.Lost, says: "another token is in the reader"}
	case info.Tries == wire.TriesNone:
		return trouble{failure: wire.PINLocked, says: "the token says that its PIN is locked", tries: info.Tries}
	case r.Entry == wire.Kept && info.Tries == wire.TriesLast && !(as == contextSpecific && t.fresh):
		return trouble{failure: wire.LastTry, says: "a kept PIN is not used on the last try", tries: info.Tries}
	}
	var a arena
	defer a.free()
	var at uintptr // none: the PIN pad
	if r.Entry != wire.OnPad {
		at = a.copied(r.PIN)
	}
	err = t.lib.call(cLogin, session, as, at, uintptr(len(r.PIN)))
	var c code
	if !errors.As(err, &c) {
		return err
	}
	if f := codes[c].failure; f != wire.WrongPIN && f != wire.PINLocked {
		return err
	}
	told := trouble{failure: codes[c].failure, code: c, says: c.Error()}
	if info, err := t.lib.tokenIn(t.slot); err == nil {
		told.tries = info.Tries
	}
	return told
}

// key finds a private key by CKA_ID and kind, or by its label if it has no CKA_ID.
func (t *token) key(k wire.Key) (private, error) {
	name := keyName{string(k.ID), k.Label, k.Kind}
	if found, ok := t.keys[name]; ok {
		return found, nil
	}
	l := t.lib
	wanted := []attribute{{aClass, l.number(nil, oPrivateKey)}, {aKeyType, l.number(nil, kinds[k.Kind])}}
	if len(k.ID) > 0 {
		wanted = append(wanted, attribute{aID, k.ID})
	}
	all, err := l.search(t.work, wire.MaxObjects, wanted...)
	if err != nil {
		return private{}, err
	}
	best := -1
	for i, object := range all {
		labelled := wire.Short(string(l.value(t.work, object, aLabel, wire.MaxText))) == k.Label
		if labelled || best < 0 && len(k.ID) > 0 {
			best = i
		}
		if labelled {
			break
		}
	}
	switch {
	case best >= 0:
		found := private{all[best], false}
		if b := l.value(t.work, found.handle, aAlways, 1); len(b) == 1 {
			found.always = b[0] != 0
		}
		t.keys[name], t.seen = found, true
		return found, nil
	case t.needs && !t.in:
		return private{}, trouble{failure: wire.NotLoggedIn, says: "no such key is to be seen before login"}
	case t.seen || t.needs && !t.fresh && !t.shows(): // sessions of OpenSC may outlive their card, or their login, and then show nothing
		return private{}, trouble{failure: wire.Lost, says: "no such key is to be seen, and the login may be over"}
	}
	return private{}, trouble{failure: wire.NoKey, says: "the token has no such private key"}
}

// shows tells whether any key is to be seen that only a login shows.
func (t *token) shows() bool {
	all, err := t.lib.search(t.work, 1, attribute{aClass, t.lib.number(nil, oPrivateKey)}, attribute{aPrivate, yes(true)})
	return err == nil && len(all) > 0
}
