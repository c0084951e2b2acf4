package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"countersign/platform/resolver/dnssec"
)

const (
	udpSize   = 1232 // octets that pass without fragments
	udpTries  = 2
	udpWait   = 2 * time.Second
	tcpWait   = 5 * time.Second
	maxForged = 16 // wrong packets before TCP is used instead
)

var (
	errTruncated = errors.New("the answer is truncated")
	errForged    = fmt.Errorf("over %d packets that are no answer to the question", maxForged)
)

// exchange asks one server one question. An answer other than data, "no such
// name" or what a DNAME makes too long is an error.
func (r *Resolver) exchange(ctx context.Context, server netip.AddrPort, q dnssec.Question, believe bool) (*dns.Msg, error) {
	var reply *dns.Msg
	var err error
	for range udpTries {
		if reply, err = r.try(ctx, "udp", server, q, believe); err == nil {
			return answered(reply, believe)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, errTruncated) || errors.Is(err, errForged) {
			break
		}
	}
	if reply, err = r.try(ctx, "tcp", server, q, believe); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return answered(reply, believe)
}

// answered refuses what says that the server failed.
func answered(reply *dns.Msg, believe bool) (*dns.Msg, error) {
	switch reply.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
		return reply, nil
	}
	err := fmt.Errorf("the server answers %s", dns.RcodeToString[reply.Rcode])
	if believe && saysBogus(reply) {
		return nil, bogus(err)
	}
	return nil, err
}

// saysBogus looks for an extended error of failed validation (RFC 8914, sections
// 4.7 to 4.13).
func saysBogus(reply *dns.Msg) bool {
	opt := reply.IsEdns0()
	if opt == nil {
		return false
	}
	for _, o := range opt.Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok && e.InfoCode >= dns.ExtendedErrorCodeDNSBogus && e.InfoCode <= dns.ExtendedErrorCodeNSECMissing {
			return true
		}
	}
	return false
}

func (r *Resolver) try(ctx context.Context, network string, server netip.AddrPort, q dnssec.Question, believe bool) (*dns.Msg, error) {
	wait := udpWait
	if network == "tcp" {
		wait = tcpWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Only an end of the context ends a read; its error tells.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	query, err := question(q, believe)
	if err != nil {
		return nil, err
	}
	packed, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("writing a DNS question: %w", err)
	}
	if network == "tcp" {
		return overTCP(conn, query, packed)
	}
	return overUDP(conn, query, packed)
}

// question asks for recursion and signatures, and either for what is not
// validated or for the server's word on it.
func question(q dnssec.Question, believe bool) (*dns.Msg, error) {
	var id [2]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	m.Id = binary.BigEndian.Uint16(id[:])
	m.RecursionDesired = true
	m.CheckingDisabled, m.AuthenticatedData = !believe, believe
	m.Question = []dns.Question{{Name: q.Name, Qtype: q.Type, Qclass: dns.ClassINET}}
	m.SetEdns0(udpSize, !believe)
	return m, nil
}

func overUDP(conn net.Conn, query *dns.Msg, packed []byte) (*dns.Msg, error) {
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buf := make([]byte, udpSize+1)
	for range maxForged {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if n < 12 || binary.BigEndian.Uint16(buf) != query.Id {
			continue
		}
		if n > udpSize { // we did not allow that; TCP has room for all
			return nil, errTruncated
		}
		reply, err := dnssec.Parse(buf[:n])
		if reply, err = matching(query, reply, err); err != nil {
			continue
		}
		if reply.Truncated {
			return nil, errTruncated
		}
		return reply, nil
	}
	return nil, errForged
}

func overTCP(conn net.Conn, query *dns.Msg, packed []byte) (*dns.Msg, error) {
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	if _, err := conn.Write(framed); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	reply, err := dnssec.Parse(buf)
	if reply, err = matching(query, reply, err); err != nil {
		return nil, err
	}
	if reply.Truncated {
		return nil, errTruncated
	}
	return reply, nil
}

// matching passes a reply to this very question only.
func matching(query, reply *dns.Msg, err error) (*dns.Msg, error) {
	if err != nil {
		return nil, err
	}
	asked := query.Question[0]
	if reply.Id != query.Id || !reply.Response || reply.Opcode != dns.OpcodeQuery || len(reply.Question) != 1 {
		return nil, errors.New("it is no answer to the question")
	}
	got := reply.Question[0]
	if got.Qtype != asked.Qtype || got.Qclass != asked.Qclass || !strings.EqualFold(got.Name, asked.Name) {
		return nil, errors.New("it is an answer to another question")
	}
	return reply, nil
}
