package module

import (
	"bytes"
	"encoding/asn1"

	"countersign/pkcs11/wire"
)

// Attributes (CKA), and values of CKA_CLASS (CKO) and CKA_KEY_TYPE (CKK).
const (
	aClass, aToken, aPrivate, aLabel, aValue = 0x0, 0x1, 0x2, 0x3, 0x11
	aCertificateType, aIssuer, aSerial       = 0x80, 0x81, 0x82
	aKeyType, aSubject, aID, aSensitive      = 0x100, 0x101, 0x102, 0x103
	aEncrypt, aDecrypt, aSign                = 0x104, 0x105, 0x108
	aVerify, aDerive                         = 0x10a, 0x10c
	aModulus, aModulusBits, aPublicExponent  = 0x120, 0x121, 0x122
	aPrivateExponent, aPrime1, aPrime2       = 0x123, 0x124, 0x125
	aExponent1, aExponent2, aCoefficient     = 0x126, 0x127, 0x128
	aValueLen, aExtractable                  = 0x161, 0x162
	aECParams, aECPoint                      = 0x180, 0x181
	aAlways                                  = 0x202

	oCertificate, oPublicKey, oPrivateKey, oSecretKey = 1, 2, 3, 4
	kRSA, kEC, kGenericSecret, kEdwards               = 0x0, 0x3, 0x10, 0x40
)

// classes and kinds are indexed by the numbers of package wire.
var (
	classes = [...]uintptr{wire.Certificate: oCertificate, wire.PublicKey: oPublicKey, wire.PrivateKey: oPrivateKey}
	kinds   = [...]uintptr{wire.RSA: kRSA, wire.EC: kEC, wire.Edwards: kEdwards}
)

// attribute is a CK_ATTRIBUTE of a template.
type attribute struct {
	kind  uintptr
	value []byte
}

func (l *library) template(a *arena, all []attribute) uintptr {
	var b []byte
	for _, one := range all {
		b = append(b, l.triple(one.kind, a.copied(one.value), uintptr(len(one.value)))...)
	}
	return a.copied(b)
}

// search lists at most limit objects that match.
func (l *library) search(session uintptr, limit int, all ...attribute) ([]uintptr, error) {
	var a arena
	defer a.free()
	if err := l.call(cFindObjectsInit, session, l.template(&a, all), uintptr(len(all))); err != nil {
		return nil, err
	}
	const step = 32
	b, at := a.room(step * l.word)
	n, nAt := a.room(8)
	var found []uintptr
	var err error
	for len(found) < limit {
		clear(n)
		if err = l.call(cFindObjects, session, at, step, nAt); err != nil || l.read(n) == 0 {
			break
		}
		for i := range min(l.read(n), step) {
			found = append(found, l.read(b[int(i)*l.word:]))
		}
	}
	if final := l.call(cFindObjectsFinal, session); err == nil {
		err = final
	}
	return found[:min(len(found), limit)], err
}

// value reads one attribute of at most limit bytes, or nil if the object has none or it
// is longer. One call with room enough: asking for the length first is another reading
// of the card.
func (l *library) value(session, object, kind uintptr, limit int) []byte {
	var a arena
	defer a.free()
	b, at := a.room(limit)
	one, oneAt := a.room(2*l.word + l.pointer)
	copy(one, l.triple(kind, at, uintptr(limit)))
	if l.call(cGetAttributeValue, session, object, oneAt, 1) != nil {
		return nil
	}
	n := l.read(one[l.word+l.pointer:])
	if n == l.unavailable() || n > uintptr(limit) {
		return nil
	}
	return bytes.Clone(b[:n])
}

// numberOf reads an attribute that is a CK_ULONG.
func (l *library) numberOf(session, object, kind uintptr) (uintptr, bool) {
	b := l.value(session, object, kind, 8)
	if len(b) < l.word {
		return 0, false
	}
	return l.read(b), true
}

// kindOf is the kind of a key, or 0 for one that we do not use.
func (l *library) kindOf(session, object uintptr) wire.Kind {
	n, ok := l.numberOf(session, object, aKeyType)
	for k := wire.RSA; ok && k <= wire.Edwards; k++ {
		if kinds[k] == n {
			return k
		}
	}
	return 0
}

// objects lists certificates and keys. Without a login the token may hide some.
func (l *library) objects(session uintptr, reply *wire.Reply) error {
	room := wire.MaxFrame - 4<<10
	for class := wire.Certificate; class <= wire.PrivateKey; class++ {
		found, err := l.search(session, wire.MaxObjects+1, attribute{aClass, l.number(nil, classes[class])})
		if err != nil {
			return err
		}
		for _, object := range found {
			o, ok := l.object(session, object, class)
			if !ok {
				continue
			}
			room -= len(o.ID) + len(o.Label) + len(o.Value) + len(o.Params) + 32
			if len(reply.Objects) == wire.MaxObjects || room < 0 {
				reply.More = true
				return nil
			}
			reply.Objects = append(reply.Objects, o)
		}
	}
	return nil
}

func (l *library) object(session, object uintptr, class wire.Class) (wire.Object, bool) {
	o := wire.Object{Class: class}
	o.ID = l.value(session, object, aID, wire.MaxID)
	o.Label = wire.Short(string(l.value(session, object, aLabel, wire.MaxText)))
	if class == wire.Certificate {
		kind, ok := l.numberOf(session, object, aCertificateType)
		o.Value = l.value(session, object, aValue, wire.MaxValue)
		return o, (!ok || kind == 0) && len(o.Value) > 0 // CKC_X_509
	}
	switch o.Kind = l.kindOf(session, object); o.Kind {
	case wire.RSA:
		o.Value = l.value(session, object, aModulus, wire.MaxResult)
		o.Params = l.value(session, object, aPublicExponent, 8)
	case wire.EC, wire.Edwards:
		o.Value = point(l.value(session, object, aECPoint, wire.MaxResult), o.Kind)
		o.Params = l.value(session, object, aECParams, wire.MaxID)
	default:
		return o, false
	}
	if class == wire.PrivateKey {
		o.Always = bytes.Equal(l.value(session, object, aAlways, 1), []byte{1})
	}
	return o, true
}

// point takes the OCTET STRING from around a point. Some libraries give it without.
func point(b []byte, kind wire.Kind) []byte {
	var inner []byte
	rest, err := asn1.Unmarshal(b, &inner)
	if err != nil || len(rest) > 0 || kind == wire.EC && (len(inner) == 0 || inner[0] != 4) {
		return b
	}
	return inner
}
