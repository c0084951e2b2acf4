package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"countersign/tray/control"
	"countersign/tray/web/door"
)

const (
	maxForm  = 4 << 20 // bytes of a form's fields before and between its files
	maxField = 2 << 20 // bytes of one field
)

var errTooLong = errors.New("web: a field is too long")

// A visit is one request that was let in, with its session.
type visit struct {
	p    *Page
	w    http.ResponseWriter
	r    *http.Request
	who  door.Visitor
	s    *held
	at   control.Cursor // the last event before anything was asked for this page
	size int            // bytes of a form's fields so far
}

// held is what a session is in the middle of. It is in memory only.
type held struct {
	mu       sync.Mutex
	note     *note
	call     []string // what the simulated colleague has said
	callAt   string   // the page on which she was called: leaving it hangs up
	file     []byte   // of authorities, between preview and confirmation
	recovery *recoveryFile
}

// A note is what a page has to say once, after a change led to it.
type note struct {
	Level    string // good | care | stop
	Says     string
	Next     string
	Refusals []control.Refusal
	Again    []int            // boxes to type again, from 1: a word there is not on the list
	Part     string           // of the report that Again is about
	Looked   []control.Looked // where a certificate was looked for
	Kept     url.Values       // what was typed into a form that was not accepted; no password
}

// visitKey finds the visit of a request that the mux has routed.
type visitKey struct{}

// page is a handler of one route. An error is told on the page itself.
type page func(*visit) error

// inside finds the handler. The mux adds the values of the path.
func (p *Page) inside(w http.ResponseWriter, r *http.Request, who door.Visitor) {
	v := &visit{p: p, w: w, who: who, at: p.live.at()}
	if who.Session != nil {
		v.s = who.Session.Held.(*held)
	}
	p.routes.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
}

func (h page) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	v := r.Context().Value(visitKey{}).(*visit)
	v.r = r
	if err := h(v); err != nil {
		v.fail(err)
	}
}

func (v *visit) ctx() context.Context     { return v.r.Context() }
func (v *visit) form(name string) string  { return v.r.PostForm.Get(name) }
func (v *visit) path(name string) string  { return v.r.PathValue(name) }
func (v *visit) query(name string) string { return v.r.URL.Query().Get(name) }

// contact returns the address that the path's identifier stands for.
func (v *visit) contact() (string, error) {
	address, ok := v.p.names.Address(v.path("id"))
	if !ok {
		return "", &control.Error{Code: control.CodeNotFound, Says: "This link is from before Countersign started anew.", Next: "Find the person again under Contacts."}
	}
	return address, nil
}

// tell leaves a note for the next page and goes there.
func (v *visit) tell(path string, n note) error {
	v.s.mu.Lock()
	v.s.note = &n
	v.s.mu.Unlock()
	return v.goTo(path)
}

// goTo answers a change: the browser is sent to a page that can be loaded again.
func (v *visit) goTo(path string) error {
	http.Redirect(v.w, v.r, v.p.Base()+path, http.StatusSeeOther)
	return nil
}

// done tells of success at path; an error it tells there instead.
func (v *visit) done(path string, err error, says string) error {
	if err != nil {
		return v.tell(path, noteOf(err))
	}
	return v.tell(path, note{Level: "good", Says: says})
}

// noteOf is an error in words. What has none of its own says no more than that
// it failed: an inner error may name files or servers.
func noteOf(err error) note {
	var refused *control.Refused
	var told *control.Error
	switch {
	case errors.As(err, &refused):
		return note{Level: "stop", Says: "Nothing was sent to anyone.", Refusals: refused.Refusals}
	case errors.As(err, &told):
		return note{Level: "stop", Says: told.Says, Next: told.Next}
	case errors.Is(err, errTooLong):
		return note{Level: "stop", Says: "That is too long to be taken.", Next: "Shorten it, or attach it as a file."}
	}
	return note{Level: "stop", Says: "That did not work.", Next: "Nothing was changed. Try again, and look at the activity record if it goes on."}
}

func isNotFound(err error) bool {
	var told *control.Error
	return errors.As(err, &told) && told.Code == control.CodeNotFound
}

// fail shows an error as a page of its own.
func (v *visit) fail(err error) {
	status := http.StatusInternalServerError
	if isNotFound(err) {
		status = http.StatusNotFound
	}
	v.write(status, "error", "", noteOf(err))
}

// show renders a page.
func (v *visit) show(name, nav string, content any) error {
	v.write(http.StatusOK, name, nav, content)
	return nil
}

// frame is everything around a page's own content.
type frame struct {
	Base, Here, Token string
	At                control.Cursor
	Nav               string
	Status            control.Status
	Note              *note
	Phone             *phone
	Page              any
}

// Again is the boxes of one part of a call to type again.
func (f frame) Again(part string) []int {
	if f.Note == nil || f.Note.Part != part {
		return nil
	}
	return f.Note.Again
}

// Steps is the four steps of the first set-up; one that the agent does not name
// is done.
func (f frame) Steps() []control.Step {
	steps := []control.Step{
		{Name: "identity", Title: "Your identity", Done: true},
		{Name: "anchor", Title: "The authority you trust", Done: true},
		{Name: "account", Title: "Your mailbox", Done: true},
		{Name: "recovery", Title: "The recovery file", Done: true},
	}
	for i := range steps {
		for _, s := range f.Status.Setup {
			if s.Name == steps[i].Name {
				steps[i] = s
			}
		}
	}
	return steps
}

// Todo is the steps that are not done.
func (f frame) Todo() []control.Step {
	return slices.DeleteFunc(f.Steps(), func(s control.Step) bool { return s.Done })
}

func (v *visit) write(status int, name, nav string, content any) {
	here := url.URL{Path: v.p.Base() + v.r.URL.Path[1:], RawQuery: v.r.URL.RawQuery}
	f := frame{Base: v.p.Base(), Here: here.String(), Token: v.who.Session.Token, At: v.at, Nav: nav, Page: content}
	var err error
	if f.Status, err = v.p.svc.Settings.Status(v.ctx(), control.None{}); err != nil {
		f.Status.Problem = noteOf(err).Says
	}
	if f.Phone, err = v.phone(); err != nil {
		f.Status.Problem = noteOf(err).Says
	}
	if v.r.Header.Get("Countersign-Refresh") == "" { // a refresh in the background reads nobody's note away
		v.s.mu.Lock()
		f.Note, v.s.note = v.s.note, nil
		v.s.mu.Unlock()
	}
	var out bytes.Buffer
	if err := v.p.pages[name].ExecuteTemplate(&out, "frame", f); err != nil {
		http.Error(v.w, "This page could not be drawn.", http.StatusInternalServerError) // err names values of the page: told to nobody
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	out.WriteTo(v.w) // a failed write has no reader
}

// next reads a form on to its next file, gathering the fields before it. It
// returns nil after the last. A part is good until next is called again.
func (v *visit) next(fields url.Values) (*multipart.Part, error) {
	if v.who.Parts == nil { // an ordinary form, already read
		maps.Copy(fields, v.r.PostForm)
		return nil, nil
	}
	for {
		part, err := v.who.Parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading a form: %w", err)
		}
		if part.FileName() != "" {
			return part, nil
		}
		value, err := text(part)
		if v.size += len(value) + len(part.FormName()); err != nil || v.size > maxForm {
			return nil, errTooLong
		}
		fields.Add(part.FormName(), value)
	}
}

// download streams a file as an attachment that no browser opens in our name.
// A failure on the way breaks the connection off, so that a file that failed
// its check is not taken for a whole one.
func (v *visit) download(name string, body io.ReadCloser) error {
	defer body.Close()
	h := v.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(name))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	n, err := io.Copy(v.w, body)
	if err != nil && n == 0 {
		h.Del("Content-Disposition")
		h.Set("Content-Security-Policy", door.Policy)
		return err
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// text reads a field.
func text(part io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(part, maxField+1))
	if err == nil && len(b) > maxField {
		err = errTooLong
	}
	return string(b), err
}
