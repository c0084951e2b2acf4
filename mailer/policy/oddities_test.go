package policy

import (
	"encoding/asn1"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/smime"
	"countersign/vault/trust"
)

// Test9787_6_2_Errant: what is not of the envelope changes no verdict, and is told.
func Test9787_6_2_Errant(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	key := pinned.Pin.Keys.Sign
	for _, c := range []struct {
		layers string
		errant []smime.Kind
		says   string
	}{
		{"", []smime.Kind{smime.Signed}, "A part of it is signed, but not the whole"},
		{"", []smime.Kind{smime.Encrypted}, "A part of it is encrypted. That part is not opened"},
		{"", []smime.Kind{smime.OpenPGP}, "OpenPGP"},
		{"ES", []smime.Kind{smime.Signed}, "was not checked"},
		{"ES", []smime.Kind{smime.Encrypted}, "was not checked"},
		{"ES", []smime.Kind{smime.OpenPGP}, "OpenPGP"},
		{"E", []smime.Kind{smime.Encrypted}, "was not checked"},
	} {
		o := shape(c.layers, key)
		without := Judge(o, Facts{Contact: pinned, Signers: status("trusted"), Mine: []string{ada}})
		o.Errant = c.errant
		v := Judge(o, Facts{Contact: pinned, Signers: status("trusted"), Mine: []string{ada}})
		if last := v.Reasons[len(v.Reasons)-1]; !strings.Contains(last, c.says) || len(v.Reasons) != len(without.Reasons)+1 {
			t.Errorf("%q %v: %q", c.layers, c.errant, v.Reasons)
		}
		if v.Reasons = without.Reasons; v.Label != without.Label || v.Level != without.Level || v.Protection != without.Protection || v.Signature != without.Signature {
			t.Errorf("%q %v: the verdict changed: %+v", c.layers, c.errant, v)
		}
	}
}

// Test9787_6_5_WeakEncryption: it is told, and counts as none.
func Test9787_6_5_WeakEncryption(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	for layers, want := range map[string]string{"ES": "signed", "E": "none", "EES": "encrypted-and-signed"} {
		o := shape(layers, pinned.Pin.Keys.Sign)
		o.Layers[0].Enveloped = &cms.Enveloped{Weak: true, Cipher: "3DES-CBC"}
		v := Judge(o, Facts{Contact: pinned, Signers: status("trusted"), Mine: []string{ada}})
		told := slices.ContainsFunc(v.Reasons, func(r string) bool { return strings.Contains(r, "no longer safe (3DES-CBC)") })
		if v.Protection != want || !told || want != "encrypted-and-signed" && v.Level == Good {
			t.Errorf("%s: %+v", layers, v)
		}
	}
}

// Test9788_4_4_2_FromMismatch: another From outside is told where no valid signature
// stands for the one inside.
func Test9788_4_4_2_FromMismatch(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	mallory := certificate(t, "Mallory", []string{"mallory@evil.example"}, nil)
	for _, c := range []struct {
		name, layers, outer string
		signed              bool
		told                bool
	}{
		{"signed by her", "ES", "mallory@evil.example", true, false},
		{"signed by another", "ES", "mallory@evil.example", false, true},
		{"a broken signature", "Es", "mallory@evil.example", true, true},
		{"no signature", "E", "mallory@evil.example", true, true},
		{"the same", "E", "Bea <BEA.brandt@northclinic.example>", true, false},
		{"none outside", "E", "", true, false},
		{"several outside", "E", bea + ", mallory@evil.example", true, true},
		{"no protection", "", "mallory@evil.example", true, false},
	} {
		signer := pinned.Pin.Keys.Sign
		f := Facts{Contact: pinned, Signers: status("trusted"), Mine: []string{ada}}
		if !c.signed {
			signer, f.Signers = mallory, nil
		}
		o := shape(c.layers, signer)
		if c.outer != "" {
			o.Outer.Add("From", c.outer)
		}
		v := Judge(o, f)
		told := slices.ContainsFunc(v.Reasons, func(r string) bool { return strings.HasPrefix(r, "Outside it says that it is from ") })
		if told != c.told || told && v.Level != Stop {
			t.Errorf("%s: %s %q", c.name, v.Level, v.Reasons)
		}
	}
}

// Test9787_6_4_SignatureFailures: a signature that fails is no worse than none.
func Test9787_6_4_SignatureFailures(t *testing.T) {
	c := verified(t, bea, "Dr Bea Brandt")
	for failed, without := range map[string]string{"s": "", "Es": "E"} {
		a := Judge(shape(failed, c.Pin.Keys.Sign), Facts{Contact: c})
		b := Judge(shape(without), Facts{Contact: c})
		if a.Level != b.Level || a.Denied != b.Denied {
			t.Errorf("%q is %s, %q is %s", failed, a.Level, without, b.Level)
		}
	}
	if says := Problem(smime.ErrForm); !strings.Contains(says, "does not stand by itself") {
		t.Error(says)
	}
}

// TestNotLetter: a signed receipt is no letter.
func TestNotLetter(t *testing.T) {
	c := certificate(t, "Bea", []string{bea}, nil)
	for _, kind := range []struct {
		oid  asn1.ObjectIdentifier
		told bool
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, false},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 1}, true},
	} {
		o := shape("S", c)
		o.Layers[0].Signed.Type = kind.oid
		v := Judge(o, Facts{Signers: status(trust.Trusted)})
		if told := slices.ContainsFunc(v.Reasons, func(r string) bool { return strings.Contains(r, "not a letter") }); told != kind.told {
			t.Errorf("%v: %q", kind.oid, v.Reasons)
		}
	}
}

// TestByPassword: who has no certificate among the recipients needs another secret.
func TestByPassword(t *testing.T) {
	nobody, somebody := cms.Recipient{Algorithm: "a password"}, cms.Recipient{Algorithm: "RSA PKCS#1 v1.5"}
	somebody.KeyID = []byte{1}
	for _, c := range []struct {
		to   []cms.Recipient
		want bool
	}{{nil, false}, {[]cms.Recipient{nobody}, true}, {[]cms.Recipient{nobody, somebody}, false}, {[]cms.Recipient{{Algorithm: "unreadable"}}, false}} {
		o := shape("e")
		o.Layers[0].Err = smime.ErrNoKey
		o.Layers[0].Enveloped.Recipients = c.to
		if got := strings.Contains(Judge(o, Facts{}).Reasons[0], "password"); got != c.want {
			t.Errorf("%v: %t", c.to, got)
		}
	}
	agreed := shape("e")
	agreed.Layers[0] = smime.Layer{Kind: smime.Encrypted, Form: "encrypted-data", Err: smime.ErrNoKey}
	if v := Judge(agreed, Facts{}); v.Protection != "encrypted" || v.Label != closedLabel || !strings.Contains(v.Reasons[0], "a key agreed on before") {
		t.Errorf("%+v", v)
	}
}

// Test9788_2_1_1_CipherWithoutEncryption: what a letter says of its encryption is not
// taken for one.
func Test9788_2_1_1_CipherWithoutEncryption(t *testing.T) {
	pinned := verified(t, bea, "Dr Bea Brandt")
	for layers, told := range map[string]bool{"S": true, "ES": false, "SE": false} {
		o := shape(layers, pinned.Pin.Keys.Sign)
		o.Payload.Params = map[string]string{"hp": "cipher"}
		v := Judge(o, Facts{Contact: pinned, Signers: status("trusted"), Mine: []string{ada}})
		says := slices.ContainsFunc(v.Reasons, func(r string) bool { return strings.Contains(r, "it came without") })
		if says != told || told && (v.Protection != "signed" || v.Level == Good) {
			t.Errorf("%s: %s %s %q", layers, v.Protection, v.Level, v.Reasons)
		}
	}
}
