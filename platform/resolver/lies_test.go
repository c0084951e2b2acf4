package resolver_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"countersign/platform/resolver"
	"countersign/platform/resolver/resolvertest"
)

func isError(err, want error) bool { return errors.Is(err, want) }

// change makes one reply of another.
type change func(query, reply *dns.Msg)

func record(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func drop(section []dns.RR, qtype uint16) []dns.RR {
	return slices.DeleteFunc(slices.Clone(section), func(rr dns.RR) bool { return rr.Header().Rrtype == qtype })
}

func asks(query *dns.Msg, name string, qtype uint16) bool {
	return query.Question[0].Name == name && query.Question[0].Qtype == qtype
}

// TestLies: each is told by the server, or is how a zone is made; none may be Secure,
// and Insecure only what a signed proof makes so.
func TestLies(t *testing.T) {
	const a = resolver.TypeA
	forged := func(t testing.TB) dns.RR { return record(t, "mail.clinic.test. 3600 IN A 203.0.113.66") }
	for _, test := range []struct {
		lie    string
		name   string
		qtype  resolver.Type
		zone   func(t testing.TB, w *resolvertest.World)
		change func(t testing.TB, w *resolvertest.World) change
		status resolver.Status
		reason string
	}{
		{lie: "the address is another", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "does not hold",
			change: func(t testing.TB, _ *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "mail.clinic.test.", dns.TypeA) {
						m.Answer[0] = forged(t)
					}
				}
			}},
		{lie: "an address is added", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "does not hold",
			change: func(t testing.TB, _ *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "mail.clinic.test.", dns.TypeA) {
						m.Answer = append(m.Answer, forged(t))
					}
				}
			}},
		{lie: "forged, unsigned, with AD", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "not signed",
			change: func(t testing.TB, _ *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					m.AuthenticatedData = true
					if asks(q, "mail.clinic.test.", dns.TypeA) {
						m.Answer, m.Ns = []dns.RR{forged(t)}, nil
					}
				}
			}},
		{lie: "all signatures are gone, and AD is set", name: "mail.clinic.test", qtype: a, status: resolver.Indeterminate, reason: "passes on no signatures",
			change: func(testing.TB, *resolvertest.World) change {
				return func(_, m *dns.Msg) {
					m.AuthenticatedData = true
					m.Answer, m.Ns = drop(m.Answer, dns.TypeRRSIG), drop(m.Ns, dns.TypeRRSIG)
				}
			}},
		{lie: "NXDOMAIN without proof", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "not signed",
			change: func(testing.TB, *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "mail.clinic.test.", dns.TypeA) {
						m.Answer, m.Ns, m.Rcode = nil, nil, dns.RcodeNameError
					}
				}
			}},
		{lie: "NODATA is called NXDOMAIN", name: "mail.clinic.test", qtype: resolver.TypeMX, status: resolver.Bogus, reason: "otherwise",
			change: func(testing.TB, *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "mail.clinic.test.", dns.TypeMX) {
						m.Rcode = dns.RcodeNameError
					}
				}
			}},
		{lie: "NXDOMAIN is called NODATA", name: "nobody.clinic.test", qtype: a, status: resolver.Bogus, reason: "not of its data",
			change: func(testing.TB, *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "nobody.clinic.test.", dns.TypeA) {
						m.Rcode = dns.RcodeSuccess
					}
				}
			}},
		{lie: "the denial of another type's answer", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "otherwise", change: swapped("mail.clinic.test.", dns.TypeTLSA)},
		{lie: "the denial of another name", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, change: swapped("nobody.clinic.test.", dns.TypeA)},
		{lie: "the hashed denial of another name", name: "mail.hashed.test", qtype: a, status: resolver.Bogus, change: swapped("nobody.hashed.test.", dns.TypeA)},
		{lie: "the hashed denial of another type", name: "mail.hashed.test", qtype: a, status: resolver.Bogus, reason: "otherwise", change: swapped("mail.hashed.test.", dns.TypeTLSA)},
		{lie: "the parent's denial for a delegated name", name: "clinic.test", qtype: resolver.TypeMX, status: resolver.Bogus, change: swapped("clinic.test.", dns.TypeDS)},
		{lie: "the parent's denial of DS for an unsigned zone's name", name: "host.sub.hashed.test", qtype: a, status: resolver.Bogus, change: swapped("sub.hashed.test.", dns.TypeDS)},
		{lie: "a zone is said not to be signed", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "not delegated",
			change: func(testing.TB, *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "clinic.test.", dns.TypeDS) {
						m.Answer, m.Ns = nil, nil
					}
				}
			}},
		{lie: "a zone is said not to be signed, by another's denial", name: "mail.clinic.test", qtype: a, status: resolver.Bogus,
			change: func(_ testing.TB, w *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "clinic.test.", dns.TypeDS) {
						o := w.Honest("plain.test.", dns.TypeDS)
						m.Answer, m.Ns = nil, o.Ns
					}
				}
			}},
		{lie: "a wildcard's answer where a name is", name: "there.wild.clinic.test", qtype: a, status: resolver.Bogus, change: renamed("x.wild.clinic.test.", false)},
		{lie: "a wildcard's answer with its proof elsewhere", name: "x.there.wild.clinic.test", qtype: a, status: resolver.Bogus, change: renamed("x.wild.clinic.test.", false)},
		{lie: "a wildcard's answer without proof", name: "x.wild.clinic.test", qtype: a, status: resolver.Bogus, reason: "nothing nearer", change: renamed("x.wild.clinic.test.", true)},
		{lie: "a hashed wildcard's answer where a name is", name: "there.wild.hashed.test", qtype: a, status: resolver.Bogus, change: renamed("x.wild.hashed.test.", false)},
		{lie: "a hashed wildcard's answer without proof", name: "x.wild.hashed.test", qtype: a, status: resolver.Bogus, reason: "nothing nearer", change: renamed("x.wild.hashed.test.", true)},
		{lie: "a denial moved as if from a wildcard", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "from a wildcard",
			change: func(_ testing.TB, w *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if !asks(q, "mail.clinic.test.", dns.TypeA) {
						return
					}
					m.Answer = nil
					m.Ns = w.Honest("x.wild.clinic.test.", dns.TypeMX).Ns // holds the NSEC of *.wild.clinic.test.
					m.Ns = slices.DeleteFunc(m.Ns, func(rr dns.RR) bool { return !strings.HasPrefix(rr.Header().Name, "*.") })
					for _, rr := range m.Ns {
						rr.Header().Name = "mail.wild.clinic.test."
					}
				}
			}},
		{lie: "the signed alias leads elsewhere", name: "alias.test", qtype: a, status: resolver.Bogus, reason: "does not hold",
			change: func(testing.TB, *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "alias.test.", dns.TypeA) {
						m.Answer[0].(*dns.CNAME).Target = "mail.plain.test."
					}
				}
			}},
		{lie: "an unsigned alias leads away from a signed zone", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "not signed",
			change: func(t testing.TB, _ *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "mail.clinic.test.", dns.TypeA) {
						m.Answer = []dns.RR{record(t, "mail.clinic.test. 60 IN CNAME mail.plain.test.")}
					}
				}
			}},
		{lie: "signed by a zone that only ends alike", name: "mail.clinic.test", qtype: a, status: resolver.Bogus,
			zone: func(_ testing.TB, w *resolvertest.World) { w.Zone("nic.test.") },
			change: func(t testing.TB, w *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "mail.clinic.test.", dns.TypeA) {
						m.Answer = signedBy(w.Find("nic.test."), "nic.test.", forged(t))
					}
				}
			}},
		{lie: "signed by a name that is no zone", name: "a.deep.empty.clinic.test", qtype: a, status: resolver.Bogus, reason: "is no zone",
			change: func(testing.TB, *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "a.deep.empty.clinic.test.", dns.TypeA) {
						for _, rr := range m.Answer {
							if sig, ok := rr.(*dns.RRSIG); ok {
								sig.SignerName = "empty.clinic.test."
							}
						}
					}
				}
			}},
		{lie: "signed by a zone's own unvouched key", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "vouched",
			change: func(t testing.TB, w *resolvertest.World) change {
				other := resolvertest.New(t, noon()).Zone("clinic.test.")
				return func(q, m *dns.Msg) {
					switch {
					case asks(q, "clinic.test.", dns.TypeDNSKEY):
						m.Answer = signedBy(other, "clinic.test.", other.Keys[0].Record)
					case asks(q, "mail.clinic.test.", dns.TypeA):
						m.Answer = signedBy(other, "clinic.test.", forged(t))
					}
				}
			}},
		{lie: "a key is added to the signed ones", name: "mail.clinic.test", qtype: a, status: resolver.Bogus, reason: "does not hold",
			change: func(t testing.TB, w *resolvertest.World) change {
				other := resolvertest.New(t, noon()).Zone("clinic.test.")
				return func(q, m *dns.Msg) {
					switch {
					case asks(q, "clinic.test.", dns.TypeDNSKEY):
						m.Answer = append(m.Answer, dns.Copy(other.Keys[0].Record))
					case asks(q, "mail.clinic.test.", dns.TypeA):
						m.Answer = signedBy(other, "clinic.test.", forged(t))
					}
				}
			}},

		{lie: "the DS of a wildcard for a zone that is not signed", name: "host.plain.wilds.test", qtype: a, status: resolver.Bogus, reason: "from a wildcard",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("wilds.test.").Add("*.wilds.test. DS 1 13 2 " + strings.Repeat("ab", 32))
				w.Zone("plain.wilds.test.", resolvertest.Unsigned).Add("host.plain.wilds.test. A 192.0.2.9")
			},
			change: func(_ testing.TB, w *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "plain.wilds.test.", dns.TypeDS) {
						o := w.Honest("none.wilds.test.", dns.TypeDS)
						for _, rr := range o.Answer {
							rr.Header().Name = "plain.wilds.test."
						}
						m.Answer, m.Ns = o.Answer, o.Ns
					}
				}
			}},
		{lie: "the DNAME of a wildcard", name: "a.there.wilds.test", qtype: a, status: resolver.Bogus, reason: "from a wildcard",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("wilds.test.").Add("*.wilds.test. DNAME clinic.test.")
			},
			change: func(_ testing.TB, w *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "a.there.wilds.test.", dns.TypeA) {
						o := w.Honest("x.*.wilds.test.", dns.TypeA)
						for _, rr := range o.Answer {
							rr.Header().Name = strings.Replace(rr.Header().Name, "*.", "there.", 1)
						}
						m.Answer, m.Ns = o.Answer, o.Ns
					}
				}
			}},
		{lie: "the signatures have expired", name: "host.late.test", qtype: a, status: resolver.Bogus, reason: "expired",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("late.test.", func(z *resolvertest.Zone) { z.Expiration = noon().Add(-time.Second) }).Add("host.late.test. A 192.0.2.9")
			}},
		{lie: "the signatures are for later", name: "host.early.test", qtype: a, status: resolver.Bogus, reason: "not valid yet",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("early.test.", func(z *resolvertest.Zone) { z.Inception = noon().Add(time.Second) }).Add("host.early.test. A 192.0.2.9")
			}},
		{lie: "over 50 iterations", name: "nobody.many.test", qtype: a, status: resolver.Bogus, reason: "51 iterations",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("many.test.", resolvertest.NSEC3, func(z *resolvertest.Zone) { z.Iterations = 51 })
			}},
		{lie: "50 iterations are none", name: "nobody.many.test", qtype: a, status: resolver.Secure,
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("many.test.", resolvertest.NSEC3, func(z *resolvertest.Zone) { z.Iterations = 50 })
			}},
		{lie: "a digest by SHA-1 only", name: "host.weak.test", qtype: a, status: resolver.Insecure, reason: "count for nothing",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("weak.test.", func(z *resolvertest.Zone) { z.Digest = dns.SHA1 }).Add("host.weak.test. A 192.0.2.9")
			}},
		{lie: "signatures by RSASHA1 only", name: "host.weak.test", qtype: a, status: resolver.Insecure, reason: "count for nothing",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("weak.test.", resolvertest.Algorithm(dns.RSASHA1, 1024)).Add("host.weak.test. A 192.0.2.9")
			}},
		{lie: "aliases in a ring", name: "one.ring.test", qtype: a, status: resolver.Bogus, reason: "aliases",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("ring.test.").Add("one.ring.test. CNAME two.ring.test.", "two.ring.test. CNAME one.ring.test.")
			}},
		{lie: "a DNAME in itself", name: "a.ring.test", qtype: a, status: resolver.Bogus, reason: "aliases",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("ring.test.").Add("a.ring.test. CNAME b.c.ring.test.", "c.ring.test. DNAME d.c.ring.test.")
			}},
		{lie: "a DNAME that makes names too long", name: strings.Repeat("aaaaaaaaa.", 22) + "ring.test", qtype: a, status: resolver.Bogus, reason: "not a domain name",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("ring.test.").Add("aaaaaaaaa.ring.test. DNAME " + strings.Repeat("b", 60) + ".ring.test.")
			}},
		{lie: "five keys of one tag", name: "host.trap.test", qtype: a, status: resolver.Bogus, reason: "over 4 keys",
			zone: func(t testing.TB, w *resolvertest.World) {
				w.Zone("trap.test.", trap(5)).Add("host.trap.test. A 192.0.2.9")
			}},
		{lie: "over sixteen signatures that do not hold", name: "host.trap.test", qtype: a, status: resolver.Bogus, reason: "too many",
			zone: func(_ testing.TB, w *resolvertest.World) { w.Zone("trap.test.").Add("host.trap.test. A 192.0.2.9") },
			change: func(testing.TB, *resolvertest.World) change {
				return func(q, m *dns.Msg) {
					if asks(q, "host.trap.test.", dns.TypeA) {
						m.Answer = flood(m.Answer, 17)
					}
				}
			}},
		{lie: "over sixty-four in all", name: "nobody.trap.test", qtype: a, status: resolver.Bogus, reason: "too many",
			zone: func(_ testing.TB, w *resolvertest.World) {
				w.Zone("trap.test.").Add("m.trap.test. A 192.0.2.9", "p.trap.test. A 192.0.2.9")
			},
			change: func(_ testing.TB, w *resolvertest.World) change {
				return func(_, m *dns.Msg) { m.Answer, m.Ns = flood(m.Answer, 15), flood(m.Ns, 15) }
			}},
	} {
		t.Run(test.lie, func(t *testing.T) {
			w := newWorld(t)
			if test.zone != nil {
				test.zone(t, w)
			}
			if test.change != nil {
				c := test.change(t, w)
				w.Alter(func(_ string, query, reply *dns.Msg) []*dns.Msg {
					c(query, reply)
					return []*dns.Msg{reply}
				})
			}
			got, err := newResolver(w).Lookup(t.Context(), test.name, test.qtype)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != test.status || !strings.Contains(got.Reason, test.reason) {
				t.Errorf("%v, %q; want %v, %q", got.Status, got.Reason, test.status, test.reason)
			}
			if got.Status < resolver.Insecure && (got.Kind != resolver.Unknown || len(got.Records) > 0) {
				t.Errorf("%v, and yet it says %d %v", got.Status, got.Kind, got.Records)
			}
		})
	}
}

// swapped answers with what is true of another question.
func swapped(name string, qtype uint16) func(testing.TB, *resolvertest.World) change {
	return func(_ testing.TB, w *resolvertest.World) change {
		return func(q, m *dns.Msg) {
			if q.Question[0].Qtype != dns.TypeDS && q.Question[0].Qtype != dns.TypeDNSKEY {
				o := w.Honest(name, qtype)
				m.Answer, m.Ns, m.Rcode = o.Answer, o.Ns, o.Rcode
			}
		}
	}
}

// renamed answers with another name's records as if they were the asked one's.
func renamed(from string, unproved bool) func(testing.TB, *resolvertest.World) change {
	return func(_ testing.TB, w *resolvertest.World) change {
		return func(q, m *dns.Msg) {
			if q.Question[0].Qtype != dns.TypeA {
				return
			}
			o := w.Honest(from, dns.TypeA)
			for _, rr := range o.Answer {
				rr.Header().Name = q.Question[0].Name
			}
			m.Answer, m.Ns, m.Rcode = o.Answer, o.Ns, o.Rcode
			if unproved {
				m.Ns = nil
			}
		}
	}
}

func signedBy(z *resolvertest.Zone, signer string, rr dns.RR) []dns.RR {
	sigs := z.Sign([]dns.RR{rr})
	for _, s := range sigs {
		s.(*dns.RRSIG).SignerName = signer
	}
	return append([]dns.RR{dns.Copy(rr)}, sigs...)
}

func trap(n int) func(*resolvertest.Zone) {
	return func(z *resolvertest.Zone) { z.Keys = resolvertest.SameTag(z, n) }
}

// flood puts n signatures that do not hold before each true one.
func flood(section []dns.RR, n int) []dns.RR {
	var out []dns.RR
	for _, rr := range section {
		if sig, ok := rr.(*dns.RRSIG); ok {
			for i := range n {
				wrong := dns.Copy(sig).(*dns.RRSIG)
				wrong.OrigTtl += uint32(i + 1)
				out = append(out, wrong)
			}
		}
		out = append(out, rr)
	}
	return out
}
