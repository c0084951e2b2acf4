package mailer_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/mailer/policy"
)

// spoof is a header that Mallory puts on a letter, which he signs with a certificate that
// is valid for his own address, to be taken for Bea.
type spoof struct {
	name   string
	wants  string // what he would get if it worked
	header string // outside, and inside where it is protected
	from   string // who it says it is from, as shown; "" for nobody
	match  bool   // the signature is by that address
}

const mallorysAddress = "mallory@evil.example"

// spoofs are after "Johnny, you are fired!" (Müller et al., 2019), sections 4.4 and 4.5,
// and RFC 5322, 2047 and 5890 where programs read them differently.
func spoofs() []spoof {
	const bea, mal = beaAddress, mallorysAddress
	from := func(s string) string { return "From: " + s + "\r\n" }
	return []spoof{
		// Control: honest mail of his own.
		{"his own address", "to be read", from("Mallory <" + mal + ">"), mal, true},
		{"his own address in capitals", "to be read", from("MALLORY@EVIL.EXAMPLE"), mal, true},

		// Whose address counts.
		{"her address", "his signature under her name", from(bea), bea, false},
		{"her address, his as Sender", "the signature counted for Sender", from(bea) + "Sender: " + mal + "\r\n", bea, false},
		{"his address as Sender first", "the signature counted for Sender", "Sender: " + mal + "\r\n" + from(bea), bea, false},
		{"her address, his as Reply-To", "the answer", from(bea) + "Reply-To: " + mal + "\r\n", bea, false},
		{"his as Resent-From", "the signature counted for Resent-From", from(bea) + "Resent-From: " + mal + "\r\n", bea, false},
		{"both addresses, hers first", "hers shown, his verified", from(bea + ", " + mal), "", false},
		{"both addresses, his first", "his verified, hers shown", from(mal + ", " + bea), "", false},
		{"both, parted by a semicolon", "hers shown, his verified", from(bea + "; " + mal), "", false},
		{"two From fields, hers first", "the first shown, the second verified", from(bea) + from(mal), "", false},
		{"two From fields, his first", "the first verified, the second shown", from(mal) + from(bea), "", false},
		{"two From fields, one in capitals", "one of them overlooked", from(mal) + "FROM: " + bea + "\r\n", "", false},
		{"From with a blank before the colon", "one of them overlooked", from(mal) + "From : " + bea + "\r\n", "", false},
		{"no From", "another field taken instead", "Sender: " + bea + "\r\n", "", false},
		{"empty From", "another field taken instead", from("") + "Sender: " + bea + "\r\n", "", false},
		{"a name without an address", "a name taken for a person", from("Bea Brandt"), "", false},
		{"nothing that is an address", "what is shown is not what is compared", from("<>"), "", false},

		// Names.
		{"her address as his name", "the name taken for the address", from(`"` + bea + `" <` + mal + ">"), mal, true},
		{"her name", "the name taken for the person", from("Bea Brandt <" + mal + ">"), mal, true},
		{"her address as an encoded name", "the name taken for the address", from("=?utf-8?q?bea=2Ebrandt=40northclinic=2Eexample?= <" + mal + ">"), mal, true},
		{"her address and blanks as his name", "his address out of sight", from(`"` + bea + strings.Repeat(" ", 200) + `" <` + mal + ">"), mal, true},
		{"a name that turns round", "his address read backwards", from("\"\u202e" + bea + "\" <" + mal + ">"), mal, true},
		{"a name with a line break", "a second line in the header", from("=?utf-8?q?Bea=0D=0AFrom:_" + bea + "?= <" + mal + ">"), mal, true},
		{"her address folded before his", "the first line read as all", from("\"" + bea + "\"\r\n <" + mal + ">"), mal, true},

		// Groups, comments, routes, quotation marks.
		{"a group of her address", "the group taken for the sender", from(bea + ": " + mal + ";"), mal, true},
		{"a group of his with both", "one of them overlooked", from("x: " + mal + ", " + bea + ";"), "", false},
		{"an empty group before", "the group's name shown", from("\"" + bea + "\":; " + mal), mal, true},
		{"his address as a comment", "the comment verified", from(bea + " (" + mal + ")"), bea, false},
		{"her address as a comment", "the comment shown", from("(" + bea + ") " + mal), mal, true},
		{"his in nested comments", "the comment verified", from(bea + " (a (" + mal + ") \\) b)"), bea, false},
		{"a comment within", "two readings of the address", from(bea[:3] + "(" + mal + ")" + bea[3:]), "", false},
		{"a route", "the route taken for the address", from("<@northclinic.example,@x.example:" + mal + ">"), mal, true},
		{"two angle brackets", "two readings of the address", from("<" + bea + "> <" + mal + ">"), "", false},
		{"brackets in brackets", "two readings of the address", from("<" + bea + "<" + mal + ">>"), "", false},
		{"hers in quotation marks", "two readings of the address", from(`"` + bea + `"@evil.example`), "\"" + bea + "\"@evil.example", false},
		{"hers before a second @", "two readings of the address", from(bea + "@evil.example"), "", false},
		{"quotation marks not closed", "two readings of the address", from(`"` + bea + " <" + mal + ">"), "", false},

		// Encoded words and odd bytes in addresses.
		{"an encoded address", "decoded for showing, not for comparing", from("=?utf-8?q?bea.brandt=40northclinic.example?="), "", false},
		{"an encoded address in brackets", "decoded for showing, not for comparing", from("<=?utf-8?q?bea.brandt=40northclinic.example?=>"), "", false},
		{"NUL after her address", "the rest cut off", from(bea + "\x00" + mal), "", false},
		{"NUL before his", "the rest cut off", from(bea + "\x00 <" + mal + ">"), mal, true},
		{"CR alone before his", "the rest taken for a line of its own", from(bea + "\r <" + mal + ">"), mal, true},
		{"LF alone before his", "the rest taken for a line of its own", from(bea + "\n <" + mal + ">"), mal, true},
		{"a soft hyphen", "two addresses that look the same", from("bea.bran\u00addt@northclinic.example"), "", false},
		{"a zero-width blank", "two addresses that look the same", from("bea.brandt\u200b@northclinic.example"), "", false},

		// Addresses that look like hers.
		{"Cyrillic letters", "an address that looks like hers", from("bea.brandt@n\u043erthclinic.example"), "bea.brandt@xn--nrthclinic-evi.example", false},
		{"full-width letters", "an address that looks like hers", from("bea.brandt@ｎorthclinic.example"), bea, false},
		{"the Kelvin sign", "an address that is folded to hers", from("\u212Aea@northclinic.example"), "\u212Aea@northclinic.example", false},
		{"a domain below his", "the beginning taken for the whole", from(bea + ".evil.example"), bea + ".evil.example", false},
		{"an address with a tag", "the tag passed over", from("bea.brandt+x@northclinic.example"), "bea.brandt+x@northclinic.example", false},
		{"her address without the dot", "dots passed over", from("beabrandt@northclinic.example"), "beabrandt@northclinic.example", false},
		{"Ada's own address", "a letter of her own", from(adaAddress), adaAddress, false},
	}
}

// TestSpoofs: nothing that Mallory writes into a header makes his signature hers. Each is
// tried as an old program signs, and with the header protected inside an envelope,
// there with another From outside as well.
func TestSpoofs(t *testing.T) {
	all := spoofs()
	if len(all) < 50 {
		t.Fatalf("%d attempts", len(all))
	}
	w := newWorld(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	mallory := w.admit("Mallory", mallorysAddress)
	for n, s := range all {
		to := "To: " + adaAddress + "\r\nSubject: Potassium\r\n"
		open := w.oldProgram(mallory, s.header+to, "Act on it.")
		inside := s.header + to + "Content-Type: text/plain; hp=cipher\r\n\r\nAct on it.\r\n"
		closed := w.seals(w.signs(mallory, inside), ada)
		for how, raw := range map[string][]byte{
			"signed":              open,
			"protected":           append([]byte(s.header), closed...),
			"protected, her name": append([]byte("From: "+beaAddress+"\r\n"), closed...),
		} {
			t.Run(fmt.Sprintf("%02d %s, %s", n+1, s.name, how), func(t *testing.T) {
				got, err := ada.Inspect(t.Context(), bytes.NewReader(raw), time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				s.honest(t, got)
			})
		}
	}
}

func (s spoof) honest(t *testing.T, got mailer.Inspection) {
	t.Helper()
	v := got.Verdict
	if got.From != s.from {
		t.Errorf("it is shown as from %q, not %q", got.From, s.from)
	}
	if v.Signature != "valid" || !strings.Contains(v.Signer, mallorysAddress) {
		t.Errorf("signed by %q, %s", v.Signer, v.Signature)
	}
	if (v.From == "match") != s.match || !s.match && v.Level != policy.Stop || v.Level == policy.Good {
		t.Errorf("From %s, %s: %s", v.From, v.Level, v.Label)
	}
	if strings.Contains(v.Label, "Confirmed") || !s.match && v.Denied == "" || v.Contact == "verified" && s.from != beaAddress {
		t.Errorf("%+v", v)
	}
	if strings.ContainsAny(v.Label+v.Signer+got.From+got.Subject, "\r\n\x00\u202e") {
		t.Errorf("%q", v.Label)
	}
}
