package engine

import "errors"

// Errors returned by [Engine.Submit] and [Stream.Result]; always wrapped, so
// compare with [errors.Is].
var (
	// ErrQueueFull says that QueueLimit requests are waiting already.
	ErrQueueFull = errors.New("queue is full")
	// ErrClosed says that the engine takes no more work, or that it was closed
	// before the request could finish.
	ErrClosed = errors.New("engine is closed")
	// ErrPromptTooLong says that the prompt leaves no room for a single token.
	ErrPromptTooLong = errors.New("prompt is too long")
	// ErrInvalidRequest says that the request can never be run: an empty prompt,
	// a token id outside the vocabulary, a sampling parameter out of range.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrNothingAllowed says that a request's constraint left no token to draw.
	ErrNothingAllowed = errors.New("the constraint allows no token")
)
