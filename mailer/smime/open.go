package smime

import (
	"cmp"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"countersign/mailer/cms"
	"countersign/mailer/message"
)

const (
	maxLayers = 5         // sign, encrypt, sign (RFC 2634) is three
	heldBytes = 256 << 10 // an opened content up to this size is kept, not opened again for each part

	maxInflated = 128 << 20 // of a compressed content

	maxUnwrapped = 4 // parts of a payload that are looked into for the sake of what they enclose
)

// Open describes the message in src; keys are those that may open it. The error
// is that of reading src. The parts described refer to src and read it again.
func Open(src message.Source, keys []cms.Key, o Options) (*Opened, error) {
	w := &watched{src: src}
	d := &description{Opened: &Opened{}, keys: keys, o: o}
	d.follow(w)
	if errors.Is(d.Problem, ErrDamaged) && o.ContentKey != nil && len(keys) > 0 { // it was another message's
		d.Opened, d.o.ContentKey = &Opened{}, nil
		d.follow(w)
	}
	if err := w.err.Load(); err != nil {
		return nil, fmt.Errorf("reading message: %w", *err)
	}
	return d.Opened, nil
}

// watched is a source that remembers when it can't be read, so that this isn't
// taken for a fault of the message.
type watched struct {
	src message.Source
	err atomic.Pointer[error] // parts may be read at the same time
}

func (w *watched) Open() (io.ReadCloser, error) {
	r, err := w.src.Open()
	if err != nil {
		w.err.Store(&err)
		return nil, err
	}
	if at, ok := r.(io.Seeker); ok {
		return struct {
			*watching
			io.Seeker
		}{&watching{r, w}, at}, nil
	}
	return &watching{r, w}, nil
}

type watching struct {
	io.ReadCloser
	w *watched
}

func (r *watching) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.w.err.Store(&err)
	}
	return n, err
}

// description is a message being described.
type description struct {
	*Opened
	keys []cms.Key
	o    Options
	sum  *summed // the CMS that the root is; nil if it is none
}

// follow goes through the layers from the root inwards.
func (d *description) follow(src message.Source) {
	s, err := d.parse(src)
	if s.part != nil {
		d.Root, d.Outer, d.Header = s.part, s.part.Header, s.part.Header
	}
	parsed := err == nil
	depth := 0 // layers around the payload
	misformed := false
	for err == nil && formOf(s.part) != plain {
		var inside stage
		if inside, err = d.enter(s); errors.Is(err, ErrForm) {
			err, misformed = nil, true // shown as it is, as if it were no layer
			break
		}
		s, depth = inside, depth+1
	}
	if err == nil {
		err = s.limit
	}
	if parsed && d.o.Identify {
		var unread error
		if d.Digest, unread = d.digest(); err == nil {
			err = unread
		}
	}
	if err != nil {
		d.Problem = problem(err, ErrDamaged)
		if n := len(d.Layers); n > 0 && d.Layers[n-1].Err == nil {
			d.Layers[n-1].Err = d.Problem
		}
		return
	}
	d.Payload = s.part
	if e := d.envelope(); e != nil { // its content was read to the end
		d.ContentKey = e.ContentKey
	}
	if depth > 0 {
		d.Root = flat(d.Root)
		d.protect()
	}
	if !misformed {
		d.Errant = errant(d.Payload)
		if left := maxUnwrapped; slices.Contains(d.Errant, Signed) || slices.Contains(d.Errant, Encrypted) {
			d.Payload = d.unwrap(d.Payload, &left)
		}
	}
}

// unwrap puts in place of each errant signature what it encloses (RFC 9787, section
// 6.2.1), so that it can be read: nobody has said that it is from them. What an envelope
// encloses stays there.
func (d *description) unwrap(p *message.Part, left *int) *message.Part {
	if isCMSType(p.Type) && *left > 0 {
		*left--
		src, kind, err := cmsBody(p)
		if err != nil || kind != cms.KindSigned {
			return p
		}
		signed, err := cms.ReadSigned(src, nil)
		if err != nil || signed.Detached {
			return p
		}
		if inside, err := d.parse(signed); err == nil {
			return inside.part
		}
	}
	if !strings.HasPrefix(p.Type, "multipart/") {
		return p
	}
	again := *p
	again.Parts = slices.Clone(p.Parts)
	for i, child := range again.Parts {
		again.Parts[i] = d.unwrap(child, left)
	}
	return &again
}

// flat is a part with those in it one level deep.
func flat(p *message.Part) *message.Part {
	root := *p
	root.Parts = nil
	for _, child := range p.Parts {
		one := *child
		one.Parts = nil
		root.Parts = append(root.Parts, &one)
	}
	return &root
}

// enter describes the layer that s is and returns what is inside.
func (d *description) enter(s stage) (stage, error) {
	if len(d.Layers) == maxLayers {
		return s, fmt.Errorf("%w: more than %d layers", ErrLimit, maxLayers)
	}
	part := s.part
	if formOf(part) == detached {
		return d.enterDetached(s)
	}
	src, kind, err := cmsBody(part)
	if part == d.Root && d.o.Identify {
		d.sum = &summed{src: src}
		src = d.sum
	}
	var inside message.Source
	switch {
	case err != nil:
		layer := Layer{Kind: cmp.Or(claimed(part), Encrypted), Form: part.Params["smime-type"], Err: problem(err, ErrDamaged)}
		switch kind { // what it is goes before what it is called
		case "":
		case cms.KindEncrypted: // by a key that both have by other means
			err = fmt.Errorf("%w: %w", ErrNoKey, err)
			layer.Kind, layer.Form, layer.Err = Encrypted, string(kind), err
		default:
			layer.Kind, layer.Form = Other, string(kind)
		}
		d.Layers = append(d.Layers, layer)
		return s, err
	case kind == cms.KindSigned:
		inside, err = d.enterSigned(src)
	case kind == cms.KindCompressed:
		inside, err = d.enterCompressed(src)
	default:
		inside, err = d.enterEnvelope(src, kind)
	}
	if err != nil {
		return s, err
	}
	return d.parse(inside)
}

// enterDetached verifies a multipart/signed. The signed part is what is inside
// whether or not the signature is good; without exactly two parts there is none.
func (d *description) enterDetached(s stage) (stage, error) {
	layer := Layer{Kind: Signed, Form: "multipart/signed"}
	if len(s.part.Parts) != 2 || !isSignature(s.part.Parts[1]) {
		layer.Err = ErrForm
		d.Layers = append(d.Layers, layer)
		return s, ErrForm
	}
	first := s.part.Parts[0]
	content := first.Entity()
	signature, _, err := cmsBody(s.second())
	if err == nil {
		layer.Signed, err = s.verify(signature, content, d.o.Known)
	}
	recoded := false
	switch {
	case err != nil:
		layer.Err = problem(err, ErrDamaged)
	case !isData(layer.Signed):
		layer.Signed, layer.Err = nil, errNoMessage
	case onlyDigests(layer.Signed):
		if again, err := cms.ReadSigned(signature, canonical{content}, d.o.Known...); err == nil && !onlyDigests(again) {
			layer.Signed, recoded = again, true
		}
	}
	d.Layers = append(d.Layers, layer)
	if layer.Signed != nil {
		content = layer.Signed // the same bytes, checked again
		first = first.Over(content)
	}
	if recoded || s.limit != nil || formOf(first) == detached {
		return d.parse(content)
	}
	return stage{part: first}, nil
}

// errNoMessage is for a signature over a time stamp, a receipt or whatever else a key
// signs: it was not made to say anything to the reader.
var errNoMessage = fmt.Errorf("%w: what is signed is not said to be a message", ErrUnsupported)

// isData tells whether what is signed is said to be what MIME messages are said to be
// (RFC 8551, section 2.4.1).
func isData(s *cms.Signed) bool {
	return s.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1})
}

// onlyDigests tells whether all signatures fail, and for their content alone.
func onlyDigests(s *cms.Signed) bool {
	for _, i := range s.Signers {
		if !errors.Is(i.Err, cms.ErrDigest) {
			return false
		}
	}
	return len(s.Signers) > 0
}

// enterSigned verifies a signature that encloses its content.
func (d *description) enterSigned(src message.Source) (message.Source, error) {
	layer := Layer{Kind: Signed, Form: string(cms.KindSigned)}
	layer.Signed, layer.Err = cms.ReadSigned(src, nil, d.o.Known...)
	if layer.Err != nil {
		layer.Err = problem(layer.Err, ErrDamaged)
	} else if layer.Signed.Detached || len(layer.Signed.Signers) == 0 && empty(layer.Signed) {
		layer.Err = ErrNoContent
		if len(layer.Signed.Signers) == 0 {
			layer.Form = "certs-only" // RFC 8551, section 3.8
		}
	} else if !isData(layer.Signed) {
		layer.Err = errNoMessage
	}
	d.Layers = append(d.Layers, layer)
	return layer.Signed, layer.Err
}

// empty says that a content, which may be read, has no octets. NSS encloses such a one
// with certificates.
func empty(s *cms.Signed) bool {
	r, err := s.Open()
	if err != nil {
		return false
	}
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// enterCompressed inflates, which protects nothing and proves nothing.
func (d *description) enterCompressed(src message.Source) (message.Source, error) {
	again := slices.ContainsFunc(d.Layers, func(l Layer) bool { return l.Kind == Compressed })
	layer := Layer{Kind: Compressed, Form: string(cms.KindCompressed)}
	var inside message.Source
	err := fmt.Errorf("%w: compressed more than once", ErrLimit)
	if !again {
		inside, err = cms.ReadCompressed(src, maxInflated)
	}
	if err != nil {
		layer.Err = problem(err, ErrDamaged)
	}
	d.Layers = append(d.Layers, layer)
	return inside, layer.Err
}

// enterEnvelope decrypts.
func (d *description) enterEnvelope(src message.Source, kind cms.Kind) (inside message.Source, err error) {
	options := cms.ReadOptions{Keys: d.keys, Rand: d.o.Rand}
	if d.envelope() == nil {
		options.ContentKey = d.o.ContentKey
	}
	layer := Layer{Kind: Encrypted, Form: string(kind)}
	layer.Enveloped, err = cms.ReadEnveloped(src, options)
	if err == nil {
		inside, err = hold(layer.Enveloped)
	}
	if err != nil {
		layer.Err = problem(err, ErrKey)
	}
	d.Layers = append(d.Layers, layer)
	return inside, layer.Err
}

// envelope is the outermost envelope, nil if there is none.
func (d *description) envelope() *cms.Enveloped {
	for _, l := range d.Layers {
		if l.Kind == Encrypted {
			return l.Enveloped
		}
	}
	return nil
}

// hold keeps in memory what src gives, if that is little, so that it is not opened
// again for each part.
func hold(src message.Source) (message.Source, error) {
	r, err := src.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b brief
	switch _, err = io.Copy(&b, r); {
	case err == nil:
		return message.Bytes(b.Bytes()), nil
	case errors.Is(err, errLong):
		err = nil
	}
	return src, err
}

// problem sorts an error under one of the sentinels of this package: other, where
// neither cms nor message has a name for it.
func problem(err, other error) error {
	for _, own := range []error{ErrNoKey, ErrKey, ErrDamaged, ErrLimit, ErrUnsupported, ErrNoContent, ErrForm} {
		if errors.Is(err, own) {
			return err
		}
	}
	kind := other
	switch {
	case errors.Is(err, cms.ErrNoKey):
		kind = ErrNoKey
	case errors.Is(err, cms.ErrLimit), errors.Is(err, message.ErrLimit):
		kind = ErrLimit
	case errors.Is(err, cms.ErrUnsupported), errors.Is(err, cms.ErrWeak):
		kind = ErrUnsupported
	case errors.Is(err, cms.ErrMalformed), errors.Is(err, cms.ErrIntegrity), errors.Is(err, cms.ErrDigest), errors.Is(err, io.ErrUnexpectedEOF):
		kind = ErrDamaged
	}
	return fmt.Errorf("%w: %w", kind, err)
}
