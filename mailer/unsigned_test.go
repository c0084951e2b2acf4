package mailer_test

import (
	"strings"
	"testing"

	"countersign/mailer"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// TestNothingUnsignedGoesOn: what was encrypted and not signed by its From may be
// somebody else's secret in an envelope of Mallory's. It is not quoted, not found by its
// words, and nothing of it stands in an answer (SECURITY O3; "EFAIL", section 4).
func TestNothingUnsignedGoesOn(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	mallory := w.admit("Mallory", mallorysAddress)
	inside := "From: " + beaAddress + "\r\nTo: " + adaAddress + "\r\nSubject: quetiapine\r\nMessage-ID: <quetiapine.in@n.example>\r\n" +
		"References: <quetiapine.ref@n.example>\r\n"
	const told = "HP-Outer: Message-ID: <quetiapine.in@n.example>\r\nHP-Outer: References: <quetiapine.ref@n.example>\r\n"
	const text = "Content-Type: text/plain; hp=cipher\r\n\r\nquetiapine\r\n"
	outer := "Message-ID: <outer@n.example>\r\nFrom: " + beaAddress + "\r\n"
	for name, raw := range map[string]string{
		"unsigned":           outer + string(w.seals(inside+told+text, ada)),
		"signed by another":  outer + string(w.seals(w.signs(mallory, inside+told+text), ada)),
		"signature broken":   outer + string(w.seals(strings.Replace(w.signs(bea.who, inside+told+text), "quetiapine\r\n\r\n--bb", "quetiapine, more\r\n\r\n--bb", 1), ada)),
		"forwarded as it is": outer + string(w.seals("Content-Type: message/rfc822\r\n\r\n"+inside+"\r\nquetiapine\r\n", ada)),
	} {
		id := w.deliver(adaAddress, []byte(raw))
		m := ada.last()
		if m.ID != id || m.ReplyDenied == "" || m.Snippet != "" {
			t.Errorf("%s: may be quoted, or is listed in words: %q, %+v", name, m.Snippet, m.Verdict)
		}
		if found, err := ada.List(ctx, mailer.Query{Search: "quetiapine"}); err != nil || len(found) != 0 {
			t.Errorf("%s: found by its words: %d, %v", name, len(found), err)
		}
		before := len(w.wire)
		if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "Re:", InReplyTo: id}); err != nil {
			t.Fatal(name, err)
		}
		if _, err := ada.Outbox.Round(ctx); err != nil {
			t.Fatal(err)
		}
		sent, err := message.Parse(message.Bytes(w.wire[before].raw), message.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if got := sent.Get("In-Reply-To") + sent.Get("References"); strings.Contains(got, "quetiapine") {
			t.Errorf("%s: the answer tells %q outside", name, got)
		}
		o := w.opened(bea, w.wire[before].raw)
		for _, f := range o.Header.Fields {
			if strings.Contains(f.Value, "quetiapine") {
				t.Errorf("%s: the answer tells %s: %s", name, f.Name, f.Value)
			}
		}
	}

	// Signed by her inside of it, it may all go on.
	id := w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "quetiapine", Text: "quetiapine"}))
	if found, err := ada.List(ctx, mailer.Query{Search: "quetiapine"}); err != nil || len(found) != 1 || found[0].ID != id || found[0].Snippet == "" || ada.last().ReplyDenied != "" {
		t.Errorf("hers: %d found, %v", len(found), err)
	}
}
