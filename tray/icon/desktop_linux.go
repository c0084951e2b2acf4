package icon

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"

	"countersign/platform"
)

const (
	busVariable = "DBUS_SESSION_BUS_ADDRESS"
	busLimit    = 5 * time.Second
)

// desktop makes sure that there is a session bus, and returns what is closed when it has gone.
// The library would start a bus of its own where none is named.
func desktop(ctx context.Context) (gone <-chan struct{}, err error) {
	address := platform.SessionBus()
	if address == "" {
		return nil, fmt.Errorf("%w: no session bus", errNotHere)
	}
	if err := os.Setenv(busVariable, address); err != nil { // the library looks here, and finds the same
		return nil, err
	}
	conn, err := dbus.Dial(address)
	if err != nil {
		return nil, fmt.Errorf("reaching the session bus: %w", err)
	}
	limit, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	defer context.AfterFunc(limit, func() { conn.Close() })()
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("reaching the session bus: %w", err)
	}
	return conn.Context().Done(), nil
}
