package settings_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/vault/settings"
)

func TestPreferences(t *testing.T) {
	good := settings.Preferences{FetchMinutes: 10, AllowPrivate: true, GraceHours: 0, KeepSummaries: true, Directories: "ldaps://ldap.clinic.example ldap://10.0.0.1:3389"}
	for _, p := range []settings.Preferences{settings.Default(), good} {
		data, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := settings.ParsePreferences(data)
		if err != nil || back != p {
			t.Errorf("%s came back as %+v, %v", data, back, err)
		}
	}
	for name, bad := range map[string]string{
		"empty":         ``,
		"no object":     `[]`,
		"unknown":       `{"fetch_minutes":5,"allow_private":false,"grace_hours":24,"keep_summaries":true,"colour":1}`,
		"missing":       `{"fetch_minutes":5,"allow_private":false,"grace_hours":24}`,
		"too often":     `{"fetch_minutes":0,"allow_private":false,"grace_hours":24,"keep_summaries":true}`,
		"too seldom":    `{"fetch_minutes":61,"allow_private":false,"grace_hours":24,"keep_summaries":true}`,
		"grace too low": `{"fetch_minutes":5,"allow_private":false,"grace_hours":-1,"keep_summaries":true}`,
		"grace too big": `{"fetch_minutes":5,"allow_private":false,"grace_hours":169,"keep_summaries":true}`,
		"no directory":  `{"fetch_minutes":5,"allow_private":false,"grace_hours":24,"keep_summaries":true,"directories":"https://a.example"}`,
		"twice":         `{"fetch_minutes":5,"allow_private":false,"grace_hours":24,"keep_summaries":true,"directories":"ldap://a.example ldap://a.example"}`,
		"nine":          `{"fetch_minutes":5,"allow_private":false,"grace_hours":24,"keep_summaries":true,"directories":"ldap://a ldap://b ldap://c ldap://d ldap://e ldap://f ldap://g ldap://h ldap://i"}`,
		"two values":    `{"fetch_minutes":5,"allow_private":false,"grace_hours":24,"keep_summaries":true}{}`,
		"too long":      `{"fetch_minutes":5,"allow_private":false,"grace_hours":24,"keep_summaries":true}` + strings.Repeat(" ", 5000),
	} {
		if _, err := settings.ParsePreferences([]byte(bad)); !errors.Is(err, settings.ErrIllFormed) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	if _, err := (settings.Preferences{}).Marshal(); err == nil {
		t.Error("preferences out of bounds were stored")
	}
	before := `{"fetch_minutes":5,"allow_private":false,"grace_hours":24,"keep_summaries":true}`
	if p, err := settings.ParsePreferences([]byte(before)); err != nil || p != settings.Default() {
		t.Errorf("a profile of before there were directories: %+v, %v", p, err)
	}
}

func TestSilentAuthorities(t *testing.T) {
	for text, want := range map[string]bool{"": false, "silent-authorities = yes\n": true, "silent-authorities = no\n": false} {
		p, err := settings.ParsePolicy([]byte("version = 1\n" + text))
		if err != nil || p.SilentAuthorities != want || strings.Contains(string(p.Format()), "silent") != want {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

func TestRespondersFirst(t *testing.T) {
	for text, want := range map[string]bool{"": false, "responders-first = yes\n": true, "responders-first = no\n": false} {
		p, err := settings.ParsePolicy([]byte("version = 1\n" + text))
		if err != nil || p.RespondersFirst != want || strings.Contains(string(p.Format()), "responders") != want {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

const full = `# Harbour Clinic, 2026
version = 1
summaries = no
content-keys=no
private-addresses = no   # ours is public
require-anchor = yes

grace-hours = 0
message-megabytes = 20
revocation-host = CRL.clinic.example
revocation-host = crl2.clinic.example
`

const digest = "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"

func TestParsePolicy(t *testing.T) {
	zero := 0
	for name, c := range map[string]struct {
		text string
		want settings.Policy
	}{
		"only version":   {"version = 1\n", settings.Policy{}},
		"no final break": {"version=1", settings.Policy{}},
		"CRLF":           {"version = 1\r\nsummaries = no\r\n", settings.Policy{NoSummaries: true}},
		"allowed":        {"version = 1\nsummaries = yes\ncontent-keys = yes\n", settings.Policy{}},
		"words for keys": {"version = 1\nkey-announcements = words\n", settings.Policy{KeyAnnouncements: "words"}},
		"locked always":  {"version = 1\nlock-with-screen = on\n", settings.Policy{LockWithScreen: "on"}},
		"never locked":   {"version = 1\nlock-with-screen = off\n", settings.Policy{LockWithScreen: "off"}},
		"calls for keys": {"version = 1\nkey-announcements = call\n", settings.Policy{KeyAnnouncements: "call"}},
		"keys as signed": {"version = 1\nkey-announcements = signed\n", settings.Policy{}},
		"a day":          {"version = 1\nsha1-before = 2027-01-31\n", settings.Policy{SHA1Before: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}},
		"cards": {"version = 1\npin-minutes = 0\ncard-software = /usr/lib/card.so\ncard-software = C:\\Program Files\\Card\\card.dll # ours\n",
			settings.Policy{PINMinutes: &zero, CardSoftware: []string{"/usr/lib/card.so", `C:\Program Files\Card\card.dll`}}},
		"no looking": {"version = 1\nfind-certificates = no\n", settings.Policy{NoFinding: true}},
		"anchors": {"version = 1\ndns-anchor = . IN DS 20326 8 2 " + digest + "\ndns-anchor = clinic. 300 IN DS 1 13 2 " + digest + "\n",
			settings.Policy{DNSAnchors: []string{". IN DS 20326 8 2 " + digest, "clinic. 300 IN DS 1 13 2 " + digest}}},
		"places": {"version = 1\ndirectory = ldaps://ldap.clinic.example\ndirectory = ldap://[::1]:3890\ndns-validating = yes\ndns-server = 127.0.0.1\ndns-server = [::1]:5353\n",
			settings.Policy{Directories: []string{"ldaps://ldap.clinic.example", "ldap://[::1]:3890"}, DNSServers: []string{"127.0.0.1", "[::1]:5353"}, DNSValidating: true}},
		"everything": {full, settings.Policy{
			NoSummaries: true, NoContentKeys: true, NoPrivate: true, RequireAnchor: true, GraceHours: &zero,
			MessageMegabytes: 20, RevocationHosts: []string{"crl.clinic.example", "crl2.clinic.example"},
		}},
	} {
		got, err := settings.ParsePolicy([]byte(c.text))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestPolicyRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":             "",
		"no version":        "summaries = no\n",
		"version later":     "summaries = no\nversion = 1\n",
		"version 2":         "version = 2\n",
		"version twice":     "version = 1\nversion = 1\n",
		"unknown":           "version = 1\nsumaries = no\n",
		"twice":             "version = 1\nsummaries = no\nsummaries = yes\n",
		"no value":          "version = 1\nsummaries =\n",
		"no equals":         "version = 1\nsummaries no\n",
		"neither yes nor":   "version = 1\nrequire-anchor = true\n",
		"grace too long":    "version = 1\ngrace-hours = 169\n",
		"grace signed":      "version = 1\ngrace-hours = +1\n",
		"grace zero":        "version = 1\ngrace-hours = 01\n",
		"size zero":         "version = 1\nmessage-megabytes = 0\n",
		"locked at times":   "version = 1\nlock-with-screen = yes\n",
		"keys as you like":  "version = 1\nkey-announcements = yes\n",
		"day the other way": "version = 1\nsha1-before = 31.01.2027\n",
		"day that is none":  "version = 1\nsha1-before = 2027-02-30\n",
		"day zero":          "version = 1\nsha1-before = 0001-01-01\n",
		"host a URL":        "version = 1\nrevocation-host = http://crl.example/\n",
		"host twice":        "version = 1\nrevocation-host = a.example\nrevocation-host = A.example\n",
		"directory a host":  "version = 1\ndirectory = ldap.clinic.example\n",
		"directory on web":  "version = 1\ndirectory = https://ldap.clinic.example\n",
		"directory, signed": "version = 1\ndirectory = ldaps://me:pw@ldap.clinic.example\n",
		"directory, entry":  "version = 1\ndirectory = ldaps://ldap.clinic.example/cn=x\n",
		"directory twice":   "version = 1\ndirectory = ldap://a.example\ndirectory = ldap://a.example\n",
		"anchor of a name":  "version = 1\ndns-anchor = root\n",
		"anchor an address": "version = 1\ndns-anchor = . IN A 192.0.2.1\n",
		"DNS by name":       "version = 1\ndns-server = dns.clinic.example\n",
		"DNS twice":         "version = 1\ndns-server = 192.0.2.1\ndns-server = 192.0.2.1\n",
		"DNS believed":      "version = 1\ndns-server = 192.0.2.1\ndns-validating = yes\n",
		"DNS believed, any": "version = 1\ndns-validating = yes\n",
		"card by name":      "version = 1\ncard-software = card.so\n",
		"card twice":        "version = 1\ncard-software = /a\ncard-software = /a\n",
		"PIN for days":      "version = 1\npin-minutes = 481\n",
		"control":           "version = 1\nsummaries = n\x00o\n",
		"lone CR":           "version = 1\rsummaries = no\n",
		"not UTF-8":         "version = 1\n# \xff\n",
		"byte-order mark":   "\ufeffversion = 1\n",
		"too long":          "version = 1\n#" + strings.Repeat("x", 64<<10),
		"too many lines":    "version = 1\n" + strings.Repeat("\n", 2000),
		"hash in the name":  "version = 1\nsum#maries = no\n",
	} {
		if _, err := settings.ParsePolicy([]byte(text)); !errors.Is(err, settings.ErrIllFormed) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	many := "version = 1\n"
	for i := range 101 {
		many += "revocation-host = h" + strings.Repeat("x", i%50) + string(rune('a'+i/50)) + ".example\n"
	}
	if _, err := settings.ParsePolicy([]byte(many)); !errors.Is(err, settings.ErrIllFormed) {
		t.Errorf("101 hosts: err = %v", err)
	}
}

func TestLimit(t *testing.T) {
	day := 24
	wish := settings.Preferences{FetchMinutes: 5, AllowPrivate: true, GraceHours: 100, KeepSummaries: true}
	if got := (settings.Policy{}).Limit(wish); got != wish {
		t.Errorf("no policy changed %+v to %+v", wish, got)
	}
	strict := settings.Policy{NoSummaries: true, NoPrivate: true, GraceHours: &day}
	want := settings.Preferences{FetchMinutes: 5, GraceHours: 24}
	if got := strict.Limit(wish); got != want {
		t.Errorf("Limit = %+v", got)
	}
	none := 0
	if got, kept := (settings.Policy{}).KeepPIN(), (settings.Policy{PINMinutes: &none}).KeepPIN(); got != 15*time.Minute || kept != 0 {
		t.Errorf("KeepPIN = %v, %v", got, kept)
	}
	if got := (settings.Policy{}).MessageBytes(); got != 25<<20 {
		t.Errorf("MessageBytes = %d", got)
	}
	if got := (settings.Policy{MessageMegabytes: 3}).MessageBytes(); got != 3<<20 {
		t.Errorf("MessageBytes = %d", got)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("version = 1\ngrace-hours = 3 # three\n"))
	f.Add([]byte("version = 1\ncard-software = /usr/lib/card.so\npin-minutes = 5\n"))
	f.Add([]byte("version = 1\nrevocation-host = xn--bcher-kva.example\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := settings.ParsePolicy(data)
		if err != nil {
			return
		}
		out := p.Format()
		back, err := settings.ParsePolicy(out)
		if err != nil || !reflect.DeepEqual(back, p) || !bytes.Equal(back.Format(), out) {
			t.Fatalf("%+v was written as %q and read as %+v, %v", p, out, back, err)
		}
	})
}

func FuzzParsePreferences(f *testing.F) {
	f.Add([]byte(`{"fetch_minutes":5,"allow_private":false,"grace_hours":24,"keep_summaries":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := settings.ParsePreferences(data)
		if err != nil {
			return
		}
		out, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := settings.ParsePreferences(out); err != nil || back != p {
			t.Fatalf("%+v came back as %+v, %v", p, back, err)
		}
	})
}
