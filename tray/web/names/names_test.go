package names

import (
	"testing"

	"countersign/tray/control"
)

func TestPlaces(t *testing.T) {
	n := New([]byte("key"))
	id := n.Opaque("a@b.example")
	for link, want := range map[string]string{
		"/verify": "contacts/" + id + "/verify", "/verify/a@b.example": "contacts/" + id + "/verify", "/contacts": "contacts/" + id, "/contact?x=1": "contacts/" + id,
		"/setup": "setup", "/account": "setup", "/settings": "settings", "/cards": "cards", "/outbox": "outbox", "/drafts": "drafts",
		"": "contacts/" + id, "https://evil.example/verify": "contacts/" + id, "//evil.example": "contacts/" + id, "javascript:alert(1)": "contacts/" + id,
	} {
		if got := n.Place(control.Refusal{Link: link, Address: "a@b.example"}); got != want {
			t.Errorf("%q leads to %q, want %q", link, got, want)
		}
	}
	if got := n.Place(control.Refusal{Link: "/verify"}); got != "contacts" {
		t.Errorf("nobody's verification leads to %q", got)
	}
}
