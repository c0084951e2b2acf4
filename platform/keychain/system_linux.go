package keychain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// How long the Secret Service may take: to answer a call, and to have the user
// answer a prompt.
const (
	answerWait = 15 * time.Second
	promptWait = 3 * time.Minute
)

// openSystem opens the Secret Service of the user's session.
func openSystem(ctx context.Context, profile string) (Store, error) {
	s := &secretService{profile: profile, answerWait: answerWait, promptWait: promptWait}
	if _, err := s.connect(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// secretService is a Store on the Secret Service. It connects again when the
// bus or the service has gone and come back.
type secretService struct {
	profile                string
	answerWait, promptWait time.Duration

	mu      sync.Mutex
	session *session // nil: none yet, or lost
}

func (s *secretService) Get(ctx context.Context, name string) (value []byte, err error) {
	err = s.do(ctx, "reading", func(k *session) error {
		item, err := s.find(ctx, k, name)
		if err != nil {
			return err
		}
		value, err = k.secret(ctx, item)
		return err
	})
	return value, err
}

func (s *secretService) Set(ctx context.Context, name string, value []byte) error {
	return s.do(ctx, "writing", func(k *session) error {
		item, err := s.find(ctx, k, name)
		if errors.Is(err, ErrNotFound) {
			return k.create(ctx, "Countersign "+name, s.attributes(name), value)
		}
		if err != nil {
			return err
		}
		return k.setSecret(ctx, item, value)
	})
}

func (s *secretService) Delete(ctx context.Context, name string) error {
	return s.do(ctx, "deleting", func(k *session) error {
		item, err := s.find(ctx, k, name)
		for err == nil {
			if err = k.delete(ctx, item); err != nil {
				return err
			}
			// Should something have made two, both go.
			if item, err = s.find(ctx, k, name); errors.Is(err, ErrNotFound) {
				return nil
			}
		}
		return err
	})
}

func (s *secretService) List(ctx context.Context) (names []string, err error) {
	err = s.do(ctx, "listing", func(k *session) error {
		names = nil
		unlocked, locked, err := k.search(ctx, s.attributes(""))
		if err != nil {
			return err
		}
		for _, item := range append(unlocked, locked...) {
			attributes, err := k.attributes(ctx, item)
			if err != nil {
				return err
			}
			names = append(names, attributes["name"])
		}
		slices.Sort(names)
		names = slices.Compact(names)
		return nil
	})
	return names, err
}

// Close ends the connection.
func (s *secretService) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		s.session.close()
		s.session = nil
	}
	return nil
}

// attributes is how the items of a profile are found, or one of them.
func (s *secretService) attributes(name string) map[string]string {
	a := map[string]string{"application": "countersign", "profile": s.profile}
	if name != "" {
		a["name"] = name
	}
	return a
}

// find returns the item of a name, unlocked. Should something have made two,
// it is always the same one of them.
func (s *secretService) find(ctx context.Context, k *session, name string) (dbus.ObjectPath, error) {
	unlocked, locked, err := k.search(ctx, s.attributes(name))
	if err != nil {
		return "", err
	}
	if len(unlocked) > 0 {
		return slices.Min(unlocked), nil
	}
	if len(locked) == 0 {
		return "", ErrNotFound
	}
	item := slices.Min(locked)
	return item, k.unlock(ctx, item)
}

// do runs an operation, once more where the connection turns out to be lost.
func (s *secretService) do(ctx context.Context, doing string, operation func(*session) error) error {
	for last := false; ; last = true {
		k, err := s.connect(ctx)
		if err != nil {
			return err
		}
		if err = operation(k); err == nil {
			return nil
		}
		lost := k.lost(err)
		if lost {
			s.drop(k)
		}
		if lost && !last && ctx.Err() == nil {
			continue
		}
		return s.explain(ctx, doing, lost, err)
	}
}

// explain gives an error the sentinel that callers look for.
func (s *secretService) explain(ctx context.Context, doing string, lost bool, err error) error {
	var failure dbus.Error
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrLocked):
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &failure) && failure.Name == "org.freedesktop.Secret.Error.IsLocked":
		err = ErrLocked
	case lost, errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%s the Secret Service: %w", doing, err)
}

// connect returns the session, or opens one.
func (s *secretService) connect(ctx context.Context) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		return s.session, nil
	}
	k, err := openSession(ctx, s.answerWait, s.promptWait)
	if err != nil {
		return nil, cmp.Or(ctx.Err(), fmt.Errorf("%w: opening the Secret Service: %w", ErrUnavailable, err))
	}
	s.session = k
	return k, nil
}

// drop forgets a session that is of no use any more.
func (s *secretService) drop(k *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == k {
		s.session = nil
	}
	k.close()
}
