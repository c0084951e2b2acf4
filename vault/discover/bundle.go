package discover

import (
	"context"
	"fmt"
	"net/http"
)

// maxBundle is what a bundle of anchors may have, in octets.
const maxBundle = 1 << 20

// Bundle fetches a bundle of anchors, over HTTPS only, wherever it is redirected to. What
// comes proves nothing by that: its signature is for the caller to check (F2). The
// user chose the address, and it is asked at private addresses as the rules say.
func (c *Checker) Bundle(ctx context.Context, url string, r Rules) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	if !plain(req.URL) || req.URL.Scheme != "https" {
		return nil, errScheme
	}
	req.Header.Set("User-Agent", "") // leaves it out
	client := newClient(guard(r.AllowPrivate))
	follow := client.CheckRedirect
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" {
			return errScheme
		}
		return follow(req, via)
	}
	return receive(client, req, maxBundle)
}
