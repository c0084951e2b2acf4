package resolvertest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Dial connects to the world's server without a network: it stands behind every
// address. Reading where nothing is left to read is a time-out at once.
func (w *World) Dial(_ context.Context, network, _ string) (net.Conn, error) {
	return &conn{answer: func(packet []byte) [][]byte { return w.packets(network, packet) }, stream: network == "tcp"}, nil
}

// packets answers a packet with what the server sends.
func (w *World) packets(network string, packet []byte) [][]byte {
	query := new(dns.Msg)
	if err := query.Unpack(packet); err != nil || len(query.Question) != 1 {
		w.t.Errorf("the question is ill-formed: %v", err)
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	q := query.Question[0]
	w.asked[q.Name+" "+dns.TypeToString[q.Qtype]]++
	replies := []*dns.Msg{w.reply(query)}
	if w.alter != nil {
		replies = w.alter(network, query, replies[0])
	}
	var packets [][]byte
	for _, m := range replies {
		m.Compress = true
		if opt := query.IsEdns0(); network == "udp" && opt != nil {
			m.Truncate(int(opt.UDPSize()))
		}
		packed, err := m.Pack()
		if err != nil {
			w.t.Errorf("packing: %v", err)
			return nil
		}
		packets = append(packets, packed)
	}
	return packets
}

// Serve answers on a free port of 127.0.0.1, by UDP and TCP, until the test ends.
func (w *World) Serve() string {
	w.t.Helper()
	packets, streams, err := listen()
	if err != nil {
		w.t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(out dns.ResponseWriter, query *dns.Msg) {
		packed, err := query.Pack()
		if err != nil {
			return
		}
		for _, p := range w.packets(out.LocalAddr().Network(), packed) {
			if _, err := out.Write(p); err != nil {
				return // the asker is gone
			}
		}
	})
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: streams, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }() // ends by Shutdown
		<-started
		w.t.Cleanup(func() { _ = s.Shutdown() })
	}
	return packets.LocalAddr().String()
}

// listen finds a port that is free for both. It is under those that systems hand
// out by themselves, which would be taken again the moment they are let go.
func listen() (packets net.PacketConn, streams net.Listener, err error) {
	for range 50 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if streams, err = net.Listen("tcp", address); err != nil {
			continue
		}
		if packets, err = net.ListenPacket("udp", address); err == nil {
			return packets, streams, nil
		}
		streams.Close()
	}
	return nil, nil, err
}

// given are the ports that FreePort has handed out.
var given sync.Map

// FreePort is a port of 127.0.0.1 that was free for UDP and TCP just now, for a
// server that is told where to listen. It gives none twice.
func FreePort(t testing.TB) string {
	t.Helper()
	for {
		packets, streams, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(streams.Addr().String())
		packets.Close()
		streams.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, before := given.LoadOrStore(port, true); !before {
			return port
		}
	}
}

// conn is a connection whose other end answers while it is written to.
type conn struct {
	answer func([]byte) [][]byte
	stream bool

	mu     sync.Mutex
	unread [][]byte
}

func (c *conn) Write(p []byte) (int, error) {
	packet := p
	if c.stream {
		packet = p[2:] // a question is written in one piece
	}
	packets := c.answer(packet)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range packets {
		if c.stream {
			a = append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)
		}
		c.unread = append(c.unread, a)
	}
	return len(p), nil
}

func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unread) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, c.unread[0])
	if c.unread[0] = c.unread[0][n:]; !c.stream || len(c.unread[0]) == 0 {
		c.unread = c.unread[1:]
	}
	return n, nil
}

func (c *conn) Close() error                     { return nil }
func (c *conn) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (c *conn) RemoteAddr() net.Addr             { return &net.UDPAddr{} }
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
