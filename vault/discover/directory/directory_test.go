package directory_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/vault/discover/directory"
	"countersign/vault/discover/directory/directorytest"
)

func client() directory.Client {
	return directory.Client{Dial: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func person(mail string, attribute string, values ...string) directorytest.Entry {
	return directorytest.Entry{DN: "cn=" + mail + ",dc=harbour,dc=example", Attributes: map[string][]string{"mail": {mail}, attribute: values}}
}

func texts(values [][]byte) (all []string) {
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}

func TestFind(t *testing.T) {
	s := &directorytest.Server{
		Contexts: []string{"dc=elsewhere,dc=example", "dc=harbour,dc=example"},
		Entries: []directorytest.Entry{
			{DN: "cn=both,dc=harbour,dc=example", Attributes: map[string][]string{"mail": {"Ada@harbour.example"},
				"userCertificate": {"plain"}, "USERCERTIFICATE;BINARY": {"one", "", "two"}, "userCertificateX": {"no"}, "description": {"no"}}},
			{DN: "cn=bea,dc=harbour,dc=example", Attributes: map[string][]string{"mail": {"bea@harbour.example"}, "userSMIMECertificate;binary": {"message"}, "userCertificate;binary": {"bea"}}},
			person("harbour.example", "userCertificate", "domain"),
			person(`a*b(c)\@harbour.example`, "userCertificate", "odd"),
			person("none@harbour.example", "description", "x"),
		},
	}
	at := directory.Server{Address: s.Start(t)}
	for mail, want := range map[string][]string{
		"ada@harbour.example":      {"one", "two", "plain"},
		"bea@harbour.example":      {"bea", "message"},
		"harbour.example":          {"domain"},
		"nobody@harbour.example":   nil,
		"none@harbour.example":     nil,
		"*":                        nil, // escaped: not everybody
		`a*b(c)\@harbour.example`:  {"odd"},
		"x)(mail=*":                nil,
		"\x00\xff@harbour.example": nil,
	} {
		got, err := client().Find(soon(t), at, mail)
		if err != nil || !slices.Equal(texts(got), want) {
			t.Errorf("%q: %q, %v", mail, texts(got), err)
		}
	}
	for _, b := range s.Binds() {
		if b != "/" {
			t.Errorf("signed in as %q", b)
		}
	}
	if !slices.Contains(s.Asked(), "dc=elsewhere,dc=example mail=ada@harbour.example") {
		t.Errorf("a naming context was left out: %q", s.Asked())
	}
}

// TestUnhelpful: what each directory that gives nothing is told apart as.
func TestUnhelpful(t *testing.T) {
	gone := &directorytest.Server{}
	refusing := errors.New("not there")
	for name, c := range map[string]struct {
		s    *directorytest.Server
		want error
	}{
		"a password wanted":   {&directorytest.Server{Bind: 49}, directory.ErrClosed},
		"no anonymous bind":   {&directorytest.Server{Bind: 48}, directory.ErrClosed},
		"a referral":          {&directorytest.Server{Refer: "ldap://127.0.0.1:1/dc=x"}, directory.ErrElsewhere},
		"no naming contexts":  {gone, nil},
		"noise":               {&directorytest.Server{Answer: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, nil},
		"a length of 2 GiB":   {&directorytest.Server{Answer: []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 2, 1, 3}}, nil},
		"without end":         {&directorytest.Server{Answer: []byte{0x30, 0x80, 2, 1, 3}}, nil},
		"deep":                {&directorytest.Server{Answer: deep(40)}, nil},
		"a million elements":  {&directorytest.Server{Answer: many(100_000)}, nil},
		"an entry of nothing": {&directorytest.Server{Answer: []byte{0x30, 5, 2, 1, 3, 0x64, 0}}, nil},
		"attribute a number":  {&directorytest.Server{Answer: []byte{0x30, 16, 2, 1, 3, 0x64, 11, 4, 0, 0x30, 7, 0x30, 5, 2, 1, 1, 0x31, 0}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client().Find(soon(t), directory.Server{Address: c.s.Start(t)}, "ada@harbour.example")
			if len(got) != 0 || c.want != nil && !errors.Is(err, c.want) || c.want == nil && c.s != gone && err == nil {
				t.Errorf("%q, %v", texts(got), err)
			}
		})
	}
	c := directory.Client{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refusing }}
	if _, err := c.Find(soon(t), directory.Server{Address: "10.0.0.1:389"}, "x"); !errors.Is(err, refusing) {
		t.Errorf("%v", err)
	}
}

func deep(n int) []byte {
	in := []byte{4, 0}
	for range n {
		in = append([]byte{0x30, 0x82, byte(len(in) >> 8), byte(len(in))}, in...)
	}
	return in
}

func many(n int) []byte {
	in := bytes.Repeat([]byte{4, 0}, n)
	return append([]byte{0x30, 0x84, 0, byte(len(in) >> 16), byte(len(in) >> 8), byte(len(in))}, in...)
}

// TestSilence: a directory that never answers costs the time given and no more.
func TestSilence(t *testing.T) {
	s := &directorytest.Server{Silent: true}
	at := directory.Server{Address: s.Start(t)}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := client().Find(ctx, at, "ada@harbour.example"); err == nil {
		t.Error("silence is no answer")
	}
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	if _, err := client().Find(ctx, at, "ada@harbour.example"); err == nil {
		t.Error("silence is no answer")
	}
}

// TestTooMuch: entries and values beyond the bounds are left.
func TestTooMuch(t *testing.T) {
	s := &directorytest.Server{Contexts: slices.Repeat([]string{"dc=harbour,dc=example"}, 30)}
	for range 40 {
		s.Entries = append(s.Entries, person("ada@harbour.example", "userCertificate", "x", "y"))
	}
	got, err := client().Find(soon(t), directory.Server{Address: s.Start(t)}, "ada@harbour.example")
	if err != nil || len(got) != 16 || len(s.Asked()) != 9 {
		t.Errorf("%d values after %d questions, %v", len(got), len(s.Asked()), err)
	}
	huge := &directorytest.Server{Entries: []directorytest.Entry{person("ada@harbour.example", "userCertificate", strings.Repeat("x", 300<<10))}}
	if got, err := client().Find(soon(t), directory.Server{Address: huge.Start(t)}, "ada@harbour.example"); err == nil {
		t.Errorf("%d values of one that is huge", len(got))
	}
}

// TestSecure: ldaps is spoken to whom the name belongs, and nobody else.
func TestSecure(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // for its certificate
	web.StartTLS()
	defer web.Close()
	s := &directorytest.Server{TLS: &tls.Config{Certificates: web.TLS.Certificates}, Entries: []directorytest.Entry{person("ada@harbour.example", "userCertificate", "x")}}
	address := s.Start(t)
	known := client()
	known.Roots = x509.NewCertPool()
	known.Roots.AddCert(web.Certificate())
	for name, c := range map[string]struct {
		by   directory.Client
		name string
		want int
	}{
		"its own name":         {known, "example.com", 1},
		"another name":         {known, "ldap.harbour.example", 0},
		"an unknown authority": {client(), "example.com", 0},
	} {
		got, err := c.by.Find(soon(t), directory.Server{Address: address, Name: c.name, TLS: true}, "ada@harbour.example")
		if len(got) != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: %d, %v", name, len(got), err)
		}
	}
	if n := len(s.Asked()); n != 2 {
		t.Errorf("%d questions", n)
	}
}

func TestFetch(t *testing.T) {
	pair := "\x30\x0c\xa0\x04\x04\x02ab\xa1\x04\x04\x02cd"
	s := &directorytest.Server{Entries: []directorytest.Entry{{DN: "cn=CA 1,dc=harbour,dc=example", Attributes: map[string][]string{
		"cACertificate;binary": {"own", "renewed"}, "crossCertificatePair;binary": {pair, "broken"},
		"certificateRevocationList;binary": {"list"}, "deltaRevocationList": {"delta"}, "userPassword": {"secret"},
	}}}}
	base := "ldap://" + s.Start(t) + "/cn=CA%201,dc=harbour,dc=example"
	for url, want := range map[string][]string{
		base + "?cACertificate;binary,crossCertificatePair;binary":      {"own", "renewed", "\x04\x02ab", "\x04\x02cd"},
		base + "?certificateRevocationList;binary?base?(objectClass=*)": {"list"},
		base + "?deltaRevocationList":                                   {"delta"},
		base + "?authorityRevocationList;binary":                        nil,
		strings.Replace(base, "CA%201", "CB", 1) + "?cACertificate":     nil,
	} {
		got, err := client().Fetch(soon(t), url, 1000)
		if err != nil || !slices.Equal(texts(got), want) {
			t.Errorf("%s: %q, %v", url, texts(got), err)
		}
	}
	if got, err := client().Fetch(soon(t), base+"?cACertificate", 5); err != nil || len(got) != 1 {
		t.Errorf("beyond the limit: %q, %v", texts(got), err)
	}
	before := len(s.Asked())
	for _, url := range []string{
		"", "ldap://", "http://x/y", "ldapi:///x", strings.Replace(base, "ldap://", "ldap://me:pw@", 1) + "?cACertificate",
		"ldap:///cn=CA?cACertificate", base, base + "?userPassword", base + "?*", base + "?cACertificate?tree",
		base + "?cACertificate?base?(", base + "?cACertificate?base??!bindname=cn=me", "ldap://x/?cACertificate", base + "?%zz",
		base + "?cACertificate??" + strings.Repeat("(", 3000),
	} {
		if _, err := client().Fetch(soon(t), url, 1000); !errors.Is(err, directory.ErrURL) {
			t.Errorf("%.80q: %v", url, err)
		}
	}
	if len(s.Asked()) != before {
		t.Error("a URL that is refused was asked")
	}
}

// TestStartTLS: what is asked of a directory that can is encrypted, whoever it is.
func TestStartTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // for its certificate
	web.StartTLS()
	defer web.Close()
	s := &directorytest.Server{StartTLS: &tls.Config{Certificates: web.TLS.Certificates}, Entries: []directorytest.Entry{person("ada@harbour.example", "userCertificate", "x")}}
	at := directory.Server{Address: s.Start(t), Name: "ldap.harbour.example"}
	got, err := client().Find(soon(t), at, "ada@harbour.example")
	if err != nil || len(got) != 1 || s.Secured() != 1 {
		t.Errorf("%q, %v, %d", texts(got), err, s.Secured())
	}
	broken := &directorytest.Server{StartTLS: &tls.Config{}} // it agrees and cannot
	if got, err := client().Find(soon(t), directory.Server{Address: broken.Start(t)}, "ada@harbour.example"); err == nil || len(broken.Asked()) != 0 {
		t.Errorf("%q in clear text, %v", texts(got), err)
	}
}

// TestPages: a directory that gives little at once is asked for more, four times at most.
func TestPages(t *testing.T) {
	for most, want := range map[int]int{3: 12, 4: 15, 20: 15} {
		s := &directorytest.Server{Most: most}
		for range 15 {
			s.Entries = append(s.Entries, person("ada@harbour.example", "userCertificate", "x"))
		}
		got, err := client().Find(soon(t), directory.Server{Address: s.Start(t)}, "ada@harbour.example")
		if err != nil || len(got) != want {
			t.Errorf("%d at once: %d, %v", most, len(got), err)
		}
	}
}

// TestReferral: a referral is followed once, to two servers at most, each by Dial.
func TestReferral(t *testing.T) {
	there := &directorytest.Server{Entries: []directorytest.Entry{person("ada@harbour.example", "userCertificate", "x")}}
	url := "ldap://" + there.Start(t) + "/dc=harbour,dc=example"
	here := &directorytest.Server{Refer: url}
	got, err := client().Find(soon(t), directory.Server{Address: here.Start(t)}, "ada@harbour.example")
	if err != nil || len(got) != 1 || !slices.Equal(there.Binds(), []string{"/"}) || there.Asked()[0] != "dc=harbour,dc=example mail=ada@harbour.example" {
		t.Errorf("%q, %v, %q", texts(got), err, there.Asked())
	}
	again := &directorytest.Server{}
	again.Refer = "ldap://" + again.Start(t) + "/dc=x"
	if _, err := client().Find(soon(t), directory.Server{Address: strings.TrimSuffix(strings.TrimPrefix(again.Refer, "ldap://"), "/dc=x")}, "ada@harbour.example"); !errors.Is(err, directory.ErrElsewhere) || len(again.Asked()) != 3 {
		t.Errorf("in a circle: %v, %q", err, again.Asked())
	}
	for _, bad := range []string{"http://x/", "ldap:///dc=x", "ldap://me:pw@127.0.0.1/dc=x", "x", strings.Repeat("x", 5000)} {
		s := &directorytest.Server{Refer: bad}
		if _, err := client().Find(soon(t), directory.Server{Address: s.Start(t)}, "ada@harbour.example"); !errors.Is(err, directory.ErrElsewhere) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	refused := directory.Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.Contains(url, address) {
			return nil, errors.New("not there")
		}
		return client().Dial(ctx, network, address)
	}}
	if _, err := refused.Find(soon(t), directory.Server{Address: here.Start(t)}, "ada@harbour.example"); !errors.Is(err, directory.ErrElsewhere) {
		t.Errorf("where Dial refuses: %v", err)
	}
}
