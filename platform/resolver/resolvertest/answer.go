package resolvertest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// reply answers as a recursive server would that validates nothing (CD).
func (w *World) reply(query *dns.Msg) *dns.Msg {
	q := query.Question[0]
	m := new(dns.Msg)
	m.SetReply(query)
	m.RecursionAvailable = true
	if opt := query.IsEdns0(); opt != nil {
		m.SetEdns0(1232, opt.Do())
	}
	name := strings.ToLower(q.Name)
	for range 12 {
		if name = w.step(m, name, q.Qtype); name == "" {
			break
		}
	}
	return m
}

// step adds one link, and returns the name that it leads to.
func (w *World) step(m *dns.Msg, name string, qtype uint16) (next string) {
	z := w.zoneOf(name, qtype)
	if d := z.above(name); d != nil {
		m.Answer = append(m.Answer, z.signed([]dns.RR{d})...)
		target := strings.TrimSuffix(name, d.Hdr.Name) + d.Target
		if len(target) > 254 {
			m.Rcode = dns.RcodeYXDomain
			return ""
		}
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 3600}, Target: target})
		return target
	}
	types := w.types(z, name)
	source := name
	if types == nil && !w.empty(z, name) {
		closest, nextCloser := w.encloser(z, name)
		source = "*." + strings.TrimPrefix(closest, ".")
		if types = w.types(z, source); types == nil {
			m.Rcode = dns.RcodeNameError
			w.deny(m, z, name, nextCloser, closest, source)
			return ""
		}
		w.deny(m, z, nextCloser)
		if !types[qtype] && !types[dns.TypeCNAME] && z.Hashed {
			w.deny(m, z, closest)
		}
	}
	for _, t := range []uint16{qtype, dns.TypeCNAME} {
		if !types[t] {
			continue
		}
		for _, rr := range z.signed(w.set(z, source, t)) {
			rr.Header().Name = name // expanded from a wildcard
			m.Answer = append(m.Answer, rr)
			if c, ok := rr.(*dns.CNAME); ok && qtype != dns.TypeCNAME {
				next = c.Target
			}
		}
		return next
	}
	w.deny(m, z, source)
	if z.OptOut && !w.hashed(z)[source] { // RFC 5155, section 7.2.4
		closest, nextCloser := w.encloser(z, source)
		w.deny(m, z, nextCloser, closest)
	}
	return ""
}

// zoneOf finds the zone that answers for a name: the parent's, for DS.
func (w *World) zoneOf(name string, qtype uint16) *Zone {
	var best *Zone
	for _, z := range w.zones {
		if dns.IsSubDomain(z.Name, name) && (qtype != dns.TypeDS || z.Name != name || name == ".") &&
			(best == nil || dns.CountLabel(z.Name) > dns.CountLabel(best.Name)) {
			best = z
		}
	}
	return best
}

// above finds a DNAME over a name.
func (z *Zone) above(name string) *dns.DNAME {
	for key, set := range z.sets {
		owner, t, _ := strings.Cut(key, " ")
		if t == "DNAME" && owner != name && dns.IsSubDomain(owner, name) {
			return set[0].(*dns.DNAME)
		}
	}
	return nil
}

// set returns the records of a name; keys and delegations are made here.
func (w *World) set(z *Zone, name string, qtype uint16) []dns.RR {
	child := w.zones[name]
	switch {
	case qtype == dns.TypeDNSKEY && name == z.Name:
		var set []dns.RR
		for _, k := range z.Keys {
			set = append(set, k.Record)
		}
		return set
	case qtype == dns.TypeDS && child != nil && child != z:
		return child.ds()
	}
	return z.sets[name+" "+dns.TypeToString[qtype]]
}

// types are those at a name in a zone; nil where nothing is at the name itself.
func (w *World) types(z *Zone, name string) map[uint16]bool {
	types := map[uint16]bool{}
	if child := w.zones[name]; child != nil && child != z {
		types[dns.TypeNS] = true
		types[dns.TypeDS] = len(child.Keys) > 0
	} else {
		for key := range z.sets {
			if owner, t, _ := strings.Cut(key, " "); owner == name {
				types[dns.StringToType[t]] = true
			}
		}
		if name == z.Name {
			types[dns.TypeDNSKEY] = len(z.Keys) > 0
		}
	}
	if len(types) == 0 {
		return nil
	}
	return types
}

// owners are the names of a zone with its delegations, in canonical order.
func (w *World) owners(z *Zone) []string {
	var names []string
	for key := range z.sets {
		owner, _, _ := strings.Cut(key, " ")
		names = append(names, owner)
	}
	for name := range w.zones {
		if name != z.Name && w.zoneOf(name, dns.TypeDS) == z {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, canonically)
	return slices.Compact(names)
}

func canonically(a, b string) int {
	x, y := dns.SplitDomainName(a), dns.SplitDomainName(b)
	slices.Reverse(x)
	slices.Reverse(y)
	return slices.Compare(x, y)
}

// empty reports whether a name exists by what is under it only.
func (w *World) empty(z *Zone, name string) bool {
	return slices.ContainsFunc(w.owners(z), func(owner string) bool { return owner != name && dns.IsSubDomain(name, owner) })
}

// encloser finds the closest existing name above one that does not exist, and the
// name below it on the way.
func (w *World) encloser(z *Zone, name string) (closest, nextCloser string) {
	there := w.hashed(z)
	nextCloser = name
	for {
		closest = parent(nextCloser)
		exists := closest == z.Name || w.types(z, closest) != nil || w.empty(z, closest)
		if exists && (!z.OptOut || there[closest]) {
			return closest, nextCloser
		}
		nextCloser = closest
	}
}

// deny adds the SOA and, for each name, the record that matches or covers it.
func (w *World) deny(m *dns.Msg, z *Zone, names ...string) {
	if len(m.Ns) == 0 {
		m.Ns = z.signed(z.sets[z.Name+" SOA"])
	}
	if z.Unsigned {
		return
	}
	chain := w.nsec(z)
	if z.Hashed {
		chain = w.nsec3(z)
	}
	for _, name := range names {
		var hit dns.RR
		for _, rr := range chain {
			switch rr := rr.(type) {
			case *dns.NSEC:
				if canonically(rr.Hdr.Name, name) <= 0 {
					hit = rr // the last that is not after it
				}
			case *dns.NSEC3:
				if rr.Match(name) || hit == nil && rr.Cover(name) {
					hit = rr
				}
			}
		}
		if hit != nil && !slices.ContainsFunc(m.Ns, func(rr dns.RR) bool {
			return rr.Header().Name == hit.Header().Name && rr.Header().Rrtype == hit.Header().Rrtype
		}) {
			m.Ns = append(m.Ns, z.signed([]dns.RR{hit})...)
		}
	}
}

func (w *World) nsec(z *Zone) []dns.RR {
	names := w.owners(z)
	var chain []dns.RR
	for i, name := range names {
		chain = append(chain, &dns.NSEC{
			Hdr:        dns.RR_Header{Name: name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300},
			NextDomain: names[(i+1)%len(names)], TypeBitMap: w.bits(z, name, dns.TypeNSEC),
		})
	}
	return chain
}

func (w *World) bits(z *Zone, name string, own uint16) []uint16 {
	types := w.types(z, name)
	var bits []uint16
	for t, there := range types {
		if there {
			bits = append(bits, t)
		}
	}
	switch {
	case own == dns.TypeNSEC:
		bits = append(bits, dns.TypeNSEC, dns.TypeRRSIG)
	case len(bits) > 0 && (!types[dns.TypeNS] || types[dns.TypeDS] || types[dns.TypeSOA]):
		bits = append(bits, dns.TypeRRSIG)
	}
	slices.Sort(bits)
	return bits
}

const salt = "ab01"

// hashed are the names that have an NSEC3: empty ones too, and with opt-out no
// unsigned delegations.
func (w *World) hashed(z *Zone) map[string]bool {
	names := map[string]bool{}
	for _, owner := range w.owners(z) {
		types := w.types(z, owner)
		if z.OptOut && types[dns.TypeNS] && !types[dns.TypeDS] && !types[dns.TypeSOA] {
			continue
		}
		for name := owner; !names[name]; name = parent(name) {
			names[name] = true
			if name == z.Name {
				break
			}
		}
	}
	return names
}

func parent(name string) string {
	if off, end := dns.NextLabel(name, 0); !end {
		return name[off:]
	}
	return "."
}

func (w *World) nsec3(z *Zone) []dns.RR {
	var chain []*dns.NSEC3
	for name := range w.hashed(z) {
		rr := &dns.NSEC3{
			Hdr:  dns.RR_Header{Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: 300},
			Hash: dns.SHA1, Iterations: z.Iterations, Salt: salt, SaltLength: uint8(len(salt) / 2), HashLength: 20,
			TypeBitMap: w.bits(z, name, dns.TypeNSEC3),
		}
		rr.Hdr.Name = dns.HashName(name, dns.SHA1, z.Iterations, salt)
		if z.OptOut {
			rr.Flags = 1
		}
		chain = append(chain, rr)
	}
	slices.SortFunc(chain, func(a, b *dns.NSEC3) int { return cmp.Compare(a.Hdr.Name, b.Hdr.Name) })
	var out []dns.RR
	for i, rr := range chain {
		rr.NextDomain = strings.ToUpper(strings.SplitN(chain[(i+1)%len(chain)].Hdr.Name, ".", 2)[0])
		out = append(out, rr)
	}
	for _, rr := range chain {
		rr.Hdr.Name = strings.ToLower(rr.Hdr.Name) + "." + strings.TrimPrefix(z.Name, ".")
	}
	return out
}
