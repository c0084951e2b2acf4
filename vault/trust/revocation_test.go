package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"
)

// TestRevocation is one leaf and what lists say of it.
func TestRevocation(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(listed))
	plain := top.issue(template())
	ago := func(days int) time.Time { return today.AddDate(0, 0, -days) }
	idp := func(der string) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte(der)}
	}
	uri := func(u string) string {
		n := "\x86" + string(rune(len(u))) + u
		n = "\xa0" + string(rune(len(n))) + n
		return "\xa0" + string(rune(len(n))) + n
	}
	seq := func(body string) string { return "\x30" + string(rune(len(body))) + body }
	with := func(ext ...pkix.Extension) *CRL {
		return top.listOf(&x509.RevocationList{ExtraExtensions: ext})
	}
	for _, c := range []struct {
		name  string
		cert  *x509.Certificate
		lists []*CRL
		grace time.Duration
		want  Status
	}{
		{"no list at hand", leaf, nil, 0, Unknown},
		{"no list exists", plain, nil, 0, Unknown},
		{"clean", leaf, []*CRL{top.list()}, 0, Trusted},
		{"clean, though no place was named", plain, []*CRL{top.list()}, 0, Trusted},
		{"withdrawn", leaf, []*CRL{top.list(withdrawn(leaf, ago(3), 1))}, 0, Revoked},
		{"withdrawn, though no place was named", plain, []*CRL{top.list(withdrawn(plain, ago(3), 1))}, 0, Revoked},
		{"on hold", leaf, []*CRL{top.list(withdrawn(leaf, ago(3), 6))}, 0, Revoked},
		{"another one withdrawn", leaf, []*CRL{top.list(withdrawn(plain, ago(3), 1))}, 0, Trusted},
		{"stale", leaf, []*CRL{top.listOf(&x509.RevocationList{ThisUpdate: ago(9), NextUpdate: ago(2)})}, 0, Unknown},
		{"stale within the grace", leaf, []*CRL{top.listOf(&x509.RevocationList{ThisUpdate: ago(9), NextUpdate: ago(2)})}, 72 * time.Hour, Trusted},
		{"stale, but it says withdrawn", leaf, []*CRL{top.listOf(&x509.RevocationList{ThisUpdate: ago(9), NextUpdate: ago(2),
			RevokedCertificateEntries: []x509.RevocationListEntry{withdrawn(leaf, ago(10), 0)}})}, 0, Revoked},
		{"from the future", leaf, []*CRL{top.listOf(&x509.RevocationList{ThisUpdate: today.Add(time.Hour)})}, 0, Unknown},
		{"the freshest wins", leaf, []*CRL{top.list(withdrawn(leaf, ago(3), 1)),
			top.listOf(&x509.RevocationList{ThisUpdate: ago(5)})}, 0, Revoked},
		{"the freshest wins in either order", leaf, []*CRL{top.listOf(&x509.RevocationList{ThisUpdate: ago(5)}),
			top.list(withdrawn(leaf, ago(3), 1))}, 0, Revoked},
		{"taken off the hold since", leaf, []*CRL{top.listOf(&x509.RevocationList{ThisUpdate: ago(5),
			RevokedCertificateEntries: []x509.RevocationListEntry{withdrawn(leaf, ago(6), 6)}}), top.list()}, 0, Trusted},
		{"a freshest that is forged does not", leaf, []*CRL{top.listOf(&x509.RevocationList{ThisUpdate: ago(5),
			RevokedCertificateEntries: []x509.RevocationListEntry{withdrawn(leaf, ago(6), 1)}}), root(t, "Root").list()}, 0, Revoked},
		{"signed by a namesake", leaf, []*CRL{root(t, "Root").list()}, 0, Unknown},
		{"of another authority", leaf, []*CRL{root(t, "Elsewhere").list()}, 0, Unknown},
		{"for users", leaf, []*CRL{with(idp(seq("\x81\x01\xff")))}, 0, Trusted},
		{"for authorities", leaf, []*CRL{with(idp(seq("\x82\x01\xff")))}, 0, Unknown},
		{"for attributes", leaf, []*CRL{with(idp(seq("\x85\x01\xff")))}, 0, Unknown},
		{"indirect, of its own issuer", leaf, []*CRL{with(idp(seq("\x84\x01\xff")))}, 0, Trusted},
		{"for some reasons", leaf, []*CRL{with(idp(seq("\x83\x02\x06\x40")))}, 0, Unknown},
		{"for this place", leaf, []*CRL{with(idp(seq(uri(listURL))))}, 0, Trusted},
		{"for another place", leaf, []*CRL{with(idp(seq(uri("http://b.example/b.crl"))))}, 0, Unknown},
		{"a delta", leaf, []*CRL{with(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}})}, 0, Unknown},
		{"with an extension of no consequence", leaf, []*CRL{with(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}})}, 0, Trusted},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Check(Question{Certificate: c.cert, Address: "ada@harbour.example", Usage: Encrypt, Anchors: anchors(top.cert),
				Evidence: Evidence{CRLs: c.lists}, At: today, Grace: c.grace})
			if v.Status != c.want {
				t.Fatalf("%s, want %s (%s)", v.Status, c.want, v.Reason)
			}
			if v.Status == Revoked && (v.RevokedAt.IsZero() || !strings.Contains(v.Reason, "withdrawn")) {
				t.Fatalf("revoked without a date or words: %+v", v)
			}
		})
	}
}

// TestReceivedBefore is rule I2: what a later withdrawal does to a signature
// received before it, by our own clock.
func TestReceivedBefore(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(listed))
	gone := today.AddDate(0, 0, -10)
	leaked := today.AddDate(0, 0, -30)
	for _, c := range []struct {
		name     string
		entry    x509.RevocationListEntry
		received time.Time
		usage    Usage
		want     Status
	}{
		{"now, key in other hands", withdrawn(leaf, gone, 1), today, Sign, Revoked},
		{"before, key in other hands", withdrawn(leaf, gone, 1), gone.Add(-time.Hour), Sign, Trusted},
		{"before, but not before the leak", withdrawn(leaf, gone, 1, invalidSince(leaked)), gone.Add(-time.Hour), Sign, Revoked},
		{"before the leak", withdrawn(leaf, gone, 1, invalidSince(leaked)), leaked.Add(-time.Hour), Sign, Trusted},
		{"no reason given, after invalidityDate", withdrawn(leaf, gone, 0, invalidSince(leaked)), gone.Add(-time.Hour), Sign, Revoked},
		{"no reason given, before", withdrawn(leaf, gone, 0), gone.Add(-time.Hour), Sign, Trusted},
		{"replaced, before", withdrawn(leaf, gone, 4, invalidSince(leaked)), gone.Add(-time.Hour), Sign, Trusted},
		{"replaced, after", withdrawn(leaf, gone, 4), gone.Add(time.Hour), Sign, Revoked},
		{"at that very moment", withdrawn(leaf, gone, 4), gone, Sign, Revoked},
		{"nobody encrypts to it, whenever", withdrawn(leaf, gone, 4), gone.Add(-time.Hour), Encrypt, Revoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Check(Question{Certificate: leaf, Usage: c.usage, Anchors: anchors(top.cert), At: c.received, Now: today,
				Evidence: Evidence{CRLs: []*CRL{top.list(c.entry)}}})
			if v.Status != c.want {
				t.Fatalf("%s, want %s", v.Status, c.want)
			}
			if v.Status == Trusted && (len(v.Notes) == 0 || v.RevokedAt.IsZero()) {
				t.Fatal("the later withdrawal is not told")
			}
		})
	}
}

// TestOldMail: a message received while its certificate was good stays good when
// that runs out; one received later never was.
func TestOldMail(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -10) }))
	q := Question{Silent: true, Certificate: leaf, Usage: Sign, Anchors: anchors(top.cert), Now: today}
	q.At = today.AddDate(0, 0, -11)
	if v := Check(q); v.Status != Trusted {
		t.Errorf("received in time: %s", v.Status)
	}
	q.At = today.AddDate(0, 0, -9)
	if v := Check(q); v.Status != Expired {
		t.Errorf("received too late: %s", v.Status)
	}
}

// TestAuthorityWithdrawn: an authority's list is its own issuer's.
func TestAuthorityWithdrawn(t *testing.T) {
	top := root(t, "Root")
	mid := top.below(authority("Issuing", listed))
	leaf := mid.issue(template(listed))
	q := Question{Certificate: leaf, Usage: Encrypt, Anchors: anchors(top.cert), At: today, Enclosed: []*x509.Certificate{mid.cert}}
	for _, c := range []struct {
		name  string
		lists []*CRL
		want  Status
	}{
		{"both clean", []*CRL{top.list(), mid.list()}, Trusted},
		{"the authority's unknown", []*CRL{mid.list()}, Unknown},
		{"the leaf's unknown", []*CRL{top.list()}, Unknown},
		{"the authority withdrawn", []*CRL{top.list(withdrawn(mid.cert, today.AddDate(0, 0, -1), 2)), mid.list()}, Revoked},
	} {
		q.Evidence.CRLs = c.lists
		if v := Check(q); v.Status != c.want {
			t.Errorf("%s: %s, want %s", c.name, v.Status, c.want)
		}
	}
}

// TestKeyRollover: an authority that changed its key signs the list for what the
// old key issued with the new one (RFC 5280, section 6.3.3 (f)).
func TestKeyRollover(t *testing.T) {
	top := root(t, "Root")
	old := top.below(authority("Issuing"))
	fresh := top.below(authority("Issuing"))
	stranger := root(t, "Elsewhere").below(authority("Issuing"))
	leaf := old.issue(template(listed))
	q := Question{Silent: true, Certificate: leaf, Usage: Encrypt, Anchors: anchors(top.cert), At: today,
		Enclosed: []*x509.Certificate{old.cert, fresh.cert, stranger.cert}}
	q.Evidence.CRLs = []*CRL{fresh.list()}
	if v := Check(q); v.Status != Trusted {
		t.Errorf("signed with the new key: %s, %s", v.Status, v.Reason)
	}
	q.Evidence.CRLs = []*CRL{stranger.list()}
	if v := Check(q); v.Status != Unknown {
		t.Errorf("signed by a namesake under no anchor: %s", v.Status)
	}
}

// Nobody can tell whether a certificate that names no place to ask was withdrawn. It does
// where it was confirmed by telephone, where the caller says so, and where its authority
// never withdraws such.
func TestSilentAuthority(t *testing.T) {
	top := root(t, "Root")
	mid := top.below(authority("Issuing"))
	never := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 56}, Value: []byte{5, 0}}}
	}
	below := top.below(authority("Never Issuing", never))
	wrong := root(t, "Other").list()
	for _, c := range []struct {
		name   string
		leaf   *x509.Certificate
		q      Question
		want   Status
		reason string
	}{
		{"no place", top.issue(template()), Question{}, Unknown, "its authority names no place to ask"},
		{"no place, and a list of somebody else", top.issue(template()), Question{Evidence: Evidence{CRLs: []*CRL{wrong}}}, Unknown, "names no place to ask"},
		{"no place, accepted", top.issue(template()), Question{Silent: true}, Trusted, ""},
		{"no place, confirmed", top.issue(template()), Question{Confirmed: true}, Trusted, ""},
		{"never withdrawn", top.issue(template(never)), Question{}, Trusted, ""},
		{"an authority above without a place", mid.issue(template(listed)), Question{Enclosed: []*x509.Certificate{mid.cert}, Evidence: Evidence{CRLs: []*CRL{mid.list()}}},
			Unknown, "Whether Issuing, an authority above"},
		{"an authority that is never withdrawn", below.issue(template(never)), Question{Enclosed: []*x509.Certificate{below.cert}}, Unknown, "Never Issuing"},
		{"a place that says nothing, accepted", top.issue(template(listed)), Question{Silent: true}, Unknown, "no list that speaks for it"},
	} {
		c.q.Certificate, c.q.Usage, c.q.At, c.q.Anchors, c.q.Address = c.leaf, Encrypt, today, anchors(top.cert), "ada@harbour.example"
		v := Check(c.q)
		if v.Status != c.want || !strings.Contains(v.Reason, c.reason) || v.Status == Trusted && len(v.Notes) != 1 {
			t.Errorf("%s: %s, %q, %q", c.name, v.Status, v.Reason, v.Notes)
		}
	}
}
