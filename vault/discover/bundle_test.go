package discover

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestBundle: over HTTPS only, to a server whose name is proved, within the addresses
// that are allowed. (That one is fetched is in the stories, where a server can be.)
func TestBundle(t *testing.T) {
	asked := 0
	count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ })
	clear, tls := httptest.NewServer(count), httptest.NewTLSServer(count)
	defer clear.Close()
	defer tls.Close()
	var c Checker
	for name, test := range map[string]struct {
		url   string
		rules Rules
		want  error
	}{
		"in clear":             {clear.URL + "/list", Rules{AllowPrivate: true}, errScheme},
		"a directory":          {"ldap://127.0.0.1/cn=list", Rules{AllowPrivate: true}, errScheme},
		"with a name":          {"https://me@127.0.0.1/list", Rules{AllowPrivate: true}, errScheme},
		"no address":           {"list", Rules{AllowPrivate: true}, errScheme},
		"private":              {tls.URL + "/list", Rules{}, ErrAddress},
		"of a strange server":  {tls.URL + "/list", Rules{AllowPrivate: true}, nil},
		"what cannot be asked": {"https://\x7f/list", Rules{AllowPrivate: true}, nil},
	} {
		body, err := c.Bundle(t.Context(), test.url, test.rules)
		if err == nil || body != nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %q, %v, want %v", name, body, err, test.want)
		}
	}
	if asked != 0 {
		t.Errorf("%d were asked", asked)
	}
}
