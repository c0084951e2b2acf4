package keychain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// fakeService is a Secret Service that can be told to behave badly.
type fakeService struct {
	t    *testing.T
	conn *dbus.Conn

	mu         sync.Mutex
	key        sessionKey
	items      map[dbus.ObjectPath]*fakeItem
	made       int
	collection bool // there is a default collection
	locked     bool

	public  []byte                      // sent in place of a public key
	secret  func(wireSecret) wireSecret // changes a secret on its way out
	silent  bool                        // never answers Unlock
	onAsked func(prompt dbus.ObjectPath)
}

type fakeItem struct {
	attributes map[string]string
	value      []byte
}

// be changes how the service behaves from now on.
func (f *fakeService) be(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// asked sets what happens when a prompt is shown.
func (f *fakeService) asked(do func(prompt dbus.ObjectPath)) {
	f.be(func() { f.onAsked = do })
}

const defaultPath = dbus.ObjectPath("/org/freedesktop/secrets/collection/fake")

func startFake(t *testing.T) *fakeService {
	t.Helper()
	f := &fakeService{t: t, conn: connect(t), items: map[dbus.ObjectPath]*fakeItem{}, collection: true}
	f.export(servicePath, map[string]any{
		"OpenSession": f.openSession, "SearchItems": f.searchItems, "Unlock": f.unlock,
		"ReadAlias": f.readAlias, "CreateCollection": f.createCollection,
	}, service)
	f.export(defaultPath, map[string]any{"CreateItem": f.createItem}, collection)
	if reply, err := f.conn.RequestName(busName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return f
}

func (f *fakeService) export(path dbus.ObjectPath, methods map[string]any, iface string) {
	if err := f.conn.ExportMethodTable(methods, path, iface[:len(iface)-1]); err != nil {
		f.t.Error(err)
	}
}

func (f *fakeService) openSession(algorithm string, input dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, err := newExchange()
	if err != nil || algorithm != exchangeName {
		f.t.Error(algorithm, err)
	}
	if f.key, err = e.key(input.Value().([]byte)); err != nil {
		f.t.Error(err)
	}
	if f.public != nil {
		return dbus.MakeVariant(f.public), "/s1", nil
	}
	return dbus.MakeVariant(e.public()), "/s1", nil
}

func (f *fakeService) searchItems(attributes map[string]string) (unlocked, locked []dbus.ObjectPath, _ *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []dbus.ObjectPath
	for path, item := range f.items {
		both := maps.Clone(item.attributes)
		maps.Copy(both, attributes)
		if maps.Equal(both, item.attributes) {
			found = append(found, path)
		}
	}
	if f.locked {
		return nil, found, nil
	}
	return found, nil, nil
}

func (f *fakeService) unlock(what []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	locked, silent := f.locked, f.silent
	f.mu.Unlock()
	if silent {
		<-f.conn.Context().Done()
	}
	if !locked {
		return what, noPath, nil
	}
	return nil, f.newPrompt(), nil
}

// newPrompt makes a prompt that tells the test when it is shown.
func (f *fakeService) newPrompt() dbus.ObjectPath {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	path := dbus.ObjectPath(fmt.Sprint("/prompt", f.made))
	f.export(path, map[string]any{
		"Prompt": func(string) *dbus.Error {
			f.mu.Lock()
			defer f.mu.Unlock()
			go f.onAsked(path)
			return nil
		},
		"Dismiss": func() *dbus.Error {
			f.t.Error("a prompt was dismissed: GNOME Keyring aborts on that")
			return nil
		},
	}, prompts+".")
	return path
}

// answerPrompt is the user's answer.
func (f *fakeService) answerPrompt(prompt dbus.ObjectPath, dismissed bool, result any) {
	f.mu.Lock()
	f.locked = dismissed
	f.mu.Unlock()
	if err := f.conn.Emit(prompt, prompts+".Completed", dismissed, dbus.MakeVariant(result)); err != nil {
		f.t.Error(err)
	}
}

func (f *fakeService) readAlias(name string) (dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.collection {
		return noPath, nil
	}
	return defaultPath, nil
}

func (f *fakeService) createCollection(map[string]dbus.Variant, string) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	return noPath, f.newPrompt(), nil
}

func (f *fakeService) createItem(properties map[string]dbus.Variant, s wireSecret, replace bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	path := dbus.ObjectPath(fmt.Sprint("/item", f.made))
	item := &fakeItem{}
	if err := properties[itemOf+"Attributes"].Store(&item.attributes); err != nil {
		f.t.Error(err)
	}
	f.items[path] = item
	f.store(item, s)
	f.export(path, map[string]any{
		"GetSecret": func(session dbus.ObjectPath) (wireSecret, *dbus.Error) { return f.getSecret(item, session) },
		"SetSecret": func(s wireSecret) *dbus.Error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.store(item, s)
			return nil
		},
		"Delete": func() (dbus.ObjectPath, *dbus.Error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.items, path)
			return noPath, nil
		},
	}, itemOf)
	f.export(path, map[string]any{"Get": func(_, name string) (dbus.Variant, *dbus.Error) {
		return dbus.MakeVariant(item.attributes), nil
	}}, "org.freedesktop.DBus.Properties.")
	return path, noPath, nil
}

func (f *fakeService) store(item *fakeItem, s wireSecret) {
	value, err := f.key.open(s.Parameters, s.Value)
	if err != nil || s.Session != "/s1" {
		f.t.Error(s.Session, err)
	}
	item.value = value
}

func (f *fakeService) getSecret(item *fakeItem, session dbus.ObjectPath) (wireSecret, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	iv, sealed, err := f.key.seal(item.value)
	if err != nil {
		f.t.Error(err)
	}
	s := wireSecret{session, iv, sealed, "application/octet-stream"}
	if f.secret != nil {
		s = f.secret(s)
	}
	return s, nil
}

func TestFakeSecretService(t *testing.T) {
	startBus(t)
	startFake(t) // each Store is a session of its own, and the fake has one key
	var only Store
	suite(t, func(t *testing.T, profile string) Store {
		if only == nil {
			only = openTestService(t, "")
			t.Cleanup(func() { only = nil })
		}
		only.(bounded).Store.(*secretService).profile = profile
		return only
	})
}

// prompted opens a store in which one item is locked.
func prompted(t *testing.T) (*fakeService, Store, *secretService) {
	t.Helper()
	startBus(t)
	f := startFake(t)
	s := openTestService(t, "p")
	if err := s.Set(t.Context(), "n", []byte("v")); err != nil {
		t.Fatal(err)
	}
	f.be(func() { f.locked = true })
	return f, s, s.(bounded).Store.(*secretService)
}

func TestPromptAnswered(t *testing.T) {
	f, s, _ := prompted(t)
	f.asked(func(p dbus.ObjectPath) { f.answerPrompt(p, false, []dbus.ObjectPath{}) })
	if got, err := s.Get(t.Context(), "n"); err != nil || string(got) != "v" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPromptDismissed(t *testing.T) {
	f, s, _ := prompted(t)
	f.asked(func(p dbus.ObjectPath) { f.answerPrompt(p, true, "") })
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}

// A stranger on the bus cannot answer the prompt.
func TestPromptAnsweredByAnother(t *testing.T) {
	f, s, _ := prompted(t)
	other := connect(t)
	f.asked(func(p dbus.ObjectPath) {
		other.Emit(p, prompts+".Completed", true, dbus.MakeVariant(""))
		other.BusObject().Call("org.freedesktop.DBus.GetId", 0) // until the bus has passed it on
		f.answerPrompt(p, false, "")
	})
	if got, err := s.Get(t.Context(), "n"); err != nil || string(got) != "v" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPromptThatNobodyAnswers(t *testing.T) {
	f, s, service := prompted(t)
	f.asked(func(dbus.ObjectPath) {})
	service.promptWait = time.Millisecond
	service.Close() // and so a new session, with the new patience
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}

func TestPromptWhoseCallerGoes(t *testing.T) {
	f, s, _ := prompted(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.asked(func(dbus.ObjectPath) { cancel() })
	if _, err := s.Get(ctx, "n"); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}

func TestServiceThatDiesWhileItAsks(t *testing.T) {
	f, s, _ := prompted(t)
	f.asked(func(dbus.ObjectPath) { f.conn.Close() })
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestBusThatDiesWhileItAsks(t *testing.T) {
	stop := startBus(t)
	f := startFake(t)
	s := openTestService(t, "p")
	if err := s.Set(t.Context(), "n", []byte("v")); err != nil {
		t.Fatal(err)
	}
	f.be(func() { f.locked = true })
	f.asked(func(dbus.ObjectPath) { stop() })
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestServiceThatDoesNotAnswer(t *testing.T) {
	f, s, service := prompted(t)
	f.be(func() { f.silent = true })
	service.answerWait = 50 * time.Millisecond
	service.Close()
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestServiceWithABadKey(t *testing.T) {
	startBus(t)
	f := startFake(t)
	for name, public := range map[string][]byte{"1": {1}, "empty": {}, "p-1": group().Bytes()} {
		f.be(func() { f.public = public })
		if _, err := OpenSystem(t.Context(), "p"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errExchange) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServiceWithABadSecret(t *testing.T) {
	f, s, _ := prompted(t)
	f.be(func() { f.locked = false })
	for name, change := range map[string]func(s wireSecret) wireSecret{
		"empty":            func(s wireSecret) wireSecret { s.Value = nil; return s },
		"no vector":        func(s wireSecret) wireSecret { s.Parameters = nil; return s },
		"half a block":     func(s wireSecret) wireSecret { s.Value = s.Value[:8]; return s },
		"another's vector": func(s wireSecret) wireSecret { s.Parameters = slices.Repeat([]byte{0xff}, 16); return s },
	} {
		f.be(func() { f.secret = change })
		if _, err := s.Get(t.Context(), "n"); !errors.Is(err, errSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFirstCollectionIsMade(t *testing.T) {
	startBus(t)
	f := startFake(t)
	f.be(func() { f.collection = false })
	f.asked(func(p dbus.ObjectPath) { f.answerPrompt(p, false, defaultPath) })
	s := openTestService(t, "p")
	if err := s.Set(t.Context(), "n", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "n"); err != nil || string(got) != "v" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Two items of one name, made by something else, are one item to us.
func TestTwoItemsOfOneName(t *testing.T) {
	f, s, service := prompted(t)
	f.be(func() { f.locked = false })
	k, err := service.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := k.create(t.Context(), "", service.attributes("n"), []byte("w")); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), "n", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "n"); err != nil || string(got) != "new" {
		t.Errorf("got %q, %v", got, err)
	}
	if names, err := s.List(t.Context()); err != nil || !slices.Equal(names, []string{"n"}) {
		t.Errorf("list: %q, %v", names, err)
	}
	if err := s.Delete(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after it was deleted: %v", err)
	}
}

func TestNoSessionBus(t *testing.T) {
	for _, address := range []string{"unix:path=/nonexistent", "nonsense"} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
		if _, err := OpenSystem(t.Context(), "p"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestNoSecretService(t *testing.T) {
	startBus(t)
	if _, err := OpenSystem(t.Context(), "p"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
