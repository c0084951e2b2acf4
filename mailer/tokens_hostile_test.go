package mailer_test

import (
	"countersign/mailer"

	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"testing"

	"countersign/mailer/cms"
	"countersign/vault"
)

// greedy is a message that names a card's key again and again, and was encrypted to the key
// of somebody else each time.
func (w *world) greedy(to, other *person) []byte {
	w.Helper()
	var named []*x509.Certificate
	for n := range 4 {
		c := *to.who.Certificate
		c.PublicKey, c.Raw = other.who.Certificate.PublicKey, []byte{byte(n)} // another certificate, of the same name
		named = append(named, &c)
	}
	var sealed bytes.Buffer
	out, err := cms.NewEnveloped(&sealed, named, cms.EncryptOptions{Size: -1})
	if err == nil {
		_, err = out.Write([]byte("Content-Type: text/plain\r\n\r\nx\r\n"))
	}
	if err = errors.Join(err, out.Close()); err != nil {
		w.Fatal(err)
	}
	return []byte("From: mallory@evil.example\r\nSubject: [...]\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(sealed.Bytes()) + "\r\n")
}

// TestGreedyMessages: a message that names the card's key many times is opened by nothing,
// and that is its own fault: it does not wait, and nothing else waits because of it.
func TestGreedyMessages(t *testing.T) {
	w, ada, bea, c := cards(t)
	bea.send(ada, "The results")
	for range 4 {
		w.deliver(ada.address, w.greedy(ada, bea))
	}
	o, err := ada.OpenWaiting(atCard(t.Context()))
	if err != nil || o.Opened != 5 || o.Waiting != 0 || c.prompts != 1 {
		t.Errorf("%+v, %v after %d prompts", o, err, c.prompts)
	}
	if s := first(t, ada); s.Locked || s.Verdict.Short != "Cannot be opened" || !slices.Contains(s.Verdict.Reasons, "It is built in a way that no honest program uses, so it is not opened.") {
		t.Errorf("%+v", s)
	}
	w.deliver(ada.address, w.greedy(ada, bea))
	bea.send(ada, "More results")
	if s := first(t, ada); s.Locked || s.Subject != "More results" {
		t.Errorf("the card rests because of a message: %+v", s)
	}
}

// TestUnableCard: what a card cannot do waits for another card, and for nothing else.
func TestUnableCard(t *testing.T) {
	_, ada, bea, c := cards(t)
	for _, subject := range []string{"1", "2", "3", "4", "5"} {
		bea.send(ada, subject)
	}
	c.lock()
	c.unlocked, c.breaks = true, vault.TokenTrouble(vault.ErrTokenUnable, "", nil)
	if o, err := ada.OpenWaiting(atCard(t.Context())); err != nil || o.Opened != 0 || o.Waiting != 5 || c.uses != 5 || o.Why[0].Code != "token-unable" {
		t.Errorf("%+v, %v after %d uses", o, err, c.uses)
	}
	bea.send(ada, "6")
	c.breaks = nil
	bea.send(ada, "7")
	if s := first(t, ada); s.Locked || s.Subject != "7" {
		t.Errorf("the card rests: %+v", s)
	}
}

// TestWaitsAfterRestart: what waits for the card is counted from what is stored, so that
// it is still told after the agent began anew.
func TestWaitsAfterRestart(t *testing.T) {
	_, ada, bea, c := cards(t)
	bea.send(ada, "Hello")
	c.out = true
	for _, when := range []string{"at once", "begun anew"} {
		n, err := ada.Waiting(t.Context())
		list, bad := ada.List(t.Context(), mailer.Query{Limit: 1})
		if err != nil || bad != nil || n != 1 || len(list) != 1 || !list[0].Locked {
			t.Errorf("%s: %d wait, %v, %v, %+v", when, n, err, bad, list)
		}
		ada.open()
	}
}
