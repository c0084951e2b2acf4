package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"countersign/vault/trust"
	"countersign/vault/trust/ocsp"
)

// Bounds of one fetch.
const (
	maxList         = 16 << 20
	maxCertificate  = 64 << 10 // and an answer
	maxHeader       = 16 << 10
	maxRedirections = 3
	fetchTime       = 15 * time.Second
	dialTime        = 5 * time.Second
)

var (
	// ErrAddress says that a server's address is one that must not be asked.
	ErrAddress = errors.New("discover: the server is at a private address")
	errSize    = errors.New("discover: the reply is too large")
	errStatus  = errors.New("discover: the server has nothing there")
	errScheme  = errors.New("discover: the address is not plain http or https")
)

// fetch gets one document. allowed sees each address that is about to be
// connected to, whatever name or redirection led there.
func fetch(ctx context.Context, n trust.Need, allowed func(netip.Addr) bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	if strings.HasPrefix(strings.ToLower(n.URL), "ldap") {
		return fetchEntry(ctx, n, allowed)
	}
	req, err := request(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	if !plain(req.URL) {
		return nil, errScheme
	}
	req.Header.Set("User-Agent", "") // leaves it out
	limit := maxList
	if n.Kind != trust.NeedCRL {
		limit = maxCertificate
	}
	return receive(newClient(allowed), req, limit)
}

// receive asks for one document of at most limit octets.
func receive(client *http.Client, req *http.Request, limit int) ([]byte, error) {
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", errStatus, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	if len(body) > limit {
		return nil, errSize
	}
	return body, nil
}

// request is a GET, or a POST for a question to a responder that is too long for
// one (RFC 6960, appendix A.1; RFC 5019, section 5).
func request(ctx context.Context, n trust.Need) (*http.Request, error) {
	if n.Kind != trust.NeedOCSP {
		return http.NewRequestWithContext(ctx, http.MethodGet, n.URL, nil)
	}
	if get, ok := ocsp.GetURL(n.URL, []byte(n.Request)); ok {
		return http.NewRequestWithContext(ctx, http.MethodGet, get, nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, strings.NewReader(n.Request))
	if err == nil {
		req.Header.Set("Content-Type", "application/ocsp-request")
	}
	return req, err
}

// plain accepts http and https without a user's name in it.
func plain(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && u.Host != ""
}

// newDialer connects to allowed addresses only.
func newDialer(allowed func(netip.Addr) bool) *net.Dialer {
	return &net.Dialer{Timeout: dialTime, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !allowed(to.Addr()) {
			return ErrAddress
		}
		return nil
	}}
}

// newClient makes a client for one fetch, which remembers nothing.
func newClient(allowed func(netip.Addr) bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: newDialer(allowed).DialContext, DisableKeepAlives: true, DisableCompression: true,
			MaxResponseHeaderBytes: maxHeader, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: fetchTime,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirections {
				return fmt.Errorf("discover: more than %d redirections", maxRedirections)
			}
			if !plain(req.URL) {
				return errScheme
			}
			req.Header.Del("Referer")
			return nil
		},
	}
}

// guard tells which addresses may be connected to.
func guard(private bool) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		a = a.Unmap().WithZone("")
		switch {
		case a.IsLoopback(), a.IsPrivate(), a.IsLinkLocalUnicast(), local(a):
			return private
		case !a.IsValid(), a.IsMulticast(), a.IsUnspecified(), reserved(a):
			return false
		}
		return true
	}
}

func within(a netip.Addr, prefixes ...string) bool {
	for _, p := range prefixes {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}

// reserved addresses lead nowhere, or to an IPv4 address in disguise (RFC 6890,
// RFC 6052, RFC 3056).
func reserved(a netip.Addr) bool {
	return within(a, "0.0.0.0/8", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
}

// local addresses are not private by name, but never reach beyond a provider, a
// site or a test bench (RFC 6598, RFC 3879, RFC 2544).
func local(a netip.Addr) bool {
	return within(a, "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "fec0::/10")
}
