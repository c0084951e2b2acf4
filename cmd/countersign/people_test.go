package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/tray/control"
)

// runner runs one person's command line and returns what it printed.
type runner func(name string, args ...string) (string, error)

func runs(ts *testscript.TestScript) runner {
	return func(name string, args ...string) (string, error) {
		err := ts.Exec(name, args...)
		return ts.ReadFile("stdout"), err
	}
}

// furnish does the first set-up: identity, authority, mailbox, recovery.
func furnish(run runner, mail office, name, address string) error {
	return furnishWith(run, mail, name, address, []string{"identity", "import", name + ".p12", "--password-file", "p12password"})
}

// furnishWith is furnish, with another way to an identity.
func furnishWith(run runner, mail office, name, address string, identity []string) error {
	for _, line := range [][]string{
		{"anchor", "add", "root.pem", "--yes"},
		identity,
		{"account", "add", address, "--imap", "localhost:" + strconv.Itoa(mail.imap()), "--smtp", "localhost:" + strconv.Itoa(mail.smtp()),
			"--password-file", name + ".password", "--roots", "mail.pem", "--yes"},
		{"settings", "set", "allow-private=yes"},
	} {
		if _, err := run(name, line...); err != nil {
			return err
		}
	}
	out, err := run(name, "recovery", "make", "--json", "--out", name+".recovery")
	if err != nil {
		return err
	}
	var made control.RecoveryFile
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		return err
	}
	line := []string{"recovery", "confirm"}
	for _, n := range made.Ask {
		line = append(line, made.Words[n-1])
	}
	_, err = run(name, line...)
	return err
}

// verify has one person verify another, by a test and a call.
func verify(run runner, name, other, mine, theirs string) error {
	for _, line := range [][]string{
		{"contact", "add", theirs, "--name", people[other].name, "--certificate", other + ".pem"},
		{"verify", "start", theirs},
	} {
		if _, err := run(name, line...); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		out, err := run(other, "contact", "show", mine, "--json")
		var c control.Contact
		if err != nil || json.Unmarshal([]byte(out), &c) != nil || c.Incoming == nil {
			continue // not there yet
		}
		_, err = run(name, "verify", "call", theirs, "--number", "+44 20 7946 0123", "--source", "directory",
			"--code", strings.Join(c.Incoming.Words, " "), "--words", strings.Join(c.Incoming.Mine, " "))
		return err
	}
	return fmt.Errorf("%s's test did not arrive", name)
}
