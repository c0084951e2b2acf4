package transport_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/mailer/server/servertest"
	"countersign/mailer/transport"
)

// fake is a server that says what a test wants it to say.
type fake struct {
	transport.Server
	t    *testing.T
	mu   sync.Mutex
	said []string // every line of every client
}

// line is one connection to a fake.
type line struct {
	*bufio.Reader
	net.Conn
	f *fake
	n int // which connection this is, from 0
}

// serve runs talk for every connection, inside TLS unless clear.
func serve(t *testing.T, clear bool, talk func(*line)) *fake {
	t.Helper()
	authority := servertest.NewAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{authority.Localhost(t)}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, Server: transport.Server{Host: "localhost", Port: servertest.Port(l.Addr().String()), RootsPEM: authority.PEM}}
	if clear {
		f.Security = transport.StartTLS
	}
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !clear {
				c = tls.Server(c, config)
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			running.Go(func() {
				defer c.Close()
				talk(&line{bufio.NewReader(c), c, f, n})
			})
		}
	})
	return f
}

func (l *line) say(format string, args ...any) {
	fmt.Fprintf(l.Conn, format+"\r\n", args...)
}

const gone = "\x00gone"

// hear returns the client's next line, gone after the last.
func (l *line) hear() string {
	text, err := l.ReadString('\n')
	if err != nil && text == "" {
		return gone
	}
	text = strings.TrimRight(text, "\r\n")
	l.f.mu.Lock()
	l.f.said = append(l.f.said, text)
	l.f.mu.Unlock()
	return text
}

// heard reports whether a client ever said something that holds the words.
func (f *fake) heard(words string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.said {
		if strings.Contains(s, words) {
			return true
		}
	}
	return false
}

// smtp talks SMTP as a plain server would, but for the answers given: by the first
// word of the command, or "." for the end of the message. "" in their stead ends the
// connection, and "-" says nothing ever.
func smtpTalk(answers map[string]string) func(*line) {
	defaults := map[string]string{
		"": "220 here", "EHLO": "250-here\r\n250-8BITMIME\r\n250-SIZE 1000000\r\n250 AUTH PLAIN", "AUTH": "235 2.7.0 fine",
		"MAIL": "250 2.1.0 fine", "RCPT": "250 2.1.5 fine", "DATA": "354 go on", ".": "250 2.0.0 queued as 1", "QUIT": "221 bye",
	}
	return func(l *line) {
		data := false
		for command := ""; ; {
			answer, changed := answers[command]
			if !changed {
				answer = defaults[command]
			}
			switch answer {
			case "":
				return
			case "-":
				io.Copy(io.Discard, l.Reader)
				return
			}
			l.say("%s", answer)
			if command == "QUIT" {
				return
			}
			data = command == "DATA" && strings.HasPrefix(answer, "354")
			text := l.hear()
			for data && text != "." && text != gone {
				text = l.hear()
			}
			if text == gone {
				return
			}
			command, _, _ = strings.Cut(text, " ")
		}
	}
}

// imapTalk talks IMAP as a plain server with an inbox would, but for the commands that
// talk answers itself, by returning true.
func imapTalk(caps string, talk func(l *line, tag, command string) bool) func(*line) {
	return func(l *line) {
		l.say("* OK here")
		for {
			text := l.hear()
			if text == gone {
				return
			}
			tag, command, _ := strings.Cut(text, " ")
			word, _, _ := strings.Cut(command, " ")
			if talk != nil && talk(l, tag, command) {
				continue
			}
			switch word {
			case "CAPABILITY":
				l.say("* CAPABILITY IMAP4rev1 %s", caps)
			case "AUTHENTICATE":
				if len(strings.Fields(command)) < 3 { // no initial response
					l.say("+ ")
					l.hear()
				}
			case "SELECT":
				l.say("* 0 EXISTS\r\n* OK [UIDVALIDITY 7] fine\r\n* OK [UIDNEXT 9] fine")
			case "LOGOUT":
				l.say("* BYE")
				l.say("%s OK", tag)
				return
			}
			l.say("%s OK fine", tag)
		}
	}
}

// letters answers the FETCH commands of an inbox with these messages, from UID 1 on.
// The listing and the bodies can be told otherwise.
type letters struct {
	bodies []string
	list   func(l *line, uid int, size int)
	give   func(l *line, uid int, body string) bool // false: the connection was ended
}

func (s letters) talk(l *line, tag, command string) bool {
	switch {
	case strings.HasPrefix(command, "SELECT"):
		l.say("* %d EXISTS\r\n* OK [UIDVALIDITY 7] fine\r\n* OK [UIDNEXT 9] fine", len(s.bodies))
	case !strings.Contains(command, "FETCH"):
		return false
	case strings.Contains(command, "RFC822.SIZE"):
		for i, body := range s.bodies {
			switch {
			case !asked(command, i+1):
			case s.list != nil:
				s.list(l, i+1, len(body))
			default:
				l.say("* %d FETCH (UID %d FLAGS () RFC822.SIZE %d)", i+1, i+1, len(body))
			}
		}
	default:
		for i, body := range s.bodies {
			if !asked(command, i+1) {
				continue
			}
			if s.give == nil {
				l.give(i+1, body)
			} else if !s.give(l, i+1, body) {
				return true
			}
		}
	}
	l.say("%s OK fine", tag)
	return true
}

func (l *line) give(uid int, body string) {
	l.say("* %d FETCH (UID %d BODY[] {%d}\r\n%s)", uid, uid, len(body), body)
}

func asked(command string, uid int) bool {
	set := strings.Fields(strings.TrimPrefix(command, "UID "))[1]
	for part := range strings.SplitSeq(set, ",") {
		var from, to int
		if n, _ := fmt.Sscanf(part, "%d:%d", &from, &to); n == 1 {
			to = from
		}
		if from <= uid && uid <= to {
			return true
		}
	}
	return false
}

// heap is what is held in memory after collecting.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
