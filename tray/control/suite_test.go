package control_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/platform/localsock"
	"countersign/tray/control"
)

// both runs a test over the service itself and over the service through a
// socket: a caller must not be able to tell them apart.
func both(t *testing.T, test func(t *testing.T, f *fake, s *control.Service)) {
	t.Run("direct", func(t *testing.T) {
		f := &fake{}
		test(t, f, f.service())
	})
	t.Run("socket", func(t *testing.T) {
		f := &fake{}
		test(t, f, dialled(t, f.service()))
	})
}

// dialled serves s on a socket and returns the client's end of it.
func dialled(t *testing.T, s *control.Service) *control.Service {
	return control.Dial(serve(t, s))
}

// folder returns a private folder for a socket.
func folder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "control") // t.TempDir is open to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

type dialer = func(context.Context) (net.Conn, error)

func serve(t *testing.T, s *control.Service) dialer {
	t.Helper()
	dir := folder(t)
	l, err := localsock.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- control.Serve(ctx, l, s) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return func(ctx context.Context) (net.Conn, error) { return localsock.Dial(ctx, dir) }
}

// A method is one method of one part of the service.
type method struct {
	name   string // "Mail.List"
	query  reflect.Type
	answer reflect.Type // None where only a file comes back
	takes  bool         // takes a file
	gives  bool         // gives a file
	call   func(ctx context.Context, query any, file io.Reader) (answer any, back io.ReadCloser, err error)
}

// methods finds every method there is but Events.Watch, so that a new one is
// tested the moment it is declared.
func methods(s *control.Service) iter.Seq[method] {
	return func(yield func(method) bool) {
		parts := reflect.ValueOf(s).Elem()
		for i := range parts.NumField() {
			part := parts.Type().Field(i)
			for j := range part.Type.NumMethod() {
				if part.Name != "Events" && !yield(describe(part.Name, part.Type.Method(j), parts.Field(i).Method(j))) {
					return
				}
			}
		}
	}
}

func describe(part string, m reflect.Method, fn reflect.Value) method {
	reader := reflect.TypeFor[io.ReadCloser]()
	d := method{name: part + "." + m.Name, query: m.Type.In(1), answer: m.Type.Out(0), takes: m.Type.NumIn() == 3}
	only := d.answer == reader
	d.gives = only || m.Type.NumOut() == 3
	if only {
		d.answer = reflect.TypeFor[control.None]()
	}
	d.call = func(ctx context.Context, query any, file io.Reader) (any, io.ReadCloser, error) {
		in := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(query)}
		if d.takes {
			in = append(in, reflect.ValueOf(&file).Elem())
		}
		out := fn.Call(in)
		err, _ := out[len(out)-1].Interface().(error)
		back, _ := out[len(out)-2].Interface().(io.ReadCloser)
		if only {
			return control.None{}, back, err
		}
		return out[0].Interface(), back, err
	}
	return d
}

// filled returns a value of a type with something in every field.
func filled(t reflect.Type) any {
	v := reflect.New(t).Elem()
	n := 0
	fill(v, &n)
	return v.Interface()
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d: é \"quoted\" <b>\x7f\u2028\n", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 3, 1, 9, *n%60, 0, 123456789, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("no filling for " + v.Type().String())
	}
}

func TestEveryMethodCarriesEverything(t *testing.T) {
	upload := bytes.Repeat([]byte("an attachment\r\n\x00"), 40_000) // more than any buffer on the way
	both(t, func(t *testing.T, f *fake, s *control.Service) {
		seen := 0
		for m := range methods(s) {
			seen++
			query, want := filled(m.query), filled(m.answer)
			f.call = func(_ context.Context, name string, got any, file io.Reader) (any, error) {
				if name != m.name {
					t.Errorf("%s reached %s", m.name, name)
				}
				if diff := cmp.Diff(query, got); diff != "" {
					t.Errorf("%s: query changed (-sent +arrived):\n%s", m.name, diff)
				}
				if file != nil {
					if data, err := io.ReadAll(file); err != nil || !bytes.Equal(data, upload) {
						t.Errorf("%s: %d bytes arrived of %d, %v", m.name, len(data), len(upload), err)
					}
				}
				return want, nil
			}
			f.file = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(upload)) }
			got, back, err := m.call(t.Context(), query, bytes.NewReader(upload))
			if err != nil {
				t.Errorf("%s: %v", m.name, err)
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: answer changed (-given +arrived):\n%s", m.name, diff)
			}
			if m.gives {
				data, err := io.ReadAll(back)
				if err != nil || !bytes.Equal(data, upload) {
					t.Errorf("%s: %d bytes came back of %d, %v", m.name, len(data), len(upload), err)
				}
				back.Close()
			}
		}
		if seen < 45 {
			t.Errorf("only %d methods were found", seen)
		}
	})
}

func TestErrorsTravelUnchanged(t *testing.T) {
	refused := filled(reflect.TypeFor[*control.Refused]()).(*control.Refused)
	failure := &control.Error{Code: "sign-in", Says: "The server does not know this password.", Next: "Try again."}
	tests := []struct {
		name  string
		given error
		want  error
		text  string
	}{
		{"refused", refused, refused, refused.Error()},
		{"failure", failure, failure, failure.Says},
		{"wrapped refusal", fmt.Errorf("sending: %w", refused), refused, ""},
		{"another error reads the same", errors.New("disc full"), nil, "disc full"},
	}
	both(t, func(t *testing.T, f *fake, s *control.Service) {
		for m := range methods(s) {
			for _, test := range tests {
				f.call = func(context.Context, string, any, io.Reader) (any, error) { return nil, test.given }
				f.file = func() io.ReadCloser { return nil }
				_, _, err := m.call(t.Context(), filled(m.query), strings.NewReader("a file"))
				if err == nil {
					t.Errorf("%s, %s: no error", m.name, test.name)
				}
				if test.text != "" && err.Error() != test.text {
					t.Errorf("%s, %s: reads %q", m.name, test.name, err)
				}
				if test.want != nil {
					got := reflect.New(reflect.TypeOf(test.want))
					if !errors.As(err, got.Interface()) || !reflect.DeepEqual(got.Elem().Interface(), test.want) {
						t.Errorf("%s, %s: arrived as %#v", m.name, test.name, err)
					}
				}
			}
		}
	})
}

func TestRefusedUploadTellsWhy(t *testing.T) {
	want := &control.Error{Code: "too-large", Says: "That file is too large."}
	both(t, func(t *testing.T, f *fake, s *control.Service) {
		f.call = func(context.Context, string, any, io.Reader) (any, error) { return nil, want }
		_, err := s.Mail.Attach(t.Context(), control.AttachOrder{}, io.LimitReader(zeros{}, 8<<20))
		var got *control.Error
		if !errors.As(err, &got) || *got != *want {
			t.Errorf("got %v", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBrokenUploadIsNoEnd(t *testing.T) {
	broken := errors.New("the stick was pulled out")
	both(t, func(t *testing.T, f *fake, s *control.Service) {
		how := make(chan error, 1)
		f.call = func(_ context.Context, _ string, _ any, file io.Reader) (any, error) {
			_, err := io.Copy(io.Discard, file)
			how <- err
			return control.Attachment{}, err
		}
		file := io.MultiReader(strings.NewReader("half of it"), iotest.ErrReader(broken))
		if _, err := s.Mail.Attach(t.Context(), control.AttachOrder{}, file); !errors.Is(err, broken) {
			t.Errorf("the sender was told %v", err)
		}
		if err := <-how; err == nil {
			t.Error("the agent took half a file for a whole one")
		}
	})
}

func TestBrokenDownloadIsNoEnd(t *testing.T) {
	want := &control.Error{Code: "changed", Says: "The message changed while it was read."}
	both(t, func(t *testing.T, f *fake, s *control.Service) {
		f.call = func(context.Context, string, any, io.Reader) (any, error) { return control.None{}, nil }
		f.file = func() io.ReadCloser {
			return io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(want)))
		}
		body, err := s.Mail.Raw(t.Context(), control.MessageQuery{})
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		_, err = io.ReadAll(body)
		var got *control.Error
		if !errors.As(err, &got) || *got != *want {
			t.Errorf("got %v", err)
		}
	})
}

func TestLargeFilesStream(t *testing.T) {
	const size = 64 << 20
	both(t, func(t *testing.T, f *fake, s *control.Service) {
		f.call = func(_ context.Context, _ string, _ any, file io.Reader) (any, error) {
			if file == nil {
				return control.Attachment{Size: size}, nil
			}
			n, err := io.Copy(sha256.New(), file)
			return control.Attachment{Size: n}, err
		}
		f.file = func() io.ReadCloser { return io.NopCloser(io.LimitReader(zeros{}, size)) }
		if a, err := s.Mail.Attach(t.Context(), control.AttachOrder{}, io.LimitReader(zeros{}, size)); err != nil || a.Size != size {
			t.Errorf("up: %d bytes, %v", a.Size, err)
		}
		_, body, err := s.Mail.Attachment(t.Context(), control.AttachmentQuery{})
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if n, err := io.Copy(io.Discard, body); err != nil || n != size {
			t.Errorf("down: %d bytes, %v", n, err)
		}
	})
}

func TestCallEndsWithItsCaller(t *testing.T) {
	both(t, func(t *testing.T, f *fake, s *control.Service) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		f.call = func(ctx context.Context, _ string, _ any, _ io.Reader) (any, error) {
			cancel()
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}
		if _, err := s.Mail.Fetch(ctx, control.None{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		<-ended
	})
}

func TestWatch(t *testing.T) {
	both(t, func(t *testing.T, f *fake, s *control.Service) {
		f.watch = func(ctx context.Context, after control.Cursor, each func(control.Event) error) error {
			for c := after + 1; c <= 5; c++ {
				if err := each(control.Event{Cursor: c, Kind: "mail", Says: "New mail.\nFrom é"}); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		}
		t.Run("from a cursor until each returns an error", func(t *testing.T) {
			enough := errors.New("enough")
			var got []control.Cursor
			err := s.Events.Watch(t.Context(), 2, func(e control.Event) error {
				if e.Says != "New mail.\nFrom é" {
					t.Errorf("says %q", e.Says)
				}
				if got = append(got, e.Cursor); e.Cursor == 5 {
					return enough
				}
				return nil
			})
			if err != enough || !reflect.DeepEqual(got, []control.Cursor{3, 4, 5}) {
				t.Errorf("got %v, %v", got, err)
			}
		})
		t.Run("until the context ends", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			err := s.Events.Watch(ctx, 4, func(control.Event) error { cancel(); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		t.Run("until the service fails", func(t *testing.T) {
			want := &control.Error{Code: "events-lost", Says: "Older events are gone."}
			f.watch = func(context.Context, control.Cursor, func(control.Event) error) error { return want }
			var got *control.Error
			if err := s.Events.Watch(t.Context(), 4, nil); !errors.As(err, &got) || *got != *want {
				t.Errorf("got %v", err)
			}
		})
	})
}
