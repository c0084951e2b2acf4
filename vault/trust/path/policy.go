package path

import (
	"crypto/x509"
	"slices"
)

const (
	anyPolicy   = "2.5.29.32.0"
	maxPolicies = 256 // in one certificate, and as many mappings
)

// node is one policy at one depth of the graph (RFC 9618).
type node struct {
	policy   string
	parents  []*node
	expected []string
}

// policies is the state that sections 6.1.2 to 6.1.5 keep about policies.
type policies struct {
	initial                []string
	level                  map[string]*node // of the last certificate; empty is NULL
	explicit, mapping, any int
}

func newPolicies(n int, o Options) policies {
	counter := func(now bool) int {
		if now {
			return 0
		}
		return n + 1
	}
	return policies{
		initial:  o.Policies,
		level:    map[string]*node{anyPolicy: {policy: anyPolicy, expected: []string{anyPolicy}}},
		explicit: counter(o.ExplicitPolicy), mapping: counter(o.InhibitMapping), any: counter(o.InhibitAny),
	}
}

// step is section 6.1.3 (d) to (f).
func (p *policies) step(c *x509.Certificate, last, selfIssued bool) bool {
	if len(c.Policies) > maxPolicies {
		return false
	}
	next := make(map[string]*node)
	hasAny := false
	for _, oid := range c.Policies {
		id := oid.String()
		if id == anyPolicy {
			hasAny = true
			continue
		}
		parents := p.expecting(id)
		if top := p.level[anyPolicy]; len(parents) == 0 && top != nil {
			parents = []*node{top}
		}
		if len(parents) > 0 {
			next[id] = &node{id, parents, []string{id}}
		}
	}
	if hasAny && (p.any > 0 || !last && selfIssued) {
		for _, n := range p.level {
			for _, id := range n.expected {
				if next[id] == nil {
					next[id] = &node{id, p.expecting(id), []string{id}}
				}
			}
		}
	}
	p.level = next
	return p.explicit > 0 || len(p.level) > 0
}

// expecting lists the nodes of the last level that expect a policy.
func (p *policies) expecting(id string) (parents []*node) {
	for _, n := range p.level {
		if slices.Contains(n.expected, id) {
			parents = append(parents, n)
		}
	}
	return parents
}

// descend is section 6.1.4 (a), (b) and (h) to (j).
func (p *policies) descend(c *x509.Certificate, selfIssued bool) bool {
	if len(c.PolicyMappings) > maxPolicies {
		return false
	}
	maps := make(map[string][]string)
	for _, m := range c.PolicyMappings {
		from, to := m.IssuerDomainPolicy.String(), m.SubjectDomainPolicy.String()
		if from == anyPolicy || to == anyPolicy {
			return false
		}
		maps[from] = append(maps[from], to)
	}
	for from, to := range maps {
		switch n, top := p.level[from], p.level[anyPolicy]; {
		case p.mapping == 0:
			delete(p.level, from)
		case n != nil:
			n.expected = to
		case top != nil:
			p.level[from] = &node{from, top.parents, to}
		}
	}
	if !selfIssued {
		p.explicit, p.mapping, p.any = max(p.explicit-1, 0), max(p.mapping-1, 0), max(p.any-1, 0)
	}
	limit(&p.explicit, c.RequireExplicitPolicy, c.RequireExplicitPolicyZero)
	limit(&p.mapping, c.InhibitPolicyMapping, c.InhibitPolicyMappingZero)
	limit(&p.any, c.InhibitAnyPolicy, c.InhibitAnyPolicyZero)
	return true
}

// limit lowers a counter to what a certificate says, if it says anything.
func limit(counter *int, says int, zero bool) {
	if says > 0 || zero {
		*counter = min(*counter, says)
	}
}

// finish is section 6.1.5 (a), (b) and (g).
func (p *policies) finish(c *x509.Certificate) bool {
	p.explicit = max(p.explicit-1, 0)
	if c.RequireExplicitPolicyZero {
		p.explicit = 0
	}
	return p.explicit > 0 || p.acceptable()
}

// acceptable says that the user-constrained policy set is not empty: a policy
// that the user named, or any, stands where a branch leaves anyPolicy.
func (p *policies) acceptable() bool {
	if len(p.initial) == 0 || slices.Contains(p.initial, anyPolicy) || p.level[anyPolicy] != nil {
		return len(p.level) > 0
	}
	seen := make(map[*node]bool)
	var open []*node
	for _, n := range p.level {
		open = append(open, n)
	}
	for len(open) > 0 {
		n := open[len(open)-1]
		open = open[:len(open)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		for _, parent := range n.parents {
			if parent.policy != anyPolicy {
				open = append(open, parent)
			} else if slices.Contains(p.initial, n.policy) {
				return true
			}
		}
	}
	return false
}
