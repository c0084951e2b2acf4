package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// stopGrace is how long calls under way may take to end when the server stops.
const stopGrace = 5 * time.Second

// Serve answers s on l until ctx ends, then in order: watchers are let go at
// once, calls under way have five seconds, and l is closed. It returns nil
// when ctx ended it. It does not ask who is calling: l has to.
func Serve(ctx context.Context, l net.Listener, s *Service) error {
	return serve(ctx, l, handlers(ctx, s, &Error{Code: CodeNotHere, Says: "This agent does not offer that."}))
}

// ServeLocked is Serve for an agent that is locked (K2): all but the settings is answered
// with why that is.
func ServeLocked(ctx context.Context, l net.Listener, s Settings, why *Error) error {
	return serve(ctx, l, handlers(ctx, &Service{Settings: s}, why))
}

func serve(ctx context.Context, l net.Listener, answers http.Handler) error {
	calls, endCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer endCalls()
	server := &http.Server{
		Handler:           guard(answers),
		BaseContext:       func(net.Listener) context.Context { return calls },
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	server.SetKeepAlivesEnabled(false)

	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, done := context.WithTimeout(calls, stopGrace)
		defer done()
		if server.Shutdown(grace) != nil {
			endCalls()
			server.Close()
		}
	})
	err := server.Serve(l)
	if !cancel() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the control socket: %w", err)
}

// handlers binds the routes to the service. A part that the service lacks is
// answered as it says instead. Watchers end with serving; all else ends in its time.
func handlers(serving context.Context, s *Service, instead *Error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, instead)
	})
	if m := s.Mail; m != nil {
		call(mux, mailFetch, m.Fetch)
		call(mux, mailList, m.List)
		call(mux, mailShow, m.Show)
		download(mux, mailAttachment, m.Attachment)
		download(mux, mailRaw, func(ctx context.Context, q MessageQuery) (None, io.ReadCloser, error) {
			body, err := m.Raw(ctx, q)
			return None{}, body, err
		})
		call(mux, mailMarkRead, m.MarkRead)
		call(mux, mailCheck, m.Check)
		call(mux, mailSaveDraft, m.SaveDraft)
		call(mux, mailDraft, m.Draft)
		call(mux, mailDrafts, m.Drafts)
		call(mux, mailDiscardDraft, m.DiscardDraft)
		upload(mux, mailAttach, m.Attach)
		call(mux, mailDetach, m.Detach)
		call(mux, mailSend, m.Send)
		call(mux, mailOutbox, m.Outbox)
		call(mux, mailWithdraw, m.Withdraw)
		upload(mux, mailInspect, m.Inspect)
	}
	if c := s.Contacts; c != nil {
		call(mux, contactsList, c.List)
		call(mux, contactsShow, c.Show)
		call(mux, contactsAdd, c.Add)
		call(mux, contactsRemove, c.Remove)
		call(mux, contactsFind, c.Find)
		call(mux, contactsInvite, c.Invite)
		call(mux, contactsStartTest, c.StartTest)
		call(mux, contactsAnswer, c.Answer)
		call(mux, contactsCall, c.Call)
		call(mux, contactsMisheard, c.Misheard)
		call(mux, contactsSuspend, c.Suspend)
		call(mux, contactsMine, c.Mine)
		call(mux, contactsWordList, c.WordList)
		call(mux, contactsPrograms, c.Programs)
		call(mux, contactsStartOver, c.StartOver)
	}
	if e := s.Events; e != nil {
		watch(mux, eventsWatch, serving, e.Watch)
	}
	keysAndPlaces(mux, s)
	return mux
}

// keysAndPlaces binds the routes of everything but mail, people and events.
func keysAndPlaces(mux *http.ServeMux, s *Service) {
	if i := s.Identities; i != nil {
		call(mux, identitiesList, i.List)
		upload(mux, identitiesImportPKCS12, i.ImportPKCS12)
		call(mux, identitiesRecovery, i.Recovery)
		call(mux, identitiesMakeRecovery, i.MakeRecovery)
		call(mux, identitiesConfirmRecovery, i.ConfirmRecovery)
		call(mux, identitiesBackup, i.Backup)
		call(mux, identitiesRequest, i.Request)
		call(mux, identitiesRequests, i.Requests)
		call(mux, identitiesDiscard, i.Discard)
		call(mux, identitiesTakeOver, i.TakeOver)
		upload(mux, identitiesInstall, i.Install)
		call(mux, identitiesLost, i.Lost)
	}
	if a := s.Anchors; a != nil {
		serveAnchors(mux, a)
	}
	if t := s.Tokens; t != nil {
		serveTokens(mux, t)
	}
	if a := s.Accounts; a != nil {
		call(mux, accountsList, a.List)
		call(mux, accountsAdd, a.Add)
		call(mux, accountsRemove, a.Remove)
	}
	if j := s.Journal; j != nil {
		call(mux, journalList, j.List)
		call(mux, journalVerify, j.Verify)
	}
	if p := s.Settings; p != nil {
		call(mux, settingsStatus, p.Status)
		call(mux, settingsGet, p.Get)
		call(mux, settingsSet, p.Set)
		call(mux, settingsPageAddress, p.PageAddress)
		call(mux, settingsLock, p.Lock)
		call(mux, settingsUnlock, p.Unlock)
		call(mux, settingsStop, p.Stop)
	}
	if x := s.Simulation; x != nil {
		call(mux, simulationStage, x.Stage)
		call(mux, simulationDial, x.Dial)
		call(mux, simulationPlay, x.Play)
	}
}

// guard refuses what a browser was talked into sending, and turns a panic
// into a failure. The panic's value may quote mail, so only the place is logged.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host || r.Header["Origin"] != nil || r.Header["Referer"] != nil {
			writeProblem(w, &Error{Code: CodeInvalid, Says: "This socket answers Countersign's own programs only."})
			return
		}
		answer := &answerWriter{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				slog.Error("control: a call panicked", "path", r.URL.Path, "stack", string(debug.Stack()))
				if answer.begun {
					panic(http.ErrAbortHandler)
				}
				writeProblem(w, &Error{Code: CodeFailed, Says: "Something went wrong inside the agent.", Next: "Try once more; the agent's log says where."})
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// answerWriter remembers whether anything was written: a failure can't be told
// in the middle of a file.
type answerWriter struct {
	http.ResponseWriter
	begun bool
}

func (a *answerWriter) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answerWriter) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController flush.
func (a *answerWriter) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// handle registers what answers one route; an error that it returns is the answer.
func handle[Q, A any](mux *http.ServeMux, r route[Q, A], do func(http.ResponseWriter, *http.Request) error) {
	mux.HandleFunc("POST "+r.path(), func(w http.ResponseWriter, req *http.Request) {
		ctx, err := readTerminal(req)
		if err == nil {
			err = do(w, req.WithContext(ctx))
		}
		if err != nil {
			writeProblem(w, err)
		}
	})
}

// call answers a query with an answer.
func call[Q, A any](mux *http.ServeMux, r route[Q, A], do func(context.Context, Q) (A, error)) {
	handle(mux, r, func(w http.ResponseWriter, req *http.Request) error {
		q, err := decode[Q](req.Body, maxQuery)
		if err != nil {
			return err
		}
		a, err := do(req.Context(), q)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, a)
	})
}

// upload answers a query and a file with an answer.
func upload[Q, A any](mux *http.ServeMux, r route[Q, A], do func(context.Context, Q, io.Reader) (A, error)) {
	handle(mux, r, func(w http.ResponseWriter, req *http.Request) error {
		q, err := decodeHeader[Q](req.Header.Get(headerQuery))
		if err != nil {
			return err
		}
		a, err := do(req.Context(), q, req.Body)
		if err != nil {
			// A client that is still writing would see a broken connection
			// instead of the reason.
			io.CopyN(io.Discard, req.Body, maxDrain)
			return err
		}
		return writeJSON(w, http.StatusOK, a)
	})
}

// download answers a query with an answer and a file.
func download[Q, A any](mux *http.ServeMux, r route[Q, A], do func(context.Context, Q) (A, io.ReadCloser, error)) {
	handle(mux, r, func(w http.ResponseWriter, req *http.Request) error {
		q, err := decode[Q](req.Body, maxQuery)
		if err != nil {
			return err
		}
		a, body, err := do(req.Context(), q)
		if err != nil {
			return err
		}
		defer body.Close()
		answer, err := encodeHeader(a)
		if err != nil {
			return err
		}
		w.Header().Set(headerAnswer, answer)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Trailer", headerFailure)
		if _, err := io.Copy(w, body); err != nil {
			failure, _ := encodeHeader(problemOf(err)) // strings only: it can't fail
			w.Header().Set(headerFailure, failure)
		}
		return nil
	})
}

// watch streams events as server-sent events until the client goes or the
// server stops. Only an end that the service itself chose is told, so that a
// client whose agent restarts knows to come back.
func watch(mux *http.ServeMux, r route[Cursor, Event], serving context.Context, do func(context.Context, Cursor, func(Event) error) error) {
	mux.HandleFunc("GET "+r.path(), func(w http.ResponseWriter, req *http.Request) {
		after, err := strconv.ParseInt(req.Header.Get("Last-Event-ID"), 10, 64)
		if err != nil {
			writeProblem(w, &Error{Code: CodeInvalid, Says: "The last event's number is not a number."})
			return
		}
		ctx, cancel := context.WithCancel(req.Context())
		defer cancel()
		defer context.AfterFunc(serving, cancel)()

		w.Header().Set("Content-Type", "text/event-stream")
		flush := http.NewResponseController(w).Flush
		if flush() != nil {
			return
		}
		err = do(ctx, Cursor(after), func(e Event) error {
			if err := writeEvent(w, "", e.Cursor, e); err != nil {
				return err
			}
			return flush()
		})
		if ctx.Err() == nil {
			writeEvent(w, eventEnd, 0, problemOf(err))
		}
	})
}
