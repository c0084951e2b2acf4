package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/cms"
	"countersign/tray/demo/authority"
)

// TestAnchorStories runs testdata/anchors/*.txtar: authorities from files, and from
// lists that somebody signs and publishes over HTTPS.
func TestAnchorStories(t *testing.T) {
	long(t)
	p := stories(func(ca *authority.Authority) (office, error) { return openEmbedded(ca) })
	p.Dir = "testdata/anchors"
	around := p.Setup
	p.Setup = func(env *testscript.Env) error {
		if err := around(env); err != nil {
			return err
		}
		return putUp(env, env.Values[worldKey{}].(*world).ca)
	}
	p.Cmds["publish"] = publishList
	testscript.Run(t, p)
}

type pressKey struct{}

// press signs lists of authorities and serves the one published last.
type press struct {
	signers map[string]cms.Signer
	list    atomic.Pointer[[]byte]
}

// putUp serves lists at $LIST, to agents that trust the server's certificate.
func putUp(env *testscript.Env, ca *authority.Authority) error {
	s := &press{signers: map[string]cms.Signer{}}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if list := s.list.Load(); list != nil && r.URL.Path == "/list.p7m" {
			w.Write(*list)
			return
		}
		http.NotFound(w, r)
	}))
	cert, err := ca.Server()
	if err != nil {
		return err
	}
	web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	web.StartTLS()
	env.Defer(web.Close)
	_, port, _ := strings.Cut(web.Listener.Addr().String(), ":")
	env.Vars = append(env.Vars, "LIST=https://localhost:"+port+"/list.p7m", "SSL_CERT_FILE="+filepath.Join(env.WorkDir, "root.pem"))
	for _, name := range []string{"community", "stranger", "north", "south"} {
		c, key, err := selfMade(name)
		if err != nil {
			return err
		}
		s.signers[name] = cms.Signer{Certificate: c, Key: key}
		sum := sha256.Sum256(c.Raw)
		env.Vars = append(env.Vars, strings.ToUpper(name)+"="+hex.EncodeToString(sum[:]))
		file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		if err := os.WriteFile(filepath.Join(env.WorkDir, name+".pem"), file, 0o600); err != nil {
			return err
		}
	}
	env.Values[pressKey{}] = s
	return nil
}

func selfMade(name string) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "The " + name + " authority"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(der)
	return c, key, err
}

// publish SIGNER MINUTES FILE... publishes a list of the certificates in the files,
// signed that many minutes ago; by nobody where SIGNER is -.
func publishList(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: publish SIGNER MINUTES FILE...")
	}
	s := ts.Value(pressKey{}).(*press)
	minutes, err := strconv.Atoi(args[1])
	ts.Check(err)
	var list []byte
	for _, file := range args[2:] {
		list = append(list, ts.ReadFile(file)...)
	}
	if args[0] != "-" {
		var signed bytes.Buffer
		w, err := cms.NewSigned(&signed, int64(len(list)), []cms.Signer{s.signers[args[0]]},
			cms.SignOptions{Time: time.Now().Add(-time.Duration(minutes) * time.Minute)})
		ts.Check(err)
		_, err = w.Write(list)
		ts.Check(errors.Join(err, w.Close()))
		list = signed.Bytes()
	}
	s.list.Store(&list)
	ts.Check(os.WriteFile(ts.MkAbs("list.p7m"), list, 0o600))
}
