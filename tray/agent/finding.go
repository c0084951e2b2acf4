package agent

import (
	"context"
	"strings"

	"countersign/mailer/people"
	"countersign/platform/resolver"
	"countersign/tray/control"
	"countersign/vault/discover"
)

// Find looks for somebody's certificate, because the user asked.
func (s addressBook) Find(ctx context.Context, q control.ContactQuery) (control.Search, error) {
	got, err := s.mailer.Find(ctx, q.Address)
	if err != nil {
		return control.Search{}, words(err)
	}
	return control.Search{
		Contact: contact(got.Contact), Found: got.Found,
		Looked: each(got.Looked, func(l people.Looked) control.Looked {
			return control.Looked{Place: l.Place, Where: l.Where, Says: l.Says, At: l.At,
				Certificates: each(l.Certificates, func(c people.Seen) control.Seen { return control.Seen(c) })}
		}),
	}, nil
}

// published looks where certificates are published, by the rules of the moment.
func (a *Agent) published(ctx context.Context, address string, judge people.Judge) []discover.Finding {
	prefs, policy, err := a.rules(ctx)
	if err != nil {
		return nil // nothing is sent either; the status says so
	}
	dns := a.dns
	if dns == nil || len(policy.DNSServers)+len(policy.DNSAnchors) > 0 {
		dns = &resolver.Resolver{Servers: policy.DNSServers, Validating: policy.DNSValidating, Clock: a.clock}
		for _, text := range policy.DNSAnchors {
			anchor, err := resolver.ParseAnchor(text)
			if err != nil {
				return nil // the policy file was read, so this cannot be
			}
			dns.Anchors = append(dns.Anchors, anchor)
		}
	}
	f := &discover.Finder{Checker: a.checker, DNS: dns, Directories: policy.Directories, Own: strings.Fields(prefs.Directories), Private: prefs.AllowPrivate, Judge: judge}
	return f.Find(ctx, address)
}
