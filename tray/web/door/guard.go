package door

import (
	"crypto/subtle"
	_ "embed"
	"errors"
	"html/template"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

const (
	maxForm  = 4 << 20 // bytes of an ordinary form
	maxToken = 100     // bytes of a token field
)

// Policy lets a page do nothing but what comes from ourselves. Nothing inline
// runs or styles, and no text can become markup in a script.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// What those who are not let in are told.
const (
	sayElsewhere = "This came from another page, or is not the address of Countersign."
	saySilent    = "This browser does not say where its requests come from. Use a current one."
	sayOver      = "This address was used before, or its two minutes are over."
	sayLocked    = "This window is not signed in, or Countersign was locked."
	sayUnread    = "The form could not be read."
	sayOld       = "This page is no longer good. Load it again."
)

// ServeHTTP answers what is let in. Every answer, a refusal too, carries the
// headers first.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", Policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Nothing leaves this origin; "no-referrer" would turn the Origin of our
	// own forms into "null" (Fetch standard, appending a request Origin header).
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")

	if status, why := d.admit(r); status != 0 {
		http.Error(w, why, status) // no page of ours: it would name the base
		return
	}
	path := "/" + strings.TrimPrefix(r.URL.Path, d.base)
	r.URL.Path, r.URL.RawPath = path, ""
	if secret, ok := strings.CutPrefix(path, "/in/"); ok {
		d.signIn(w, r, secret)
		return
	}
	v := Visitor{Session: d.find(r, d.o.Clock())}
	if open := path == d.o.Style && r.Method != http.MethodPost; v.Session == nil && !open {
		d.shut(w, http.StatusForbidden, sayLocked)
		return
	}
	if r.Method == http.MethodPost {
		var status int
		var why string
		if v.Parts, status, why = takeForm(w, r, v.Session.Token); status != 0 {
			d.shut(w, status, why)
			return
		}
	}
	d.o.Inside(w, r, v)
}

// admit checks where a request comes from (rule F1); zero lets it in.
func (d *Door) admit(r *http.Request) (status int, why string) {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	origin := r.Header.Get("Origin")
	switch {
	case !get && r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "Only reading and sending of forms is possible here."
	case r.Host != d.host, !strings.HasPrefix(r.URL.Path, d.base):
		return http.StatusForbidden, sayElsewhere
	case origin != d.origin && !(get && origin == ""):
		return http.StatusForbidden, sayElsewhere
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return 0, ""
	case "none": // typed, or opened by the system
		if get {
			return 0, ""
		}
	case "cross-site": // the sign-in file: only as a window of its own
		in := r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, d.base+"in/")
		if in && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" {
			return 0, ""
		}
	case "":
		return http.StatusForbidden, saySilent
	}
	return http.StatusForbidden, sayElsewhere
}

// takeForm reads the token before anything else of a form, and an ordinary
// form wholly. Of a form with a file, the rest is left to be read as a stream.
func takeForm(w http.ResponseWriter, r *http.Request, want string) (parts *multipart.Reader, status int, why string) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	token := ""
	switch {
	case err == nil && kind == "application/x-www-form-urlencoded":
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return nil, http.StatusBadRequest, sayUnread
		}
		token = r.PostForm.Get("token")
	case err == nil && kind == "multipart/form-data":
		if parts, err = r.MultipartReader(); err != nil {
			return nil, http.StatusBadRequest, sayUnread
		}
		if token, err = firstField(parts, "token"); err != nil {
			return nil, http.StatusForbidden, sayOld
		}
	default:
		return nil, http.StatusUnsupportedMediaType, sayUnread
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(want)) != 1 {
		return nil, http.StatusForbidden, sayOld
	}
	return parts, 0, ""
}

func firstField(parts *multipart.Reader, name string) (string, error) {
	part, err := parts.NextPart()
	if err != nil {
		return "", err
	}
	if part.FormName() != name {
		return "", errors.New("door: another field comes first")
	}
	b, err := io.ReadAll(io.LimitReader(part, maxToken))
	return string(b), err
}

// signIn trades a one-time address for a session. The answer is a page that
// goes on by itself, not a redirect: a SameSite=Strict cookie is not sent along
// a redirect that began in a file.
func (d *Door) signIn(w http.ResponseWriter, r *http.Request, secret string) {
	now := d.o.Clock()
	if r.Method != http.MethodGet || !d.use(secret, now) {
		d.shut(w, http.StatusForbidden, sayOver)
		return
	}
	cookie, err := d.random()
	if err != nil {
		d.shut(w, http.StatusInternalServerError, "No session could be made.")
		return
	}
	token, err := d.random()
	if err != nil {
		d.shut(w, http.StatusInternalServerError, "No session could be made.")
		return
	}
	d.seat(cookie, token, now)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: cookie, Path: d.base, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	d.answer(w, http.StatusOK, sheet{Go: d.base})
}

// shut answers somebody who is not let in.
func (d *Door) shut(w http.ResponseWriter, status int, says string) {
	d.answer(w, status, sheet{Says: says})
}

func (d *Door) answer(w http.ResponseWriter, status int, s sheet) {
	if d.o.Style != "" {
		s.Style = d.base + strings.TrimPrefix(d.o.Style, "/")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	draw(w, s) // a failed write has no reader
}

// A sheet is one of the door's own pages: it goes on to an address, or says why
// it does not.
type sheet struct {
	Go, Says, Style string
}

//go:embed sheet.html
var sheetFile string

var sheetPage = template.Must(template.New("sheet").Parse(sheetFile))

func draw(w io.Writer, s sheet) error { return sheetPage.Execute(w, s) }
