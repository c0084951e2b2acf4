package mailer_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"countersign/mailer/policy"
)

// hostile are messages that nobody signed, each after something that programs have
// choked on. All of them are to arrive, and none is more than it is.
func hostile() map[string]string {
	from := "From: " + beaAddress + "\r\nTo: " + adaAddress + "\r\n"
	called := func(kind string) string {
		return from + "Content-Type: application/pkcs7-mime; smime-type=" + kind + "\r\n\r\nplain words\r\n"
	}
	return map[string]string{
		"a year that UTC writes with five digits": from + "Date: Fri, 31 Dec 9999 23:59:59 -1200\r\n\r\nx",
		"a year before the first":                 from + "Date: Sat, 1 Jan 0000 00:00:00 +1200\r\n\r\nx",
		"no date that exists":                     from + "Date: Fri, 99 Foo 999999 99:99:99 +9999\r\n\r\nx",
		"nothing":                                 "",
		"zeros":                                   strings.Repeat("\x00", 4096),
		"no header":                               "x",
		"only line breaks":                        strings.Repeat("\r\n", 4096),
		"not UTF-8":                               from + "Subject: \xff\xfe\r\n\r\n\xc3\x28",
		"surrogates":                              from + "Subject: =?utf-8?q?=ED=A0=80?=\r\n\r\n\xed\xa0\x80",
		"what a terminal obeys":                   from + "Subject: \x1b[2J\xc2\x9b31m\u202e\r\nX\x1b: y\r\n\r\n\x1b]0;t\x07",
		"called enveloped":                        called("enveloped-data"),
		"called authenticated":                    called("authEnveloped-data"),
		"called nothing":                          called("x"),
		"a name of a thousand words":              "From: " + strings.Repeat("a ", 1000) + "<" + beaAddress + ">\r\n\r\nx",
		"a hundred thousand recipients":           from + "Cc: " + strings.Repeat("a@b.example,", 100_000) + "\r\n\r\nx",
		"parts in parts":                          from + strings.Repeat("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", 500) + "x",
		"messages in messages":                    from + strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 500) + "x",
		"a form that is none":                     from + "Content-Type: application/vnd.countersign.form+json\r\n\r\n{\"kind\":\"test\"}",
	}
}

// TestNothingStopsTheMailbox: whatever comes is stored, listed, shown and told to other
// programs, and what comes after it comes too.
func TestNothingStopsTheMailbox(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	for name, raw := range hostile() {
		w.deliver(adaAddress, []byte(raw))
		m := ada.last()
		got, err := ada.Inspect(ctx, bytes.NewReader([]byte(raw)), time.Time{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, v := range []policy.Verdict{m.Verdict, got.Verdict} {
			if v.Level != policy.Stop || v.Protection != "none" || v.Signature != "none" || v.Denied == "" || v.Label == "" || len(v.Reasons) == 0 {
				t.Errorf("%s: %+v", name, v)
			}
		}
		for _, v := range []any{m, got} {
			if _, err := json.Marshal(v); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
