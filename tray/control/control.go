// Package control is everything that a person or a program can ask of the agent.
package control

import (
	"context"
	"net"
)

// NewID returns 26 random characters (a-z, 2-7; 130 bits).
func NewID() string { return "" }

// Serve answers s on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, s *Service) error { return nil }

// Dial returns the service of the agent that dial reaches.
func Dial(dial func(context.Context) (net.Conn, error)) *Service { return nil }

// At returns the service of the agent whose socket is in the folder dir.
func At(dir string) *Service { return nil }
