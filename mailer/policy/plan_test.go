package policy

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"countersign/vault/contacts"
	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

func codes(refusals []Refusal) []string {
	var out []string
	for _, r := range refusals {
		out = append(out, r.Code+" "+r.Person)
	}
	return out
}

// complete checks what every refusal owes the person who reads it.
func complete(t *testing.T, refusals []Refusal) {
	t.Helper()
	for _, r := range refusals {
		if r.Person == "" || r.Code == "" || r.Reason == "" || r.Next == "" || r.Link == "" || r.Button == "" {
			t.Errorf("incomplete refusal: %+v", r)
		}
		for _, s := range []string{r.Reason, r.Next} {
			if !strings.HasSuffix(s, ".") || strings.ContainsAny(s, "!\u2014") {
				t.Errorf("not a plain sentence: %q", s)
			}
		}
		if r.Address != "" && r.Person != "you" && r.Command != "" && !strings.HasSuffix(r.Command, r.Address) {
			t.Errorf("the command does not name the person: %q", r.Command)
		}
	}
}

func TestPlanLetter(t *testing.T) {
	carl, dora := "carl@northclinic.example", "dora@southclinic.example"
	people := []Recipient{recipient(t, bea, "Dr Bea Brandt"), recipient(t, carl, "Carl"), recipient(t, dora, "Dora")}
	for name, c := range map[string]struct {
		letter Letter
		want   [][]string
	}{
		"one":                        {Letter{To: []string{bea}}, [][]string{{bea}}},
		"to and cc are one envelope": {Letter{To: []string{bea}, Cc: []string{carl, dora}}, [][]string{{bea, carl, dora}}},
		"each bcc has its own":       {Letter{To: []string{bea}, Bcc: []string{carl, dora}}, [][]string{{bea}, {carl}, {dora}}},
		"only bcc":                   {Letter{Bcc: []string{carl}}, [][]string{{carl}}},
		"twice is once":              {Letter{To: []string{bea, bea}, Cc: []string{bea}, Bcc: []string{bea, carl, carl}}, [][]string{{bea}, {carl}}},
		"at the limit":               {Letter{To: []string{bea}, Size: 25 << 20}, [][]string{{bea}}},
	} {
		plan, refusals := PlanLetter(c.letter, people, sender(t))
		if len(refusals) > 0 || !plan.Encrypted {
			t.Errorf("%s: %q", name, codes(refusals))
		}
		var got [][]string
		for _, e := range plan.Envelopes {
			got = append(got, e.To)
			if len(e.Certificates) != len(e.To) || len(e.Keys) != len(e.To) || e.Form != "" {
				t.Errorf("%s: %d certificates for %q", name, len(e.Certificates), e.To)
			}
			for i, to := range e.To {
				if pin := find(people, to).Contact.Pin.Keys; !e.Certificates[i].Equal(pin.Encrypt) || e.Keys[i] != pin.ID() {
					t.Errorf("%s: %s gets another certificate", name, to)
				}
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: envelopes %q", name, got)
		}
	}
}

// Every way in which one recipient is not in order refuses the letter to all.
func TestPlanLetterRefused(t *testing.T) {
	good := recipient(t, bea, "Dr Bea Brandt")
	const imran = "imran.shah@south.example"
	state := func(s contacts.State) Recipient {
		return Recipient{Contact: contacts.Contact{Address: imran, Name: "Dr Imran Shah", State: s}}
	}
	answered := state(contacts.Answered)
	answered.Contact.Test = &contacts.Test{}
	with := func(sign, encrypt trust.Status) Recipient {
		r := recipient(t, imran, "Dr Imran Shah")
		r.Sign.Status, r.Encrypt.Status = sign, encrypt
		return r
	}
	suspended := with(trust.Trusted, trust.Trusted)
	suspended.Contact.State, suspended.Contact.Suspension = contacts.Suspended, &contacts.Suspension{At: now, Reason: contacts.ByUser}
	withdrawn, replaced := with(trust.Trusted, trust.Revoked), with(trust.Revoked, trust.Trusted)
	for _, r := range []*Recipient{&withdrawn, &replaced} {
		r.Contact.State, r.Contact.Suspension = contacts.Suspended, &contacts.Suspension{At: now, Reason: contacts.ByRevoked}
		r.Contact.Candidates = []contacts.Candidate{{ID: "c1", Keys: r.Contact.Pin.Keys}}
	}
	replaced.Contact.Candidates = append(replaced.Contact.Candidates, contacts.Candidate{ID: "c2", Keys: recipient(t, imran, "Dr Imran Shah").Contact.Pin.Keys})
	mismatch := with(trust.Trusted, trust.Trusted)
	mismatch.Contact.State = contacts.Mismatch
	half := with(trust.Trusted, trust.Trusted)
	half.Contact.Pin.Keys.Encrypt = nil
	none := with(trust.Trusted, trust.Trusted)
	none.Contact.Pin = nil
	for name, c := range map[string]struct {
		who  *Recipient
		code string
		page string
	}{
		"a stranger":         {nil, "no-certificate", "/contacts"},
		"unknown":            {ptr(state(contacts.Unknown)), "no-certificate", "/contacts"},
		"zero state":         {ptr(state("")), "no-certificate", "/contacts"},
		"certificate only":   {ptr(state(contacts.HasCertificate)), "not-verified", "/verify"},
		"test sent":          {ptr(state(contacts.TestSent)), "not-verified", "/verify"},
		"test answered":      {&answered, "not-verified", "/verify"},
		"answered theirs":    {ptr(state(contacts.Answered)), "not-verified", "/verify"},
		"mismatch":           {&mismatch, "mismatch", "/contacts"},
		"suspended":          {&suspended, "suspended", "/verify"},
		"withdrawn":          {&withdrawn, "suspended", "/contacts"}, // a test to it would be refused
		"and replaced":       {&replaced, "suspended", "/verify"},
		"expired":            {ptr(with(trust.Trusted, trust.Expired)), "expired", "/contacts"},
		"revoked":            {ptr(with(trust.Trusted, trust.Revoked)), "revoked", "/contacts"},
		"not checked":        {ptr(with(trust.Trusted, trust.Unknown)), "not-checked", "/contacts"},
		"untrusted":          {ptr(with(trust.Trusted, trust.Untrusted)), "untrusted", "/setup"},
		"signer expired":     {ptr(with(trust.Expired, trust.Trusted)), "expired", "/contacts"},
		"signer revoked":     {ptr(with(trust.Revoked, trust.Trusted)), "revoked", "/contacts"},
		"signer not checked": {ptr(with(trust.Unknown, trust.Trusted)), "not-checked", "/contacts"},
		"no verdict at all":  {ptr(with("", "")), "untrusted", "/setup"},
		"half a key set":     {&half, "no-certificate", "/contacts"},
		"verified, no pin":   {&none, "no-certificate", "/contacts"},
	} {
		people := []Recipient{good}
		person := imran
		if c.who != nil {
			people = append(people, *c.who)
			person = "Dr Imran Shah <" + imran + ">"
		}
		for place, l := range map[string]Letter{
			"to": {To: []string{bea, imran}}, "cc": {To: []string{bea}, Cc: []string{imran}}, "bcc": {To: []string{bea}, Bcc: []string{imran}},
		} {
			plan, refusals := PlanLetter(l, people, sender(t))
			if len(plan.Envelopes) != 0 {
				t.Errorf("%s in %s: %d envelopes were planned", name, place, len(plan.Envelopes))
			}
			if got := codes(refusals); len(got) != 1 || got[0] != c.code+" "+person || refusals[0].Address != imran || refusals[0].Link != c.page {
				t.Errorf("%s in %s: %+v", name, place, refusals)
			}
			complete(t, refusals)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestPlanLetterNamesEveryone(t *testing.T) {
	people := []Recipient{
		recipient(t, bea, "Bea"),
		{Contact: contacts.Contact{Address: "a@x.example", State: contacts.HasCertificate}},
		{Contact: contacts.Contact{Address: "b@x.example", State: contacts.Unknown}},
	}
	_, refusals := PlanLetter(Letter{To: []string{"a@x.example", bea}, Bcc: []string{"b@x.example", "c@x.example"}}, people, Sender{})
	want := []string{"no-identity you", "not-verified a@x.example", "no-certificate b@x.example", "no-certificate c@x.example"}
	// A sender without a limit may send nothing either way; the size is 0.
	if got := codes(refusals); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	complete(t, refusals)
}

func TestSenderRefused(t *testing.T) {
	people := []Recipient{recipient(t, bea, "Bea")}
	for code, spoil := range map[string]func(*Sender){
		"policy-file":     func(s *Sender) { s.PolicyFile = errors.New("line 3") },
		"no-identity":     func(s *Sender) { s.Keys = contacts.KeySet{} },
		"own-expired":     func(s *Sender) { s.Sign.Status = trust.Expired },
		"own-revoked":     func(s *Sender) { s.Encrypt.Status = trust.Revoked },
		"own-not-checked": func(s *Sender) { s.Sign.Status = trust.Unknown },
		"own-untrusted":   func(s *Sender) { s.Sign.Status = "" },
		"no-recovery":     func(s *Sender) { s.Recovery = false },
		"no-account":      func(s *Sender) { s.Account = false },
	} {
		s := sender(t)
		spoil(&s)
		_, letter := PlanLetter(Letter{To: []string{bea}}, people, s)
		_, fixedForm := PlanForm(fixed(t, contacts.Invitation), contacts.KeySet{}, trust.Verdict{}, s)
		again := Again(Envelope{To: []string{bea}, Keys: []contacts.Hash{people[0].Contact.Pin.Keys.ID()}}, people, s)
		for road, refusals := range map[string][]Refusal{"letter": letter, "form": fixedForm, "again": again} {
			if len(refusals) != 1 || refusals[0].Code != code || refusals[0].Person != "you" {
				t.Errorf("%s: %s: %+v", code, road, refusals)
			}
			complete(t, refusals)
		}
	}
}

func TestLetterItselfRefused(t *testing.T) {
	people := []Recipient{recipient(t, bea, "Bea")}
	many := Letter{}
	for i := range 101 {
		a := "p" + strings.Repeat("x", i) + "@x.example"
		many.To = append(many.To, a)
		people = append(people, Recipient{Contact: people[0].Contact, Sign: valid, Encrypt: valid})
		people[len(people)-1].Contact.Address = a
	}
	for code, l := range map[string]Letter{
		"no-recipients": {},
		"too-large":     {To: []string{bea}, Size: 25<<20 + 1},
		"too-many":      many,
	} {
		plan, refusals := PlanLetter(l, people, sender(t))
		if len(plan.Envelopes) != 0 || len(refusals) != 1 || refusals[0].Code != code {
			t.Errorf("%s: %q", code, codes(refusals))
		}
		complete(t, refusals)
	}
}

func fixed(t *testing.T, kind contacts.FormKind) contacts.Form {
	t.Helper()
	f, err := form.New(rand.Reader, form.Invitation, ada, bea)
	if err != nil {
		t.Fatal(err)
	}
	hashes := contacts.KeyHashes{}
	digest := contacts.Hash{}
	switch f.Kind = kind; kind {
	case contacts.TestForm:
		f.Keys, f.ToKeys, f.Code, f.Expires = &hashes, &hashes, keyset.Words()[:4], now
	case contacts.AnswerForm:
		f.Keys, f.ToKeys, f.TestID, f.TestDigest = &hashes, &hashes, f.ID, &digest
	case contacts.KeyAnnouncement:
		f.Keys, f.NewKeys, f.Expires = &hashes, &hashes, now
	case contacts.ReceiptForm:
		f.MessageID, f.MessageDigest = "<a@b.example>", &digest
	}
	return f
}

// There are six forms, each goes out as V4 says, and there is no seventh.
func TestPlanForm(t *testing.T) {
	theirs := keys(t, "Bea", bea)
	for _, kind := range form.Kinds() {
		plan, refusals := PlanForm(fixed(t, kind), theirs, trust.Verdict{Status: trust.Untrusted}, sender(t))
		if len(refusals) > 0 || len(plan.Envelopes) != 1 {
			t.Errorf("%s: %+v", kind, refusals)
			continue
		}
		e := plan.Envelopes[0]
		if plan.Encrypted != kind.Encrypted() || !slices.Equal(e.To, []string{bea}) || e.Form != kind {
			t.Errorf("%s: %+v", kind, plan)
		}
		if plan.Encrypted != (len(e.Certificates) == 1) {
			t.Errorf("%s: %d certificates", kind, len(e.Certificates))
		}
		if plan.Encrypted && !e.Certificates[0].Equal(theirs.Encrypt) {
			t.Errorf("%s: not encrypted to the key set given", kind)
		}
	}
}

func TestPlanFormRefused(t *testing.T) {
	theirs := keys(t, "Bea", bea)
	other := fixed(t, contacts.Invitation)
	other.From = "mallory@evil.example"
	wordy := fixed(t, contacts.Invitation)
	wordy.From = "please call 01632 960000 " + ada
	for name, c := range map[string]struct {
		f        contacts.Form
		keys     contacts.KeySet
		evidence trust.Status
		code     string
	}{
		"a seventh kind":         {fixed(t, "letter"), theirs, trust.Trusted, "not-a-form"},
		"no kind":                {fixed(t, ""), theirs, trust.Trusted, "not-a-form"},
		"from somebody else":     {other, theirs, trust.Trusted, "not-a-form"},
		"text in a member":       {wordy, theirs, trust.Trusted, "not-a-form"},
		"test without a key":     {fixed(t, contacts.TestForm), contacts.KeySet{}, trust.Trusted, "no-certificate"},
		"answer without a key":   {fixed(t, contacts.AnswerForm), contacts.KeySet{}, trust.Trusted, "no-certificate"},
		"test to expired":        {fixed(t, contacts.TestForm), theirs, trust.Expired, "expired"},
		"test to revoked":        {fixed(t, contacts.TestForm), theirs, trust.Revoked, "revoked"},
		"receipt without a key":  {fixed(t, contacts.ReceiptForm), contacts.KeySet{}, trust.Trusted, "no-certificate"},
		"answer to revoked":      {fixed(t, contacts.AnswerForm), theirs, trust.Revoked, "revoked"},
		"receipt to expired key": {fixed(t, contacts.ReceiptForm), theirs, trust.Expired, "expired"},
	} {
		plan, refusals := PlanForm(c.f, c.keys, trust.Verdict{Status: c.evidence}, sender(t))
		if len(plan.Envelopes) > 0 || len(refusals) == 0 || refusals[0].Code != c.code {
			t.Errorf("%s: %+v", name, refusals)
		}
		complete(t, refusals)
	}
}

// A form has no room for what a person wrote: its text is made of its data, and
// every member of text is an address or an identifier that Marshal checks.
func TestFormsHaveNoUserText(t *testing.T) {
	typ := reflect.TypeFor[contacts.Form]()
	var strs []string
	for i := range typ.NumField() {
		if typ.Field(i).Type.Kind() == reflect.String {
			strs = append(strs, typ.Field(i).Name)
		}
	}
	if want := []string{"Kind", "ID", "From", "To", "TestID", "MessageID"}; !slices.Equal(strs, want) {
		t.Errorf("members of text: %q", strs)
	}
}

func TestAgain(t *testing.T) {
	p := recipient(t, bea, "Bea")
	plan, _ := PlanLetter(Letter{To: []string{bea}}, []Recipient{p}, sender(t))
	stored, err := json.Marshal(plan.Envelopes[0])
	if err != nil {
		t.Fatal(err)
	}
	var e Envelope
	if err := json.Unmarshal(stored, &e); err != nil {
		t.Fatal(err)
	}
	if refusals := Again(e, []Recipient{p}, sender(t)); len(refusals) > 0 {
		t.Errorf("refused without a change: %+v", refusals)
	}
	renewed := p
	renewed.Contact.Pin = ptr(*p.Contact.Pin)
	renewed.Contact.Pin.Renewed = now
	otherKeys := recipient(t, bea, "Bea")
	revoked := p
	revoked.Encrypt.Status = trust.Revoked
	suspended := p
	suspended.Contact.State = contacts.Suspended
	for name, c := range map[string]struct {
		e      Envelope
		people []Recipient
		code   string
	}{
		"renewed":                {e, []Recipient{renewed}, ""},
		"other keys":             {e, []Recipient{otherKeys}, "key-changed"},
		"revoked":                {e, []Recipient{revoked}, "revoked"},
		"suspended":              {e, []Recipient{suspended}, "suspended"},
		"removed":                {e, nil, "no-certificate"},
		"keys lost":              {Envelope{To: e.To}, []Recipient{p}, "key-changed"},
		"a signed form":          {Envelope{To: e.To, Form: contacts.Invitation, Keys: []contacts.Hash{{}}}, nil, ""},
		"a form":                 {Envelope{To: e.To, Form: contacts.TestForm, Keys: e.Keys}, []Recipient{{Contact: p.Contact, Encrypt: trust.Verdict{Status: trust.Untrusted}}}, ""},
		"a form, key withdrawn":  {Envelope{To: e.To, Form: contacts.TestForm, Keys: e.Keys}, []Recipient{revoked}, "revoked"},
		"a form, key run out":    {Envelope{To: e.To, Form: contacts.AnswerForm, Keys: e.Keys}, []Recipient{{Contact: p.Contact, Encrypt: trust.Verdict{Status: trust.Expired}}}, "expired"},
		"a form, key gone":       {Envelope{To: e.To, Form: contacts.TestForm, Keys: e.Keys}, []Recipient{{Contact: p.Contact}}, "no-certificate"},
		"a form, person removed": {Envelope{To: e.To, Form: contacts.TestForm, Keys: e.Keys}, nil, "no-certificate"},
		"nobody waits ":          {Envelope{}, nil, ""},
	} {
		refusals := Again(c.e, c.people, sender(t))
		if c.code == "" && len(refusals) > 0 || c.code != "" && (len(refusals) != 1 || refusals[0].Code != c.code) {
			t.Errorf("%s: %+v", name, refusals)
		}
		complete(t, refusals)
	}
}

// A certificate's name is its maker's choice, and stands in the middle of our sentences.
func TestNamed(t *testing.T) {
	for name, want := range map[string]string{
		"Dr Zo\u00eb O'Neill-Brandt":           "Dr Zo\u00eb O'Neill-Brandt <m@evil.example>",
		"Dr. M":                                `"Dr. M" <m@evil.example>`,
		"Bea. Confirmed by telephone on 3 May": `"Bea. Confirmed by telephone on 3 May" <m@evil.example>`,
		`Bea" <bea@x.example>, "`:              `"Bea' <bea@x.example>, '" <m@evil.example>`,
		"bea@x.example":                        `"bea@x.example" <m@evil.example>`,
		strings.Repeat("e", 1000):              `"` + strings.Repeat("e", 64) + `..." <m@evil.example>`,
		"m@evil.example":                       "m@evil.example",
		"":                                     "m@evil.example",
	} {
		if got := Named(&x509.Certificate{Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{"m@evil.example"}}); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
