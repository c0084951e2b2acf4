// Package message reads and writes Internet mail: RFC 5322 headers and MIME.
package message

import (
	"errors"
	"io"
	"time"
)

var (
	ErrLimit   = errors.New("message: larger than the limits allow")
	ErrAddress = errors.New("message: not a mail address")
	ErrHeader  = errors.New("message: not a header field")
)

type Limits struct {
	Depth, Parts, Fields int
	HeaderBytes          int64
}

func DefaultLimits() Limits { return Limits{32, 1000, 10000, 2 << 20} }

type Address struct{ Name, Addr string }

func ParseAddress(s string) (Address, error)       { return Address{}, ErrAddress }
func ParseAddressList(s string) ([]Address, error) { return nil, ErrAddress }
func Canonical(addr string) (string, error)        { return "", ErrAddress }
func (a Address) String() string                   { return "" }

type Field struct{ Name, Value string }
type Header struct{ Fields []Field }

func (h *Header) Get(name string) string          { return "" }
func (h *Header) All(name string) []string        { return nil }
func (h *Header) Text(name string) string         { return "" }
func (h *Header) Addresses(name string) []Address { return nil }
func (h *Header) Date() (time.Time, error)        { return time.Time{}, ErrHeader }
func (h *Header) Set(name, value string)          {}
func (h *Header) Add(name, value string)          {}
func (h *Header) Del(name string)                 {}

type Part struct {
	Header
	Type             string
	Params           map[string]string
	Encoding         string
	Disposition      string
	Filename         string
	Start, Body, End int64
	Parts            []*Part
	src              Source
}

func Parse(src Source, lim Limits) (*Part, error)  { return nil, ErrLimit }
func (p *Part) Entity() Source                     { return nil }
func (p *Part) Open() (io.ReadCloser, error)       { return nil, ErrLimit }
func (p *Part) Text(max int64) (string, error)     { return "", ErrLimit }
func (p *Part) Walk(visit func(*Part) error) error { return nil }

type Param struct{ Name, Value string }

type Entity struct {
	Header      Header
	Type        string
	Params      []Param
	Disposition string
	Name        string
	Text        string
	Content     Source
	Parts       []Entity
	Boundary    string
}

func (e *Entity) WriteTo(w io.Writer) (int64, error) { return 0, ErrHeader }
func (h Header) WriteTo(w io.Writer) (int64, error)  { return 0, ErrHeader }
func NewBoundary(rand io.Reader) (string, error)     { return "", ErrHeader }
