package notify

import "context"

// Open fails with [ErrNotHere].
func Open(context.Context, func(slot string)) (Notifier, error) { return nil, ErrNotHere }
