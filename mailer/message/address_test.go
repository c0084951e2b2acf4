package message_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"countersign/mailer/message"
)

func TestParseAddressList(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // as name<addr>, parted by |
		bad  bool
	}{
		{"a@x.example", "<a@x.example>", false},
		{"Dr A <a@x.example>", "Dr A<a@x.example>", false},
		{`"A, Dr \"B\"" <a@x.example>, b@x.example`, `A, Dr "B"<a@x.example>|<b@x.example>`, false},
		{"a@x.example (Dr A)", "Dr A<a@x.example>", false},
		{"(note) Dr (x (y)) A (z) <a@x.example> (w)", "Dr A<a@x.example>", false},
		{"Team: a@x.example, B <b@x.example>;, c@x.example", "<a@x.example>|B<b@x.example>|<c@x.example>", false},
		{"undisclosed-recipients:;", "", false},
		{"", "", false},
		{" , ,a@x.example,, ", "<a@x.example>", false},
		{"a@x.example; b@x.example", "<a@x.example>|<b@x.example>", false},
		{"<@relay.example,@b.example:a@x.example>", "<a@x.example>", false},
		{"=?utf-8?q?J=C3=B6rg?= <j@x.example>", "Jörg<j@x.example>", false},
		{`"=?utf-8?q?J=C3=B6rg?=" <j@x.example>`, "Jörg<j@x.example>", false},
		{"=?utf-8?q?a=40evil.example=2C_b?= <j@x.example>", "a@evil.example, b<j@x.example>", false},
		{"Jörg <jörg@münchen.example>", "Jörg<jörg@münchen.example>", false},
		{`"a b"@x.example`, `<"a b"@x.example>`, false},
		{`"ab"@x.example`, "<ab@x.example>", false},
		{`"a@b"@x.example`, `<"a@b"@x.example>`, false},
		{`<"a>b"@x.example>`, `<"a>b"@x.example>`, false},
		{"a@[192.0.2.1]", "<a@[192.0.2.1]>", false},
		{"a@[IPv6:2001:db8::1], b@x.example", "<a@[IPv6:2001:db8::1]>|<b@x.example>", false},
		{"a..b.@x.example", "<a..b.@x.example>", false},
		{"name\u202e <a@x.example>", "name<a@x.example>", false},
		// Refused, with what can be read besides.
		{"a", "", true},
		{"a@", "", true},
		{"@x.example", "", true},
		{"a@b@c.example", "", true},
		{"a b@x.example", "", true},
		{"a @x.example", "", true},
		{"<a@x.example", "", true},
		{"<a@x.example> <b@x.example>", "", true},
		{"A <a@x.example> b@x.example", "", true},
		{`"never closed <a@x.example>`, "", true},
		{"a@x..example, b@x.example", "<b@x.example>", true},
		{"a\u202eb@x.example", "", true},
		{"a\u200bb@x.example", "", true},
		{"a\u3164@x.example", "", true},
		{"a\u00a0b@x.example", "", true},
		{"a\x00@x.example", "", true},
		{"\xff@x.example", "", true},
		{"a@x.example>", "", true},
		{"a@x/y.example", "", true},
		{strings.Repeat("(", 10000), "", false},
		{strings.Repeat("[", 10000), "", true},
		{strings.Repeat("<", 10000), "", true},
		{strings.Repeat(`"\`, 10000), "", true},
	} {
		list, err := message.ParseAddressList(c.in)
		var got []string
		for _, a := range list {
			got = append(got, a.Name+"<"+a.Addr+">")
		}
		if s := strings.Join(got, "|"); s != c.want || (err != nil) != c.bad || err != nil && !errors.Is(err, message.ErrAddress) {
			t.Errorf("%.60q gives %q, %v; want %q", c.in, s, err, c.want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	if a, err := message.ParseAddress("Dr A <a@x.example>"); err != nil || a != (message.Address{Name: "Dr A", Addr: "a@x.example"}) {
		t.Errorf("%v %v", a, err)
	}
	for _, s := range []string{"", "a@x.example, b@x.example", "Team: a@x.example, b@x.example;"} {
		if _, err := message.ParseAddress(s); !errors.Is(err, message.ErrAddress) {
			t.Errorf("%q is one address: %v", s, err)
		}
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"Dr.A@Clinic.EXAMPLE":      "dr.a@clinic.example",
		" a@x.example. ":           "a@x.example",
		`"ab"@X.example`:           "ab@x.example",
		`"A b"@X.example`:          `"a b"@x.example`,
		"a@MÜNCHEN.example":        "a@xn--mnchen-3ya.example",
		"a@münchen.example":        "a@xn--mnchen-3ya.example",
		"a@XN--MNCHEN-3YA.example": "a@xn--mnchen-3ya.example",
		"Jörg@X.example":           "Jörg@x.example", // RFC 9598, section 5
		"a_b@x_y.example":          "a_b@x_y.example",
		"a@münchen。example。":       "a@xn--mnchen-3ya.example",
	} {
		got, err := message.Canonical(in)
		if err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", in, got, err, want)
		}
		if again, err := message.Canonical(got); err != nil || again != got {
			t.Errorf("%q is not its own canonical form: %q, %v", got, again, err)
		}
	}
	for _, in := range []string{
		"", "a", "Dr A <a@x.example>", "a@x.example, b@x.example", "a@\u202e.example", "a@xn--\u00fc.example", "a@。", "a@。.",
		strings.Repeat("a", 65) + "@x.example", "a@" + strings.Repeat("a.", 130) + "example",
	} {
		if got, err := message.Canonical(in); !errors.Is(err, message.ErrAddress) {
			t.Errorf("%q has the canonical form %q", in, got)
		}
	}
}

// TestAddressString writes addresses and reads them back.
func TestAddressString(t *testing.T) {
	for _, a := range []message.Address{
		{"", "a@x.example"}, {"Dr A", "a@x.example"}, {`O"B\C`, "a@x.example"}, {"A, B; C: <d@e>", "a@x.example"},
		{"Jörg Müller", "a@x.example"}, {strings.Repeat("日本", 40), "a@x.example"}, {"=?utf-8?q?x?=", "a@x.example"},
		{strings.Repeat("long name ", 20) + "end", `"a b"@x.example`}, {"Ü (x), y@z", "a@x.example"},
	} {
		var b bytes.Buffer
		h := message.Header{}
		h.Add("To", a.String())
		if err := h.Write(&b); err != nil {
			t.Fatal(err)
		}
		checkLines(t, b.String(), 76)
		if got := parse(t, message.Bytes(b.String())).Addresses("To"); len(got) != 1 || got[0] != a {
			t.Errorf("%q came back as %v", a, got)
		}
	}
	if got := (message.Address{Name: "x\r\nBcc: y\u202e", Addr: "a@x.example"}).String(); got != `"x  Bcc: y" <a@x.example>` {
		t.Errorf("%q", got)
	}
}
