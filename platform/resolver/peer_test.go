package resolver_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"countersign/mailer/server/servertest"
	"countersign/platform/resolver"
	"countersign/platform/resolver/resolvertest"
)

// signed are zones as BIND's tools make them, deepest first. Where ds is empty, the
// parent says that the zone is not signed.
type signed struct {
	name, algorithm string
	options         []string
	records         string
	ds              string // "": the zone's own; "none", "wrong"
	spoil           func(text string) string
}

const common = `
mail A 192.0.2.1
there.wild A 192.0.2.3
*.wild A 192.0.2.2
*.walias CNAME mail
a.deep.empty A 192.0.2.4
_ldap._tcp SRV 0 1 389 mail
cert CERT 1 0 8 AQID
smimea SMIMEA 3 0 0 0304
`

func peerZones() []signed {
	hashed := []string{"-3", "ab01", "-H", "0"}
	return []signed{
		{name: "under.nsec.peer.", algorithm: "ED25519", records: common},
		{name: "plain.nsec.peer.", records: common},
		{name: "nsec.peer.", algorithm: "ECDSAP256SHA256", records: common + "away CNAME mail.nsec3.peer.\ntoplain CNAME mail.plain.peer.\nmoved DNAME nsec3.peer.\ndead CNAME nobody.nsec3.peer.\n"},
		{name: "nsec3.peer.", algorithm: "ED25519", options: hashed, records: common},
		{name: "optout.peer.", algorithm: "ECDSAP384SHA384", options: append([]string{"-A"}, hashed...), records: common},
		{name: "rsa.peer.", algorithm: "RSASHA512", records: common},
		{name: "plain.peer.", records: common},
		{name: "nods.peer.", algorithm: "ECDSAP256SHA256", records: common, ds: "none"},
		{name: "wrongds.peer.", algorithm: "ECDSAP256SHA256", records: common, ds: "wrong"},
		{name: "expired.peer.", algorithm: "ECDSAP256SHA256", options: []string{"-s", "now-864000", "-e", "now-86400"}, records: common},
		{name: "early.peer.", algorithm: "ECDSAP256SHA256", options: []string{"-s", "now+86400", "-e", "now+864000"}, records: common},
		{name: "spoiled.peer.", algorithm: "ECDSAP256SHA256", records: common, spoil: func(text string) string {
			return strings.ReplaceAll(text, "192.0.2.1\n", "192.0.2.66\n")
		}},
		{name: "peer.", algorithm: "ECDSAP256SHA256", options: append([]string{"-A"}, hashed...), records: "ns A 127.0.0.1\n"},
		{name: ".", algorithm: "RSASHA256", records: "only A 192.0.2.9\n"},
	}
}

// peers are named with the zones, and two that recurse and validate.
type peers struct {
	unbound, named string
	anchors        []resolver.Anchor
}

func startPeers(t *testing.T) peers {
	t.Helper()
	for _, program := range []string{"named", "dnssec-keygen", "dnssec-signzone", "unbound"} {
		if _, err := exec.LookPath(program); err != nil {
			servertest.Absent(t, program+" is not installed: make setup installs it")
		}
	}
	dir := t.TempDir()
	zones := peerZones()
	config := ""
	for i, z := range zones {
		file := zoneFile(t, dir, z, zones[:i])
		config += fmt.Sprintf("zone %q { type primary; file %q; };\n", z.name, file)
	}
	authority, unbound, named := resolvertest.FreePort(t), resolvertest.FreePort(t), resolvertest.FreePort(t)
	write(t, dir, "named.conf", fmt.Sprintf(`options { directory %q; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; };
pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; minimal-responses yes; };
controls { };
%s`, dir, authority, config))
	anchor := read(t, dir, "dsset-.")
	write(t, dir, "root.ds", anchor)
	write(t, dir, "unbound.conf", fmt.Sprintf(`server:
 interface: 127.0.0.1
 port: %s
 username: ""
 chroot: ""
 directory: %q
 pidfile: %q
 use-syslog: no
 do-ip6: no
 do-not-query-localhost: no
 module-config: "validator iterator"
 trust-anchor-file: %q
 aggressive-nsec: no
remote-control:
 control-enable: no
forward-zone:
 name: "."
 forward-addr: 127.0.0.1@%s
`, unbound, dir, filepath.Join(dir, "unbound.pid"), filepath.Join(dir, "root.ds"), authority))
	fields := strings.Fields(anchor) // . IN DS tag algorithm type digest
	write(t, dir, "recursive.conf", fmt.Sprintf(`options { directory %q; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; };
pid-file none; session-keyfile none; recursion yes; dnssec-validation yes; forward only; forwarders { 127.0.0.1 port %s; }; empty-zones-enable no; };
controls { };
trust-anchors { . static-ds %s %s %s %q; };
`, dir, named, authority, fields[3], fields[4], fields[5], strings.Join(fields[6:], "")))
	run(t, "127.0.0.1:"+authority, "named", "-g", "-c", filepath.Join(dir, "named.conf"))
	run(t, "127.0.0.1:"+unbound, "unbound", "-d", "-c", filepath.Join(dir, "unbound.conf"))
	run(t, "127.0.0.1:"+named, "named", "-g", "-c", filepath.Join(dir, "recursive.conf"))
	a, err := resolver.ParseAnchor(anchor)
	if err != nil {
		t.Fatal(err)
	}
	return peers{"127.0.0.1:" + unbound, "127.0.0.1:" + named, []resolver.Anchor{a}}
}

// zoneFile writes a zone with its delegations, signed if it has an algorithm.
func zoneFile(t *testing.T, dir string, z signed, before []signed) string {
	t.Helper()
	text := "$TTL 300\n$ORIGIN " + z.name + "\n@ SOA ns.peer. root.peer. 1 3600 600 86400 60\n@ NS ns.peer.\n" + z.records
	for _, child := range before {
		if parentOf(child.name) != z.name {
			continue
		}
		text += child.name + " NS ns.peer.\n"
		switch {
		case child.ds == "wrong":
			text += child.name + " DS 1 13 2 " + strings.Repeat("ab", 32) + "\n"
		case child.ds == "" && child.algorithm != "":
			text += read(t, dir, "dsset-"+child.name)
		}
	}
	file := "zone-" + z.name + "db"
	write(t, dir, file, text)
	if z.algorithm == "" {
		return file
	}
	key := command(t, dir, "dnssec-keygen", "-q", "-f", "KSK", "-a", z.algorithm, z.name)
	arguments := append([]string{"-z", "-P", "-o", z.name, "-f", file + ".signed", "-O", "full"}, z.options...)
	with := read(t, dir, strings.TrimSpace(key)+".key")
	write(t, dir, file, text+with)
	command(t, dir, "dnssec-signzone", append(arguments, file, strings.TrimSpace(key))...)
	if z.spoil != nil {
		write(t, dir, file+".signed", z.spoil(read(t, dir, file+".signed")))
	}
	return file + ".signed"
}

func parentOf(name string) string {
	if off, end := dns.NextLabel(name, 0); !end {
		return name[off:]
	}
	if name == "." {
		return ""
	}
	return "."
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func command(t *testing.T, dir, program string, arguments ...string) string {
	t.Helper()
	c := exec.Command(program, arguments...)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		var stderr []byte
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = exit.Stderr
		}
		t.Fatalf("%s %v: %v\n%s", program, arguments, err, stderr)
	}
	return string(out)
}

// run starts a server for the length of the test and waits until it listens.
func run(t *testing.T, address, program string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var log strings.Builder
	c := exec.CommandContext(ctx, program, arguments...)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }() // killed at the end
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("%s: %s", program, log.String())
		}
	})
	for {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", program, log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
	}
}

// peerSays asks a validating server, and reads its verdict as ours.
func peerSays(t *testing.T, server, name string, qtype resolver.Type) (resolver.Status, resolver.Kind) {
	t.Helper()
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), uint16(qtype))
	m.SetEdns0(4096, true)
	reply, _, err := (&dns.Client{Net: "tcp", Timeout: 20 * time.Second}).Exchange(m, server)
	if err != nil {
		t.Fatal(err)
	}
	status, kind := resolver.Insecure, resolver.NoData
	if reply.AuthenticatedData {
		status = resolver.Secure
	}
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == uint16(qtype) {
			kind = resolver.Found
		}
	}
	switch reply.Rcode {
	case dns.RcodeServerFailure:
		return resolver.Bogus, resolver.Unknown
	case dns.RcodeNameError:
		kind = resolver.NoName
	case dns.RcodeSuccess:
	default:
		t.Fatalf("%s: the peer says %s", name, dns.RcodeToString[reply.Rcode])
	}
	return status, kind
}

// TestPeerVerdicts: BIND's signer made the zones, BIND or unbound passes them on
// unjudged, and each says itself what it thinks of them; we agree.
func TestPeerVerdicts(t *testing.T) {
	p := startPeers(t)
	names := []string{"only", "nobody", "a.nobody", "peer", "nobody.peer", "a.b.nobody.peer", "a.b.nobody.optout.peer",
		"away.nsec.peer", "toplain.nsec.peer", "mail.moved.nsec.peer", "nobody.moved.nsec.peer", "dead.nsec.peer"}
	for _, z := range peerZones()[:12] {
		for _, label := range []string{"", "mail.", "nobody.", "a.b.nobody.", "x.wild.", "x.y.wild.", "x.there.wild.", "wild.", "*.wild.", "x.walias.",
			"a.deep.empty.", "deep.empty.", "empty.", "zz."} {
			names = append(names, label+strings.TrimSuffix(z.name, "."))
		}
	}
	for program, server := range map[string]string{"unbound": p.unbound, "named": p.named} {
		t.Run(program, func(t *testing.T) {
			r := &resolver.Resolver{Servers: []string{server}, Anchors: p.anchors}
			seen := map[resolver.Status]int{}
			for _, name := range names {
				for _, qtype := range []resolver.Type{resolver.TypeA, resolver.TypeMX} {
					status, kind := peerSays(t, server, name, qtype)
					got, err := r.Lookup(t.Context(), name, qtype)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
					seen[got.Status]++
					if got.Status != status || got.Kind != kind {
						t.Errorf("%s %s: the peer says %v, kind %d; we say %v, kind %d: %s", name, dns.TypeToString[uint16(qtype)], status, kind, got.Status, got.Kind, got.Reason)
					}
				}
			}
			t.Logf("agreed on %v", seen)
			for _, status := range []resolver.Status{resolver.Secure, resolver.Insecure, resolver.Bogus} {
				if seen[status] == 0 {
					t.Errorf("nothing was %v", status)
				}
			}
			for name, qtype := range map[string]resolver.Type{"cert.nsec.peer": resolver.TypeCERT, "smimea.nsec3.peer": resolver.TypeSMIMEA, "_ldap._tcp.rsa.peer": resolver.TypeSRV} {
				if a, err := r.Lookup(t.Context(), name, qtype); err != nil || a.Status != resolver.Secure || len(a.Records) != 1 {
					t.Errorf("%s: %+v, %v", name, a, err)
				}
			}
			believing := &resolver.Resolver{Servers: []string{server}, Validating: true}
			for name, want := range map[string]resolver.Status{"mail.nsec.peer": resolver.Secure, "mail.plain.peer": resolver.Insecure} {
				if a, err := believing.Lookup(t.Context(), name, resolver.TypeA); err != nil || a.Status != want {
					t.Errorf("%s, as the peer says: %+v, %v", name, a, err)
				}
			}
		})
	}
}
