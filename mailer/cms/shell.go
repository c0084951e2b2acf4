package cms

import (
	"errors"
	"slices"

	"countersign/mailer/cms/ber"
)

// A shell writes what stands around a content: SignedData and EnvelopedData
// have the same shape. Lengths are definite as far as they are known, that is
// DER if all of them are; else they are indefinite and the content, if its own
// length is not known, comes in segments.
type shell struct {
	kind     Kind
	before   []byte // the fields of the body before the content info
	info     []byte // the fields of the content info before the content itself
	explicit bool   // the content is an OCTET STRING within [0], not under it
	apart    bool   // the content stands elsewhere
	size     int64  // of the content as it is written; -1: in segments
	after    int64  // length of the fields behind the content info; -1: not known
}

func (s shell) definite() bool { return s.size >= 0 && s.after >= 0 }

// head returns all that precedes the content.
func (s shell) head() []byte {
	within, closing := s.size, int64(0)
	wrap := func(t ber.Tag, isConstructed bool, inner []byte) []byte {
		n := int64(-1)
		if s.definite() || !isConstructed {
			n = int64(len(inner)) + within + closing
		}
		return append(ber.AppendHeader(nil, t, isConstructed, n), inner...)
	}
	contentTag := ber.Context
	if s.explicit {
		contentTag = ber.OctetString
	}
	var head []byte
	if !s.apart {
		head = wrap(contentTag, s.size < 0, nil)
	}
	if s.explicit && !s.apart {
		head = wrap(ber.Context, true, head)
	}
	head = wrap(ber.Sequence, true, slices.Concat(s.info, head))
	closing = s.after
	head = wrap(ber.Sequence, true, slices.Concat(s.before, head))
	head = wrap(ber.Context, true, head)
	return wrap(ber.Sequence, true, slices.Concat(s.kind.der(), head))
}

// tail returns all that follows the content. After are the fields behind the content info.
func (s shell) tail(after []byte) []byte {
	open := 0
	if s.size < 0 {
		open++
	}
	if !s.definite() {
		open++
		if s.explicit {
			open++
		}
	}
	tail := slices.Concat(make([]byte, 2*open), after) // end-of-contents octets are zeros
	if !s.definite() {
		tail = append(tail, make([]byte, 2*3)...)
	}
	return tail
}

// segment is what precedes one of the segments.
func (s shell) segment(n int) []byte {
	if s.size >= 0 {
		return nil
	}
	return ber.AppendHeader(nil, ber.OctetString, false, int64(n))
}

var errSize = errors.New("cms: the content has not the length announced")
