package dnssec_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"countersign/platform/resolver/dnssec"
)

// sets groups signed records with their signatures.
func sets(records []dns.RR) [][]dns.RR {
	var order []string
	groups := map[string][]dns.RR{}
	for _, rr := range records {
		covered := rr.Header().Rrtype
		if sig, ok := rr.(*dns.RRSIG); ok {
			covered = sig.TypeCovered
		}
		key := rr.Header().Name + " " + dns.TypeToString[covered]
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], rr)
	}
	var out [][]dns.RR
	for _, key := range order {
		out = append(out, groups[key])
	}
	return out
}

// TestSplices tries replies made of one to four true sets, moved and renamed at
// random (the seed is fixed); none may prove but the truth. It also counts how
// many prove the truth, so that it is known to try what matters.
func TestSplices(t *testing.T) {
	const tries = 2000
	w := smallWorld(t)
	units := sets(pool(w))
	random := rand.New(rand.NewPCG(1, 2))
	proved := map[string]int{}
	for range tries {
		zoneName := []string{"test.", "hashed."}[random.IntN(2)]
		z, err := dnssec.Open(zoneName, w.Find(zoneName).Anchors(), w.Honest(zoneName, dns.TypeDNSKEY), moment(), new(dnssec.Effort))
		if err != nil {
			t.Fatal(err)
		}
		q := questions()[random.IntN(len(questions()))]
		name := q.name + zoneName
		m := new(dns.Msg)
		m.Rcode = []int{dns.RcodeSuccess, dns.RcodeNameError}[random.IntN(2)]
		for range 1 + random.IntN(4) {
			unit, answer, rename := units[random.IntN(len(units))], random.IntN(3) == 0, random.IntN(4)
			for _, rr := range unit {
				rr = dns.Copy(rr)
				switch rename {
				case 1:
					rr.Header().Name = name
				case 2:
					rr.Header().Name = "x." + rr.Header().Name
				}
				if answer {
					m.Answer = append(m.Answer, rr)
				} else {
					m.Ns = append(m.Ns, rr)
				}
			}
		}
		got := strings.Join(slices.Compact(strings.Fields(said(z, name, m))), " ")
		if got != "" && got != q.truth {
			t.Errorf("of %s it is proved %q, and %q is true: %s", name, got, q.truth, m)
		}
		proved[got]++
	}
	if len(proved) < 6 {
		t.Errorf("only %v was ever proved", proved)
	}
}
