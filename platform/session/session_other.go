//go:build !linux && !windows

package session

import "context"

// Watch notices nothing here.
func Watch(ctx context.Context, _ func(locked bool)) { <-ctx.Done() }
