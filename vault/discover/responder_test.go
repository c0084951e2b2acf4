package discover

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"countersign/mailer/server/servertest"
	"countersign/vault/trust"
)

// responder answers questions about whatever an authority issued.
type responder struct {
	w      *world
	by     *x509.Certificate
	key    *ecdsa.PrivateKey
	status int
	age    time.Duration // of thisUpdate
	down   bool
}

func (r *responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if req.Method == http.MethodGet {
		_, last, _ := strings.Cut(req.URL.Path[1:], "/")
		body, err = base64.StdEncoding.DecodeString(last)
	} else if req.Header.Get("Content-Type") != "application/ocsp-request" {
		err = errors.New("of what type?")
	}
	q, bad := xocsp.ParseRequest(body)
	if err != nil || bad != nil || r.down {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	answer := xocsp.Response{Status: r.status, SerialNumber: q.SerialNumber, ThisUpdate: r.w.clock.Add(-r.age), NextUpdate: r.w.clock.Add(24*time.Hour - r.age)}
	if r.status == xocsp.Revoked {
		answer.RevokedAt = r.w.clock.Add(-r.age)
	}
	out, err := xocsp.CreateResponse(r.by, r.by, answer, r.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(out)
}

// askedWorld is a world of now, as x/crypto dates its answers, where the leaf names
// a responder beside its list.
func askedWorld(t *testing.T) (*world, *responder) {
	t.Helper()
	w := newWorldAt(t, time.Now().Truncate(time.Second))
	w.leaf = w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Ada"}, EmailAddresses: []string{"ada@harbour.example"},
		IssuingCertificateURL: []string{w.shelf.URL + "/ca.cer"}, CRLDistributionPoints: []string{w.shelf.URL + "/ca.crl"},
		OCSPServer: []string{w.shelf.URL + "/ocsp"}}, w.ca, newKey(t), w.caKey)
	r := &responder{w: w, by: w.ca, key: w.caKey, status: xocsp.Good, age: time.Minute}
	w.shelf.asked["/ocsp"] = r.ServeHTTP
	return w, r
}

// TestListBeforeResponder: the authority is not told who writes to whom where a
// list will do.
func TestListBeforeResponder(t *testing.T) {
	w, _ := askedWorld(t)
	v := w.ask(Rules{Chosen: true})
	w.want(v, trust.Trusted, map[string]int{"/ca.crl": 1, "/ocsp GET": 0, "/ocsp POST": 0})
	if v.Checked[0].By != trust.NeedCRL {
		t.Errorf("%+v", v.Checked[0])
	}

	w, _ = askedWorld(t)
	delete(w.shelf.docs, "/ca.crl")
	v = w.ask(Rules{Chosen: true})
	w.want(v, trust.Trusted, map[string]int{"/ca.crl": 1, "/ocsp GET": 1})
	if f := v.Checked[0]; f.By != trust.NeedOCSP || !f.ThisUpdate.Equal(w.clock.Add(-time.Minute)) || f.InGrace {
		t.Errorf("%+v", f)
	}

	w, _ = askedWorld(t)
	w.want(w.ask(Rules{Chosen: true, OCSPFirst: true}), trust.Trusted, map[string]int{"/ca.crl": 0, "/ocsp GET": 1})

	// The list is fetched where the responder fails.
	w, r := askedWorld(t)
	r.down = true
	w.want(w.ask(Rules{Chosen: true, OCSPFirst: true}), trust.Trusted, map[string]int{"/ca.crl": 1, "/ocsp GET": 1})
}

// TestAnswersAreKept: in the database, until they run out; renewed before that;
// and an older one does not take the place of a newer.
func TestAnswersAreKept(t *testing.T) {
	w, r := askedWorld(t)
	delete(w.shelf.docs, "/ca.crl")
	first := Rules{Chosen: true, OCSPFirst: true}
	once := map[string]int{"/ocsp GET": 1}
	w.want(w.ask(first), trust.Trusted, once)
	w.want(w.ask(first), trust.Trusted, once)
	w.again()
	w.want(w.ask(Rules{Nothing: true}), trust.Trusted, once)

	r.status, r.age = xocsp.Revoked, 30*time.Hour // from stock, and older than what is at hand
	w.clock = w.clock.Add(23 * time.Hour)
	if err := w.c.Prefetch(t.Context(), Rules{AllowPrivate: true}); err != nil {
		t.Fatal(err)
	}
	w.want(w.ask(Rules{Nothing: true}), trust.Trusted, map[string]int{"/ocsp GET": 2})

	r.age = time.Minute
	if err := w.c.Prefetch(t.Context(), Rules{AllowPrivate: true}); err != nil {
		t.Fatal(err)
	}
	w.want(w.ask(Rules{Nothing: true}), trust.Revoked, map[string]int{"/ocsp GET": 3})
	r.down = true
	w.clock = w.clock.AddDate(0, 0, 3)
	w.want(w.ask(Rules{Nothing: true}), trust.Revoked, nil)
}

// TestOfflineGrace: the last good evidence counts for the grace that the
// administrator sets, and not an hour longer.
func TestOfflineGrace(t *testing.T) {
	w, _ := askedWorld(t)
	w.ask(Rules{Chosen: true})
	w.shelf.Close()
	ask := func() trust.Verdict {
		return w.c.Check(t.Context(), trust.Question{Certificate: w.leaf, Address: "ada@harbour.example", Usage: trust.Encrypt,
			Anchors: []trust.Anchor{{Certificate: w.root}}, At: w.clock, Grace: 24 * time.Hour}, Rules{Chosen: true, AllowPrivate: true})
	}
	w.clock = w.start.AddDate(0, 0, 6)
	if v := ask(); v.Status != trust.Trusted || v.Checked[0].InGrace {
		t.Errorf("fresh: %s, %s", v.Status, v.Reason)
	}
	w.clock = w.start.AddDate(0, 0, 7).Add(12 * time.Hour)
	if v := ask(); v.Status != trust.Trusted || !v.Checked[0].InGrace || len(v.Notes) == 0 {
		t.Errorf("within the grace: %s, %s", v.Status, v.Reason)
	}
	w.clock = w.start.AddDate(0, 0, 8).Add(time.Hour)
	if v := ask(); v.Status != trust.Unknown || !strings.Contains(v.Reason, "ran out on") {
		t.Errorf("past it: %s, %s", v.Status, v.Reason)
	}
}

// TestStrangerAsksNobody is rule I1, for responders.
func TestStrangerAsksNobody(t *testing.T) {
	w, _ := askedWorld(t)
	w.want(w.ask(Rules{OCSPFirst: true}), trust.Untrusted, map[string]int{"/ocsp GET": 0, "/ocsp POST": 0})
}

// TestQuestion: what is sent, and how; nothing else is told.
func TestQuestion(t *testing.T) {
	w, _ := askedWorld(t)
	v := trust.Check(trust.Question{Certificate: w.leaf, Usage: trust.Encrypt, Anchors: []trust.Anchor{{Certificate: w.root}},
		At: w.clock, Enclosed: []*x509.Certificate{w.ca}})
	i := slices.IndexFunc(v.Needs, func(n trust.Need) bool { return n.Kind == trust.NeedOCSP })
	if i < 0 {
		t.Fatalf("%+v", v.Needs)
	}
	short, long := v.Needs[i], v.Needs[i]
	long.URL += "/" + strings.Repeat("x", 200)
	for method, n := range map[string]trust.Need{http.MethodGet: short, http.MethodPost: long} {
		w.shelf.heads = nil
		body, err := fetch(t.Context(), n, guard(true))
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if r, err := trust.ParseOCSP(body); err != nil || r.ProducedAt.IsZero() || w.shelf.count("/ocsp "+method) != 1 {
			t.Errorf("%s: %v", method, err)
		}
		for name := range w.shelf.heads[0] {
			if !slices.Contains([]string{"Connection", "Content-Type", "Content-Length"}, name) {
				t.Errorf("%s tells %s", method, name)
			}
		}
	}
	if k := keyOf(short); k.need(true) != short {
		t.Errorf("%+v comes back as %+v", short, k.need(true))
	}
}

// TestHostileAnswers: each gives a verdict with a reason.
func TestHostileAnswers(t *testing.T) {
	w, r := askedWorld(t)
	good := httpAnswer(t, w, r)
	for name, body := range map[string][]byte{
		"nothing": nil, "a page": []byte("<html>"), "cut short": good[:len(good)/2], "huge": make([]byte, maxCertificate+1),
		"try later": {0x30, 3, 0x0a, 1, 3}, "a list": w.shelf.docs["/ca.crl"],
	} {
		w, _ := askedWorld(t)
		delete(w.shelf.docs, "/ca.crl")
		w.shelf.asked["/ocsp"] = func(rw http.ResponseWriter, _ *http.Request) { rw.Write(body) }
		if v := w.ask(Rules{Chosen: true}); v.Status != trust.Unknown || v.Reason == "" {
			t.Errorf("%s: %s, %q", name, v.Status, v.Reason)
		}
	}
}

func httpAnswer(t *testing.T, w *world, r *responder) []byte {
	t.Helper()
	raw, err := xocsp.CreateResponse(r.by, r.by, xocsp.Response{Status: xocsp.Good, SerialNumber: w.leaf.SerialNumber,
		ThisUpdate: w.clock, NextUpdate: w.clock.Add(time.Hour)}, r.key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestPeerResponder asks openssl ocsp, as a server, about a good and a revoked
// certificate, by GET and by POST, with and without a nonce.
func TestPeerResponder(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl")
	}
	w, _ := askedWorld(t)
	delegate := w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Responder"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}}, w.ca, w.rootKey, w.caKey)
	base := "http://" + openSSLResponder(t, w, delegate)
	long := base + "/" + strings.Repeat("x", 200)
	var recorded []byte
	w.shelf.asked["/replay"] = func(rw http.ResponseWriter, req *http.Request) {
		if recorded == nil {
			_, last, _ := strings.Cut(req.URL.Path[1:], "/")
			question, _ := base64.StdEncoding.DecodeString(last)
			answer, err := http.Post(base, "application/ocsp-request", bytes.NewReader(question))
			if err != nil {
				return
			}
			defer answer.Body.Close()
			recorded, _ = io.ReadAll(answer.Body)
		}
		rw.Write(recorded)
	}
	ask := func(t *testing.T, serial int64, url string, r Rules) trust.Verdict {
		w.listsMade = serial - 1
		leaf := w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Ada"}, EmailAddresses: []string{"ada@harbour.example"},
			OCSPServer: []string{url}}, w.ca, newKey(t), w.caKey)
		w.open(filepath.Join(t.TempDir(), "db"))
		r.Chosen, r.AllowPrivate = true, true
		return w.c.Check(t.Context(), trust.Question{Certificate: leaf, Address: "ada@harbour.example", Usage: trust.Encrypt,
			Enclosed: []*x509.Certificate{w.ca}, Anchors: []trust.Anchor{{Certificate: w.root}}, At: w.clock, Now: time.Now()}, r)
	}
	t.Run("replayed", func(t *testing.T) {
		replay := w.shelf.URL + "/replay"
		if v := ask(t, 500, replay, Rules{Nonce: true}); v.Status != trust.Trusted {
			t.Errorf("an answer to this question: %s, %s", v.Status, v.Reason)
		}
		if v := ask(t, 500, replay, Rules{Nonce: true}); v.Status != trust.Unknown {
			t.Errorf("an answer to another question: %s", v.Status)
		}
	})
	for name, c := range map[string]struct {
		url  string
		gone bool
		r    Rules
	}{
		"good, GET":            {base, false, Rules{}},
		"good, POST":           {long, false, Rules{}},
		"good, nonce":          {base, false, Rules{Nonce: true}},
		"revoked, GET":         {base, true, Rules{}},
		"revoked, POST, nonce": {long, true, Rules{Nonce: true}},
	} {
		t.Run(name, func(t *testing.T) {
			serial, want := int64(500), trust.Trusted
			if c.gone {
				serial, want = 501, trust.Revoked
			}
			v := ask(t, serial, c.url, c.r)
			if v.Status != want || v.Checked[0].By != trust.NeedOCSP || c.gone && v.RevocationReason != 1 {
				t.Fatalf("%s, %s, %+v", v.Status, v.Reason, v.Checked)
			}
		})
	}
}

var accepts = regexp.MustCompile(`ACCEPT .*:(\d+)`)

// openSSLResponder starts a responder that knows certificate 500 as good and 501 as
// revoked, and returns its address.
func openSSLResponder(t *testing.T, w *world, delegate *x509.Certificate) string {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(crypto.Signer(w.rootKey))
	if err != nil {
		t.Fatal(err)
	}
	stamp := func(at time.Time) string { return at.UTC().Format("060102150405Z") }
	end := stamp(w.start.AddDate(1, 0, 0))
	index := fmt.Sprintf("V\t%s\t\t01F4\tunknown\t/CN=Ada\nR\t%s\t%s,keyCompromise\t01F5\tunknown\t/CN=Ada\n", end, end, stamp(w.start.AddDate(0, 0, -3)))
	for name, data := range map[string][]byte{
		"ca.pem": asPEM("CERTIFICATE", w.ca.Raw), "me.pem": asPEM("CERTIFICATE", delegate.Raw), "me.key": asPEM("PRIVATE KEY", key), "index": []byte(index),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "ocsp", "-index", "index", "-CA", "ca.pem", "-rsigner", "me.pem", "-rkey", "me.key",
		"-rmd", "sha256", "-nmin", "60", "-port", "0")
	cmd.Dir = dir
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for in := bufio.NewScanner(out); in.Scan(); {
		if m := accepts.FindStringSubmatch(in.Text()); m != nil {
			return "127.0.0.1:" + m[1]
		}
	}
	cmd.Wait()
	t.Fatalf("openssl ocsp does not answer: %s", log.String())
	return ""
}

func asPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// BenchmarkCached judges a contact that was judged before: a path of three, both
// lists from memory, and a hundred other authorities at hand.
func BenchmarkCached(b *testing.B) {
	w := newWorldAt(b, today)
	var others []*x509.Certificate
	for i := range 100 {
		others = append(others, w.make(&x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprint("Other ", i)}, IsCA: true,
			BasicConstraintsValid: true, KeyUsage: forAuthority}, nil, w.rootKey, w.rootKey))
	}
	q := trust.Question{Certificate: w.leaf, Address: "ada@harbour.example", Usage: trust.Encrypt,
		Anchors: []trust.Anchor{{Certificate: w.root}}, At: w.clock, Evidence: trust.Evidence{Certificates: others}}
	rules := Rules{Chosen: true, AllowPrivate: true}
	if v := w.c.Check(b.Context(), q, rules); !v.Good() {
		b.Fatal(v.Reason)
	}
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			if !w.c.Check(b.Context(), q, rules).Good() {
				b.Fatal("not good any more")
			}
		}
	})
	b.Run("from the database", func(b *testing.B) {
		for b.Loop() {
			w.again()
			if !w.c.Check(b.Context(), q, Rules{Nothing: true}).Good() {
				b.Fatal("not good any more")
			}
		}
	})
}
