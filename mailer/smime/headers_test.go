package smime_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// payload is a text under a protected header, with more parameters and fields.
func payload(params, fields, text string) string {
	return crlf("From: Alice <alice@clinic.example>\nSubject: inside\n"+fields) + textPartWith(params, text)
}

// Test9788_4_5_3_LegacyDisplay leaves out the copy of the header in a text where the
// message is encrypted and has a true header, and nowhere else.
func Test9788_4_5_3_LegacyDisplay(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	const copied, rest = "Subject: inside\n\n", "hello\n\nyou\n"
	marked := func(more string) string { return textPartWith("; hp-legacy-display=1"+more, copied+rest) }
	mixed := func(parts ...string) string {
		return crlf("From: a@clinic.example\nSubject: inside\n") + strings.Replace(multipart("mixed", "m", parts...), "boundary", "hp=cipher; boundary", 1)
	}
	file := strings.Replace(marked(""), "\r\n\r\n", "\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\n", 1)
	for _, c := range []struct {
		name, entity string
		want         []string // of each text, in order
	}{
		{"the whole text", encrypted(clearSigned(alice, payload("; hp=cipher; hp-legacy-display=1", "", copied+rest)), bob), []string{rest}},
		{"encrypted only", encrypted(payload("; hp=cipher; hp-legacy-display=1", "", copied+rest), bob), []string{rest}},
		{"quoted", encrypted(payload(`; hp="cipher"; hp-legacy-display="1"`, "", copied+rest), bob), []string{rest}},
		{"main part", encrypted(clearSigned(alice, mixed(marked(""), file)), bob), []string{rest, copied + rest}},
		{"alternative", encrypted(clearSigned(alice, mixed(multipart("alternative", "a", marked(""), textPart(copied+rest)))), bob), []string{rest, copied + rest}},
		{"message inside", encrypted(clearSigned(alice, mixed(textPart(rest), crlf("Content-Type: message/rfc822\n\nFrom: b@x.example\n")+marked(""))), bob), []string{rest, copied + rest}},
		{"another value", encrypted(payload("; hp=cipher; hp-legacy-display=yes", "", copied+rest), bob), []string{copied + rest}},
		{"not marked", encrypted(payload("; hp=cipher", "", copied+rest), bob), []string{copied + rest}},
		{"no true header", encrypted(marked(""), bob), []string{copied + rest}},
		{"signed only", clearSigned(alice, payload("; hp=clear; hp-legacy-display=1", "", copied+rest)), []string{copied + rest}},
		{"signed, says encrypted", clearSigned(alice, payload("; hp=cipher; hp-legacy-display=1", "", copied+rest)), []string{copied + rest}},
		{"no layer", payload("; hp=cipher; hp-legacy-display=1", "", copied+rest), []string{copied + rest}},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := outer("alice@clinic.example", c.entity)
			if c.name == "no layer" {
				raw = c.entity
			}
			o := open(t, message.Bytes(raw), bob.opens())
			if o.Problem != nil {
				t.Fatal(o.Problem)
			}
			var got []string
			_ = o.Payload.Walk(func(p *message.Part) error {
				if p.Type == "text/plain" {
					s, err := p.Text(1 << 20)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, s)
				}
				return nil
			})
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// Test9788_4_3_1_Confidential: a field is confidential if the message is encrypted, says
// that it was meant to be, and does not say that this value stood outside.
func Test9788_4_3_1_Confidential(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	in := func(hp, fields string) string { return payload("; hp="+hp, fields, "hello") }
	const from = "HP-Outer: From: Alice <alice@clinic.example>\n"
	for _, c := range []struct{ name, entity, confidential string }{
		{"nothing stood outside", encrypted(clearSigned(alice, in("cipher", "")), bob), "From Subject"},
		{"one stood outside", encrypted(clearSigned(alice, in("cipher", from)), bob), "Subject"},
		{"in other words", encrypted(clearSigned(alice, in("cipher", from+"HP-Outer: Subject: [...]\n")), bob), "Subject"},
		{"in the same", encrypted(clearSigned(alice, in("cipher", from+"HP-Outer: Subject: inside\n")), bob), ""},
		{"name in another case, folded", encrypted(clearSigned(alice, in("cipher", from+"hp-OUTER: sUBJECT:\n inside\n")), bob), ""},
		{"HP-Outer without a colon", encrypted(clearSigned(alice, in("cipher", from+"HP-Outer: Subject inside\n")), bob), "Subject"},
		{"one of two values", encrypted(clearSigned(alice, in("cipher", from+"HP-Outer: Subject: inside\nSubject: two\n")), bob), "Subject"},
		{"clear inside encryption", encrypted(clearSigned(alice, in("clear", "")), bob), ""},
		{"cipher without encryption", clearSigned(alice, in("cipher", "")), ""},
		{"HP-Outer outside", "HP-Outer: Subject: inside\r\n" + encrypted(clearSigned(alice, in("cipher", from)), bob), "Subject"},
		{"HP-Outer deeper", encrypted(clearSigned(alice, crlf("From: a@x.example\nSubject: inside\nHP-Outer: From: a@x.example\n")+
			strings.Replace(multipart("mixed", "m", crlf("HP-Outer: Subject: inside\n")+textPart("x")), "boundary", "hp=cipher; boundary", 1)), bob), "Subject"},
		{"RFC 8551, encrypted", encrypted(clearSigned(alice, crlf("Content-Type: message/rfc822\n\nFrom: alice@clinic.example\nSubject: inside\n")+textPart("x")), bob), "Subject"},
		{"RFC 8551, signed", clearSigned(alice, crlf("Content-Type: message/rfc822\n\nFrom: alice@clinic.example\nSubject: inside\n")+textPart("x")), ""},
		{"RFC 8551 with HP-Outer", encrypted(clearSigned(alice, crlf("Content-Type: message/rfc822\n\nFrom: alice@clinic.example\nSubject: inside\nHP-Outer: Subject: inside\n")+textPart("x")), bob), "Subject"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), bob.opens())
			if got := strings.Join(o.Confidential, " "); got != c.confidential || o.Problem != nil || len(o.Protected) == 0 {
				t.Errorf("%q, want %q; %v", got, c.confidential, o.Problem)
			}
		})
	}
}

// Test9788_4_1_Parameter: hp counts at the root of the payload, with the two values
// that there are, and if there is an envelope.
func Test9788_4_1_Parameter(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	mixed := func(params, child string) string {
		return crlf("From: alice@clinic.example\nSubject: inside\n") + strings.Replace(multipart("mixed", "m", child), "boundary", params+"boundary", 1)
	}
	for _, c := range []struct {
		name, entity string
		protected    bool
	}{
		{"clear", clearSigned(alice, payload("; hp=clear", "", "x")), true},
		{"CIPHER", encrypted(payload("; HP=CIPHER", "", "x"), bob), true},
		{"quoted, with a comment", clearSigned(alice, payload(`; (really) hp = "clear" (so)`, "", "x")), true},
		{"on a multipart", clearSigned(alice, mixed("hp=clear; ", textPart("x"))), true},
		{"on a part of it", clearSigned(alice, mixed("", payload("; hp=clear", "", "x"))), false},
		{"unknown", clearSigned(alice, payload("; hp=opaque", "", "x")), false},
		{"empty", clearSigned(alice, payload(`; hp=""`, "", "x")), false},
		{"twice: the first", clearSigned(alice, payload("; hp=x; hp=clear", "", "x")), false},
		{"on the layer", strings.Replace(clearSigned(alice, textPart("x")), "multipart/signed;", "multipart/signed; hp=clear;", 1), false},
		{"on the envelope", strings.Replace(encrypted(textPart("x"), bob), "application/pkcs7-mime;", "application/pkcs7-mime; hp=cipher;", 1), false},
		{"on a layer inside", encrypted(crlf("Subject: inside\n")+strings.Replace(clearSigned(alice, textPart("x")), "multipart/signed;", "multipart/signed; hp=cipher;", 1), bob), false},
		{"no layer", payload("; hp=clear", "", "x"), false},
		{"in an OpenPGP message", strings.Replace(clearSigned(alice, payload("; hp=clear", "", "x")), "pkcs7-signature", "pgp-signature", 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), bob.opens())
			if got := len(o.Protected) > 0; got != c.protected || o.Problem != nil {
				t.Errorf("protected %v; %v", o.Protected, o.Problem)
			}
			if shown := o.Header.Get("Subject"); shown == "inside" && !c.protected {
				t.Error("an unprotected Subject from inside is shown")
			}
		})
	}
}

// Test9788_4_AddedInTransit: what was added outside is neither shown nor covered.
func Test9788_4_AddedInTransit(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	added := crlf("Cc: mallory@evil.example\nReply-To: mallory@evil.example\nIn-Reply-To: <other@x.example>\nList-Id: x\n")
	o := open(t, message.Bytes(added+outer("mallory@evil.example", encrypted(clearSigned(alice, payload("; hp=cipher", "", "x")), bob))), bob.opens())
	for _, name := range []string{"Cc", "Reply-To", "In-Reply-To", "List-Id", "To"} {
		if o.Header.Has(name) || slices.Contains(o.Protected, name) {
			t.Errorf("%s from outside is shown", name)
		}
	}
	if o.Header.Get("From") != "Alice <alice@clinic.example>" || o.Outer.Get("From") != "mallory@evil.example" {
		t.Error("From", o.Header, o.Outer)
	}
}

// Test9788_4_10_1_Wrapped: a payload that is a message is opened as one if it says
// nothing else of itself.
func Test9788_4_10_1_Wrapped(t *testing.T) {
	alice, bob, eve := people()["alice"], people()["bob"], people()["eve"]
	const fields = "From: Alice <alice@clinic.example>\nSubject: inside\n"
	wrap := func(kind, params, entity string) string {
		return crlf("Content-Type: "+kind+params+"\n\n"+fields) + entity
	}
	for _, c := range []struct {
		name, entity string
		opened       bool
	}{
		{"message/rfc822", clearSigned(alice, wrap("message/rfc822", "", textPart("x"))), true},
		{"message/global", clearSigned(alice, wrap("message/global", "", textPart("x"))), true},
		{"forwarded=no", clearSigned(alice, wrap("message/rfc822", "; forwarded=no", textPart("x"))), true},
		{"forwarded=yes", clearSigned(alice, wrap("message/rfc822", "; forwarded=yes", textPart("x"))), false},
		{"wrapped three times", clearSigned(eve, encrypted(clearSigned(alice, wrap("message/rfc822", "", textPart("x"))), bob)), true},
		{"opaque", opaque(alice, wrap("message/rfc822", "", textPart("x"))), true},
		{"as an attachment", clearSigned(alice, crlf("Content-Disposition: attachment; filename=m.eml\n")+wrap("message/rfc822", "", textPart("x"))), true},
		{"in base64", clearSigned(alice, crlf("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n")+wrapped([]byte(fields))), false},
		{"hp on the wrapper", clearSigned(alice, wrap("message/rfc822", "; hp=soft", textPart("x"))), false},
		{"hp inside", clearSigned(alice, wrap("message/rfc822", "", textPartWith("; hp=clear", "x"))), false},
		{"a signed message", clearSigned(alice, wrap("message/rfc822", "", clearSigned(eve, textPart("x")))), false},
		{"an encrypted message", clearSigned(alice, wrap("message/rfc822", "", encrypted(textPart("x"), bob))), false},
		{"an OpenPGP message", clearSigned(alice, wrap("message/rfc822", "", multipart("encrypted; protocol=\"application/pgp-encrypted\"", "p", textPart("x")))), false},
		{"beside text", clearSigned(alice, multipart("mixed", "m", textPart("y"), wrap("message/rfc822", "", textPart("x")))), false},
		{"no From", clearSigned(alice, crlf("Content-Type: message/rfc822\n\nSubject: inside\n")+textPart("x")), false},
		{"no layer", wrap("message/rfc822", "", textPart("x")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), bob.opens())
			if got := o.Header.Get("Subject") == "inside"; got != c.opened || o.Problem != nil {
				t.Errorf("Subject %q; %v", o.Header.Get("Subject"), o.Problem)
			}
			if o.Payload == nil || c.opened && o.Payload.Type != "text/plain" {
				t.Error("the payload is", o.Payload)
			}
		})
	}
}

// Test9787_4_5_Errant: what is not of the envelope is said, and nothing else.
func Test9787_4_5_Errant(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	signed, sealed := clearSigned(alice, textPart("x")), encrypted(textPart(secret), bob)
	pgp := multipart(`encrypted; protocol="application/pgp-encrypted"`, "p", entity("application/pgp-encrypted", "Version: 1"), entity("application/octet-stream", "x"))
	footer := textPart("-- \nlist\n")
	for _, c := range []struct{ name, entity, layers, errant string }{
		{"plain", textPart("x"), "", "[]"},
		{"signed", signed, "signed(valid)", "[]"},
		{"a mailing list's footer", multipart("mixed", "m", signed, footer), "", "[signed]"},
		{"a footer under a list's own signature", clearSigned(bob, multipart("mixed", "m", signed, footer)), "signed(valid)", "[signed]"},
		{"opaque with a footer", multipart("mixed", "m", opaque(alice, textPart("x")), footer), "", "[signed]"},
		{"an envelope with a footer", multipart("mixed", "m", sealed, footer), "", "[encrypted]"},
		{"an attached envelope, signed around", clearSigned(alice, multipart("mixed", "m", footer, sealed)), "signed(valid)", "[encrypted]"},
		{"both", multipart("mixed", "m", signed, sealed, signed), "", "[signed encrypted]"},
		{"the baroque example", multipart("mixed", "a", multipart("signed; protocol=\"application/pkcs7-signature\"", "b", multipart("mixed", "c", footer, sealed), signaturePart(signature(alice, "x"))), footer), "", "[signed encrypted]"},
		{"octets by name", multipart("mixed", "m", footer, entity("application/octet-stream; name=smime.p7m", "anything")), "", "[encrypted]"},
		{"OpenPGP, signed", strings.ReplaceAll(signed, "pkcs7-signature", "pgp-signature"), "", "[openpgp]"},
		{"OpenPGP, encrypted", pgp, "", "[openpgp]"},
		{"a key for OpenPGP", multipart("mixed", "m", textPart("x"), entity("application/pgp-keys", "key")), "", "[]"},
		{"OpenPGP inside", encrypted(pgp, bob), "encrypted", "[openpgp]"},
		{"another protocol", strings.ReplaceAll(signed, "pkcs7-signature", "x-other"), "", "[signed]"},
		{"three parts", multipart(`signed; protocol="application/pkcs7-signature"`, "s", textPart("x"), signaturePart(signature(alice, textPart("x"))), footer), "signed(error)", "[]"},
		{"a message inside", multipart("mixed", "m", footer, crlf("Content-Type: message/rfc822\n\n")+signed), "", "[]"},
		{"a message alone", crlf("Content-Type: message/rfc822\n\n") + signed, "", "[]"},
		{"in what was wrapped", clearSigned(alice, crlf("Content-Type: message/rfc822\n\nFrom: a@x.example\n")+multipart("mixed", "m", footer, sealed)), "signed(valid)", "[encrypted]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), bob.opens())
			if got := fmt.Sprint(o.Errant); got != c.errant || layers(o) != c.layers || o.Problem != nil {
				t.Errorf("%s, errant %s; want %s, %s; %v", layers(o), got, c.layers, c.errant, o.Problem)
			}
			if everything(t, o, secret) {
				t.Error("an errant envelope was opened")
			}
		})
	}
}

// Test9788_ManyFields: what is to be said of 5,000 protected fields takes no more for
// each than of 500.
func Test9788_ManyFields(t *testing.T) {
	bob := people()["bob"]
	work := func(n int) float64 {
		var fields strings.Builder
		for i := range n {
			fmt.Fprintf(&fields, "X-%d: a\nHP-Outer: X-%d: b\n", i, i)
		}
		raw := message.Bytes(outer("a@clinic.example", encrypted(payload("; hp=cipher", fields.String(), "x"), bob)))
		if o := open(t, raw, bob.opens()); len(o.Confidential) != n+2 {
			t.Fatal(len(o.Confidential))
		}
		return testing.AllocsPerRun(1, func() { open(t, raw, bob.opens()) })
	}
	if few, many := work(400), work(4000); many > 15*few {
		t.Errorf("%v allocations for 400 fields, %v for 4000", few, many)
	}
}

// Test9788_6_1_2_Answers: whom a letter hid, its answer hides; the others stand outside,
// and From always.
func Test9788_6_1_2_Answers(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	raw := func(hp, outer string) message.Bytes {
		return message.Bytes(outerTo("carl@clinic.example", encrypted(clearSigned(bob, crlf("From: Bob <BOB@clinic.example>\nTo: alice@clinic.example, Carl <carl@clinic.example>\nCc: dora@clinic.example\nReply-To: desk@clinic.example\n"+outer)+
			textPartWith("; hp="+hp, "x")), alice)))
	}
	const told = "HP-Outer: From: bob@clinic.example\nHP-Outer: To: alice@clinic.example\nHP-Outer: Cc: erin@clinic.example\n"
	for _, c := range []struct{ name, hp, outer, hidden string }{
		{"some told", "cipher", told, "desk@clinic.example carl@clinic.example dora@clinic.example"},
		{"in another field", "cipher", told + "HP-Outer: Cc: dora@clinic.example\n", "desk@clinic.example carl@clinic.example"},
		{"nobody told", "cipher", "", "bob@clinic.example desk@clinic.example alice@clinic.example carl@clinic.example dora@clinic.example"},
		{"clear", "clear", "", ""},
	} {
		o := open(t, raw(c.hp, c.outer), alice.opens())
		if got := strings.Join(o.Hidden, " "); got != c.hidden || o.Problem != nil {
			t.Errorf("%s: %q hidden, want %q; %v", c.name, got, c.hidden, o.Problem)
		}
		l := letter()
		l.From, l.Cc, l.Hidden = message.Address{Addr: "alice@clinic.example"}, nil, o.Hidden
		l.To = []message.Address{{Name: "Bob", Addr: "Bob@clinic.example"}, {Addr: "dora@Clinic.example"}}
		sent := seal(t, l, alice, bob)
		o = open(t, sent, bob.opens())
		inside, outside := o.Header.Get("To"), o.Outer.Get("To")
		if inside != "Bob <Bob@clinic.example>, dora@Clinic.example" || o.Outer.Get("From") != "alice@clinic.example" {
			t.Errorf("%s: %q inside", c.name, inside)
		}
		for _, addr := range []string{"bob@clinic.example", "dora@clinic.example"} {
			hidden := strings.Contains(c.hidden, addr)
			if strings.Contains(strings.ToLower(outside), addr) == hidden || slices.Contains(o.Hidden, addr) != hidden {
				t.Errorf("%s: %q outside, %q hidden", c.name, outside, o.Hidden)
			}
		}
		if err := smime.CheckOuter(bytes.NewReader(sent)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// outerTo is a header for an entity that goes to addr.
func outerTo(addr, entity string) string {
	return strings.Replace(outer("bob@clinic.example", entity), "To: bob@clinic.example", "To: "+addr, 1)
}

// Test9788_5_2_LegacyDisplay: what stood outside in other words leads the main text, for
// those who do not know the true header, and nothing else does.
func Test9788_5_2_LegacyDisplay(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	plain := func() smime.Letter {
		return smime.Letter{
			From: message.Address{Addr: "alice@clinic.example"}, To: []message.Address{{Addr: "bob@clinic.example"}}, Subject: "Potassium",
			Date: day.UTC(), MessageID: "<1@clinic.example>", Text: "Dear Bob,\n\n6.9.\n",
		}
	}
	file := []smime.Attachment{{Name: "a.txt", Type: "text/plain", Content: message.Bytes("a file\n")}}
	for _, c := range []struct {
		name   string
		change func(*smime.Letter)
		want   string
	}{
		{"the Subject", func(*smime.Letter) {}, "Subject: Potassium\n\n"},
		{"with a file", func(l *smime.Letter) { l.Attachments = file }, "Subject: Potassium\n\n"},
		{"a Subject of two lines", func(l *smime.Letter) { l.Subject = "a\n\nb" }, "Subject: a  b\n\n"},
		{"names", func(l *smime.Letter) { l.From.Name = "Dr Ä" }, "Subject: Potassium\nFrom: Dr Ä <alice@clinic.example>\n\n"},
		{"hidden people", func(l *smime.Letter) { l.Hidden = []string{"bob@clinic.example"} }, "Subject: Potassium\nTo: bob@clinic.example\n\n"},
		{"the Subject of a form", func(l *smime.Letter) { l.OuterSubject = l.Subject }, ""},
		{"no Subject", func(l *smime.Letter) { l.Subject = "" }, ""},
		{"no text", func(l *smime.Letter) { l.Text = "" }, "Subject: Potassium\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := plain()
			c.change(&l)
			o := open(t, seal(t, l, alice, bob), bob.opens())
			main := o.Payload
			if len(main.Parts) > 0 {
				if got := read(t, opener{main.Parts[1]}); got != "a file\n" || main.Parts[1].Params["hp-legacy-display"] != "" {
					t.Errorf("the file is %q", got)
				}
				main = main.Parts[0]
			}
			if got := strings.ReplaceAll(read(t, opener{main}), "\r\n", "\n"); got != c.want+l.Text || (main.Params["hp-legacy-display"] == "1") != (c.want != "") {
				t.Errorf("%q is written", got)
			}
			if got := shown(t, o); got != l.Text {
				t.Errorf("%q is shown", got)
			}
		})
	}
	var signed bytes.Buffer
	if err := smime.Sign(&signed, plain(), alice.keys(), nil); err != nil || strings.Contains(signed.String(), "legacy") {
		t.Errorf("signed only: %v", err)
	}
	var direct bytes.Buffer
	e := smime.Envelope{To: []*x509.Certificate{bob.encrypt}, Direct: true}
	if err := e.Seal(&direct, plain(), alice.keys()); err != nil {
		t.Fatal(err)
	}
	if o := open(t, message.Bytes(direct.Bytes()), bob.opens()); shown(t, o) != plain().Text || strings.Contains(read(t, o.Payload.Entity()), "legacy") {
		t.Error("the Direct profile has one")
	}
}

// Test9787_6_2_1_ErrantSigning: what an errant signature encloses is read like any other
// part, and is nobody's; an envelope stays closed; the message as it came is left alone.
func Test9787_6_2_1_ErrantSigning(t *testing.T) {
	alice, bob, eve := people()["alice"], people()["bob"], people()["eve"]
	footer := textPart("list\n")
	texts := func(o *smime.Opened) string {
		var all []string
		_ = o.Payload.Walk(func(p *message.Part) error {
			if p.Type == "text/plain" {
				s, _ := p.Text(1 << 10)
				all = append(all, strings.TrimSpace(s))
			}
			return nil
		})
		return strings.Join(all, " | ")
	}
	for _, c := range []struct{ name, entity, layers, texts string }{
		{"a list's footer", multipart("mixed", "m", opaque(alice, textPart("hello")), footer), "", "hello | list"},
		{"without smime-type", multipart("mixed", "m", entity("application/pkcs7-mime", cmsOf(opaque(alice, textPart("hello")))), footer), "", "hello | list"},
		{"signed around", clearSigned(eve, multipart("mixed", "m", opaque(alice, textPart("hello")), footer)), "signed(valid)", "hello | list"},
		{"changed on the way", multipart("mixed", "m", opaqueOf(strings.Replace(cmsOf(opaque(alice, textPart("hello"))), "hello", "hallo", 1)), footer), "", "hallo | list"},
		{"a signature within", multipart("mixed", "m", opaque(alice, opaque(alice, textPart("hello"))), footer), "", "list"},
		{"an envelope within", multipart("mixed", "m", opaque(alice, encrypted(textPart(secret), bob)), footer), "", "list"},
		{"an envelope", multipart("mixed", "m", encrypted(textPart(secret), bob), footer), "", "list"},
		{"in a message inside", multipart("mixed", "m", footer, crlf("Content-Type: message/rfc822\n\n")+opaque(alice, textPart("hello"))), "", "list"},
		{"no content", multipart("mixed", "m", opaqueOf(signature(alice, "x")), footer), "", "list"},
		{"six of them", multipart("mixed", "m", slices.Repeat([]string{opaque(alice, textPart("a"))}, 6)...), "", "a | a | a | a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), bob.opens())
			if got := texts(o); got != c.texts || layers(o) != c.layers || o.Problem != nil {
				t.Errorf("%s, %q; want %q; %v", layers(o), got, c.texts, o.Problem)
			}
			if len(o.Layers) == 0 && len(o.Protected) > 0 || everything(t, o, secret) {
				t.Error("what is errant counts")
			}
			_ = o.Root.Walk(func(p *message.Part) error {
				if s, _ := p.Text(1 << 10); p.Type == "text/plain" && strings.Contains(s, "hello") && len(o.Layers) == 0 {
					t.Error("the message as it came is another one")
				}
				return nil
			})
		})
	}
}
