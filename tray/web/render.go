package web

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"countersign/tray/control"
	"countersign/tray/web/phrase"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed look
var lookFiles embed.FS

// parse reads the templates: frame.html holds what pages share, and each other
// file a page.
func (p *Page) parse() (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(p.funcs()).ParseFS(pageFiles, "pages/frame.html", "pages/parts.html")
	if err != nil {
		return nil, fmt.Errorf("reading the page templates: %w", err)
	}
	files, err := pageFiles.ReadDir("pages")
	if err != nil {
		return nil, fmt.Errorf("reading the page templates: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, f := range files {
		one, err := shared.Clone()
		if err == nil {
			one, err = one.ParseFS(pageFiles, path.Join("pages", f.Name()))
		}
		if err != nil {
			return nil, fmt.Errorf("reading the page template %s: %w", f.Name(), err)
		}
		pages[strings.TrimSuffix(f.Name(), ".html")] = one
	}
	return pages, nil
}

// look serves one of our own files.
func look(name, kind string) page {
	return func(v *visit) error {
		b, err := lookFiles.ReadFile("look/" + name)
		if err != nil {
			return err
		}
		v.w.Header().Set("Content-Type", kind)
		v.w.Write(b) // a failed write has no reader
		return nil
	}
}

func (p *Page) funcs() template.FuncMap {
	return template.FuncMap{
		"when":   func(t time.Time) string { return phrase.When(t.In(p.o.Zone), p.o.Clock().In(p.o.Zone)) },
		"day":    func(t time.Time) string { return t.In(p.o.Zone).Format("2 January 2006") },
		"full":   func(t time.Time) string { return t.In(p.o.Zone).Format("Monday 2 January 2006, 15:04") },
		"moment": func(t time.Time) string { return phrase.Moment(t.In(p.o.Zone), p.o.Clock().In(p.o.Zone)) },
		"stamp":  func(t time.Time) string { return t.Format(time.RFC3339) },
		"size":   phrase.Size,
		"person": p.names.Opaque,
		"place":  p.names.Place,
		"named":  func(f control.Refusal) bool { return f.Person != "you" && !strings.Contains(f.Reason, f.Person) },
		"join":   strings.Join,
		"groups": phrase.Groups,
		"shape":  phrase.Shape,
		"plus":   func(a, b int) int { return a + b },
		"has":    slices.Contains[[]int],
		"list":   func(items ...any) []any { return items },
		"covers": func(unprotected []string, name string) bool { return !contains(unprotected, name) },
	}
}

func contains(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

// table is every page and every change there is.
func (p *Page) table() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range map[string]page{
		"GET /style.css": look("style.css", "text/css; charset=utf-8"),
		"GET /page.js":   look("page.js", "text/javascript; charset=utf-8"),
		"GET /icon.svg":  look("icon.svg", "image/svg+xml"),
		"GET /live":      (*visit).stream,

		"GET /{$}":                      (*visit).home,
		"GET /inbox":                    (*visit).inbox,
		"POST /inbox":                   (*visit).inbox, // a search: what is sought stands in no address
		"GET /sent":                     (*visit).sent,
		"POST /sent":                    (*visit).sent,
		"POST /fetch":                   (*visit).fetch,
		"GET /message/{id}":             (*visit).message,
		"GET /message/{id}/raw":         (*visit).raw,
		"GET /message/{id}/file/{part}": (*visit).attachment,
		"POST /message/{id}/seen":       (*visit).seen,
		"POST /message/{id}/reply":      (*visit).reply,

		"GET /write":            (*visit).blank,
		"GET /write/{id}":       (*visit).draft,
		"POST /write/{id}":      (*visit).keep,
		"GET /drafts":           (*visit).drafts,
		"GET /outbox":           (*visit).outbox,
		"POST /outbox/withdraw": (*visit).withdraw,

		"GET /contacts":                   (*visit).people,
		"POST /contacts":                  (*visit).people,
		"POST /contacts/new":              (*visit).newPerson,
		"GET /contacts/{id}":              (*visit).person,
		"POST /contacts/{id}/{act}":       (*visit).personAct,
		"POST /contacts/{id}/certificate": (*visit).certificate,
		"GET /contacts/{id}/verify":       (*visit).verify,
		"POST /contacts/{id}/call":        (*visit).report,
		"GET /words":                      (*visit).ownWords,
		"GET /wordlist":                   (*visit).wordList,

		"GET /cards":              (*visit).cards,
		"POST /cards/use":         (*visit).useCard,
		"POST /cards/move":        (*visit).moveKey,
		"POST /cards/unlock":      (*visit).unlockCard,
		"POST /cards/lock":        (*visit).lockCards,
		"POST /message/{id}/open": (*visit).unseal,

		"POST /phone/{act}": (*visit).phoneAct,
		"/":                 (*visit).nowhere,
	} {
		mux.Handle(pattern, h)
	}
	for pattern, h := range arranging {
		mux.Handle(pattern, h)
	}
	return mux
}

// arranging is what is set up, set and kept, apart from mail and people.
var arranging = map[string]page{
	"GET /record":        (*visit).record,
	"POST /record":       (*visit).record, // checked from end to end
	"GET /settings":      (*visit).settings,
	"POST /settings":     (*visit).prefer,
	"POST /settings/end": (*visit).end,
	"POST /settings/new": (*visit).startOver,

	"GET /lists":         (*visit).lists,
	"POST /lists/find":   (*visit).findList,
	"POST /lists/follow": (*visit).followList,
	"POST /lists/accept": (*visit).acceptFromList,
	"POST /lists/renew":  (*visit).renewLists,
	"POST /lists/leave":  (*visit).leaveList,

	"GET /setup":                   (*visit).setup,
	"POST /setup/identity":         (*visit).addIdentity,
	"POST /setup/identity/request": (*visit).request,
	"GET /setup/identity/request":  (*visit).requestFile,
	"POST /setup/identity/discard": (*visit).discardRequest,
	"POST /setup/identity/install": (*visit).install,
	"POST /setup/identity/use":     (*visit).takeOver,
	"POST /setup/identity/lost":    (*visit).giveUp,
	"POST /setup/anchor":           (*visit).previewAnchor,
	"POST /setup/anchor/confirm":   (*visit).addAnchor,
	"POST /setup/anchor/remove":    (*visit).removeAnchor,
	"POST /setup/account":          (*visit).addAccount,
	"POST /setup/account/remove":   (*visit).removeAccount,
	"POST /setup/recovery":         (*visit).makeRecovery,
	"GET /setup/recovery/file":     (*visit).recoveryFile,
	"POST /setup/recovery/confirm": (*visit).confirmRecovery,
}

func (v *visit) nowhere() error {
	return &control.Error{Code: control.CodeNotFound, Says: "There is no such page.", Next: "Go on from the menu."}
}
