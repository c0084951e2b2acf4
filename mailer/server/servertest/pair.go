package servertest

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Pair is a running Dovecot (IMAP) and Postfix (submission). Host is the name in
// their certificate; every address is on 127.0.0.1.
type Pair struct {
	Host         string // localhost
	Domain       string // mail.test: its mailboxes are those of Users
	IMAPAddr     string // TLS from the first byte
	IMAPStartTLS string
	SMTPAddr     string // submission, TLS from the first byte
	SMTPStartTLS string
	MXAddr       string // port 25's part: takes mail for Users without sign-in
	CAPEM        string // the authority that issued the certificate
	Users        map[string]string

	dir              string
	dovecot, postfix *server
}

// Port returns the port of one of the addresses.
func Port(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return n
}

// Required reports whether an absent peer is a failure.
func Required() bool { return os.Getenv("COUNTERSIGN_PEERS") == "required" }

// Absent skips the test with the reason, or fails it where peers are required.
func Absent(t testing.TB, reason string) {
	t.Helper()
	if Required() {
		t.Fatalf("COUNTERSIGN_PEERS=required, but %s", reason)
	}
	t.Skip(reason)
}

// Start starts the pair with mailboxes for the addresses given (in mail.test) and
// for alice@mail.test and bob@mail.test, and stops it at the end of the test.
func Start(t testing.TB, addresses ...string) *Pair {
	t.Helper()
	for _, program := range []string{"dovecot", "postfix"} {
		if _, err := exec.LookPath(program); err != nil {
			Absent(t, program+" is not installed: make setup installs it")
		}
	}
	if os.Getuid() != 0 {
		Absent(t, "Dovecot and Postfix can be started by root only")
	}
	p := &Pair{Host: "localhost", Domain: "mail.test", Users: map[string]string{}}
	for _, address := range append(addresses, "alice@mail.test", "bob@mail.test") {
		local, _, _ := strings.Cut(address, "@")
		p.Users[address] = "secret of " + local
	}
	var err error
	for range 3 { // a free port may be taken between asking for it and using it
		if err = p.start(t); err == nil {
			return p
		}
		p.stop()
	}
	t.Fatal(err)
	return nil
}

func (p *Pair) start(t testing.TB) error {
	dir, err := os.MkdirTemp("", "mailpeers")
	if err != nil {
		return err
	}
	p.dir = dir
	t.Cleanup(p.stop)
	authority := NewAuthority(t)
	p.CAPEM = authority.PEM
	certificate := authority.Localhost(t)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return err
	}
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	for i, address := range []*string{&p.IMAPAddr, &p.IMAPStartTLS, &p.SMTPAddr, &p.SMTPStartTLS, &p.MXAddr} {
		*address = net.JoinHostPort("127.0.0.1", ports[i])
	}
	var users strings.Builder
	for address, password := range p.Users {
		fmt.Fprintf(&users, "%s:{PLAIN}%s::::::\n", address, password)
	}
	fill := strings.NewReplacer("$D", dir, "$IMAPS", ports[0], "$IMAP", ports[1], "$SMTPS", ports[2], "$SUBMISSION", ports[3], "$MX", ports[4])
	files := map[string]string{
		"users":                users.String(),
		"server.pem":           block("CERTIFICATE", certificate.Certificate[0]) + p.CAPEM + block("PRIVATE KEY", key),
		"dovecot/dovecot.conf": fill.Replace(dovecotConf),
		"postfix/main.cf":      fill.Replace(postfixMain),
		"postfix/master.cf":    fill.Replace(postfixMaster),
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := p.folders(); err != nil {
		return err
	}
	if p.dovecot, err = p.launch("kill $!", "dovecot", "-F", "-c", filepath.Join(dir, "dovecot/dovecot.conf")); err != nil {
		return err
	}
	end := "kill $(cat " + filepath.Join(dir, "spool/pid/master.pid") + ")"
	if p.postfix, err = p.launch(end, "postfix", "-c", filepath.Join(dir, "postfix"), "start-fg"); err != nil {
		return err
	}
	for _, address := range []string{p.IMAPAddr, p.IMAPStartTLS, p.SMTPAddr, p.SMTPStartTLS, p.MXAddr} {
		if err := p.answers(address); err != nil {
			return fmt.Errorf("%w\n%s", err, p.Logs())
		}
	}
	return nil
}

// folders makes those that belong to the servers' own users.
func (p *Pair) folders() error {
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return err
	}
	for name, owner := range map[string]string{"run": "root", "mail": "mail", "pdata": "postfix", "spool": "root", "log": "root"} {
		u, err := user.Lookup(owner)
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		path := filepath.Join(p.dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// answers waits until somebody speaks at the address, or one of the servers ended.
func (p *Pair) answers(address string) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		select {
		case <-p.dovecot.ended:
			return fmt.Errorf("dovecot ended: %w", p.dovecot.err)
		case <-p.postfix.ended:
			return fmt.Errorf("postfix ended: %w", p.postfix.err)
		case <-time.After(20 * time.Millisecond):
		}
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("nobody answers at %s", address)
}

// StopSMTP stops Postfix, as a server that goes away does.
func (p *Pair) StopSMTP() { p.postfix.stop() }

// StopIMAP stops Dovecot.
func (p *Pair) StopIMAP() { p.dovecot.stop() }

// Logs returns what both servers wrote so far, for a failing test to print.
func (p *Pair) Logs() string {
	var all strings.Builder
	for _, name := range []string{"log/dovecot.log", "log/postfix.log", "log/output.log"} {
		text, _ := os.ReadFile(filepath.Join(p.dir, name))
		fmt.Fprintf(&all, "--- %s\n%s", name, text)
	}
	return all.String()
}

func (p *Pair) stop() {
	for _, s := range []*server{p.postfix, p.dovecot} {
		if s != nil {
			s.stop()
		}
	}
	os.RemoveAll(p.dir)
}

// server is a program that ends when we do: a shell holds it and waits for the
// end of its own input. What it prints goes to a file, since its children may hold
// that open for longer.
type server struct {
	input io.Closer
	ended chan struct{}
	err   error // once ended
}

// launch runs a command in the background; the shell fragment end stops it ($! is
// its process).
func (p *Pair) launch(end string, command ...string) (*server, error) {
	script := `"$@" </dev/null & read _; ` + end + `; wait`
	shell := exec.Command("sh", append([]string{"-c", script, "sh"}, command...)...)
	output, err := os.OpenFile(filepath.Join(p.dir, "log/output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	shell.Stdout, shell.Stderr = output, output
	s := &server{ended: make(chan struct{})}
	if s.input, err = shell.StdinPipe(); err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = shell.Wait()
		close(s.ended)
	}()
	return s, nil
}

func (s *server) stop() {
	s.input.Close()
	<-s.ended
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are chosen
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}
