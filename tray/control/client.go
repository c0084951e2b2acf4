package control

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"countersign/platform/localsock"
)

// Dial returns the service of the agent that dial reaches. It connects anew
// for each call, so it outlives any number of agents; a call where nobody
// listens fails with [ErrNotRunning]. Its Simulation is never nil: where the
// agent is no demo, asking it is an [Error] with code "not-here".
func Dial(dial func(context.Context) (net.Conn, error)) *Service {
	c := &client{http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives:  true, // a connection costs less than guessing whether an old one lives
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dial(ctx)
			if errors.Is(err, localsock.ErrNobody) {
				return nil, ErrNotRunning
			}
			return conn, err
		},
	}}}
	return &Service{
		Mail:       mailClient{c},
		Contacts:   contactsClient{c},
		Identities: identitiesClient{c},
		Anchors:    anchorsClient{c},
		Tokens:     tokensClient{c},
		Accounts:   accountsClient{c},
		Journal:    journalClient{c},
		Settings:   settingsClient{c},
		Events:     eventsClient{c},
		Simulation: simulationClient{c},
	}
}

type client struct{ http *http.Client }

// ask sends a query and returns the answer.
func ask[Q, A any](ctx context.Context, c *client, r route[Q, A], q Q) (A, error) {
	var a A
	resp, err := c.query(ctx, r.path(), q)
	if err != nil {
		return a, err
	}
	return readAnswer[A](ctx, resp)
}

// put sends a query with a file and returns the answer.
func put[Q, A any](ctx context.Context, c *client, r route[Q, A], q Q, file io.Reader) (A, error) {
	var a A
	query, err := encodeHeader(q)
	if err != nil {
		return a, fmt.Errorf("writing a request: %w", err)
	}
	lent := &lentReader{r: file}
	defer lent.takeBack(ctx)
	resp, err := c.do(ctx, http.MethodPost, r.path(), http.Header{headerQuery: {query}}, lent)
	if err != nil {
		return a, err
	}
	return readAnswer[A](ctx, resp)
}

// A lentReader reads for the transport, which may go on reading after it has
// an answer, until it is taken back.
type lentReader struct {
	gone atomic.Bool
	mu   sync.Mutex // held while reading
	r    io.Reader
}

func (l *lentReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone.Load() {
		return 0, io.ErrClosedPipe
	}
	return l.r.Read(p)
}

// takeBack waits for a read under way, unless the caller no longer waits.
func (l *lentReader) takeBack(ctx context.Context) {
	l.gone.Store(true)
	if ctx.Err() == nil {
		l.mu.Lock()
		l.mu.Unlock() //lint:ignore SA2001 only the wait is wanted
	}
}

// get sends a query and returns the answer with a file, which the caller closes.
func get[Q, A any](ctx context.Context, c *client, r route[Q, A], q Q) (A, io.ReadCloser, error) {
	var a A
	resp, err := c.query(ctx, r.path(), q)
	if err != nil {
		return a, nil, err
	}
	if err := readHeader(resp.Header.Get(headerAnswer), &a); err != nil {
		resp.Body.Close()
		return a, nil, err
	}
	return a, &fileAnswer{ctx, resp}, nil
}

// fileAnswer is the body of an answer; its trailer says how it ended.
type fileAnswer struct {
	ctx  context.Context
	resp *http.Response
}

func (d *fileAnswer) Read(p []byte) (int, error) {
	n, err := d.resp.Body.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, lost(d.ctx, err)
	}
	failure := d.resp.Trailer.Get(headerFailure)
	if failure == "" {
		return n, io.EOF
	}
	var how problem
	if err := readHeader(failure, &how); err != nil {
		return n, err
	}
	return n, how.err()
}

func (d *fileAnswer) Close() error { return d.resp.Body.Close() }

// query sends a value and returns the response to it, which is no failure.
func (c *client) query(ctx context.Context, path string, q any) (*http.Response, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("writing a request: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return c.do(ctx, http.MethodPost, path, header, bytes.NewReader(data))
}

// do returns a response with status 200; anything else is the error that the
// agent returned.
func (c *client) do(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, body)
	if err != nil {
		return nil, fmt.Errorf("writing a request: %w", err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if err := writeTerminal(ctx, req.Header); err != nil {
		return nil, fmt.Errorf("writing a request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, lost(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	p, err := readAnswer[problem](ctx, resp)
	if err != nil {
		return nil, err
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("reading the agent's answer: status %d without a reason", resp.StatusCode)
}

// readHeader reads what the agent wrote into a header field.
func readHeader(s string, v any) error {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("reading the agent's answer: %w", err)
	}
	return nil
}

// readAnswer reads the JSON of a response. A field that is not known here is
// passed over: a newer agent may say more than an older face can show.
func readAnswer[A any](ctx context.Context, resp *http.Response) (A, error) {
	defer resp.Body.Close()
	var a A
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return a, lost(ctx, err)
	case len(data) > maxAnswer:
		return a, fmt.Errorf("reading the agent's answer: longer than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("reading the agent's answer: %w", err)
	}
	return a, nil
}

// lost gives the reason why a connection brought no answer: the caller's
// context, the error of a file that was being sent, a dial that failed, or an
// agent that went away.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // its text would quote a URL that nobody knows
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
