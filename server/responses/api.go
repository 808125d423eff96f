package responses

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// Model runs chat requests; the server is one. Its errors are *openai.Error where a client may see them.
type Model interface {
	// Settings tells what becomes of what a request leaves open.
	Settings(r *openai.ChatRequest) Settings
	// Count returns how many tokens the prompt of a request has.
	Count(r *openai.ChatRequest) (tokens int, err error)
	// Complete runs a request to its end or to that of ctx.
	Complete(ctx context.Context, c Call) (openai.FinishReason, openai.Usage, error)
}

// Settings is what a request is run with.
type Settings struct {
	Model       string
	Temperature float64
	TopP        float64
	Effort      string // low, medium or high
	// ContextLength is how many tokens a prompt and its answer may have together.
	ContextLength int
}

// Call is a request to run.
type Call struct {
	ID      string // of the response
	Tenant  string
	Request *openai.ChatRequest
	// Background: nobody waits for the response, and its request may have been answered before it has ended.
	Background bool
	// Accepted is called once the request has a place in the queue.
	Accepted func()
	// Emit takes what the model adds, in order. Its error ends the request.
	Emit func(Piece) error
}

// Config is what an API is made of. All fields but Ended must be set.
type Config struct {
	Model  Model
	Bounds Bounds
	// Background is how many background responses may be under way at the same time.
	Background int
	Now        func() time.Time
	// NewID makes an id that begins with prefix and never comes twice.
	NewID func(prefix string) string
	// Tenant names who sends a request. A response is seen by its tenant only.
	Tenant func(r *http.Request) string
	// Body reads a request's body.
	Body func(w http.ResponseWriter, r *http.Request) ([]byte, error)
	// Ended is told how a request ended that made a response, in the goroutine of its handler.
	Ended func(r *http.Request, o Outcome)
	// Panicked is told of a panic in a goroutine of this package, which has become a failed response.
	Panicked func(ctx context.Context, value any, stack []byte)
}

// Outcome is how a request ended that made a response. A background response without a stream has not ended by then.
type Outcome struct {
	ID     string
	Finish openai.FinishReason
	Usage  openai.Usage
	// Err is what went wrong after the status had been sent.
	Err error
}

// API serves the Responses API. Its methods are handlers that leave failing to their caller: they do not return an error
// after their first byte.
type API struct {
	config Config
	store  *store

	mu      sync.Mutex
	running map[key]*job // background responses
	closed  error        // why no more are begun
	jobs    sync.WaitGroup
}

// key names a response of a tenant.
type key struct{ tenant, id string }

// New makes an API that remembers nothing yet.
func New(c Config) *API {
	if c.Ended == nil {
		c.Ended = func(*http.Request, Outcome) {}
	}
	return &API{config: c, store: newStore(c.Bounds, c.Now), running: map[key]*job{}}
}

// Close ends the background responses, which fail with cause, lets no more begin and waits until they have ended.
func (a *API) Close(cause error) {
	a.mu.Lock()
	a.closed = cause
	for _, j := range a.running {
		j.cancel(cause)
	}
	a.mu.Unlock()
	a.jobs.Wait()
}

// Running is how many background responses are under way.
func (a *API) Running() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.running)
}

// find returns a tenant's response: a job while it is under way in the background, or else the record, or neither.
func (a *API) find(k key) (*job, *record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if j := a.running[k]; j != nil {
		return j, nil
	}
	return nil, a.store.get(k.tenant, k.id)
}
