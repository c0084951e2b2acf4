package content

import (
	"crypto/subtle"
	"errors"
	"io"
	"math"
)

// An End is what must be found at the end of a content.
type End struct {
	Attributes []byte // to be authenticated with the content
	Tag        []byte // nil where the cipher does not authenticate
	// Finish, if set, reads what stands behind the ciphertext; its error ends the content.
	Finish func() error
}

// Open decrypts ciphertext as it is read. The stream ends with ErrIntegrity
// instead of io.EOF if anything was wrong with it.
func (a *Algorithm) Open(ciphertext io.Reader, key, params []byte, end End) (*Reader, error) {
	m, err := a.begin(key, params, false)
	if err != nil {
		return nil, err
	}
	if m, first := m.(attributed); first {
		m.begin(end.Attributes)
	}
	return &Reader{ciphertext: a.bounded(ciphertext), mode: m, end: end}, nil
}

// Check reads ciphertext to its end, and then, by end, what must be found there. It gives
// nothing away but nil, if all fits the key, or ErrIntegrity. Of a cipher that
// does not authenticate it checks the padding, which fits one wrong key in 256.
// Attributes are those that end will find; only where AttributesFirst they matter.
func (a *Algorithm) Check(ciphertext io.Reader, key, params, attributes []byte, end func() (End, error)) error {
	r, err := a.Open(ciphertext, key, params, End{Attributes: attributes})
	if err != nil {
		return err
	}
	if !a.Authenticated {
		_, err := r.WriteTo(io.Discard)
		return err
	}
	for last := false; !last; {
		if last, err = r.fill(); err != nil {
			return err
		}
	}
	if r.end, err = end(); err != nil {
		return err
	}
	return r.checkTag()
}

func (r *Reader) checkTag() error {
	tag, err := r.mode.tag(r.end.Attributes)
	if err == nil && subtle.ConstantTimeCompare(tag, r.end.Tag) != 1 {
		err = ErrIntegrity
	}
	return err
}

// bounded lets as much ciphertext pass as the cipher can protect.
func (a *Algorithm) bounded(r io.Reader) io.Reader {
	if a.most == 0 {
		return r
	}
	return io.MultiReader(io.LimitReader(r, a.most), &excess{r})
}

// excess is what follows: nothing, or too much.
type excess struct{ io.Reader }

func (e *excess) Read(p []byte) (int, error) {
	if n, err := e.Reader.Read(p); n == 0 {
		return n, err
	}
	return 0, ErrTooLong
}

// A Reader is a content being decrypted.
type Reader struct {
	ciphertext io.Reader
	mode       mode
	end        End
	buf        []byte // ciphertext, decrypted in place or on its way out
	from, to   int    // what of buf may be decrypted: whole blocks, known to the mode
	have       int    // and what of it is held back: a block at least, for the last needs care
	ready      []byte // decrypted, to be handed out
	err        error
}

// firstSegment is smaller than the others, because most messages are. Least is what
// leaves room beside the block that is held back.
const (
	firstSegment = 16 << 10
	least        = 1 << 10
)

// fill reads on, when all of buf that may be has been decrypted. In the end, and
// not before, nothing is held back.
func (r *Reader) fill() (last bool, err error) {
	buf := r.buf
	switch len(buf) {
	case 0:
		room := firstSegment
		if in, ok := r.ciphertext.(interface{ Len() int }); ok {
			room = max(least, min(room, in.Len())) // no more than there is
		}
		buf = make([]byte, room)
	case firstSegment:
		buf = make([]byte, Segment)
	}
	held := copy(buf, r.buf[r.to:r.have])
	n, err := io.ReadAtLeast(r.ciphertext, buf[held:], len(buf)/2)
	r.buf, r.from, r.have = buf, 0, held+n
	size := r.mode.blockSize()
	switch err {
	case nil:
		r.to = (r.have - 1) / size * size
	case io.EOF, io.ErrUnexpectedEOF:
		last, r.to = true, r.have
	default:
		r.to = 0
		return false, err
	}
	r.mode.absorb(buf[:r.to])
	return last, nil
}

// next lets more be decrypted, or sets ready to the end of the content, or err.
func (r *Reader) next() {
	last, err := r.fill()
	if last && r.end.Finish != nil {
		err = r.end.Finish()
	}
	switch {
	case err != nil:
		r.err = err
	case last:
		r.ready, r.err = r.last(r.buf[:r.to])
	default:
		return
	}
	r.to = 0
}

// last decrypts the end of the content. Whatever is wrong, it answers the same.
func (r *Reader) last(blocks []byte) ([]byte, error) {
	ready, err := r.mode.open(blocks)
	if r.checkTag() != nil || err != nil {
		return nil, ErrIntegrity
	}
	return ready, io.EOF
}

// inPlace decrypts what may be, into ready.
func (r *Reader) inPlace() {
	r.ready = r.buf[r.from:r.to]
	r.mode.crypt(r.ready, r.ready)
	r.from = r.to
}

// Read implements io.Reader. For those with room it decrypts right to where they want it.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 && len(p) > 0 {
		switch {
		case r.from < r.to && len(p) >= firstSegment:
			n := min(len(p)/r.mode.blockSize()*r.mode.blockSize(), r.to-r.from)
			r.mode.crypt(p[:n], r.buf[r.from:r.from+n])
			r.from += n
			return n, nil
		case r.from < r.to:
			r.inPlace()
		case r.err != nil:
			return 0, r.err
		default:
			r.next()
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: it hands each segment on without a copy.
func (r *Reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := w.Write(r.ready)
		total += int64(n)
		if r.ready = r.ready[n:]; err != nil {
			return total, err
		}
		switch {
		case r.from < r.to:
			r.inPlace()
		case r.err == io.EOF:
			return total, nil
		case r.err != nil:
			return total, r.err
		default:
			r.next()
		}
	}
}

// ErrClosed is what a Writer answers after Close.
var ErrClosed = errors.New("cms: used after Close")

// A Writer encrypts what is written to it and writes it on by the segment.
type Writer struct {
	w    io.Writer
	head func(n int) []byte
	mode mode
	left int64  // octets that may yet be written
	rest []byte // less than a block, not yet encrypted
	out  []byte // encrypted
	err  error

	digested int // octets, so that the digest gets whole blocks
}

// Seal encrypts to w. Each segment of n octets is preceded by head(n).
func (a *Algorithm) Seal(w io.Writer, key, params []byte, head func(n int) []byte) (*Writer, error) {
	m, err := a.begin(key, params, true)
	if err != nil {
		return nil, err
	}
	left := a.most
	if left == 0 {
		left = math.MaxInt64
	}
	return &Writer{w: w, head: head, mode: m, left: left}, nil
}

// AvailableBuffer returns an empty buffer. What is appended to it, within its capacity, and
// written next is where it is wanted already (as with bufio.Writer).
func (w *Writer) AvailableBuffer() []byte {
	if w.mode.blockSize() > 1 {
		return nil // a block may have to be completed first
	}
	n := len(w.out)
	return w.out[n:n:min(cap(w.out), Segment)]
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (n int, err error) { return w.WriteBeside(p, nil) }

// stride is how much is encrypted before the digest of it goes on, in octets. Each step of
// CBC waits for the one before it, and so do those of SHA-256: side by side in small
// pieces the processor works on both at once, and the digest takes half its time.
const stride = 64

// WriteBeside is Write, and writes p to a digest as well.
func (w *Writer) WriteBeside(p []byte, digest io.Writer) (n int, err error) {
	size := w.mode.blockSize()
	if w.left -= int64(len(p)); w.left < 0 && w.err == nil {
		w.err = ErrTooLong
	}
	for n < len(p) && w.err == nil {
		from := p[n:]
		if whole := min(len(from), Segment-len(w.out)) / size * size; len(w.rest) == 0 && whole > 0 {
			w.crypt(from[:whole], digest)
			n += whole
			continue
		}
		k := min(size-len(w.rest), len(from))
		if digest != nil {
			w.digest(digest, from[:k], k)
		}
		w.rest, n = append(w.rest, from[:k]...), n+k
		if len(w.rest) == size {
			w.crypt(w.rest, nil)
			w.rest = w.rest[:0]
		}
	}
	return n, w.err
}

// crypt encrypts whole blocks for which there is room, and digests them if asked to.
func (w *Writer) crypt(blocks []byte, digest io.Writer) {
	at := len(w.out)
	if room := at + len(blocks) + gcmTag; room > cap(w.out) { // a tag may be put behind
		size := Segment + gcmTag
		if room <= firstSegment/2 {
			size = firstSegment / 2
		}
		w.out = append(make([]byte, 0, size), w.out...)
	}
	w.out = w.out[:at+len(blocks)]
	out, rest := w.out[at:], blocks
	if _, serial := w.mode.(cbc); serial && digest != nil {
		for len(blocks) > stride {
			rest = w.digest(digest, rest, stride-w.digested%stride)
			w.mode.crypt(out[:stride], blocks[:stride])
			out, blocks = out[stride:], blocks[stride:]
		}
	}
	w.mode.crypt(out, blocks)
	if digest != nil {
		w.digest(digest, rest, len(rest))
	}
	if len(w.out) == Segment {
		w.flush()
	}
}

// digest writes the first n octets to the digest and returns the others.
func (w *Writer) digest(digest io.Writer, octets []byte, n int) []byte {
	_, _ = digest.Write(octets[:n])
	w.digested += n
	return octets[n:]
}

// flush writes what is encrypted as a segment.
func (w *Writer) flush() {
	if len(w.out) == 0 || w.err != nil {
		return
	}
	w.mode.absorb(w.out)
	if head := w.head(len(w.out)); head != nil {
		_, w.err = w.w.Write(head)
	}
	if w.err == nil {
		_, w.err = w.w.Write(w.out)
	}
	w.out = w.out[:0]
}

// Close writes the last segment and returns the tag over all of them and attributes; it is nil
// where the cipher does not authenticate.
func (w *Writer) Close(attributes []byte) (tag []byte, err error) {
	if w.err == nil {
		w.out = w.mode.seal(w.out, w.rest)
		w.flush()
	}
	if w.err != nil {
		return nil, w.err
	}
	w.err = ErrClosed
	return w.mode.tag(attributes)
}
