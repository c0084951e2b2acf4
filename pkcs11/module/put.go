package module

import (
	"bytes"
	"errors"
	"slices"

	"countersign/pkcs11/wire"
)

// refusals say what a code means where something was to be put on a token, if it means
// another thing there than in codes.
var refusals = map[code]wire.Failure{
	attributeReadOnly: wire.NeedsMaker,
	attributeType:     wire.NeedsMaker,
	0x13:              wire.NeedsMaker, // CKR_ATTRIBUTE_VALUE_INVALID
	0x1b:              wire.NeedsMaker, // CKR_ACTION_PROHIBITED
	deviceMemory:      wire.NoSpace,
	notSupported:      wire.NeedsMaker,
	0xb5:              wire.ReadOnly,   // CKR_SESSION_READ_ONLY
	0xb7:              wire.Busy,       // CKR_SESSION_READ_ONLY_EXISTS
	0xd0:              wire.NeedsMaker, // CKR_TEMPLATE_INCOMPLETE
	0xd1:              wire.NeedsMaker, // CKR_TEMPLATE_INCONSISTENT
	0xe2:              wire.ReadOnly,   // CKR_TOKEN_WRITE_PROTECTED
}

// put runs what changes a token, in a read-write session that lives no longer.
func (t *token) put(r *wire.Request, reply *wire.Reply) error {
	if t.needs && !t.in {
		return trouble{failure: wire.NotLoggedIn, says: "the token asks for a PIN first"}
	}
	info, err := t.lib.tokenIn(t.slot)
	switch {
	case err != nil:
		return err
	case info.Name != t.name:
		return trouble{failure: wire.Lost, says: "another token is in the reader"}
	case info.ReadOnly:
		return trouble{failure: wire.ReadOnly, says: "the token says that it is write-protected"}
	}
	session, err := t.lib.session(t.slot, serialSession|readWrite)
	if err != nil {
		return t.refused(t.keep, err)
	}
	defer func() { _ = t.lib.call(cCloseSession, session) }() // it is given up either way
	w := writing{t.lib, session}
	switch r.Op {
	case wire.Generate:
		reply.Made, err = w.generate(r)
	case wire.Import:
		reply.There, err = w.bring(r)
	case wire.Store:
		reply.There, err = w.store(r)
	default:
		err = w.discard(r)
		clear(t.keys)
		t.seen = false
	}
	return t.refused(session, err)
}

// refused says what an error means in writing. Where the token wants a login though there
// is one, it wants that of its administrator: PIV cards make keys for nobody else.
func (t *token) refused(session uintptr, err error) error {
	var c code
	if !errors.As(err, &c) {
		return err
	}
	failure, ok := refusals[c]
	if c == notLoggedIn {
		failure, ok = wire.NeedsMaker, t.lib.unlocked(session) == nil
	}
	if !ok {
		return err
	}
	return trouble{failure: failure, code: c, says: c.Error()}
}

// unlocked fails unless the user is logged in to the session's token. A library that can't
// tell is believed by its silence: what comes next will show it.
func (l *library) unlocked(session uintptr) error {
	var a arena
	defer a.free()
	info, at := a.room(4 * l.word) // CK_SESSION_INFO: slot, state, flags, error
	err := l.call(cGetSessionInfo, session, at)
	if errors.Is(err, notSupported) {
		return nil
	}
	if state := l.read(info[l.word:]); err == nil && state != readOnlyUser && state != readWriteUser {
		err = trouble{failure: wire.NotLoggedIn, says: "the token is locked"}
	}
	return err
}

// writing is a read-write session.
type writing struct {
	*library
	session uintptr
}

func yes(is bool) []byte {
	if is {
		return []byte{1}
	}
	return []byte{0}
}

// named begins the template of something that stays on the token.
func (w writing) named(class, kind uintptr, private bool, k wire.Key) []attribute {
	of := uintptr(aKeyType)
	if class == oCertificate {
		of = aCertificateType
	}
	all := []attribute{
		{aClass, w.number(nil, class)}, {of, w.number(nil, kind)}, {aToken, yes(true)}, {aPrivate, yes(private)}, {aID, k.ID},
	}
	if k.Label != "" {
		all = append(all, attribute{aLabel, []byte(k.Label)})
	}
	return all
}

// private is the template of a private key that never leaves the token.
func (w writing) private(r *wire.Request) []attribute {
	opens := uintptr(aDecrypt)
	if r.Key.Kind == wire.EC {
		opens = aDerive
	}
	return append(w.named(oPrivateKey, kinds[r.Key.Kind], true, r.Key),
		attribute{aSensitive, yes(true)}, attribute{aExtractable, yes(false)},
		attribute{aSign, yes(r.Uses&wire.ForSigning != 0)}, attribute{opens, yes(r.Uses&wire.ForOpening != 0)})
}

// generate makes a key pair. It bears the agent's passing identifier until its own is
// known, which can only be what the key itself gives; a token that renames nothing leaves the
// passing one. So what a crash leaves behind is found by that identifier, and by nothing else.
func (w writing) generate(r *wire.Request) (made wire.Object, err error) {
	if err := w.remove(r.Key, nil); err != nil {
		return made, err
	}
	public := append(w.named(oPublicKey, kinds[r.Key.Kind], false, r.Key), attribute{aVerify, yes(r.Uses&wire.ForSigning != 0)})
	number := uintptr(makeEC)
	if r.Key.Kind == wire.RSA {
		number = makeRSA
		public = append(public, attribute{aEncrypt, yes(r.Uses&wire.ForOpening != 0)},
			attribute{aModulusBits, w.number(nil, uintptr(r.Bits))}, attribute{aPublicExponent, []byte{1, 0, 1}})
	} else {
		public = append(public, attribute{aECParams, r.Params})
	}
	private := w.private(r)
	var a arena
	defer a.free()
	handles := [2][]byte{}
	at := [2]uintptr{}
	for i := range handles {
		handles[i], at[i] = a.room(8)
	}
	if err := w.call(cGenerateKeyPair, w.session, w.wrapped(&a, number, nil), w.template(&a, public), uintptr(len(public)),
		w.template(&a, private), uintptr(len(private)), at[0], at[1]); err != nil {
		return made, err
	}
	open, secret := w.read(handles[0]), w.read(handles[1])
	made, err = w.finish(r, open, secret)
	if err != nil {
		_ = w.call(cDestroyObject, w.session, secret) // what fails here is found again by the agent's identifier
		_ = w.call(cDestroyObject, w.session, open)
	}
	return made, err
}

// finish gives a new key pair its identifier.
func (w writing) finish(r *wire.Request, open, secret uintptr) (made wire.Object, err error) {
	made, ok := w.object(w.session, open, wire.PublicKey)
	if !ok || made.Kind != r.Key.Kind || len(made.Value) == 0 {
		return made, trouble{failure: wire.Confused, says: "the library does not show the public key that it made"}
	}
	if err := w.kept(secret); err != nil {
		return made, err
	}
	made.Key = r.Key
	id := wire.KeyID(made.Value)
	if w.rename(secret, id) != nil {
		return made, nil // the passing one stays
	}
	made.ID = id
	return made, w.rename(open, id)
}

func (w writing) rename(object uintptr, id []byte) error {
	var a arena
	defer a.free()
	return w.call(cSetAttributeValue, w.session, object, w.template(&a, []attribute{{aID, id}}), 1)
}

// kept refuses a private key of which the token says that it may leave it.
func (w writing) kept(object uintptr) error {
	if bytes.Equal(w.value(w.session, object, aSensitive, 1), yes(false)) || bytes.Equal(w.value(w.session, object, aExtractable, 1), yes(true)) {
		return trouble{failure: wire.Confused, says: "the token would give the private key away"}
	}
	return nil
}

// remove destroys keys of this identifier and kind, and the private halves of those that
// were being renamed when something broke. Where value is given and they show another, they
// are left. Private keys go first: what is left halfway can be found again by the public one.
func (w writing) remove(k wire.Key, value []byte) error {
	find := func(class uintptr, id []byte) ([]uintptr, error) {
		return w.search(w.session, wire.MaxObjects, attribute{aClass, w.number(nil, class)}, attribute{aKeyType, w.number(nil, kinds[k.Kind])}, attribute{aID, id})
	}
	open, err := find(oPublicKey, k.ID)
	if err != nil {
		return err
	}
	doomed, err := find(oPrivateKey, k.ID)
	if err != nil {
		return err
	}
	another := func(object uintptr) (shown []byte, is bool) {
		o, _ := w.object(w.session, object, wire.PublicKey) // a private RSA key shows the same
		return o.Value, len(value) > 0 && len(o.Value) > 0 && !same(o.Value, value)
	}
	for _, o := range open {
		shown, is := another(o)
		if is {
			return nil
		}
		if id := wire.KeyID(shown); len(shown) > 0 && !bytes.Equal(id, k.ID) {
			found, err := find(oPrivateKey, id)
			if err != nil {
				return err
			}
			doomed = append(doomed, found...)
		}
	}
	for _, o := range slices.Concat(doomed, open) {
		if _, is := another(o); is {
			continue
		}
		if err := w.call(cDestroyObject, w.session, o); err != nil {
			return err
		}
	}
	return nil
}

// same compares numbers, or points.
func same(a, b []byte) bool { return bytes.Equal(bytes.TrimLeft(a, "\x00"), bytes.TrimLeft(b, "\x00")) }

// bring puts a private key made elsewhere on the token, unless it is there.
func (w writing) bring(r *wire.Request) (there bool, err error) {
	class, kind := attribute{aClass, w.number(nil, oPrivateKey)}, attribute{aKeyType, w.number(nil, kinds[r.Key.Kind])}
	found, err := w.search(w.session, wire.MaxObjects, class, kind, attribute{aID, r.Key.ID})
	if err != nil {
		return false, err
	}
	for _, object := range found {
		if shown := w.value(w.session, object, aModulus, wire.MaxResult); len(shown) == 0 || same(shown, r.Parts[0]) {
			return true, w.kept(object)
		}
	}
	all := w.private(r)
	if r.Key.Kind == wire.RSA {
		for i, p := range r.Parts {
			all = append(all, attribute{[]uintptr{aModulus, aPublicExponent, aPrivateExponent, aPrime1, aPrime2, aExponent1, aExponent2, aCoefficient}[i], p})
		}
	} else {
		all = append(all, attribute{aECParams, r.Params}, attribute{aValue, r.Parts[0]})
	}
	object, err := w.create(all)
	if err == nil {
		if err = w.kept(object); err != nil {
			_ = w.call(cDestroyObject, w.session, object) // the error says what is the matter
		}
	}
	return false, err
}

// store puts a certificate on the token, unless that very one is there under the
// same identifier.
func (w writing) store(r *wire.Request) (there bool, err error) {
	found, err := w.certificates(r.Key.ID)
	if err != nil {
		return false, err
	}
	for _, object := range found {
		if bytes.Equal(w.value(w.session, object, aValue, wire.MaxValue), r.Data) {
			return true, nil
		}
	}
	all := w.named(oCertificate, 0, false, r.Key) // CKC_X_509
	_, err = w.create(append(all, attribute{aSubject, r.Parts[0]}, attribute{aIssuer, r.Parts[1]}, attribute{aSerial, r.Parts[2]}, attribute{aValue, r.Data}))
	return false, err
}

func (w writing) certificates(id []byte) ([]uintptr, error) {
	return w.search(w.session, wire.MaxObjects, attribute{aClass, w.number(nil, oCertificate)}, attribute{aID, id})
}

func (w writing) create(all []attribute) (uintptr, error) {
	var a arena
	defer a.free()
	h, at := a.room(8)
	err := w.call(cCreateObject, w.session, w.template(&a, all), uintptr(len(all)), at)
	return w.read(h), err
}

// discard destroys a key that came to nothing. One with a certificate did not.
func (w writing) discard(r *wire.Request) error {
	found, err := w.certificates(r.Key.ID)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return trouble{failure: wire.HasCertificate, says: "the key has a certificate on the token"}
	}
	return w.remove(r.Key, r.Data)
}
