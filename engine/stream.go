package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Stream carries the tokens of one request from the engine to its reader. The
// producer calls Send and, once, Finish; the reader ranges over Tokens and then
// asks for the Result.
type Stream struct {
	tokens chan Token
	cached atomic.Int64
	timing timing
	gaps   *spread // of the engine; nil where nobody counts

	mu       sync.Mutex
	finished bool
	reason   FinishReason
	err      error
}

// NewStream returns a stream that holds buffer unread tokens. The engine makes
// its own; the constructor serves whoever stands in for the engine in a test.
func NewStream(buffer int) *Stream {
	return &Stream{tokens: make(chan Token, max(buffer, 0)), timing: timing{queued: time.Now()}}
}

// Tokens delivers the generated tokens and is closed at the end.
func (s *Stream) Tokens() <-chan Token { return s.tokens }

// Result says why the stream ended. It is valid once Tokens is closed; before
// that it returns an empty reason.
func (s *Stream) Result() (FinishReason, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason, s.err
}

// Cached returns how many tokens of the prompt came from the prefix cache. It is
// known once the first token has arrived.
func (s *Stream) Cached() int { return int(s.cached.Load()) }

// SetCached tells the reader so. It comes before the first Send.
func (s *Stream) SetCached(tokens int) { s.cached.Store(int64(tokens)) }

// Send delivers a token, waiting for room until ctx ends. It must not be called
// after Finish.
func (s *Stream) Send(ctx context.Context, t Token) error {
	if gap := s.sent(); gap > 0 && s.gaps != nil {
		s.gaps.add(int64(gap))
	}
	select {
	case s.tokens <- t:
		return nil
	default:
	}
	select {
	case s.tokens <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Finish sets the result and closes Tokens. Only the first call counts.
func (s *Stream) Finish(reason FinishReason, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return
	}
	s.finished, s.reason, s.err = true, reason, err
	close(s.tokens)
}

// Timing is when a request passed the stations of its way; a time is zero before that.
type Timing struct {
	Queued time.Time // Submit accepted it
	Began  time.Time // the first forward pass with it began
	First  time.Time // its first token was there
	Last   time.Time // its last token so far
	Tokens int       // generated so far
}

// timing is a Timing that is written by one goroutine and read by others.
type timing struct {
	queued                     time.Time // fixed
	began, first, last, tokens atomic.Int64
}

// Timing returns when the request got how far. It may be asked at any time.
func (s *Stream) Timing() Timing {
	return Timing{
		Queued: s.timing.queued, Began: unixNano(s.timing.began.Load()), First: unixNano(s.timing.first.Load()),
		Last: unixNano(s.timing.last.Load()), Tokens: int(s.timing.tokens.Load()),
	}
}

// Begin says when the first forward pass with the request began; only the first call counts. It comes before the first Send.
func (s *Stream) Begin(at time.Time) {
	s.timing.began.CompareAndSwap(0, at.UnixNano())
}

// sent notes a token, and returns how long after the one before it came; zero for the first.
func (s *Stream) sent() (gap time.Duration) {
	now := time.Now().UnixNano()
	t := &s.timing
	before := t.last.Swap(now)
	t.tokens.Add(1)
	if before == 0 {
		t.first.Store(now)
		return 0
	}
	return time.Duration(now - before)
}
