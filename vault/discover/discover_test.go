package discover

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/vault/sealed"
	"countersign/vault/trust"
)

var today = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

const forAuthority = x509.KeyUsageCertSign | x509.KeyUsageCRLSign

// shelf is a web server with documents on it, which notes who asked for what.
type shelf struct {
	*httptest.Server
	mu    sync.Mutex
	docs  map[string][]byte
	hits  map[string]int
	heads []http.Header
	asked map[string]http.HandlerFunc // by the first part of the path
	moved map[string]string
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{docs: map[string][]byte{}, hits: map[string]int{}, moved: map[string]string{}, asked: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hits[r.URL.Path]++
		s.heads = append(s.heads, r.Header)
		http.SetCookie(w, &http.Cookie{Name: "you", Value: "again"})
		if to, ok := s.moved[r.URL.Path]; ok {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		first, _, _ := strings.Cut(r.URL.Path[1:], "/")
		if h := s.asked["/"+first]; h != nil {
			s.hits["/"+first+" "+r.Method]++
			h(w, r)
			return
		}
		doc, ok := s.docs[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(doc)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) put(path string, doc []byte) { s.mu.Lock(); defer s.mu.Unlock(); s.docs[path] = doc }

func (s *shelf) count(path string) int { s.mu.Lock(); defer s.mu.Unlock(); return s.hits[path] }

// world is an anchor, an authority below it, and a person, whose papers name the
// shelf.
type world struct {
	t         testing.TB
	shelf     *shelf
	start     time.Time
	clock     time.Time
	c         *Checker
	db        *sealed.DB
	root, ca  *x509.Certificate
	rootKey   *ecdsa.PrivateKey
	caKey     *ecdsa.PrivateKey
	leaf      *x509.Certificate
	listsMade int64
}

func newWorld(t *testing.T) *world { return newWorldAt(t, today) }

func newWorldAt(t testing.TB, at time.Time) *world {
	t.Helper()
	w := &world{t: t, shelf: newShelf(t), start: at, clock: at}
	w.rootKey, w.caKey = newKey(t), newKey(t)
	w.root = w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: forAuthority}, nil, w.rootKey, w.rootKey)
	w.ca = w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Issuing"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: forAuthority,
		CRLDistributionPoints: []string{w.shelf.URL + "/root.crl"}}, w.root, w.caKey, w.rootKey)
	w.leaf = w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Ada"}, EmailAddresses: []string{"ada@harbour.example"},
		IssuingCertificateURL: []string{w.shelf.URL + "/ca.cer"}, CRLDistributionPoints: []string{w.shelf.URL + "/ca.crl"}},
		w.ca, newKey(t), w.caKey)
	w.shelf.put("/ca.cer", w.ca.Raw)
	w.shelf.put("/root.crl", w.list(w.root, w.rootKey))
	w.shelf.put("/ca.crl", w.list(w.ca, w.caKey))
	w.open(filepath.Join(t.TempDir(), "db"))
	return w
}

func (w *world) open(path string) {
	w.t.Helper()
	db, err := sealed.Open(path, sealed.Key{1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { db.Close() })
	w.db = db
	w.again()
}

// again is a checker that has only the database to remember by.
func (w *world) again() {
	w.t.Helper()
	c, err := Open(w.db, func() time.Time { return w.clock })
	if err != nil {
		w.t.Fatal(err)
	}
	w.c = c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *world) make(c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	w.t.Helper()
	w.listsMade++
	c.SerialNumber = big.NewInt(w.listsMade)
	c.NotBefore, c.NotAfter = w.start.AddDate(-1, 0, 0), w.start.AddDate(1, 0, 0)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// list makes a list of the world's present, good for a week.
func (w *world) list(by *x509.Certificate, key *ecdsa.PrivateKey, gone ...*x509.Certificate) []byte {
	w.t.Helper()
	w.listsMade++
	l := &x509.RevocationList{Number: big.NewInt(w.listsMade), ThisUpdate: w.clock.Add(-time.Hour), NextUpdate: w.clock.AddDate(0, 0, 7)}
	for _, c := range gone {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: w.clock.Add(-2 * time.Hour), ReasonCode: 1})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, by, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return der
}

func (w *world) ask(r Rules) trust.Verdict {
	w.t.Helper()
	r.AllowPrivate = true
	return w.c.Check(w.t.Context(), trust.Question{Certificate: w.leaf, Address: "ada@harbour.example", Usage: trust.Encrypt,
		Anchors: []trust.Anchor{{Certificate: w.root}}, At: w.clock}, r)
}

func (w *world) want(v trust.Verdict, status trust.Status, fetched map[string]int) {
	w.t.Helper()
	if v.Status != status {
		w.t.Errorf("%s, want %s (%s)", v.Status, status, v.Reason)
	}
	for path, n := range fetched {
		if got := w.shelf.count(path); got != n {
			w.t.Errorf("%s was fetched %d times, want %d", path, got, n)
		}
	}
}

// TestChosen: the user chose to verify this certificate, so all it names is
// fetched, once, and kept over a restart.
func TestChosen(t *testing.T) {
	w := newWorld(t)
	once := map[string]int{"/ca.cer": 1, "/ca.crl": 1, "/root.crl": 1}
	w.want(w.ask(Rules{Chosen: true}), trust.Trusted, once)
	w.want(w.ask(Rules{Chosen: true}), trust.Trusted, once)
	w.again()
	w.want(w.ask(Rules{Nothing: true}), trust.Trusted, once)

	// When the lists have run out, new ones are fetched.
	w.clock = w.clock.AddDate(0, 0, 8)
	w.want(w.ask(Rules{Nothing: true}), trust.Unknown, once)
	w.shelf.put("/root.crl", w.list(w.root, w.rootKey))
	w.shelf.put("/ca.crl", w.list(w.ca, w.caKey, w.leaf))
	w.want(w.ask(Rules{}), trust.Revoked, map[string]int{"/ca.cer": 1, "/ca.crl": 2})

	// An authority that could not be reached does not undo that.
	w.shelf.Close()
	w.clock = w.clock.AddDate(0, 0, 8)
	w.again()
	w.want(w.ask(Rules{Chosen: true}), trust.Revoked, nil)
}

// TestStranger is rule I1: a certificate that leads nowhere makes us ask nobody.
func TestStranger(t *testing.T) {
	w := newWorld(t)
	v := w.ask(Rules{})
	w.want(v, trust.Untrusted, map[string]int{"/ca.cer": 0, "/ca.crl": 0, "/root.crl": 0})
	if len(v.Needs) != 1 || v.Needs[0].Kind != trust.NeedIssuer {
		t.Fatalf("the button has nothing to do: %v", v.Needs)
	}
	w.want(w.ask(Rules{Nothing: true, Chosen: true, Hosts: []string{"127.0.0.1"}}), trust.Untrusted, map[string]int{"/ca.cer": 0})
	w.want(w.ask(Rules{Hosts: []string{"127.0.0.1"}}), trust.Trusted, map[string]int{"/ca.cer": 1, "/ca.crl": 1})
}

// TestKnownHost: a host that a certificate under an anchor has named may be asked
// for a stranger's certificate as well.
func TestKnownHost(t *testing.T) {
	w := newWorld(t)
	q := trust.Question{Certificate: w.leaf, Usage: trust.Encrypt, Anchors: []trust.Anchor{{Certificate: w.root}}, At: w.clock}
	enclosed := q
	enclosed.Enclosed = []*x509.Certificate{w.ca}
	v := w.c.Check(t.Context(), enclosed, Rules{AllowPrivate: true})
	w.want(v, trust.Trusted, map[string]int{"/ca.cer": 0, "/ca.crl": 1})
	w.want(w.c.Check(t.Context(), q, Rules{AllowPrivate: true}), trust.Trusted, map[string]int{"/ca.cer": 1, "/ca.crl": 1})
}

// TestPrivate: without leave nobody inside the house is asked.
func TestPrivate(t *testing.T) {
	w := newWorld(t)
	v := w.c.Check(t.Context(), trust.Question{Certificate: w.leaf, Usage: trust.Encrypt, At: w.clock,
		Anchors: []trust.Anchor{{Certificate: w.root}}}, Rules{Chosen: true})
	w.want(v, trust.Untrusted, map[string]int{"/ca.cer": 0})
	for address, want := range map[string]string{
		"93.184.215.14": "both", "2606:2800:21f:cb07::1": "both",
		"127.0.0.1": "private", "::1": "private", "::ffff:127.0.0.1": "private", "10.1.2.3": "private", "172.16.0.1": "private",
		"192.168.1.1": "private", "169.254.169.254": "private", "fe80::1": "private", "fe80::1%eth0": "private", "fd00::1": "private",
		"100.64.0.1": "private", "198.18.0.1": "private", "fec0::1": "private",
		"0.0.0.0": "never", "::": "never", "224.0.0.1": "never", "ff02::1": "never", "255.255.255.255": "never",
		"64:ff9b::7f00:1": "never", "2002:7f00:1::": "never", "::127.0.0.1": "never", "0.1.2.3": "never",
	} {
		a := netip.MustParseAddr(address)
		if guard(false)(a) != (want == "both") || guard(true)(a) != (want != "never") {
			t.Errorf("%s: %v, and with leave %v; want %s", address, guard(false)(a), guard(true)(a), want)
		}
	}
}

// TestRequest: the request tells nothing, by whatever way it goes.
func TestRequest(t *testing.T) {
	s := newShelf(t)
	proxy := newShelf(t)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	s.put("/end", []byte("x"))
	s.moved["/start"] = "/middle"
	s.moved["/middle"] = "/end"
	body, err := fetch(t.Context(), trust.Need{URL: s.URL + "/start", Kind: trust.NeedCRL}, guard(true))
	if err != nil || string(body) != "x" {
		t.Fatalf("%q, %v", body, err)
	}
	if len(proxy.heads) > 0 {
		t.Error("a proxy of the environment was used")
	}
	for i, h := range s.heads {
		for name := range h {
			if name != "Connection" {
				t.Errorf("request %d tells %s: %q", i, name, h[name])
			}
		}
	}
}

// TestRedirection: the address is checked after each, and three are enough.
func TestRedirection(t *testing.T) {
	s := newShelf(t)
	inside, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("this system has no second loopback address: ", err)
	}
	defer inside.Close()
	asked := make(chan struct{}, 1)
	go http.Serve(inside, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	first := netip.MustParseAddr("127.0.0.1")
	only := func(a netip.Addr) bool { return a == first }
	s.moved["/in"] = "http://" + inside.Addr().String() + "/"
	for i := range 5 {
		s.moved[fmt.Sprint("/", i)] = fmt.Sprint("/", i+1)
	}
	s.moved["/file"] = "file:///etc/passwd"
	s.moved["/name"] = "http://me:secret@" + strings.TrimPrefix(s.URL, "http://") + "/5"
	s.put("/5", []byte("x"))
	for path, want := range map[string]error{"/in": ErrAddress, "/file": errScheme, "/name": errScheme} {
		if _, err := fetch(t.Context(), trust.Need{URL: s.URL + path}, only); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := fetch(t.Context(), trust.Need{URL: s.URL + "/2"}, only); err != nil {
		t.Errorf("three redirections: %v", err)
	}
	if _, err := fetch(t.Context(), trust.Need{URL: s.URL + "/1"}, only); err == nil {
		t.Error("four redirections were followed")
	}
	select {
	case <-asked:
		t.Error("a redirection led inside")
	default:
	}
}

// TestSize: more than the bound is nothing.
func TestSize(t *testing.T) {
	s := newShelf(t)
	s.put("/just", make([]byte, maxCertificate))
	s.put("/over", make([]byte, maxCertificate+1))
	for path, want := range map[string]error{"/just": nil, "/over": errSize, "/none": errStatus} {
		if _, err := fetch(t.Context(), trust.Need{URL: s.URL + path, Kind: trust.NeedIssuer}, guard(true)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := fetch(t.Context(), trust.Need{URL: s.URL + "/over", Kind: trust.NeedCRL}, guard(true)); err != nil {
		t.Errorf("a list may be larger: %v", err)
	}
}

// TestWhoIsOnTheLine: whoever can change plain HTTP can delay, and no more.
func TestWhoIsOnTheLine(t *testing.T) {
	w := newWorld(t)
	clean := w.list(w.ca, w.caKey)
	w.clock = w.clock.Add(time.Hour)
	w.shelf.put("/ca.crl", w.list(w.ca, w.caKey, w.leaf))
	w.want(w.ask(Rules{Chosen: true}), trust.Revoked, nil)

	// An older list, still good by its dates, does not take the place of a newer.
	w.shelf.put("/ca.crl", clean)
	w.clock = w.clock.Add(refreshAfter + time.Hour)
	if err := w.c.Prefetch(t.Context(), Rules{AllowPrivate: true}); err != nil {
		t.Fatal(err)
	}
	w.want(w.ask(Rules{Chosen: true}), trust.Revoked, map[string]int{"/ca.crl": 2})
	w.again()
	w.want(w.ask(Rules{Nothing: true}), trust.Revoked, nil)

	// A forged one, good for ever by its dates, is fetched over as soon as may be.
	other := newWorld(t)
	forged := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: other.clock.Add(-time.Hour), NextUpdate: other.clock.AddDate(50, 0, 0)}
	liar := other.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Issuing"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: forAuthority}, nil, other.rootKey, other.rootKey)
	der, err := x509.CreateRevocationList(rand.Reader, forged, liar, other.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	other.shelf.put("/ca.crl", der)
	other.want(other.ask(Rules{Chosen: true}), trust.Unknown, nil)
	other.clock = other.clock.Add(pause)
	other.shelf.put("/ca.crl", other.list(other.ca, other.caKey))
	other.want(other.ask(Rules{}), trust.Trusted, nil)
}

// TestPause: what failed is left alone for a while.
func TestPause(t *testing.T) {
	w := newWorld(t)
	delete(w.shelf.docs, "/ca.crl")
	w.want(w.ask(Rules{Chosen: true}), trust.Unknown, map[string]int{"/ca.crl": 1})
	w.clock = w.clock.Add(pauseChosen / 2)
	w.want(w.ask(Rules{Chosen: true}), trust.Unknown, map[string]int{"/ca.crl": 1})
	w.clock = w.clock.Add(pauseChosen)
	w.want(w.ask(Rules{}), trust.Unknown, map[string]int{"/ca.crl": 1})
	w.want(w.ask(Rules{Chosen: true}), trust.Unknown, map[string]int{"/ca.crl": 2})
	w.clock = w.clock.Add(pause)
	w.shelf.put("/ca.crl", w.list(w.ca, w.caKey))
	w.want(w.ask(Rules{}), trust.Trusted, map[string]int{"/ca.crl": 3})
}

// TestPrefetch: lists in use are brought up to date before they are missed.
func TestPrefetch(t *testing.T) {
	w := newWorld(t)
	if err := w.c.Prefetch(t.Context(), Rules{AllowPrivate: true}); err != nil {
		t.Fatal(err)
	}
	w.want(w.ask(Rules{Chosen: true}), trust.Trusted, map[string]int{"/ca.crl": 1})
	for _, step := range []struct {
		after time.Duration
		r     Rules
		hits  int
	}{
		{time.Hour, Rules{AllowPrivate: true}, 1},
		{refreshAfter, Rules{Nothing: true}, 1},
		{0, Rules{AllowPrivate: true}, 2},
		{time.Hour, Rules{AllowPrivate: true}, 2},
	} {
		w.clock = w.clock.Add(step.after)
		w.shelf.put("/ca.crl", w.list(w.ca, w.caKey))
		w.shelf.put("/root.crl", w.list(w.root, w.rootKey))
		if err := w.c.Prefetch(t.Context(), step.r); err != nil {
			t.Fatal(err)
		}
		w.want(w.ask(Rules{Nothing: true}), trust.Trusted, map[string]int{"/ca.crl": step.hits, "/ca.cer": 1})
	}
	w.clock = w.clock.Add(forgetAfter + 48*time.Hour)
	if err := w.c.Prefetch(t.Context(), Rules{AllowPrivate: true}); err != nil {
		t.Fatal(err)
	}
	w.want(trust.Verdict{Status: trust.Trusted}, trust.Trusted, map[string]int{"/ca.crl": 2})
}

// TestPrefetchForLong: somebody who was not written to for long need not be waited for.
func TestPrefetchForLong(t *testing.T) {
	w := newWorld(t)
	w.want(w.ask(Rules{Chosen: true}), trust.Trusted, map[string]int{"/ca.crl": 1})
	for range 6 {
		w.clock = w.clock.Add(forgetAfter / 3)
		w.shelf.put("/ca.crl", w.list(w.ca, w.caKey))
		w.shelf.put("/root.crl", w.list(w.root, w.rootKey))
		w.again()
		if err := w.c.Prefetch(t.Context(), Rules{AllowPrivate: true}); err != nil {
			t.Fatal(err)
		}
	}
	w.want(w.ask(Rules{Nothing: true}), trust.Trusted, map[string]int{"/ca.crl": 7})
}

// TestTogether: many who ask at once fetch once.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if v := w.ask(Rules{Chosen: true}); v.Status != trust.Trusted {
				t.Errorf("%s: %s", v.Status, v.Reason)
			}
		})
	}
	all.Wait()
	w.want(w.ask(Rules{Nothing: true}), trust.Trusted, map[string]int{"/ca.cer": 1, "/ca.crl": 1, "/root.crl": 1})
}

// TestStopped: a check ends when its caller does.
func TestStopped(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := w.c.Check(ctx, trust.Question{Certificate: w.leaf, Usage: trust.Encrypt, At: w.clock}, Rules{Chosen: true, AllowPrivate: true})
	w.want(v, trust.Untrusted, map[string]int{"/ca.cer": 0})
}
