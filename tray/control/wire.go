package control

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// decode reads one JSON value of at most limit bytes, strictly: a field that
// the value does not have is an error, for it might have changed the meaning.
func decode[T any](r io.Reader, limit int64) (T, error) {
	var v T
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return v, fmt.Errorf("reading a request: %w", err)
	}
	if int64(len(data)) > limit {
		return v, &Error{Code: CodeInvalid, Says: fmt.Sprintf("That is too long: at most %d bytes fit.", limit)}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, &Error{Code: CodeInvalid, Says: "The request is ill-formed: " + err.Error() + "."}
	}
	if _, err := d.Token(); err != io.EOF {
		return v, &Error{Code: CodeInvalid, Says: "The request is ill-formed: something follows it."}
	}
	return v, nil
}

// encodeHeader writes a value so that it stands in a header field.
func encodeHeader(v any) (string, error) {
	data, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(data), err
}

// decodeHeader reads what encodeHeader wrote.
func decodeHeader[T any](s string) (T, error) {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return *new(T), &Error{Code: CodeInvalid, Says: "The request is ill-formed: " + err.Error() + "."}
	}
	return decode[T](bytes.NewReader(data), maxHeader)
}

// A problem is how an error crosses the wire: one of the two is set, or
// neither for no error.
type problem struct {
	Refused *Refused `json:"refused,omitempty"`
	Failure *Error   `json:"failure,omitempty"`
}

func problemOf(err error) problem {
	var p problem
	switch {
	case err == nil, errors.As(err, &p.Refused), errors.As(err, &p.Failure):
	default:
		p.Failure = &Error{Code: CodeFailed, Says: err.Error()}
	}
	return p
}

func (p problem) err() error {
	switch {
	case p.Refused != nil:
		return p.Refused
	case p.Failure != nil:
		return p.Failure
	}
	return nil
}

// status is for people who watch the wire; the client reads the problem.
func (p problem) status() int {
	if p.Refused != nil {
		return http.StatusForbidden
	}
	switch p.Failure.Code {
	case CodeInvalid:
		return http.StatusBadRequest
	case CodeNotFound, CodeNotHere:
		return http.StatusNotFound
	case CodeFailed:
		return http.StatusInternalServerError
	}
	return http.StatusUnprocessableEntity
}

func writeProblem(w http.ResponseWriter, err error) {
	p := problemOf(err)
	writeJSON(w, p.status(), p)
}

// writeJSON answers with a value. It fails only before it has written.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(data)
	return nil
}

// eventEnd is the kind of the server-sent event that carries how a watch
// ended. Ordinary events have no kind.
const eventEnd = "end"

// writeEvent writes one server-sent event. JSON holds no line break, so one
// data line is enough.
func writeEvent(w io.Writer, kind string, id Cursor, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	var b bytes.Buffer
	if kind != "" {
		fmt.Fprintf(&b, "event: %s\n", kind)
	} else {
		fmt.Fprintf(&b, "id: %d\n", id)
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	_, err = w.Write(b.Bytes())
	return err
}
