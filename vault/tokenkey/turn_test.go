package tokenkey_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"countersign/vault/tokenkey"
)

type askable struct{}

// reader is a card in a reader. A use in a context that lets it prompt is prompted for by
// prompt; another fails with silent.
type reader struct {
	*card
	prompt func() error
	silent error
	quiet  atomic.Int32 // uses without asking anybody
}

func (r *reader) Open(string, crypto.PublicKey) (tokenkey.Key, error) { return r, nil }
func (r *reader) Signer(context.Context) crypto.Signer                { return nil }
func (r *reader) Exchanger(context.Context) ecdh.KeyExchanger         { return nil }
func (r *reader) Decrypter(ctx context.Context) crypto.Decrypter      { return used{r, ctx} }

type used struct {
	*reader
	ctx context.Context
}

func (u used) Public() crypto.PublicKey { return u.key.Public() }

func (u used) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	if u.ctx.Value(askable{}) == nil {
		u.quiet.Add(1)
		return nil, u.silent
	}
	return nil, u.prompt()
}

// several uses it from several goroutines at once, each for a message of its own.
func (r *reader) several(ctx context.Context, n int) (failed []error) {
	results := make(chan error)
	for range n {
		go func() {
			var o tokenkey.Occasion
			_, err := o.Lend(ctx, r, "here", r.key.Public()).Decrypter().Decrypt(nil, nil, nil)
			results <- err
		}()
	}
	for range n {
		if err := <-results; err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

func TestInTurn(t *testing.T) {
	ctx := tokenkey.InTurn(context.WithValue(t.Context(), askable{}, true))
	c := newRSA(t)
	var prompts, at atomic.Int32
	for _, vain := range []*tokenkey.Problem{tokenkey.ErrCancelled, tokenkey.ErrPIN, tokenkey.ErrPINBlocked} {
		prompts.Store(0)
		r := &reader{card: c, silent: tokenkey.ErrLocked, prompt: func() error {
			prompts.Add(1)
			return vain
		}}
		failed := r.several(tokenkey.InTurn(ctx), 8)
		if prompts.Load() != 1 || len(failed) != 8 {
			t.Errorf("%s: %d prompts, %v", vain.Code, prompts.Load(), failed)
		}
		for _, err := range failed {
			if !errors.Is(err, vain) {
				t.Errorf("%s: %v", vain.Code, err)
			}
		}
	}
	// A key that asks at each use asks one after the other.
	prompts.Store(0)
	r := &reader{card: c, silent: tokenkey.ErrLocked, prompt: func() error {
		if at.Add(1) > 1 {
			t.Error("two prompts at once")
		}
		prompts.Add(1)
		at.Add(-1)
		return nil
	}}
	if failed := r.several(ctx, 8); failed != nil || prompts.Load() != 8 {
		t.Errorf("%d prompts, %v", prompts.Load(), failed)
	}
	// While one is asked, another that needs no PIN goes on.
	begun, end := make(chan bool), make(chan bool)
	r = &reader{card: c, prompt: func() error {
		close(begun)
		<-end
		return nil
	}}
	first := make(chan []error)
	go func() { first <- r.several(ctx, 1) }()
	<-begun
	if failed := r.several(ctx, 3); failed != nil || r.quiet.Load() != 3 {
		t.Errorf("%d without asking, %v", r.quiet.Load(), failed)
	}
	// What fails without asking for another reason is not tried again.
	r.silent = tokenkey.ErrToken
	if failed := r.several(ctx, 1); len(failed) != 1 || !errors.Is(failed[0], tokenkey.ErrToken) {
		t.Errorf("%v", failed)
	}
	close(end)
	if failed := <-first; failed != nil {
		t.Error(failed)
	}
}
