package responses

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// errCancelled ends a background response whose client asked for it.
var errCancelled = errors.New("responses: cancelled")

// job is a response being made.
type job struct {
	tenant string
	chat   *openai.ChatRequest
	names  []renaming
	link   *link
	feed   *feed // nil where nobody follows
	cancel context.CancelCauseFunc
	once   sync.Once
	// accepted is closed when the request has its place in the queue, done when the response has ended.
	accepted chan struct{}
	done     chan struct{}

	mu       sync.Mutex
	response Response
	parts    assembler

	// What Complete returned; for readers after done.
	finish openai.FinishReason
	usage  openai.Usage
	err    error
}

func (a *API) newJob(tenant string, q *request, chat *openai.ChatRequest, l *link) *job {
	j := &job{
		tenant: tenant, chat: chat, names: q.names, link: l, accepted: make(chan struct{}), done: make(chan struct{}), response: q.response,
		parts: assembler{newID: a.config.NewID, encrypted: q.encrypted, obfuscate: q.obfuscate, publish: func(string, func(head) any) {}},
	}
	s := a.config.Model.Settings(chat)
	j.response.ID, j.response.CreatedAt = a.config.NewID("resp_"), a.config.Now().Unix()
	j.response.Model, j.response.Temperature, j.response.TopP = s.Model, s.Temperature, s.TopP
	j.response.Reasoning.Effort = &s.Effort
	j.response.Status = StatusInProgress
	if j.response.Background {
		j.response.Status = StatusQueued
	}
	if q.stream {
		j.feed = newFeed(!j.response.Background)
		j.parts.publish = j.feed.add
	}
	return j
}

func (j *job) key() key { return key{j.tenant, j.response.ID} }

// snapshot is the response as it is now.
func (j *job) snapshot() Response {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.current()
}

func (j *job) current() Response {
	r := j.response
	r.Output = slices.Clone(notNull(j.parts.output))
	return r
}

// tell publishes the response as it is.
func (j *job) tell(kind string) {
	j.parts.publish(kind, func(h head) any { return responseEvent{h, j.current()} })
}

// accept begins the events.
func (j *job) accept() {
	j.once.Do(func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.tell("response.created")
		if j.response.Background {
			j.tell("response.queued")
		} else {
			j.tell("response.in_progress")
		}
		close(j.accepted)
	})
}

// emit takes a piece of the answer.
func (j *job) emit(p Piece) error {
	j.accept()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.response.Status == StatusQueued {
		j.response.Status = StatusInProgress
		j.tell("response.in_progress")
	}
	j.parts.add(p)
	return nil
}

// run makes the response, or leaves why there is none in err.
func (a *API) run(ctx context.Context, j *job) {
	j.finish, j.usage, j.err = a.config.Model.Complete(ctx, Call{
		ID: j.response.ID, Tenant: j.tenant, Request: j.chat, Background: j.response.Background, Accepted: j.accept, Emit: j.emit,
	})
	if j.err == nil {
		j.accept()
	}
	j.err = rename(j.err, j.names)
	a.conclude(ctx, j)
}

// start has the response made in a goroutine of its own.
func (a *API) start(ctx context.Context, j *job, ended func()) {
	go func() {
		defer close(j.done)
		defer ended()
		defer func() {
			if p := recover(); p != nil {
				a.config.Panicked(ctx, p, debug.Stack())
				j.err = internalError()
				j.parts.open = nil // whatever is wrong with it
				a.conclude(ctx, j)
			}
		}()
		a.run(ctx, j)
	}()
}

// conclude gives the response its last status, keeps it if it is to be kept, and only then tells those who follow: they may
// go on with it at once.
func (a *API) conclude(ctx context.Context, j *job) {
	defer j.feed.endIfAny()
	select {
	case <-j.accepted:
	default:
		return // refused: there is no response
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	status := j.outcome(ctx)
	if status == StatusCompleted {
		j.parts.close(StatusCompleted)
		now := a.config.Now().Unix()
		j.response.CompletedAt = &now
	} else {
		j.parts.close(StatusIncomplete)
	}
	j.response.Status = status
	if j.usage.PromptTokens > 0 {
		j.response.Usage = usageOf(j.usage)
	}
	j.link.output = j.parts.output
	if j.response.Store && (j.response.Background || j.err == nil) {
		r := &record{response: j.current(), link: j.link}
		if j.response.Background {
			r.feed = j.feed
		}
		a.store.put(j.tenant, r)
	}
	j.tell("response." + string(status))
}

// outcome finds the last status and the reason for it.
func (j *job) outcome(ctx context.Context) Status {
	switch {
	case j.err == nil && j.finish == openai.FinishLength:
		j.response.IncompleteDetails = &Incomplete{"max_output_tokens"}
		return StatusIncomplete
	case j.err == nil:
		return StatusCompleted
	case errors.Is(context.Cause(ctx), errCancelled):
		return StatusCancelled
	}
	e := internalError()
	if known, ok := errors.AsType[*openai.Error](j.err); ok {
		e = known
	}
	code := "server_error"
	switch {
	case e.Status == http.StatusTooManyRequests:
		code = "rate_limit_exceeded"
	case e.Status < http.StatusInternalServerError:
		code = "invalid_prompt"
	}
	j.response.Error = &Failure{code, e.Message}
	return StatusFailed
}

func internalError() *openai.Error {
	return openai.NewError(http.StatusInternalServerError, openai.TypeServer, openai.CodeInternal, "", "The server failed to answer.")
}

// begin starts a background response, apart from the connection that asked for it.
func (a *API) begin(ctx context.Context, j *job) error {
	ctx, j.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed != nil {
		return a.closed
	}
	if len(a.running) >= a.config.Background {
		return openai.NewError(http.StatusTooManyRequests, openai.TypeRateLimit, "too_many_background_responses", "background",
			"Too many background responses are under way; try again after the time in the Retry-After header.")
	}
	a.running[j.key()] = j
	a.jobs.Add(1)
	a.start(ctx, j, func() {
		a.mu.Lock()
		delete(a.running, j.key())
		a.mu.Unlock()
		j.cancel(nil)
		a.jobs.Done()
	})
	return nil
}

// stop ends a background response and waits until it has ended.
func (j *job) stop(ctx context.Context) error {
	j.cancel(errCancelled)
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
