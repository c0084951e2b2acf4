package mailer

import (
	"errors"
	"io"
	"testing"

	"countersign/mailer/smime"
)

// trap is a message that brings down whoever reads it.
type trap struct{}

func (trap) Open() (io.ReadCloser, error) { panic("a trap") }

func TestAMessageCannotBringTheAgentDown(t *testing.T) {
	l, err := open(trap{}, nil, smime.Options{})
	if err != nil || !errors.Is(l.opened.Problem, smime.ErrDamaged) || l.from != "" || len(l.body.Files) != 0 {
		t.Errorf("read as %+v, %v", l, err)
	}
}
