package resolver_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"countersign/platform/resolver"
	"countersign/platform/resolver/resolvertest"
)

// only is a server's behaviour by one way ("udp"); by the other it is honest.
func only(way string, change func(query, reply *dns.Msg) []*dns.Msg) func(string, *dns.Msg, *dns.Msg) []*dns.Msg {
	return func(network string, query, reply *dns.Msg) []*dns.Msg {
		if network != way {
			return []*dns.Msg{reply}
		}
		return change(query, reply)
	}
}

func TestExchange(t *testing.T) {
	wrong := func(m *dns.Msg, change func(*dns.Msg)) *dns.Msg {
		c := m.Copy()
		change(c)
		return c
	}
	wrongID := func(m *dns.Msg) *dns.Msg { return wrong(m, func(m *dns.Msg) { m.Id++ }) }
	for _, test := range []struct {
		what   string
		alter  func(string, *dns.Msg, *dns.Msg) []*dns.Msg
		failed string // "": answered
	}{
		{what: "well"},
		{what: "truncated, and whole by TCP", alter: only("udp", func(_, m *dns.Msg) []*dns.Msg {
			return []*dns.Msg{wrong(m, func(m *dns.Msg) { m.Truncated, m.Answer = true, nil })}
		})},
		{what: "truncated by TCP too", failed: "truncated", alter: func(_ string, _, m *dns.Msg) []*dns.Msg {
			return []*dns.Msg{wrong(m, func(m *dns.Msg) { m.Truncated = true })}
		}},
		{what: "a wrong number before the right one", alter: only("udp", func(_, m *dns.Msg) []*dns.Msg { return []*dns.Msg{wrongID(m), m} })},
		{what: "another question before the right one", alter: only("udp", func(_, m *dns.Msg) []*dns.Msg {
			return []*dns.Msg{wrong(m, func(m *dns.Msg) { m.Question[0].Name = "other.test." }), m}
		})},
		{what: "another type before the right one", alter: only("udp", func(_, m *dns.Msg) []*dns.Msg {
			return []*dns.Msg{wrong(m, func(m *dns.Msg) { m.Question[0].Qtype++ }), m}
		})},
		{what: "no question before one", alter: only("udp", func(_, m *dns.Msg) []*dns.Msg {
			return []*dns.Msg{wrong(m, func(m *dns.Msg) { m.Question = nil }), m}
		})},
		{what: "a question before the answer", alter: only("udp", func(q, m *dns.Msg) []*dns.Msg { return []*dns.Msg{q, m} })},
		{what: "a flood of guesses, and honest by TCP", alter: only("udp", func(_, m *dns.Msg) []*dns.Msg {
			var flood []*dns.Msg
			for range 16 {
				flood = append(flood, wrongID(m))
			}
			return append(flood, m)
		})},
		{what: "the question's letters in other case", alter: func(_ string, _, m *dns.Msg) []*dns.Msg {
			return []*dns.Msg{wrong(m, func(m *dns.Msg) { m.Question[0].Name = strings.ToUpper(m.Question[0].Name) })}
		}},
		{what: "silence by UDP", alter: only("udp", func(_, _ *dns.Msg) []*dns.Msg { return nil })},
		{what: "silence", failed: "timeout", alter: func(string, *dns.Msg, *dns.Msg) []*dns.Msg { return nil }},
		{what: "a wrong number by TCP", failed: "no answer to the question", alter: func(_ string, _, m *dns.Msg) []*dns.Msg { return []*dns.Msg{wrongID(m)} }},
		{what: "SERVFAIL", failed: "SERVFAIL", alter: func(_ string, _, m *dns.Msg) []*dns.Msg {
			return []*dns.Msg{wrong(m, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure })}
		}},
		{what: "REFUSED", failed: "REFUSED", alter: func(_ string, _, m *dns.Msg) []*dns.Msg {
			return []*dns.Msg{wrong(m, func(m *dns.Msg) { m.Rcode = dns.RcodeRefused })}
		}},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t)
			w.Alter(test.alter)
			a, err := newResolver(w).Lookup(t.Context(), "mail.clinic.test", resolver.TypeA)
			switch {
			case test.failed == "" && (err != nil || a.Status != resolver.Secure || len(a.Records) != 1):
				t.Errorf("%+v, %v", a, err)
			case test.failed != "" && (err == nil || !strings.Contains(err.Error(), test.failed)):
				t.Errorf("%+v, %v; want %q", a, err, test.failed)
			}
		})
	}
}

// TestChainCannotBeHad: the answer comes, what proves it does not.
func TestChainCannotBeHad(t *testing.T) {
	w := newWorld(t)
	w.Alter(func(_ string, query, reply *dns.Msg) []*dns.Msg {
		if query.Question[0].Qtype == dns.TypeDS {
			return nil
		}
		return []*dns.Msg{reply}
	})
	a, err := newResolver(w).Lookup(t.Context(), "mail.clinic.test", resolver.TypeA)
	if err != nil || a.Status != resolver.Indeterminate || a.Kind != resolver.Unknown || !strings.Contains(a.Reason, "cannot be had") {
		t.Errorf("%+v, %v", a, err)
	}
}

// raw is a server that sends octets as they are, whatever is asked.
type raw struct {
	net.Conn
	packets [][]byte
}

func (r *raw) Write(p []byte) (int, error) { return len(p), nil }
func (r *raw) Close() error                { return nil }
func (r *raw) SetDeadline(time.Time) error { return nil }
func (r *raw) Read(p []byte) (int, error) {
	if len(r.packets) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, r.packets[0])
	if r.packets[0] = r.packets[0][n:]; len(r.packets[0]) == 0 {
		r.packets = r.packets[1:]
	}
	return n, nil
}

func TestGarbage(t *testing.T) {
	for name, packets := range map[string][][]byte{
		"nothing":           {},
		"one octet":         {{0}},
		"zeros":             {make([]byte, 64), make([]byte, 64)},
		"a length and less": {binary.BigEndian.AppendUint16(nil, 60000), make([]byte, 100)},
		"huge":              {make([]byte, 70000)},
	} {
		r := &resolver.Resolver{Servers: []string{"192.0.2.53"}, Clock: noon,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				var copied [][]byte
				for _, p := range packets {
					copied = append(copied, append([]byte(nil), p...))
				}
				return &raw{packets: copied}, nil
			}}
		if a, err := r.Lookup(t.Context(), "mail.clinic.test", resolver.TypeA); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// oversized sends more by UDP than was allowed.
func TestOversized(t *testing.T) {
	w := newWorld(t)
	var streams atomic.Int32
	r := newResolver(w)
	r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := w.Dial(ctx, network, address)
		if network == "tcp" {
			streams.Add(1)
			return c, err
		}
		return &padded{Conn: c}, err
	}
	a, err := r.Lookup(t.Context(), "mail.clinic.test", resolver.TypeA)
	if err != nil || a.Status != resolver.Secure || streams.Load() == 0 {
		t.Errorf("%+v, %v, %d by TCP", a, err, streams.Load())
	}
}

type padded struct{ net.Conn }

func (c *padded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		return n, err
	}
	return len(p), nil // the rest of the buffer is what it was
}

// TestSlow: a server that never answers, and a user who gives up.
func TestSlow(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if _, _, err := packets.ReadFrom(make([]byte, 2000)); err == nil {
			cancel()
		}
	}()
	r := &resolver.Resolver{Servers: []string{packets.LocalAddr().String()}}
	if a, err := r.Lookup(ctx, "mail.clinic.test", resolver.TypeA); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestSeveralServers(t *testing.T) {
	honest, liar := newWorld(t), newWorld(t)
	liar.Alter(func(_ string, _, reply *dns.Msg) []*dns.Msg {
		reply.Answer = drop(reply.Answer, dns.TypeRRSIG)
		return []*dns.Msg{reply}
	})
	var asked sync.Map
	r := &resolver.Resolver{Servers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3:5353"}, Anchors: honest.Anchors(), Clock: noon,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			asked.Store(address, true)
			switch address {
			case "192.0.2.1:53":
				return nil, errors.New("unreachable")
			case "192.0.2.2:53":
				return liar.Dial(ctx, network, address)
			}
			return honest.Dial(ctx, network, address)
		}}
	a, err := r.Lookup(t.Context(), "mail.clinic.test", resolver.TypeA)
	if err != nil || a.Status != resolver.Secure {
		t.Errorf("%+v, %v", a, err)
	}
	asked.Clear()
	if a, err = r.Lookup(t.Context(), "mail.hashed.test", resolver.TypeA); err != nil || a.Status != resolver.Secure {
		t.Errorf("%+v, %v", a, err)
	}
	if _, ok := asked.Load("192.0.2.1:53"); ok {
		t.Error("the one that answered well does not come first")
	}
	r.Servers = r.Servers[:2]
	if a, err = r.Lookup(t.Context(), "mail.optout.test", resolver.TypeA); err != nil || a.Status >= resolver.Insecure {
		t.Errorf("with a liar only: %+v, %v", a, err)
	}
}

// TestValidatingResolver: the AD bit counts from loopback, where it was configured.
func TestValidatingResolver(t *testing.T) {
	for _, test := range []struct {
		what       string
		servers    []string
		validating bool
		change     func(query, reply *dns.Msg)
		status     resolver.Status
		failed     bool
	}{
		{"with AD", []string{"127.0.0.1", "[::1]:5353"}, true, func(_, m *dns.Msg) { m.AuthenticatedData = true }, resolver.Secure, false},
		{"without AD", []string{"127.0.0.1"}, true, func(_, m *dns.Msg) {}, resolver.Insecure, false},
		{"not configured", []string{"127.0.0.1"}, false, func(_, m *dns.Msg) { m.AuthenticatedData = true }, resolver.Indeterminate, false},
		{"not all on loopback", []string{"127.0.0.1", "192.0.2.53"}, true, func(_, m *dns.Msg) { m.AuthenticatedData = true }, resolver.Indeterminate, false},
		{"it refuses what is bogus", []string{"127.0.0.1"}, true, func(_, m *dns.Msg) {
			m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeSignatureExpired}}
		}, resolver.Bogus, false},
		{"it cannot reach the others", []string{"127.0.0.1"}, true, func(_, m *dns.Msg) {
			m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeNoReachableAuthority}}
		}, 0, true},
	} {
		w := newWorld(t)
		w.Alter(func(_ string, query, reply *dns.Msg) []*dns.Msg {
			if believed := test.validating && len(test.servers) > 0 && test.servers[len(test.servers)-1] != "192.0.2.53"; believed == query.CheckingDisabled {
				t.Errorf("%s: asked with CD %v", test.what, query.CheckingDisabled)
			}
			reply.Answer = drop(reply.Answer, dns.TypeRRSIG)
			test.change(query, reply)
			return []*dns.Msg{reply}
		})
		r := newResolver(w)
		r.Servers, r.Validating = test.servers, test.validating
		a, err := r.Lookup(t.Context(), "mail.clinic.test", resolver.TypeA)
		if (err != nil) != test.failed || a.Status != test.status {
			t.Errorf("%s: %+v, %v", test.what, a, err)
		}
	}
}

// slowly is a server that takes its time, of synctest's clock.
func slowly(w *resolvertest.World, each time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case <-time.After(each):
			return w.Dial(ctx, network, address)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// TestTogether: many who ask the same ask once, and one who gives up is let go.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := newResolver(w)
		r.Dial = slowly(w, 100*time.Millisecond)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				a, err := r.Lookup(t.Context(), "clinic.test", resolver.TypeMX)
				if err != nil || a.Status != resolver.Secure || len(resolver.All[resolver.Exchanger](a)) != 2 {
					t.Errorf("%+v, %v", a, err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		group.Go(func() {
			if a, err := r.Lookup(ctx, "clinic.test", resolver.TypeMX); !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %+v, %v", a, err)
			}
		})
		synctest.Wait()
		cancel()
		group.Wait()
		if n := w.Asked("clinic.test.", "MX"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestDrawnOut: a server that answers each question just in time is left after a while.
func TestDrawnOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := newResolver(w)
		r.Dial = slowly(w, 1900*time.Millisecond)
		long := strings.Repeat("a.", 20) + "empty.clinic.test"
		w.Zone(long + ".").Add(long + ". A 192.0.2.1")
		begun := time.Now()
		a, err := r.Lookup(t.Context(), long, resolver.TypeA)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 21*time.Second {
			t.Errorf("%+v, %v after %v", a, err, time.Since(begun))
		}
	})
}

// TestManyQuestions: a name so deep that it takes over 64 questions and proofs.
func TestManyQuestions(t *testing.T) {
	w := newWorld(t)
	deep := strings.Repeat("a.", 100) + "clinic.test"
	w.Zone(deep + ".").Add(deep + ". A 192.0.2.1")
	a, err := newResolver(w).Lookup(t.Context(), deep, resolver.TypeA)
	if err != nil || a.Status != resolver.Bogus || !strings.Contains(a.Reason, "too many signature checks") {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestWrongPeer: who knows number, port and question, but not the server's address.
func TestWrongPeer(t *testing.T) {
	w := newWorld(t)
	inner, err := net.Dial("udp", w.Serve())
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	forger, err := net.ListenPacket("udp", "127.0.0.2:0")
	if err != nil {
		t.Skip("this machine has one loopback address only: ", err)
	}
	defer forger.Close()
	go func() {
		query, reply := make([]byte, 2000), make([]byte, 2000)
		for {
			n, client, err := server.ReadFrom(query)
			if err != nil {
				return // closed
			}
			if _, err = inner.Write(query[:n]); err != nil {
				return
			}
			if n, err = inner.Read(reply); err != nil {
				return
			}
			forged := append([]byte(nil), reply[:n]...)
			forged[3] = forged[3]&0xf0 | dns.RcodeRefused
			_, _ = forger.WriteTo(forged, client) // the system refuses it there
			_, _ = server.WriteTo(reply[:n], client)
		}
	}()
	r := &resolver.Resolver{Servers: []string{server.LocalAddr().String()}, Anchors: w.Anchors(), Clock: noon}
	if a, err := r.Lookup(t.Context(), "mail.clinic.test", resolver.TypeA); err != nil || a.Status != resolver.Secure {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestLarge: an answer that only TCP carries, over real sockets.
func TestLarge(t *testing.T) {
	w := newWorld(t)
	z := w.Zone("large.test.")
	for i := range 20 {
		z.Add("cert.large.test. CERT 1 0 8 " + strings.Repeat("QUJD", 100) + string([]byte{'A', 'A', 'A', byte('A' + i)}))
	}
	r := &resolver.Resolver{Servers: []string{w.Serve()}, Anchors: w.Anchors(), Clock: noon}
	a, err := r.Lookup(t.Context(), "cert.large.test", resolver.TypeCERT)
	if err != nil || a.Status != resolver.Secure || len(a.Records) != 20 {
		t.Errorf("%v, %d records, %v", a.Status, len(a.Records), err)
	}
}

func TestOtherAnchors(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		what    string
		anchors []resolver.Anchor
		name    string
		status  resolver.Status
	}{
		{"the root's true ones", nil, "mail.clinic.test", resolver.Bogus},
		{"another root's", resolvertest.New(t, noon()).Anchors(), "mail.clinic.test", resolver.Bogus},
		{"the zone's own", w.Find("clinic.test.").Anchors(), "mail.clinic.test", resolver.Secure},
		{"the zone's own, for another", w.Find("clinic.test.").Anchors(), "mail.hashed.test", resolver.Indeterminate},
		{"the zone's own, for one that ends alike", w.Find("clinic.test.").Anchors(), "myclinic.test", resolver.Indeterminate},
	} {
		r := newResolver(w)
		r.Anchors = test.anchors
		if a, err := r.Lookup(t.Context(), test.name, resolver.TypeA); err != nil || a.Status != test.status {
			t.Errorf("%s: %+v, %v", test.what, a, err)
		}
	}
}

func TestParseAnchor(t *testing.T) {
	for i, text := range []string{
		". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
		".\t3600\tIN\tDS\t38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16\n",
	} {
		a, err := resolver.ParseAnchor(text)
		if err != nil || cmp.Diff(a, resolver.RootAnchors()[i]) != "" {
			t.Errorf("%q: %+v, %v", text, a, err)
		}
	}
	if a, err := resolver.ParseAnchor("Clinic.Internal. DS 1 13 2 " + strings.Repeat("ab", 32)); err != nil || a.Zone != "clinic.internal." {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := resolver.ParseAnchor("clinic.internal. DS 1 13 4 " + strings.Repeat("ab", 48)); err != nil || len(a.Digest) != 48 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, text := range []string{"", "nonsense", ". IN A 192.0.2.1", ". DS 1 13 1 " + strings.Repeat("ab", 20), ". DS 1 5 2 " + strings.Repeat("ab", 32), ". DS 1 13 2 abc",
		". DS 1 13 2 " + strings.Repeat("ab", 31), ". DS 1 13 2 " + strings.Repeat("ab", 33), ". DS 1 13 4 " + strings.Repeat("ab", 32)} {
		if a, err := resolver.ParseAnchor(text); err == nil {
			t.Errorf("%q: %+v", text, a)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	for algorithm, test := range map[uint8]struct {
		bits   int
		status resolver.Status
	}{
		dns.RSASHA256: {2048, resolver.Secure}, dns.RSASHA512: {2048, resolver.Secure}, dns.ECDSAP256SHA256: {256, resolver.Secure},
		dns.ECDSAP384SHA384: {384, resolver.Secure}, dns.ED25519: {256, resolver.Secure}, dns.RSASHA1NSEC3SHA1: {1024, resolver.Insecure},
	} {
		w := newWorld(t)
		w.Zone("by.test.", resolvertest.Algorithm(algorithm, test.bits), func(z *resolvertest.Zone) { z.Digest = dns.SHA384 }).Add("host.by.test. A 192.0.2.1")
		if a, err := newResolver(w).Lookup(t.Context(), "host.by.test", resolver.TypeA); err != nil || a.Status != test.status {
			t.Errorf("%s: %+v, %v", dns.AlgorithmToString[algorithm], a, err)
		}
	}
}
