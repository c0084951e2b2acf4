package policy

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// sealed is the shape of a message: its layers from the outside in, as letters.
// S and E are sound, s is a signature that does not fit, e an envelope not opened, c
// what is only called one.
func shape(layers string, signers ...*x509.Certificate) *smime.Opened {
	o := &smime.Opened{
		Payload:   &message.Part{},
		Protected: []string{"From", "To", "Subject", "Date"},
	}
	o.Header.Add("From", "Bea <"+bea+">")
	o.Header.Add("To", ada)
	o.Header.Add("Subject", "Mrs K")
	for _, l := range layers {
		switch l {
		case 'S', 's':
			signed := &cms.Signed{}
			for _, c := range signers {
				info := cms.SignerInfo{Certificate: c}
				if l == 's' {
					info.Err = cms.ErrDigest
				}
				signed.Signers = append(signed.Signers, info)
			}
			o.Layers = append(o.Layers, smime.Layer{Kind: smime.Signed, Signed: signed})
		case 'E':
			o.Layers = append(o.Layers, smime.Layer{Kind: smime.Encrypted, Enveloped: &cms.Enveloped{}})
		case 'e':
			o.Layers = append(o.Layers, smime.Layer{Kind: smime.Encrypted, Enveloped: &cms.Enveloped{}, Err: cms.ErrNoKey})
			o.Payload, o.Problem = nil, smime.ErrNoKey
		case 'c':
			o.Layers = append(o.Layers, smime.Layer{Kind: smime.Encrypted, Err: smime.ErrDamaged})
			o.Payload, o.Problem = nil, smime.ErrDamaged
		}
	}
	if layers == "" {
		o.Protected = nil
	}
	return o
}

func status(s trust.Status) []trust.Verdict {
	return []trust.Verdict{{Status: s, Bound: trust.BoundAddress}}
}

func TestJudge(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	key := pinned.Pin.Keys.Sign
	impostor := certificate(t, "Dr Bea Brandt", []string{bea}, nil)
	mallory := certificate(t, "Mallory", []string{"mallory@evil.example"}, nil)
	own := certificate(t, "Ada Osei", []string{ada}, nil)
	house := certificate(t, "North Clinic", nil, []string{"northclinic.example"})
	stranger := contacts.Contact{Address: bea, State: contacts.HasCertificate}
	with := func(change func(*contacts.Contact)) contacts.Contact {
		c := pinned
		c.Pin = ptr(*pinned.Pin)
		change(&c)
		return c
	}
	suspended := with(func(c *contacts.Contact) {
		c.State, c.Suspension = contacts.Suspended, &contacts.Suspension{At: now, Reason: contacts.ByUser}
	})
	doubted := with(func(c *contacts.Contact) { c.State = contacts.Mismatch })
	team := with(func(c *contacts.Contact) { c.Team = true })
	byHouse := with(func(c *contacts.Contact) { c.Pin.Keys = contacts.KeySet{Sign: house, Encrypt: house} })
	elsewhere := shape("ES", key)
	elsewhere.Header.Set("To", "carl@northclinic.example")
	unlisted := shape("ES", key)
	unlisted.Protected = []string{"From", "Subject"}
	twoFrom := shape("ES", key)
	twoFrom.Header.Add("From", "carl@northclinic.example")
	listFrom := shape("ES", key)
	listFrom.Header.Set("From", bea+", carl@northclinic.example")
	noSigners := shape("ES")
	web := *key
	web.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	tls := &web
	certs := shape("S")
	certs.Layers[0].Form, certs.Layers[0].Signed.Detached, certs.Layers[0].Err = "certs-only", true, smime.ErrNoContent
	certs.Payload, certs.Problem = nil, smime.ErrNoContent
	pgp := shape("")
	pgp.Root, pgp.Errant = &message.Part{Type: "multipart/encrypted"}, []smime.Kind{smime.OpenPGP}
	broken := shape("ES", key)
	broken.Layers[1].Signed, broken.Layers[1].Err = nil, smime.ErrDamaged
	mine := shape("ES", own)
	mine.Header.Set("From", ada)
	mine.Header.Set("To", bea)
	withdrawn := func(reason int) []trust.Verdict {
		return []trust.Verdict{{Status: trust.Revoked, Bound: trust.BoundAddress, RevokedAt: now.AddDate(0, 0, -2), RevocationReason: reason}}
	}
	for name, c := range map[string]struct {
		o     *smime.Opened
		f     Facts
		level Level
		label string // a part of it
		short string
		quote bool
	}{
		"nothing":                     {shape(""), Facts{}, Stop, "Not secured. Anyone on the way could read or change this.", "Not secured", false},
		"nothing, from a verified":    {shape(""), Facts{Contact: pinned}, Stop, "Not secured. Anyone on the way", "Not secured", false},
		"encrypted only":              {shape("E"), Facts{Contact: pinned}, Stop, "Encrypted, but not signed.", "Encrypted, not signed", false},
		"cannot be opened":            {shape("e"), Facts{Contact: pinned}, Care, "cannot be opened here", "Cannot be opened", false},
		"called encrypted":            {shape("c"), Facts{Contact: pinned}, Stop, "It says that it is encrypted", "Cannot be read", false},
		"called encrypted, signed":    {shape("Sc", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Stop, "It says that it is encrypted", "Signed on the outside only", false},
		"called encrypted, inside":    {shape("Ec", key), Facts{Contact: pinned}, Care, "cannot be opened here", "Cannot be opened", false},
		"confirmed":                   {shape("ES", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Good, "From Dr Bea Brandt <" + bea + ">. Confirmed by telephone on 3 March 2026.", "Confirmed by telephone", true},
		"triple wrapped":              {shape("SES", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Good, "Confirmed by telephone", "Confirmed by telephone", true},
		"confirmed, signed only":      {shape("S", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Care, "Not encrypted: others could have read it.", "Confirmed by telephone, not encrypted", true},
		"signed outside":              {shape("SE", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Care, "The signature is on the outside", "Signed on the outside only", false},
		"signed outside, closed":      {shape("Se", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Care, "cannot be opened here", "Signed on the outside only", false},
		"opaque inside twice":         {shape("ESE", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Care, "The signature is on the outside", "Signed on the outside only", false},
		"signature does not fit":      {shape("s", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Stop, "Not secured. The signature does not count", "Signature not valid", false},
		"inner does not fit":          {shape("Es", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Stop, "Encrypted, but the signature does not count", "Signature not valid", false},
		"outer fits, inner does not":  {shape("SEs", key), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Stop, "the signature does not count", "Signature not valid", false},
		"no signer":                   {noSigners, Facts{Contact: pinned}, Stop, "the signature does not count", "Signature not valid", false},
		"unreadable signature":        {broken, Facts{Contact: pinned}, Stop, "the signature does not count", "Signature not valid", false},
		"impostor":                    {shape("ES", impostor), Facts{Contact: pinned, Signers: status(trust.Trusted)}, Stop, "NOT the key you verified for Dr Bea Brandt <" + bea + ">", "NOT the key you verified", false},
		"impostor, untrusted":         {shape("ES", impostor), Facts{Contact: pinned, Signers: status(trust.Untrusted)}, Stop, "NOT the key you verified", "NOT the key you verified", false},
		"impostor of a suspended":     {shape("ES", impostor), Facts{Contact: suspended, Signers: status(trust.Trusted)}, Stop, "NOT the key you verified", "NOT the key you verified", false},
		"both sign":                   {shape("ES", impostor, key), Facts{Contact: pinned, Signers: append(status(trust.Trusted), status(trust.Trusted)...)}, Good, "Confirmed by telephone", "Confirmed by telephone", true},
		"somebody else signs":         {shape("ES", mallory), Facts{Contact: pinned, Signers: []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundNone}}}, Stop, "Signed by Mallory", "Signed by somebody else", false},
		"a stranger, trusted":         {shape("ES", key), Facts{Contact: stranger, Signers: status(trust.Trusted)}, Care, "Certificate valid, person not verified.", "Signed, not yet confirmed by you", true},
		"a stranger, signed only":     {shape("S", key), Facts{Contact: stranger, Signers: status(trust.Trusted)}, Care, "Certificate valid, person not verified. Not encrypted", "Signed, not yet confirmed by you, not encrypted", true},
		"a stranger, not checked":     {shape("ES", key), Facts{Contact: stranger, Signers: status(trust.Unknown)}, Care, "not checked, and the person is not verified", "Signed, not yet confirmed by you", true},
		"a stranger, untrusted":       {shape("ES", key), Facts{Contact: stranger, Signers: status(trust.Untrusted)}, Stop, "no authority that you trust says so", "Signed, authority not trusted", false},
		"a stranger, expired":         {shape("ES", key), Facts{Contact: stranger, Signers: status(trust.Expired)}, Stop, "has run out or is not valid yet", "Certificate out of date", false},
		"a stranger, revoked":         {shape("ES", key), Facts{Contact: stranger, Signers: status(trust.Revoked)}, Stop, "was withdrawn", "Certificate withdrawn", false},
		"an organisation, no contact": {shape("ES", house), Facts{Contact: stranger, Signers: []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundDomain}}}, Care, "Signed by an organisation for", "Signed, not yet confirmed by you", true},
		"not made for mail":           {shape("ES", tls), Facts{Contact: stranger, Signers: status(trust.Untrusted)}, Stop, "not made for this", "Signed, wrong certificate", false},
		"certificates only":           {certs, Facts{Contact: stranger}, Stop, "only certificates", "Certificates only", false},
		"OpenPGP":                     {pgp, Facts{Contact: pinned}, Stop, "OpenPGP, which this program cannot check", "OpenPGP, not checked", false},
		"no evidence":                 {shape("ES", key), Facts{Contact: stranger}, Stop, "it says it is from", "Signed by somebody else", false},
		"confirmed, expired":          {shape("ES", key), Facts{Contact: pinned, Signers: status(trust.Expired)}, Care, "The certificate has run out since.", "Confirmed, certificate run out", true},
		"confirmed, not checked":      {shape("ES", key), Facts{Contact: pinned, Signers: status(trust.Unknown)}, Care, "could not be found out", "Confirmed, not checked", true},
		"confirmed, untrusted":        {shape("ES", key), Facts{Contact: pinned, Signers: status(trust.Untrusted)}, Care, "not one that you trust", "Confirmed, authority not trusted", true},
		"confirmed, withdrawn":        {shape("ES", key), Facts{Contact: pinned, Signers: withdrawn(1)}, Stop, "was withdrawn", "Certificate withdrawn", false},
		"withdrawn, came after":       {shape("ES", key), Facts{Contact: pinned, Signers: withdrawn(1), Received: now}, Stop, "was withdrawn", "Certificate withdrawn", false},
		// Asked for the time of receipt, trust calls revoked only what came after the
		// earlier of invalidityDate and revocationDate: the date is not weighed again.
		"withdrawn, between dates":  {shape("ES", key), Facts{Contact: pinned, Signers: withdrawn(0), Received: now.AddDate(0, 0, -3)}, Stop, "was withdrawn", "Certificate withdrawn", false},
		"superseded":                {shape("ES", key), Facts{Contact: pinned, Signers: withdrawn(4)}, Care, "was withdrawn on 18 November 2026", "Confirmed, certificate withdrawn", true},
		"suspended":                 {shape("ES", key), Facts{Contact: suspended, Signers: status(trust.Trusted)}, Care, "who is suspended: you stopped it.", "Suspended", true},
		"mismatch, pinned":          {shape("ES", key), Facts{Contact: doubted, Signers: status(trust.Trusted)}, Stop, "someone may be between you", "Words did not match", false},
		"mismatch, stranger":        {shape("ES", key), Facts{Contact: contacts.Contact{Address: bea, State: contacts.Mismatch}, Signers: status(trust.Trusted)}, Stop, "someone may be between you", "Words did not match", false},
		"a team":                    {shape("ES", key), Facts{Contact: team, Signers: status(trust.Trusted)}, Good, "several people read this mailbox", "Confirmed by telephone", true},
		"an organisation":           {shape("ES", house), Facts{Contact: byHouse, Signers: []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundDomain}}}, Good, "Organisation verified: northclinic.example", "Organisation verified", true},
		"not addressed to me":       {elsewhere, Facts{Contact: pinned, Signers: status(trust.Trusted)}, Care, "Not addressed to you.", "Confirmed by telephone, not addressed to you", true},
		"address lines not covered": {unlisted, Facts{Contact: pinned, Signers: status(trust.Trusted)}, Good, "Confirmed by telephone", "Confirmed by telephone", true},
		"two From lines":            {twoFrom, Facts{Contact: pinned, Signers: status(trust.Trusted)}, Stop, "several people, or nobody", "Signed by somebody else", false},
		"From names two":            {listFrom, Facts{Contact: pinned, Signers: status(trust.Trusted)}, Stop, "several people, or nobody", "Signed by somebody else", false},
		"wrong contact given":       {shape("ES", key), Facts{Contact: verified(t, "x@y.example", ""), Signers: status(trust.Trusted)}, Stop, "it says it is from", "Signed by somebody else", false},
		"my own":                    {mine, Facts{Contact: contacts.Contact{Address: ada}, Signers: status(trust.Trusted), OwnKeys: []contacts.Hash{keyset.SPKI(own)}}, Good, "You wrote this", "Written by you", true},
		"in my name":                {mine, Facts{Contact: contacts.Contact{Address: ada}, Signers: status(trust.Trusted)}, Care, "person not verified", "Signed, not yet confirmed by you, not addressed to you", true},
		"the earlier key":           {shape("ES", impostor), Facts{Contact: pinned, Signers: status(trust.Trusted), Then: keyset.SPKI(impostor)}, Care, "a key that you had confirmed when this came", "Confirmed, earlier key", true},
	} {
		c.f.Mine = []string{ada}
		v := Judge(c.o, c.f)
		if v.Level != c.level || !strings.Contains(v.Label, c.label) || v.Short != c.short || (v.Denied == "") != c.quote {
			t.Errorf("%s: %s %q (%s), quoting denied: %q", name, v.Level, v.Label, v.Short, v.Denied)
		}
	}
}

func TestJudgeFields(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	key := pinned.Pin.Keys.Sign
	v := Judge(shape("ES", key), Facts{Contact: pinned, Signers: status(trust.Trusted), Mine: []string{ada}})
	if v.Protection != "encrypted-and-signed" || v.Signature != "valid" || v.Chain != "trusted" || v.From != "match" || v.Contact != "verified" || v.Signer != "Dr Bea Brandt <"+bea+">" {
		t.Errorf("%+v", v)
	}
	v = Judge(shape(""), Facts{})
	if v.Protection != "none" || v.Signature != "none" || v.Chain != "untrusted" || v.From != "mismatch" || v.Contact != "unknown" || v.Signer != "" {
		t.Errorf("%+v", v)
	}
	other := *key
	other.Subject.CommonName, other.EmailAddresses = "Mallory", []string{"mallory@evil.example"}
	v = Judge(shape("ES", &other), Facts{Contact: pinned, Signers: []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundNone}}, Mine: []string{ada}})
	if v.Level != Good || v.Signer != "Dr Bea Brandt <"+bea+">" || !strings.Contains(strings.Join(v.Reasons, " "), "names somebody else: Mallory <") {
		t.Errorf("her key in a certificate of another name: %+v", v)
	}
	if v := Judge(shape("c"), Facts{}); v.Protection != "none" {
		t.Errorf("what is called encrypted is %s", v.Protection)
	}
	v = Judge(shape("s", key), Facts{})
	if v.Protection != "signed" || v.Signature != "invalid" || v.Signer != "" {
		t.Errorf("%+v", v)
	}
	uncovered := shape("S", key)
	uncovered.Protected = nil
	v = Judge(uncovered, Facts{Contact: pinned, Signers: status(trust.Trusted), Mine: []string{ada}})
	if !slices.Equal(v.Uncovered, []string{"To", "Subject"}) || !slices.ContainsFunc(v.Reasons, func(s string) bool { return strings.HasPrefix(s, "The subject is not covered") }) {
		t.Errorf("%q %q", v.Uncovered, v.Reasons)
	}
	noted := []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundAddress, Notes: []string{"Newer word is overdue."}}}
	if v := Judge(shape("ES", key), Facts{Contact: pinned, Signers: noted, Mine: []string{ada}}); v.Level != Good || !slices.Contains(v.Reasons, "Newer word is overdue.") {
		t.Errorf("what else is known of the certificate: %q", v.Reasons)
	}
	zone := time.FixedZone("", -10*3600)
	if v := Judge(shape("ES", key), Facts{Contact: pinned, Signers: status(trust.Trusted), Mine: []string{ada}, Zone: zone}); !strings.Contains(v.Label, "2 March 2026") {
		t.Errorf("%q", v.Label)
	}
}

// Whatever comes together, a verdict is never better than its weakest part, and it
// always says something.
func TestJudgeAllCombinations(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	key, other := pinned.Pin.Keys.Sign, certificate(t, "Bea", []string{bea}, nil)
	people := map[string]contacts.Contact{
		"nobody": {}, "stranger": {Address: bea}, "elsewhere": {Address: "x@y.example", State: contacts.Verified, Pin: pinned.Pin}, "verified": pinned,
	}
	for _, s := range []contacts.State{contacts.HasCertificate, contacts.TestSent, contacts.Answered, contacts.Mismatch} {
		people[string(s)] = contacts.Contact{Address: bea, State: s}
	}
	for _, s := range []contacts.State{contacts.Mismatch, contacts.Suspended} {
		c := pinned
		c.State, c.Suspension = s, &contacts.Suspension{Reason: contacts.ByRecords}
		people["pinned "+string(s)] = c
	}
	n := 0
	for _, layers := range []string{"", "S", "s", "E", "e", "ES", "Es", "SE", "sE", "Se", "se", "SES", "SEs", "sES", "EE", "ESE", "EEs", "SS", "Ss"} {
		for signer, cert := range map[string]*x509.Certificate{"pinned": key, "other": other, "none": nil} {
			for who, c := range people {
				for _, st := range []trust.Status{"", trust.Trusted, trust.Untrusted, trust.Expired, trust.Revoked, trust.Unknown} {
					for _, bound := range []trust.Bound{"", trust.BoundNone, trust.BoundAddress, trust.BoundDomain, trust.BoundLegacy} {
						for _, to := range []string{ada, "carl@x.example"} {
							o := shape(layers, cert)
							o.Header.Set("To", to)
							v := Judge(o, Facts{Contact: c, Signers: []trust.Verdict{{Status: st, Bound: bound}}, Mine: []string{ada}})
							name := fmt.Sprintf("%q %s %s %s %s %s", layers, signer, who, st, bound, to)
							n++
							sound := signer == "pinned" && who == "verified" && st == trust.Trusted && to == ada && (layers == "ES" || layers == "SES" || layers == "sES")
							if (v.Level == Good) != sound {
								t.Fatalf("%s: level %s: %s", name, v.Level, v.Label)
							}
							if strings.HasPrefix(v.Label, "From ") && (signer != "pinned" || c.Pin == nil || v.Signature != "valid" || c.Address != bea) {
								t.Fatalf("%s: speaks as if confirmed: %s", name, v.Label)
							}
							if v.Denied == "" && (v.Signature != "valid" || v.From != "match" || v.Level == Stop || strings.ContainsAny(layers[strings.LastIndexAny(layers, "Ss"):], "Ee")) {
								t.Fatalf("%s: may be quoted: %s", name, v.Label)
							}
							if layers == "" && v.Label != unsecured {
								t.Fatalf("%s: %s", name, v.Label)
							}
							if v.Label == "" || v.Short == "" || v.Level == "" || len(v.Reasons) == 0 || slices.Contains(v.Reasons, "") || strings.Contains(v.Label, "..") {
								t.Fatalf("%s: says too little: %+v", name, v)
							}
						}
					}
				}
			}
		}
	}
	if n < 10000 {
		t.Errorf("only %d combinations", n)
	}
}

func TestSignatures(t *testing.T) {
	c := certificate(t, "Bea", []string{bea}, nil)
	for layers, want := range map[string]struct {
		n               int
		signed, outside bool
	}{
		"": {0, false, false}, "E": {0, false, false}, "S": {1, true, false}, "ES": {1, true, false}, "SE": {1, true, true},
		"SES": {1, true, false}, "SSE": {2, true, true}, "SS": {2, true, false}, "SESS": {2, true, false}, "SEE": {1, true, true},
	} {
		if list, signed, outside := Signatures(shape(layers, c)); len(list) != want.n || signed != want.signed || outside != want.outside {
			t.Errorf("%q: %d %v %v", layers, len(list), signed, outside)
		}
	}
}

// A signed message that somebody else signed again and sent on speaks for the one
// whom From names.
func TestJudgeSignedTwice(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	other := certificate(t, "Dave", []string{"dave@x.example"}, nil)
	o := shape("SS", pinned.Pin.Keys.Sign)
	o.Layers[1].Signed = &cms.Signed{Signers: []cms.SignerInfo{{Certificate: other}}}
	evidence := []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundAddress}, {Status: trust.Trusted, Bound: trust.BoundNone}}
	if v := Judge(o, Facts{Contact: pinned, Signers: evidence, Mine: []string{ada}}); v.From != "match" || v.Level != Care {
		t.Errorf("%+v", v)
	}
	o.Layers[0].Signed.Signers[0].Err = cms.ErrDigest
	if v := Judge(o, Facts{Contact: pinned, Signers: evidence, Mine: []string{ada}}); v.From != "mismatch" || v.Level != Stop {
		t.Errorf("%+v", v)
	}
}

// What waits for the user's card says so, and nothing about its writer.
func TestJudgeLocked(t *testing.T) {
	o := shape("e")
	o.Layers[0].Err, o.Problem, o.Payload = smime.ErrKey, smime.ErrKey, nil
	pinned := verified(t, bea, "Dr Bea Brandt")
	v := Judge(o, Facts{Contact: pinned, Mine: []string{ada}, Locked: true})
	if v.Level != Care || v.Label != lockedLabel || v.Short != "Locked: needs your card" || v.Denied == "" || strings.Contains(strings.Join(v.Reasons, " "), "Brandt") {
		t.Errorf("%+v", v)
	}
	if v := Judge(o, Facts{Contact: pinned, Mine: []string{ada}}); v.Label != closedLabel {
		t.Errorf("%+v", v)
	}
}

func TestProblem(t *testing.T) {
	for _, err := range []error{cms.ErrNoKey, cms.ErrWeak, cms.ErrNoCertificate, cms.ErrDigest, cms.ErrSignature, cms.ErrIntegrity, cms.ErrUnsupported, cms.ErrLimit,
		smime.ErrNoKey, smime.ErrKey, smime.ErrDamaged, smime.ErrLimit, smime.ErrUnsupported, smime.ErrNoContent, smime.ErrForm} {
		if s := Problem(fmt.Errorf("reading: %w", err)); !strings.HasSuffix(s, ".") {
			t.Errorf("%v: %q", err, s)
		}
	}
	if Problem(nil) != "" {
		t.Error("no error has words")
	}
	for err, want := range map[error]string{cms.ErrAttributes: "contradicts itself", cms.ErrSignature: "not made with the key", cms.ErrDigest: "not what was signed", cms.ErrObsolete: "does not read"} {
		if s := Problem(err); !strings.Contains(s, want) {
			t.Errorf("%v: %q", err, s)
		}
	}
}

// A certificate of an organisation is not said to be one of a person's address,
// whether its withdrawal could be looked up or not.
func TestOrganisationIsNoPerson(t *testing.T) {
	house := certificate(t, "North Clinic", nil, []string{"northclinic.example"})
	for _, s := range []trust.Status{trust.Trusted, trust.Unknown} {
		v := Judge(shape("ES", house), Facts{Contact: contacts.Contact{Address: bea}, Signers: []trust.Verdict{{Status: s, Bound: trust.BoundDomain}}, Mine: []string{ada}})
		if !strings.HasPrefix(v.Label, "Signed by an organisation for ") || !strings.Contains(v.Reasons[0], "names no person") || strings.Contains(v.Reasons[0], "this address") {
			t.Errorf("%s: %q, %q", s, v.Label, v.Reasons)
		}
	}
}

// What was signed to travel open does not become a secret by being encrypted later,
// by anybody.
func TestEncryptedLater(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	o := shape("ES", pinned.Pin.Keys.Sign)
	facts := Facts{Contact: pinned, Signers: []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundAddress}}, Mine: []string{ada}}
	if v := Judge(o, facts); v.Level != Good {
		t.Fatalf("before: %s %q", v.Level, v.Label)
	}
	o.Payload.Params = map[string]string{"hp": "clear"}
	if v := Judge(o, facts); v.Level != Care || !strings.Contains(v.Label, "signed for all to read") {
		t.Errorf("%s %q", v.Level, v.Label)
	}
}
