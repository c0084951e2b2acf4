package servertest

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
)

func TestPairAnswersOverTLSPeer(t *testing.T) {
	p := Start(t, "carol@mail.test")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(p.CAPEM))
	for address, greeting := range map[string]string{p.IMAPAddr: "* OK", p.SMTPAddr: "220"} {
		c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: p.Host})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		line := make([]byte, 200)
		n, err := c.Read(line)
		if err != nil || !strings.HasPrefix(string(line[:n]), greeting) {
			t.Errorf("%s says %q, %v", address, line[:n], err)
		}
	}
	if p.Users["carol@mail.test"] == "" {
		t.Error("carol has no mailbox")
	}
}
