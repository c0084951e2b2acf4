// Package piv is a PIV card in software, for tests: as much of NIST SP 800-73-4 as signing,
// decrypting and agreeing on secrets take, as strict as cards are, and with counters, so that
// a test can tell what truly reached the card.
//
// A [Card] answers commands ([Card.Answer]); [Card.Serve] does so in the language of vpcd,
// the virtual reader of vsmartcard. It has four slots. The key for signing asks for the PIN
// directly before each use; that of card authentication never asks. Commands are taken
// chained, answers given in pieces, as a card with short APDUs does. It does not take new
// keys, certificates or PINs, and has no PUK.
//
// The card is for tests only: its operations take as long as the numbers make them.
package piv

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
)

// Slot is a place for a key on the card (SP 800-73-4, part 1, table 4b).
type Slot byte

// The slots of the card.
const (
	Authentication     Slot = 0x9a // asks for the PIN once
	Signature          Slot = 0x9c // asks for it directly before each use
	KeyManagement      Slot = 0x9d // asks for it once; for decrypting
	CardAuthentication Slot = 0x9e // never asks
)

// objects are the tags of the slots' certificates (part 1, table 3).
var objects = map[Slot]string{
	Authentication: "\x5f\xc1\x05", Signature: "\x5f\xc1\x0a", KeyManagement: "\x5f\xc1\x0b", CardAuthentication: "\x5f\xc1\x01",
}

// holder is the tag of the Card Holder Unique Identifier.
const holder = "\x5f\xc1\x02"

// application begins the name of the PIV application (part 1, section 2.2).
const application = "\xa0\x00\x00\x03\x08\x00\x00\x10\x00\x01\x00"

// Algorithms (SP 800-78-4, table 6-2).
const (
	rsa2048 = 0x07
	p256    = 0x11
	p384    = 0x14
)

// MaxTries is how many wrong PINs in a row lock the card.
const MaxTries = 3

// Counts is what the card was asked so far.
type Counts struct {
	Operations int // of private keys, carried out
	Right      int // PINs that were right
	Wrong      int // PINs that were wrong
	Barred     int // operations refused for want of a PIN
}

// Card is a card. Its methods may be called from several goroutines.
type Card struct {
	guid [16]byte
	pin  string

	mu       sync.Mutex
	slots    map[Slot]slot
	left     int
	counts   Counts
	pull     bool
	verified bool // since the application was selected
	just     bool // by the command before this one

	selected bool
	chain    []byte
	rest     []byte // of an answer given in pieces
}

type slot struct {
	key       any
	algorithm byte
	cert      []byte
}

// New makes an empty card. guid is what it is recognised by; pin has 6 to 8 bytes.
func New(guid [16]byte, pin string) *Card {
	return &Card{guid: guid, pin: pin, slots: map[Slot]slot{}, left: MaxTries}
}

// Put puts a key and its certificate (DER) into a slot: RSA of 2,048 bits, P-256 or P-384.
// It fails for any other key.
func (c *Card) Put(s Slot, key any, cert []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := slot{key: key, cert: cert}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		one.algorithm = rsa2048
		if k.N.BitLen() != 2048 {
			return errors.New("piv: an RSA key of another size")
		}
	case *ecdsa.PrivateKey:
		switch k.Curve.Params().BitSize {
		case 256:
			one.algorithm = p256
		case 384:
			one.algorithm = p384
		}
	}
	if one.algorithm == 0 {
		return fmt.Errorf("piv: no algorithm for a %T", key)
	}
	c.slots[s] = one
	return nil
}

// Counts returns the card's counters.
func (c *Card) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Left is how many wrong PINs in a row would still be told from a right one.
func (c *Card) Left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// PullAtNext makes Serve end at the next operation of a private key, before it is
// carried out: the card was pulled out in the midst of it.
func (c *Card) PullAtNext() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pull = true
}

// errPulled is why Serve ended by PullAtNext.
var errPulled = errors.New("piv: pulled out")

// atr says T=1, and in historical bytes that extended length and chaining are known. Without these OpenSC takes
// the card for one that has no elliptic curves.
var atr = []byte{0x3b, 0x85, 0x80, 0x01, 0x80, 0x73, 0xc0, 0x21, 0x80, 0x96}

// Serve answers what a vpcd sends, until it ends. Each message is a length of two bytes and
// so many bytes; a single byte is a command to the reader.
func (c *Card) Serve(vpcd io.ReadWriter) error {
	c.reset()
	for {
		var size uint16
		if err := binary.Read(vpcd, binary.BigEndian, &size); err != nil {
			return err
		}
		message := make([]byte, size)
		if _, err := io.ReadFull(vpcd, message); err != nil {
			return err
		}
		answer := atr
		switch {
		case len(message) != 1:
			var err error
			if answer, err = c.Answer(message); err != nil {
				return err
			}
		case message[0] != 4: // power off, power on, reset: no answer
			c.reset()
			continue
		}
		if _, err := vpcd.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return err
		}
	}
}

func (c *Card) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verified, c.just, c.selected, c.chain, c.rest = false, false, false, nil, nil
}

// Status words (part 2, section 3, and ISO 7816-4).
const (
	done         = 0x9000
	moreThere    = 0x6100
	wrongPIN     = 0x63c0 // and the tries left
	wrongLength  = 0x6700
	notSatisfied = 0x6982
	locked       = 0x6983
	wrongData    = 0x6a80
	notFound     = 0x6a82
	noReference  = 0x6a88
	noCommand    = 0x6d00
)

func status(word int) []byte { return []byte{byte(word >> 8), byte(word)} }

// Answer carries out one command. It fails only if the card is pulled out by it.
func (c *Card) Answer(command []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := parse(command)
	if !ok {
		return status(wrongLength), nil
	}
	if a.instruction == 0xc0 { // GET RESPONSE
		return c.piece(c.rest, a.expected), nil
	}
	if len(c.chain)+len(a.data) > 4096 {
		c.chain = nil
		return status(wrongLength), nil
	}
	a.data = append(c.chain, a.data...)
	c.chain = nil
	if a.class&0x10 != 0 {
		c.chain = a.data
		return status(done), nil
	}
	just := c.just
	c.just = false
	if !c.selected && a.instruction != 0xa4 {
		return status(noCommand), nil
	}
	switch a.instruction {
	case 0xa4:
		return c.choose(a), nil
	case 0x20:
		return status(c.verify(a)), nil
	case 0xcb:
		return c.get(a), nil
	case 0x87:
		return c.authenticate(a, just)
	}
	return status(noCommand), nil
}

// choose is SELECT.
func (c *Card) choose(a apdu) []byte {
	if len(a.data) < 5 || !bytes.HasPrefix([]byte(application), a.data) {
		return status(notFound)
	}
	c.selected = true
	authority := element(0x79, element(0x4f, []byte(application[:5])))
	return c.piece(element(0x61, append(element(0x4f, []byte(application[5:])), authority...)), a.expected)
}

// verify is VERIFY (part 2, section 3.2.1) of the card's own PIN.
func (c *Card) verify(a apdu) int {
	switch {
	case a.second != 0x80:
		return noReference
	case a.first == 0xff:
		c.verified = false
		return done
	case len(a.data) == 0 && c.verified:
		return done
	case len(a.data) == 0:
		return wrongPIN | c.left
	case c.left == 0:
		return locked
	case string(bytes.TrimRight(a.data, "\xff")) == c.pin:
		c.counts.Right++
		c.left, c.verified, c.just = MaxTries, true, true
		return done
	}
	c.counts.Wrong++
	c.left--
	c.verified = false
	if c.left == 0 {
		return locked
	}
	return wrongPIN | c.left
}

// get is GET DATA (part 2, section 3.1.2).
func (c *Card) get(a apdu) []byte {
	tag, name, _, ok := next(a.data)
	if !ok || tag != 0x5c {
		return status(wrongData)
	}
	if string(name) == holder {
		number := "\xd4\xe7\x39\xda\x73\x9c\xed\x39\xce\x73\x9d\x83\x68\x58\x21\x08\x42\x10\x84\x21\x38\x42\x10\xc3\xf5"
		data := slices.Concat(element(0x30, []byte(number)), element(0x34, c.guid[:]), element(0x35, []byte("20391231")), element(0x3e, nil), element(0xfe, nil))
		return c.piece(element(0x53, data), a.expected)
	}
	for at, tag := range objects {
		if one, ok := c.slots[at]; ok && string(name) == tag {
			data := slices.Concat(element(0x70, one.cert), element(0x71, []byte{0}), element(0xfe, nil))
			return c.piece(element(0x53, data), a.expected)
		}
	}
	return status(notFound)
}

// authenticate is GENERAL AUTHENTICATE (part 2, section 3.2.4) with the slot's key.
func (c *Card) authenticate(a apdu, just bool) ([]byte, error) {
	one, ok := c.slots[Slot(a.second)]
	if !ok || one.algorithm != a.first {
		return status(wrongData), nil
	}
	allowed := c.verified
	switch Slot(a.second) {
	case Signature:
		allowed = just
	case CardAuthentication:
		allowed = true
	}
	if !allowed {
		c.counts.Barred++
		return status(notSatisfied), nil
	}
	if c.pull {
		c.pull = false
		return nil, errPulled
	}
	_, template, _, ok := next(a.data)
	if !ok {
		return status(wrongData), nil
	}
	parts := map[byte][]byte{}
	for len(template) > 0 {
		var tag byte
		var value []byte
		if tag, value, template, ok = next(template); !ok {
			return status(wrongData), nil
		}
		parts[tag] = value
	}
	result, err := one.use(parts[0x81], parts[0x85])
	if err != nil {
		return status(wrongData), nil
	}
	c.counts.Operations++
	return c.piece(element(0x7c, element(0x82, result)), a.expected), nil
}

// use is the operation of the key: on a block, or with another's point.
func (s slot) use(block, point []byte) ([]byte, error) {
	switch k := s.key.(type) {
	case *rsa.PrivateKey:
		if len(block) != k.Size() {
			return nil, errors.New("a block of another length")
		}
		x := new(big.Int).SetBytes(block)
		return x.Exp(x, k.D, k.N).FillBytes(make([]byte, k.Size())), nil
	case *ecdsa.PrivateKey:
		if point == nil {
			return ecdsa.SignASN1(rand.Reader, k, block)
		}
		private, err := k.ECDH()
		if err != nil {
			return nil, err
		}
		var other *ecdh.PublicKey
		if other, err = private.Curve().NewPublicKey(point); err != nil {
			return nil, err
		}
		return private.ECDH(other)
	}
	return nil, errors.New("no key")
}

// piece answers with at most so many bytes, and keeps the rest for GET RESPONSE.
func (c *Card) piece(b []byte, most int) []byte {
	if len(b) <= most {
		c.rest = nil
		return slices.Concat(b, status(done))
	}
	c.rest = b[most:]
	left := len(c.rest)
	if left > 255 {
		left = 0
	}
	return slices.Concat(b[:most], status(moreThere|left))
}
