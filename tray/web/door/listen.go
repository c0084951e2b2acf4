package door

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

const portTries = 16 // ports that somebody else holds on the second address

// Listen takes one free port on 127.0.0.1 and, where the machine has it, on
// ::1. A browser that looks up a name under .localhost may try either; whoever
// held the other one could show pages under our name.
func Listen() (net.Listener, error) {
	var last error
	for range portTries {
		four, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("listening on loopback: %w", err)
		}
		if !hasSix() {
			return four, nil
		}
		port := four.Addr().(*net.TCPAddr).Port
		six, err := net.ListenTCP("tcp6", &net.TCPAddr{IP: net.IPv6loopback, Port: port})
		if err == nil {
			return join(four, six), nil
		}
		four.Close()
		last = err
	}
	return nil, fmt.Errorf("listening on both loopback addresses: %w", last)
}

func hasSix() bool {
	l, err := net.ListenTCP("tcp6", &net.TCPAddr{IP: net.IPv6loopback})
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// pair is two listeners as one, by the address of the first.
type pair struct {
	net.Listener
	other net.Listener
	next  chan accepted
	once  sync.Once
	over  chan struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

func join(a, b net.Listener) *pair {
	p := &pair{Listener: a, other: b, next: make(chan accepted), over: make(chan struct{})}
	for _, l := range []net.Listener{a, b} {
		go p.take(l)
	}
	return p
}

func (p *pair) take(l net.Listener) {
	for {
		conn, err := l.Accept()
		select {
		case p.next <- accepted{conn, err}:
		case <-p.over:
			if conn != nil {
				conn.Close()
			}
			return
		}
	}
}

// Accept returns the next connection to either.
func (p *pair) Accept() (net.Conn, error) {
	select {
	case a := <-p.next:
		return a.conn, a.err
	case <-p.over:
		return nil, net.ErrClosed
	}
}

// Close closes both.
func (p *pair) Close() error {
	err := net.ErrClosed
	p.once.Do(func() {
		close(p.over)
		err = errors.Join(p.Listener.Close(), p.other.Close())
	})
	return err
}
