package demo

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/tray/web/webtest"
)

// open starts the interactive demo and sits a person down at its page.
func open(t *testing.T) *webtest.Person {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is not started in a short run")
	}
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Run(ctx, Options{Headless: true, Out: w})
		w.CloseWithError(err)
		done <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(r)
	address := ""
	for address == "" && lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http://") {
			address = line
		}
	}
	if address == "" {
		t.Fatalf("the demo names no address: %v", lines.Err())
	}
	go io.Copy(io.Discard, r)
	return webtest.Open(t, address)
}

const bea = "bea.brandt@northclinic.example"

// spokenWords is what she read out on the simulated telephone, as it is typed.
func spokenWords(t *testing.T, p *webtest.Person) (code, words string) {
	lines := webtest.Of[[]string](p, `[...document.querySelectorAll("#phone .speech li")].map((n) => n.textContent)`)
	said := func(line string) string {
		_, words, _ := strings.Cut(line, ": ")
		return strings.NewReplacer(",", "", ".", "", `"`, "").Replace(words) + " "
	}
	code, words = said(lines[1]), said(lines[2])
	if len(strings.Fields(code)) != 4 || len(strings.Fields(words)) != 6 {
		t.Fatalf("heard %q", lines)
	}
	return code, words
}

// TestPeerPageMainPath is the whole main job as a person does it, in Chromium,
// against the real demo: two agents, a mail server, an authority. The pictures in
// tray/web/shots are inbox, message, verify, write and phone of those that it takes.
func TestPeerPageMainPath(t *testing.T) {
	p := open(t)
	p.Sees("Inbox")
	p.Shoot("01-first")

	refused(p)
	certificate(t, p)
	testMessage(p)
	call(t, p)
	send(t, p)
	ringBack(t, p)
	answer(t, p)
	strangers(p)
	around(p)
}

// refused writes to the colleague before anything is known of her.
func refused(p *webtest.Person) {
	p.Press("Write")
	p.Until(`document.activeElement.id === "to"`)
	p.Type(bea + ",")
	p.Until(`document.querySelector("#states li.stop")`)
	p.Fill("#subject", "Mrs K, echo result")
	p.Fill("#text", "Dear Bea,\n\nMrs K's echo is attached.\n\nAda")
	p.Sees("Kept as a draft")
	p.Shoot("02-write-unknown")
	p.Press("Seal and send")
	webtest.Of[bool](p, `document.querySelector("#send button").removeAttribute("aria-disabled") || true`) // as if she might be written to
	p.Press("Seal and send")
	p.Sees("Nothing was sent to anyone.")
	p.Shoot("03-refused")
}

// certificate makes her a contact and adds the certificate file that she sends.
func certificate(t *testing.T, p *webtest.Person) {
	p.Press("Contacts")
	p.Sees("Add a person or a team")
	p.Shoot("04-contacts-empty")
	p.Fill("#name", "Dr Bea Brandt")
	p.Fill("#address", bea)
	p.Press("Add")
	p.Sees("First, their certificate")
	p.Shoot("06-verify-certificate")

	p.Press("Make something happen")
	p.Press("Dr Bea Brandt sends you her certificate")
	p.Press("Inbox")
	p.Sees("My certificate")
	p.Open("My certificate")
	p.Sees("Please ring me before you rely on it")
	p.Shoot("07-certificate-message")
	file := p.Save("Save")
	if pem, err := os.ReadFile(file); err != nil || filepath.Base(file) != certificateFile || !strings.HasPrefix(string(pem), "-----BEGIN CERTIFICATE-----\n") {
		t.Fatalf("what was saved is no certificate: %v\n%s", err, pem)
	}

	p.Press("About")
	p.Sees("No certificate known")
	p.Shoot("08-contact-new")
	p.Press("Confirm them")
	p.Press("I have their certificate as a file")
	p.Upload("#cert", file)
	p.Press("Add it")
	p.Sees("Send the test message")
	p.Shoot("09-verify-test")
}

func testMessage(p *webtest.Person) {
	p.Press("Send the test message")
	p.Sees("Which number will you call?")
	p.Sees("It was answered")
	p.Shoot("10-verify-number")
}

// call dials her and types what she reads out.
func call(t *testing.T, p *webtest.Person) {
	number := webtest.Of[string](p, `document.querySelector("#phone .number").textContent`)
	p.Fill("#number", number)
	p.Choose("#source", "directory")
	p.Press("Use this number")
	p.Sees("The four words of the test")
	p.Shoot("11-verify-script")
	p.Press("Call")
	p.Until(`document.querySelectorAll("#phone .speech li").length === 3`)
	code, words := spokenWords(t, p)
	p.Shoot("11-verify-spoken")
	p.Until(`document.querySelector("form input[name=word]").focus() || true`)
	p.Type(code)
	p.ShootWindow("verify", 1280, "light")

	webtest.Of[bool](p, `document.querySelectorAll("form input[name=word]").forEach((n) => n.value = "") || true`)
	p.Until(`document.querySelector("form input[name=word]").focus() || true`)
	p.Type("abandon zzzz ")
	p.Sees("is not on the list of words")
	p.Shoot("12-verify-unknown-word")
	webtest.Of[bool](p, `document.querySelectorAll("form input[name=word]").forEach((n) => n.value = "") || true`)
	p.Until(`document.querySelector("form input[name=word]").focus() || true`)
	p.Type("abandon ability able about ")
	p.Type("\r")
	p.Sees("2 tries are left")
	p.Shoot("13-verify-wrong-words")

	p.Until(`document.querySelector("form input[name=word]").focus() || true`)
	p.Type(strings.ToUpper(code))
	p.Type("\r")
	p.Sees("The four words matched")
	p.Shoot("14-verify-half")
	p.Until(`document.querySelector("form input[name=word]").focus() || true`)
	p.Type(words)
	p.Type("\r")
	p.Until(`document.querySelector(".state-card.good")`)
	p.Shoot("15-verified")
}

// send finishes the draft, with a file, and sends it.
func send(t *testing.T, p *webtest.Person) {
	p.Press("Drafts")
	p.Sees("Mrs K, echo result")
	p.Shoot("16-drafts")
	p.Open("bea.brandt@northclinic.example")
	p.Until(`document.querySelector("#states li.good")`)
	file := filepath.Join(t.TempDir(), "echo-2026-11-20.txt")
	if err := os.WriteFile(file, echo, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Upload("#file", file)
	p.Until(`document.querySelector("#files .name")`)
	p.Shoot("17-write")
	p.Press("Seal and send")
	p.Sees("Taken by the server")
	p.Shoot("18-outbox")
	p.Press("Sent")
	p.Sees("Mrs K, echo result")
	p.Shoot("19-sent")
	p.Open("Mrs K, echo result")
	p.Sees("Mrs K's echo is attached.")
	p.Shoot("20-sent-message")
}

// ringBack answers her test, and reads out when she calls.
func ringBack(t *testing.T, p *webtest.Person) {
	p.Press("Inbox")
	p.Sees("Test message")
	p.Shoot("21-inbox-test")
	p.Open("Test message: please wait")
	p.Sees("Answer the test")
	p.Shoot("22-incoming-test")
	p.Press("Answer the test")
	p.Sees("You answered")
	p.Shoot("23-answered-test")
	p.Press("Make something happen")
	p.Press("Dr Bea Brandt rings you")
	p.Sees("You are confirmed in her address book.")
	p.Shoot("24-she-rings")
}

// answer reads what she wrote.
func answer(t *testing.T, p *webtest.Person) {
	p.Press("Inbox")
	p.Sees("Re: Mrs K, echo result")
	p.Shoot("25-inbox-answer")
	p.Open("Re: Mrs K")
	p.Until(`document.querySelector(".sealed.good")`)
	p.Sees("Thank you, it opened without trouble.")
	p.ShootWindow("message", 1280, "light")
	p.Press("How this was checked")
	p.Shoot("26-her-answer")
	p.Press("Reply")
	p.Until(`document.querySelector("#states li.good")`)
	if text := webtest.Of[string](p, `document.getElementById("text").value`); !strings.HasPrefix(text, "\n\nOn ") || !strings.Contains(text, "\n> Thank you, it opened without trouble.") {
		t.Errorf("the reply begins as %q", text)
	}
	p.Shoot("27-reply")
}

// strangers reads what is not what it seems.
func strangers(p *webtest.Person) {
	p.Press("Inbox")
	p.Sees("Get new mail")
	p.Press("Make something happen")
	p.Press("Somebody sends you an unsecured message")
	p.Sees("Appointment for your patient")
	p.Press("Somebody with another valid certificate")
	p.Sees(impostorSubject)
	p.Shoot("28-inbox-all")
	p.Press("Inbox")
	p.Until(`!document.querySelector("#note .note") && document.querySelectorAll("main .list li").length === 6`)
	p.ShootWindow("inbox", 1280, "light")
	p.Open("Appointment for your patient")
	p.Sees("Not secured")
	p.Shoot("29-unsecured")
	p.Press("Inbox")
	p.Open(impostorSubject)
	p.Until(`document.querySelector(".sealed.stop")`)
	p.Sees("NOT the key you verified")
	p.ShootWindow("phone", 390, "dark")
	p.Shoot("30-impostor")
	p.Press("About")
	p.Sees("Certificates seen")
	p.Shoot("31-contact")
}

// around writes to one person who is confirmed and one who is not, and looks at
// the other pages.
func around(p *webtest.Person) {
	p.Press("Write")
	p.Until(`document.activeElement.id === "to"`)
	p.Type(bea + ", " + strangerAddress + ",")
	p.Until(`document.querySelector("#states li.good") && document.querySelector("#states li.stop")`)
	p.Fill("#subject", "Mrs K, echo result")
	p.Fill("#text", "Dear both,\n\nMrs K's echo is attached.")
	p.Sees("Nothing goes to anyone until everyone can receive it safely.")
	p.ShootWindow("write", 1280, "light")
	for _, page := range []struct{ link, words, name string }{
		{"Contacts", "Confirmed", "32-contacts"},
		{"My safety words", "Your safety words", "33-words"},
		{"Activity record", "Check the record", "34-record"},
		{"Settings", "Preferences", "35-settings"},
		{"Outbox", "Taken by the server", "36-outbox"},
	} {
		p.Press(page.link)
		p.Sees(page.words)
		p.Shoot(page.name)
	}
}
