package keychain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of the Secret Service API 0.2.
const (
	busName     = "org.freedesktop.secrets"
	servicePath = dbus.ObjectPath("/org/freedesktop/secrets")
	loginPath   = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	noPath      = dbus.ObjectPath("/") // "no prompt", "no collection"

	service    = "org.freedesktop.Secret.Service."
	collection = "org.freedesktop.Secret.Collection."
	itemOf     = "org.freedesktop.Secret.Item."
	prompts    = "org.freedesktop.Secret.Prompt"
)

// errGone is a service, or a bus, that went away while something waited for it.
var errGone = errors.New("the service went away")

// session is an encrypted session with one running service, on a connection
// of its own: a shared one could be closed, or its signals taken, by others.
type session struct {
	conn  *dbus.Conn
	owner string // the service's unique name: a successor gets none of our calls
	path  dbus.ObjectPath
	key   sessionKey

	answerWait, promptWait time.Duration
}

// openSession connects and agrees on a key.
func openSession(ctx context.Context, answerWait, promptWait time.Duration) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	conn, err := connectBus(ctx)
	if err != nil {
		return nil, err
	}
	k := &session{conn: conn, answerWait: answerWait, promptWait: promptWait}
	if err := k.agree(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return k, nil
}

// connectBus opens a private connection to the session bus. It never starts
// one: with no address at all there is no desktop session.
func connectBus(ctx context.Context) (*dbus.Conn, error) {
	conn, err := dbus.SessionBusPrivateNoAutoStartup()
	if err != nil {
		return nil, err
	}
	// Neither step takes a context, and the other end may be anything.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (k *session) agree(ctx context.Context) error {
	bus := k.conn.BusObject()
	find := func() error {
		return bus.CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, busName).Store(&k.owner)
	}
	if find() != nil {
		if err := bus.CallWithContext(ctx, "org.freedesktop.DBus.StartServiceByName", 0, busName, uint32(0)).Err; err != nil {
			return err
		}
		if err := find(); err != nil {
			return err
		}
	}
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(k.owner), dbus.WithMatchInterface(prompts), dbus.WithMatchMember("Completed")},
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, k.owner)},
	} {
		if err := k.conn.AddMatchSignalContext(ctx, match...); err != nil {
			return err
		}
	}
	ours, err := newExchange()
	if err != nil {
		return err
	}
	var theirs dbus.Variant
	err = k.call(ctx, servicePath, service+"OpenSession", exchangeName, dbus.MakeVariant(ours.public())).Store(&theirs, &k.path)
	if err != nil {
		return err
	}
	public, ok := theirs.Value().([]byte)
	if !ok {
		return errExchange
	}
	k.key, err = ours.key(public)
	return err
}

func (k *session) close() { k.conn.Close() }

// lost tells whether an error means that the session is of no use any more.
func (k *session) lost(err error) bool {
	if k.conn.Context().Err() != nil || errors.Is(err, errGone) {
		return true
	}
	var failure dbus.Error
	if !errors.As(err, &failure) {
		return false
	}
	switch failure.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown",
		"org.freedesktop.DBus.Error.NameHasNoOwner",
		"org.freedesktop.DBus.Error.NoReply",
		"org.freedesktop.DBus.Error.Disconnected",
		"org.freedesktop.Secret.Error.NoSession":
		return true
	}
	return false
}

// call asks the service, for as long as it may take to answer.
func (k *session) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, k.answerWait)
	defer cancel()
	return k.conn.Object(k.owner, path).CallWithContext(ctx, method, 0, args...)
}

// wireSecret is the API's struct Secret.
type wireSecret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

func (k *session) seal(value []byte) (wireSecret, error) {
	iv, sealed, err := k.key.seal(value)
	return wireSecret{k.path, iv, sealed, "application/octet-stream"}, err
}

func (k *session) search(ctx context.Context, attributes map[string]string) (unlocked, locked []dbus.ObjectPath, err error) {
	err = k.call(ctx, servicePath, service+"SearchItems", attributes).Store(&unlocked, &locked)
	return unlocked, locked, err
}

func (k *session) attributes(ctx context.Context, item dbus.ObjectPath) (map[string]string, error) {
	var v dbus.Variant
	if err := k.call(ctx, item, "org.freedesktop.DBus.Properties.Get", "org.freedesktop.Secret.Item", "Attributes").Store(&v); err != nil {
		return nil, err
	}
	var attributes map[string]string
	err := v.Store(&attributes)
	return attributes, err
}

func (k *session) secret(ctx context.Context, item dbus.ObjectPath) ([]byte, error) {
	var s wireSecret
	if err := k.call(ctx, item, itemOf+"GetSecret", k.path).Store(&s); err != nil {
		return nil, err
	}
	return k.key.open(s.Parameters, s.Value)
}

func (k *session) setSecret(ctx context.Context, item dbus.ObjectPath, value []byte) error {
	s, err := k.seal(value)
	if err != nil {
		return err
	}
	return k.call(ctx, item, itemOf+"SetSecret", s).Err
}

func (k *session) delete(ctx context.Context, item dbus.ObjectPath) error {
	var prompt dbus.ObjectPath
	if err := k.call(ctx, item, itemOf+"Delete").Store(&prompt); err != nil {
		return err
	}
	_, err := k.ask(ctx, prompt)
	return err
}

// create makes an item in the default collection.
func (k *session) create(ctx context.Context, label string, attributes map[string]string, value []byte) error {
	where, err := k.defaultCollection(ctx)
	if err != nil {
		return err
	}
	if err := k.unlock(ctx, where); err != nil {
		return err
	}
	s, err := k.seal(value)
	if err != nil {
		return err
	}
	properties := map[string]dbus.Variant{
		itemOf + "Label":      dbus.MakeVariant(label),
		itemOf + "Attributes": dbus.MakeVariant(attributes),
	}
	var item, prompt dbus.ObjectPath
	if err := k.call(ctx, where, collection+"CreateItem", properties, s, true).Store(&item, &prompt); err != nil {
		return err
	}
	_, err = k.ask(ctx, prompt)
	return err
}

// defaultCollection returns the collection for new items. A session without
// one gets one; the service asks the user for a password for it.
func (k *session) defaultCollection(ctx context.Context) (dbus.ObjectPath, error) {
	var path, prompt dbus.ObjectPath
	if err := k.call(ctx, servicePath, service+"ReadAlias", "default").Store(&path); err != nil {
		return "", err
	}
	if path != noPath {
		return path, nil
	}
	properties := map[string]dbus.Variant{collection + "Label": dbus.MakeVariant("Login")}
	if err := k.call(ctx, servicePath, service+"CreateCollection", properties, "default").Store(&path, &prompt); err != nil {
		return "", err
	}
	if path != noPath {
		return path, nil
	}
	made, err := k.ask(ctx, prompt)
	if err != nil {
		return "", err
	}
	return path, made.Store(&path)
}

// unlock unlocks an item or a collection; the service may ask the user.
func (k *session) unlock(ctx context.Context, what dbus.ObjectPath) error {
	var done []dbus.ObjectPath
	var prompt dbus.ObjectPath
	if err := k.call(ctx, servicePath, service+"Unlock", []dbus.ObjectPath{what}).Store(&done, &prompt); err != nil {
		return err
	}
	_, err := k.ask(ctx, prompt)
	return err
}

// ask shows a prompt, if there is one, and waits for the user. Where nobody
// answers in time it stops waiting and leaves the prompt alone: dismissing it
// makes GNOME Keyring 42.1 abort. The error is then ErrLocked.
func (k *session) ask(ctx context.Context, prompt dbus.ObjectPath) (result dbus.Variant, err error) {
	if prompt == noPath {
		return result, nil
	}
	signals := make(chan *dbus.Signal, 16)
	k.conn.Signal(signals)
	defer k.conn.RemoveSignal(signals)
	if err := k.call(ctx, prompt, prompts+".Prompt", "").Err; err != nil {
		if k.lost(err) {
			return result, err
		}
		return result, fmt.Errorf("%w, and it can't ask for its password: %w", ErrLocked, err)
	}
	patience := time.NewTimer(k.promptWait)
	defer patience.Stop()
	for {
		select {
		case s := <-signals: // nil once the connection is closed
			switch {
			case s == nil || s.Name == "org.freedesktop.DBus.NameOwnerChanged":
				return result, errGone
			case s.Path == prompt && s.Name == prompts+".Completed":
				return completed(s)
			}
		case <-patience.C:
			return result, fmt.Errorf("%w: nobody answered its question", ErrLocked)
		case <-ctx.Done():
			return result, fmt.Errorf("%w: nobody answered its question: %w", ErrLocked, ctx.Err())
		}
	}
}

// completed reads the signal Completed(dismissed, result).
func completed(s *dbus.Signal) (result dbus.Variant, err error) {
	var dismissed bool
	if err := dbus.Store(s.Body, &dismissed, &result); err != nil {
		return result, err
	}
	if dismissed {
		return result, fmt.Errorf("%w: its question was dismissed", ErrLocked)
	}
	return result, nil
}
