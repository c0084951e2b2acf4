package mailer_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/mailer/cms/ber"
	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/vault"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// enclosing replaces what the signature of a message by oldProgram has around it: no
// certificates, and perhaps lists.
func enclosing(t *testing.T, raw []byte, lists ...[]byte) []byte {
	t.Helper()
	root, err := message.Parse(message.Bytes(raw), message.Limits{})
	if err != nil || len(root.Parts) != 2 {
		t.Fatal(err)
	}
	r, err := root.Parts[1].Open()
	if err != nil {
		t.Fatal(err)
	}
	der, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	fields := func(der []byte) (list [][]byte) {
		for rest := ber.Contents(der); len(rest) > 0; {
			var v asn1.RawValue
			if rest, err = asn1.Unmarshal(rest, &v); err != nil {
				t.Fatal(err)
			}
			list = append(list, v.FullBytes)
		}
		return list
	}
	info := fields(der)
	signed := fields(ber.Contents(info[1]))
	version, digests, content, signers := signed[0], signed[1], signed[2], signed[len(signed)-1]
	all := [][]byte{version, digests, content}
	if len(lists) > 0 {
		all = append(all, ber.Nest(ber.Context+1, lists...))
	}
	der = ber.Nest(ber.Sequence, info[0], ber.Nest(ber.Context, ber.Nest(ber.Sequence, append(all, signers)...)))
	var lines strings.Builder
	for text := base64.StdEncoding.EncodeToString(der); text != ""; {
		n := min(76, len(text))
		lines.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	part := root.Parts[1]
	return bytes.Join([][]byte{raw[:part.Body], []byte(strings.TrimSuffix(lines.String(), "\r\n")), raw[part.End:]}, nil)
}

// remember has somebody know the authority, as from earlier mail.
func remember(t *testing.T, p *person, w *world) {
	t.Helper()
	if err := p.Issuers.Add(t.Context(), w.ca.Issuing); err != nil {
		t.Fatal(err)
	}
}

// TestWithoutCertificate: who encloses none is known by what is in the address book.
func TestWithoutCertificate(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	mallory := w.admit("Mallory", mallorysAddress)
	remember(t, ada, w)
	raw := enclosing(t, w.oldProgram(bea.who, "From: "+beaAddress+"\r\nTo: "+adaAddress+"\r\n", "the words"))
	says := func(what string, raw []byte, signature string, level policy.Level, short, reason string) {
		t.Helper()
		i, err := ada.Inspect(ctx, bytes.NewReader(raw), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if v := i.Verdict; v.Signature != signature || v.Level != level || !strings.Contains(v.Short, short) || !strings.Contains(strings.Join(v.Reasons, " "), reason) {
			t.Errorf("%s: %+v", what, v)
		}
	}
	const known = "checked with the one known here"
	says("a stranger", raw, "invalid", policy.Stop, "not valid", "not enclosed")
	ada.knows(bea)
	says("a candidate", raw, "valid", policy.Care, "not yet confirmed", known)
	ada.verifies(bea)
	says("confirmed", raw, "valid", policy.Care, "Confirmed by telephone", known) // not encrypted
	says("changed", bytes.Replace(raw, []byte("the words"), []byte("the lies!"), 1), "invalid", policy.Stop, "not valid", "not what was signed")
	says("mallory's", enclosing(t, w.oldProgram(mallory, "From: "+beaAddress+"\r\nTo: "+adaAddress+"\r\n", "the words")), "invalid", policy.Stop, "not valid", "not enclosed")
	sealed := append([]byte("From: "+beaAddress+"\r\nTo: "+adaAddress+"\r\n"), w.seals(string(raw), ada)...)
	w.deliver(adaAddress, sealed)
	if m := ada.last(); m.Verdict.Level != policy.Good || m.Verdict.Contact != string(contacts.Verified) || !strings.Contains(m.Text, "the words") {
		t.Errorf("in an envelope: %q %+v", m.Text, m.Verdict)
	}
}

// TestFetchedIssuerEnclosed: a card holds no certificate of its authority. The one that was
// fetched goes along with what it signs, for those who fetch nothing.
func TestFetchedIssuerEnclosed(t *testing.T) {
	w := newWorld(t)
	who := w.admit("Ada", adaAddress)
	ada := w.settle(who, &card{key: who.Key}, func(p *person) error {
		key := vault.TokenCertificate{Ref: cardRef, Certificate: who.Certificate}
		_, err := p.Vault.Use(atCard(w.Context()), vault.TokenKeys{Signing: key, Encryption: key, OnlyCopy: true}, nil)
		return err
	})
	bea := w.join("Bea", beaAddress)
	remember(t, ada, w)
	if _, err := ada.Invite(atCard(t.Context()), beaAddress); err != nil {
		t.Fatal(err)
	}
	w.post()
	list, _, _ := policy.Signatures(w.submitted(bea))
	enclosed := list[0].Enclosed
	if len(enclosed) != 2 || !slices.ContainsFunc(enclosed, w.ca.Issuing.Equal) || !slices.ContainsFunc(enclosed, who.Certificate.Equal) {
		t.Errorf("%d certificates are enclosed", len(enclosed))
	}
}

// TestEnclosedLists: revocation lists that come with a message are evidence.
func TestEnclosedLists(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.knows(bea)
	remember(t, ada, w)
	var lists [][]byte // of the authority, and of the one above
	for _, c := range []*x509.Certificate{bea.who.Certificate, w.ca.Issuing} {
		r, err := http.Get(c.CRLDistributionPoints[0])
		if err != nil {
			t.Fatal(err)
		}
		list, err := io.ReadAll(r.Body)
		if r.Body.Close(); err != nil {
			t.Fatal(err)
		}
		lists = append(lists, list)
	}
	heard := 0
	ada.People.Check = func(_ context.Context, q trust.Question, _ bool) trust.Verdict {
		heard = max(heard, len(q.Evidence.CRLs))
		return trust.Check(q) // and nothing is fetched
	}
	for name, c := range map[string]struct {
		lists [][]byte
		chain trust.Status
		heard int
	}{
		"none":     {nil, trust.Unknown, 0},
		"one":      {lists[:1], trust.Unknown, 1},
		"both":     {lists, trust.Trusted, 2},
		"nonsense": {append([][]byte{{5, 0}}, lists...), trust.Trusted, 2},
	} {
		heard = 0
		raw := enclosing(t, w.oldProgram(bea.who, "From: "+beaAddress+"\r\nTo: "+adaAddress+"\r\n", "the words"), c.lists...)
		i, err := ada.Inspect(ctx, bytes.NewReader(raw), time.Time{})
		if err != nil || i.Verdict.Chain != string(c.chain) || heard != c.heard {
			t.Errorf("%s: %v, %d lists, %+v", name, err, heard, i.Verdict)
		}
	}
}
