package policy

import (
	"crypto/x509"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// reading is a verified recipient with an RSA key, or else an EC key, who was heard to read so much.
func reading(t *testing.T, rsa bool, heard contacts.Reads, p contacts.Profile) Recipient {
	t.Helper()
	r := recipient(t, bea, "Bea")
	if rsa {
		c := *r.Contact.Pin.Keys.Encrypt
		c.PublicKeyAlgorithm = x509.RSA
		r.Contact.Pin.Keys.Encrypt = &c
	}
	r.Contact.Profile = p
	r.Contact.Candidates = []contacts.Candidate{{ID: "c1", Keys: r.Contact.Pin.Keys, Reads: heard}}
	return r
}

// TestChoose: what one of them does not read is not written for any.
func TestChoose(t *testing.T) {
	all := contacts.Reads{Said: now, GCM: true, OAEP: true, Derive: true}
	gcm := contacts.Reads{Said: now, GCM: true}
	nothing := contacts.Reads{}
	r := func(rsa bool, heard contacts.Reads) Recipient { return reading(t, rsa, heard, "") }
	for name, c := range map[string]struct {
		people []Recipient
		want   Choice
	}{
		"nobody":                    {nil, Choice{}},
		"one of whom nothing":       {[]Recipient{r(true, nothing)}, Choice{}},
		"one who reads it all":      {[]Recipient{r(true, all)}, Choice{GCM: true, OAEP: true, Derive: true}},
		"the same, by curve":        {[]Recipient{r(false, all)}, Choice{GCM: true, Derive: true}},
		"only the cipher":           {[]Recipient{r(true, gcm)}, Choice{GCM: true}},
		"two who read it all":       {[]Recipient{r(true, all), r(true, all)}, Choice{GCM: true, OAEP: true, Derive: true}},
		"one of two":                {[]Recipient{r(true, all), r(true, nothing)}, Choice{}},
		"one of two, some":          {[]Recipient{r(true, all), r(true, gcm)}, Choice{GCM: true}},
		"a curve needs no OAEP":     {[]Recipient{r(true, all), r(false, gcm)}, Choice{GCM: true, OAEP: true}},
		"Direct":                    {[]Recipient{reading(t, true, nothing, contacts.Direct)}, Choice{OAEP: true, Direct: true}},
		"Direct and another":        {[]Recipient{reading(t, true, all, contacts.Direct), r(true, nothing)}, Choice{}},
		"set to S/MIME by the user": {[]Recipient{reading(t, true, all, contacts.SMIME)}, Choice{GCM: true, OAEP: true, Derive: true}},
	} {
		if got := choose(c.people); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if (Choice{}).Cipher() != cms.AES256CBC || (Choice{GCM: true}).Cipher() != cms.AES256GCM {
		t.Error("another cipher")
	}
}

// TestPlanChooses: each envelope is made for its own recipients, and the sender's copy
// is like the first.
func TestPlanChooses(t *testing.T) {
	all := contacts.Reads{Said: now, GCM: true, OAEP: true, Derive: true}
	old, able := recipient(t, bea, "Bea"), reading(t, true, all, contacts.Direct)
	able.Contact.Address = "carl@northclinic.example"
	s := sender(t)
	plan, refusals := PlanLetter(Letter{To: []string{bea}, Bcc: []string{able.Contact.Address}}, []Recipient{old, able}, s)
	if len(refusals) > 0 || len(plan.Envelopes) != 2 {
		t.Fatal(refusals)
	}
	if got := plan.Envelopes[0].Choice; got != (Choice{}) {
		t.Errorf("%+v", got)
	}
	if got := plan.Envelopes[1].Choice; got != (Choice{GCM: true, OAEP: true, Derive: true, Direct: true}) {
		t.Errorf("%+v", got)
	}
	if c := plan.Copy; c == nil || len(c.Certificates) != 1 || !c.Certificates[0].Equal(s.Keys.Encrypt) || c.Choice != (Choice{GCM: true, Derive: true}) {
		t.Errorf("%+v", c)
	}
	plan, _ = PlanLetter(Letter{To: []string{able.Contact.Address}}, []Recipient{able}, s)
	if plan.Copy == nil || !plan.Copy.Choice.Direct {
		t.Error("the copy needs a signature of its own")
	}
	form, refusals := PlanForm(fixed(t, contacts.TestForm), able.Contact.Pin.Keys, valid, s)
	if len(refusals) > 0 || form.Copy != nil || form.Envelopes[0].Choice != (Choice{}) {
		t.Errorf("a form: %+v, %+v", form, refusals)
	}
}

// TestAgainReads: whoever cannot read it any longer is not sent it.
func TestAgainReads(t *testing.T) {
	all := contacts.Reads{Said: now, GCM: true, OAEP: true, Derive: true}
	able := reading(t, true, all, "")
	plan, _ := PlanLetter(Letter{To: []string{bea}}, []Recipient{able}, sender(t))
	for name, c := range map[string]struct {
		heard   contacts.Reads
		refused bool
	}{
		"as before":        {all, false},
		"no GCM any more":  {contacts.Reads{OAEP: true, Derive: true}, true},
		"no OAEP any more": {contacts.Reads{GCM: true, Derive: true}, true},
		"no HKDF any more": {contacts.Reads{GCM: true, OAEP: true}, true},
		"nothing any more": {contacts.Reads{}, true},
	} {
		able.Contact.Candidates[0].Reads = c.heard
		refusals := Again(plan.Envelopes[0], []Recipient{able}, sender(t))
		if c.refused != (len(refusals) == 1 && refusals[0].Code == "cannot-read") || !c.refused && len(refusals) > 0 {
			t.Errorf("%s: %+v", name, refusals)
		}
		complete(t, refusals)
	}
	// What was made for everybody goes whatever was heard since.
	plain, _ := PlanLetter(Letter{To: []string{bea}}, []Recipient{able}, sender(t))
	able.Contact.Candidates[0].Reads = all
	if refusals := Again(plain.Envelopes[0], []Recipient{able}, sender(t)); len(refusals) > 0 {
		t.Error(refusals)
	}
}

// TestAnnounced: only a valid signature by the right key says what somebody reads.
func TestAnnounced(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	key, impostor := pinned.Pin.Keys.Sign, certificate(t, "Dr Bea Brandt", []string{bea}, nil)
	stranger := contacts.Contact{Address: bea, State: contacts.HasCertificate}
	says := func(layers string, c *x509.Certificate) *smime.Opened {
		o := shape(layers, c)
		for _, l := range o.Layers {
			if l.Signed != nil {
				s := &l.Signed.Signers[0]
				s.Capabilities, s.Derives, s.OAEP, s.Time = []cms.Cipher{cms.AES256CBC, cms.AES256GCM}, true, true, now
			}
		}
		return o
	}
	less, silent := says("ES", key), says("ES", key)
	less.Layers[1].Signed.Signers[0].Capabilities = []cms.Cipher{cms.AES128GCM}
	silent.Layers[1].Signed.Signers[0] = cms.SignerInfo{Certificate: key, Time: now}
	twoFrom := says("ES", key)
	twoFrom.Header.Add("From", "carl@northclinic.example")
	for name, c := range map[string]struct {
		o       *smime.Opened
		contact contacts.Contact
		chain   trust.Status
		ok      bool
	}{
		"pinned":                       {says("ES", key), pinned, trust.Trusted, true},
		"pinned, signed only":          {says("S", key), pinned, trust.Trusted, true},
		"pinned, not checked":          {says("ES", key), pinned, trust.Unknown, true},
		"pinned, withdrawn":            {says("ES", key), pinned, trust.Revoked, false},
		"pinned, run out":              {says("ES", key), pinned, trust.Expired, false},
		"pinned, policy wants anchors": {says("ES", key), pinned, trust.Untrusted, false},
		"invalid":                      {says("Es", key), pinned, trust.Trusted, false},
		"on the outside":               {says("SE", key), pinned, trust.Trusted, false},
		"not opened":                   {says("e", key), pinned, trust.Trusted, false},
		"unsigned":                     {says("E", key), pinned, trust.Trusted, false},
		"from two":                     {twoFrom, pinned, trust.Trusted, false},
		"by an authority":              {says("ES", impostor), stranger, trust.Trusted, true},
		"by an authority, unchecked":   {says("ES", impostor), stranger, trust.Unknown, false},
		"by nobody":                    {says("ES", impostor), stranger, trust.Untrusted, false},
	} {
		f := Facts{Contact: c.contact, Signers: status(c.chain)}
		said, ok := Announced(c.o, f)
		if ok != c.ok || ok && said != (contacts.Reads{Said: now, GCM: true, OAEP: true, Derive: true}) {
			t.Errorf("%s: %+v, %v", name, said, ok)
		}
	}
	said, ok := Announced(less, Facts{Contact: pinned, Signers: status(trust.Trusted)})
	if !ok || said.GCM || !said.Said.Equal(now) {
		t.Errorf("one who no longer reads AES-256-GCM: %+v, %v", said, ok)
	}
	if said, ok := Announced(silent, Facts{Contact: pinned, Signers: status(trust.Trusted)}); !ok || said != (contacts.Reads{Said: now}) {
		t.Errorf("one who no longer says what they read: %+v, %v", said, ok)
	}
	if _, ok := Announced(says("ES", certificate(t, "M", []string{"m@evil.example"}, nil)), Facts{
		Contact: pinned, Signers: []trust.Verdict{{Status: trust.Trusted, Bound: trust.BoundNone}},
	}); ok {
		t.Error("somebody else's word counted")
	}
}
