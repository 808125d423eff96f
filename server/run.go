package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/answer"
	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/sse"
	"github.com/gptoss/gptoss-operator/server/structure"
)

// job is a request on its way through the engine: one or several prompts, each with one or several answers. It is read by
// one goroutine, so that neither parsers nor writers need locks and a panic ends one request only.
type job struct {
	id        string
	created   int64 // Unix seconds
	origin    openai.Origin
	model     *Model
	param     string // that holds the prompt
	idle      bool   // nothing is to be generated
	choices   []*choice
	running   int
	arrivals  chan arrival // where there are several choices
	read      bool         // a token has come
	firstSeen func()       // is called then
	sink
}

// sink is what becomes of a job's answers.
type sink struct {
	// piece takes a part of an answer, finished its end.
	piece    func(index int, p answer.Piece) error
	finished func(c *choice) error
	// quiet delivers when the client has heard nothing for long; alive is called then. A nil channel never does.
	quiet <-chan time.Time
	alive func() error
}

// choice is one answer of a job.
type choice struct {
	index   int
	request engine.Request
	reader  *answer.Reader
	// after is the first choice with the same prompt, whose work this one shares; nil for that one.
	after   *choice
	cancel  context.CancelFunc // nil before the engine has it
	stream  *engine.Stream
	begun   bool // a token has come, so the prompt is in memory
	ended   bool
	logprob float64 // of all its tokens, where they are measured
}

// arrival is a token of a choice, or its end.
type arrival struct {
	choice *choice
	token  engine.Token
	open   bool
}

func (s *Server) newJob(m *Model, prefix, param string) *job {
	return &job{
		id: s.newID(prefix), created: s.now().Unix(), model: m, param: param, origin: openai.Origin{SystemFingerprint: s.fingerprint(m)}, firstSeen: func() {},
	}
}

// add appends n answers to one prompt. Each gets a parser and, where a seed is given, a seed of its own.
func (j *job) add(n int, request engine.Request, config answer.Config, parser func() answer.Parser) {
	var first *choice
	for i := range n {
		c := &choice{index: len(j.choices), request: request, after: first}
		c.request.ID = j.id
		if seed := request.Sampling.Seed; seed != nil {
			c.request.Sampling.Seed = new(*seed + uint64(i)*seedStep)
		}
		config.Parser = parser()
		config.Emit = func(p answer.Piece) error { return j.piece(c.index, p) }
		c.reader = answer.NewReader(config)
		j.choices = append(j.choices, c)
		if first == nil {
			first = c
		}
	}
}

// seedStep parts the seeds of a request's answers. It is the golden ratio's fraction of 2^64, so that they do not meet those
// of requests whose seeds are counted up.
const seedStep = 0x9e3779b97f4a7c15

// begin hands the first answer to each prompt to the engine; the others follow when the prompt is in memory, and find it
// there. What there is no room for in the queue waits until another answer of the job has ended.
func (j *job) begin(ctx context.Context) error {
	if j.idle {
		return nil
	}
	if len(j.choices) > 1 {
		j.arrivals = make(chan arrival)
	}
	return j.startDue(ctx)
}

func (j *job) startDue(ctx context.Context) error {
	for _, c := range j.choices {
		if c.stream != nil || c.after != nil && !c.after.begun {
			continue
		}
		err := j.start(ctx, c)
		if errors.Is(err, engine.ErrQueueFull) && j.running > 0 {
			return nil
		}
		if err != nil {
			return j.refusal(ctx, err, len(c.request.Prompt))
		}
	}
	return nil
}

// start gives a choice to the engine. Its context ends with the request's, at the latest.
func (j *job) start(ctx context.Context, c *choice) error {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := j.model.Generator.Submit(ctx, c.request)
	if err != nil {
		cancel()
		return err
	}
	c.stream, c.cancel = stream, cancel
	j.running++
	if j.arrivals != nil {
		go c.forward(ctx, j.arrivals)
	}
	return nil
}

// forward brings tokens to the job's reader until the choice ends.
func (c *choice) forward(ctx context.Context, to chan<- arrival) {
	for open := true; open; {
		a := arrival{choice: c}
		a.token, open = <-c.stream.Tokens()
		a.open = open
		select {
		case to <- a:
		case <-ctx.Done(): // nobody waits any more; the engine closes the stream within a step
		}
	}
}

// refusal is what the client sees of the engine's refusing.
func (j *job) refusal(ctx context.Context, err error, prompt int) error {
	switch {
	case errors.Is(err, engine.ErrQueueFull):
		return openai.NewError(http.StatusTooManyRequests, openai.TypeRateLimit, openai.CodeQueueFull, "",
			"Too many requests are waiting; try again after the time in the Retry-After header.")
	case errors.Is(err, engine.ErrPromptTooLong):
		return tooLong(j.param, prompt, j.model.ContextLength)
	case errors.Is(err, engine.ErrClosed):
		return errShutdown
	case ctx.Err() != nil:
		return departure(ctx)
	}
	return fmt.Errorf("submitting the request: %w", err)
}

// run reads all answers to their ends. When it returns, nothing of them is left in the engine for longer than a step.
func (j *job) run(ctx context.Context, to sink) error {
	j.sink = to
	defer func() {
		for _, c := range j.choices {
			if c.cancel != nil {
				c.cancel()
			}
		}
	}()
	if j.idle {
		return j.skip()
	}
	for j.running > 0 {
		a, err := j.next(ctx)
		if err == nil && !a.choice.ended {
			err = j.take(ctx, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// skip ends all answers before they begin.
func (j *job) skip() error {
	for _, c := range j.choices {
		if err := errors.Join(c.reader.Close(openai.FinishLength), j.finished(c)); err != nil {
			return err
		}
	}
	return nil
}

// next waits for a token or an end.
func (j *job) next(ctx context.Context) (arrival, error) {
	var alone <-chan engine.Token
	var gone <-chan struct{}
	if j.arrivals == nil {
		alone = j.choices[0].stream.Tokens() // which is closed when ctx ends
	} else {
		gone = ctx.Done()
	}
	for {
		select {
		case token, open := <-alone:
			return arrival{j.choices[0], token, open}, nil
		case a := <-j.arrivals:
			return a, nil
		case <-gone:
			return arrival{}, departure(ctx)
		case <-j.quiet:
			if err := j.alive(); err != nil {
				return arrival{}, err
			}
		}
	}
}

// take delivers what has come.
func (j *job) take(ctx context.Context, a arrival) error {
	c := a.choice
	due := !c.begun
	c.begun = true
	if a.open {
		if !j.read {
			j.read = true
			j.firstSeen()
		}
		if a.token.Logprobs != nil {
			c.logprob += answer.Finite(a.token.Logprobs.Chosen)
		}
		if err := c.reader.Take(a.token); err != nil {
			return err
		}
	} else {
		reason, err := c.reason(ctx)
		if err == nil {
			err = c.reader.Close(reason)
		}
		if err != nil {
			return err
		}
	}
	if c.reader.Ended() {
		due = true
		c.ended = true
		c.cancel()
		j.running--
		if err := j.finished(c); err != nil {
			return err
		}
	}
	if due {
		return j.startDue(ctx)
	}
	return nil
}

// reason translates the engine's reason.
func (c *choice) reason(ctx context.Context) (openai.FinishReason, error) {
	switch reason, err := c.stream.Result(); {
	case reason == engine.FinishStop:
		return openai.FinishStop, nil
	case reason == engine.FinishLength:
		return openai.FinishLength, nil
	case errors.Is(err, engine.ErrClosed):
		return "", errShutdown
	case reason == engine.FinishCancelled:
		return "", departure(ctx)
	case err != nil:
		return "", err
	default:
		return "", fmt.Errorf("the engine ended with reason %q", reason)
	}
}

// work takes a job into the books, hands it to the engine and has it answered.
func (s *Server) work(r *http.Request, j *job, respond func(context.Context) error) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	n := noteOf(r)
	n.completionID = j.id
	defer s.accept(j)()
	settle, err := s.reserve(ctx, j)
	if err != nil {
		return err
	}
	defer settle()
	if err := j.begin(ctx); err != nil {
		return err
	}
	defer func() { n.usage, n.finish = j.usage(), j.finish() }()
	return respond(ctx)
}

// hold has each answer keep to a plan, if there is one.
func (j *job) hold(plan *structure.Plan) {
	if plan == nil {
		return
	}
	for _, c := range j.choices {
		r := &c.request
		r.Constraint = plan.Constraint(min(r.MaxTokens, j.model.ContextLength-len(r.Prompt)))
		r.StopTokens = append(slices.Clip(r.StopTokens), j.model.Encoder.StopTokens()...) // nothing follows the form
	}
}

// accept counts a job among the active ones until the returned function is called.
func (s *Server) accept(j *job) (done func()) {
	start := s.now()
	s.active.Add(1)
	j.firstSeen = func() { s.metrics.FirstToken.Observe(s.now().Sub(start).Seconds()) }
	return func() { s.active.Add(-1) }
}

// booked has a request that makes tokens counted, with how it ended.
func (s *Server) booked(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		start := s.now()
		n := noteOf(r)
		ended := outcomeError // stays so when a panic passes
		defer func() { s.count(start, ended, n.usage) }()
		err := next(w, r)
		if err != nil {
			ended = outcome(statusOf(err))
		} else {
			ended = outcome(n.status)
		}
		return err
	}
}

// count books a request that made tokens, or should have, and has ended.
func (s *Server) count(start time.Time, ended string, usage openai.Usage) {
	if ended == outcomeSuccess {
		s.metrics.Succeeded(s.now().Sub(start))
	} else {
		s.metrics.Requests.WithLabelValues(ended).Inc()
	}
	s.metrics.Prompt.Add(float64(usage.PromptTokens))
	s.metrics.Completion.Add(float64(usage.CompletionTokens))
}

// statusOf is the status with which catch will answer an error.
func statusOf(err error) int {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return e.Status
	}
	switch {
	case errors.Is(err, errClientGone):
		return statusClientGone
	case errors.Is(err, errShutdown):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// streamKind is what streams of events differ in.
type streamKind struct {
	// failure gives the event that ends a stream early; done says that a last event follows it.
	failure func(*openai.Error) any
	done    bool
	// identified gives the first event an id.
	identified bool
}

var openaiStream = streamKind{failure: func(e *openai.Error) any { return openai.ErrorBody{Error: e} }, done: true}

// streamed begins a stream of events and has them sent. The status is sent by then: a failure is an event too.
func (s *Server) streamed(w http.ResponseWriter, r *http.Request, kind streamKind, send func(*sse.Writer) error) {
	events := sse.Begin(w)
	defer events.Stop()
	if kind.identified {
		events.Identify(noteOf(r).completionID)
	}
	err := send(events)
	if err == nil {
		return
	}
	n := noteOf(r)
	if errors.Is(err, errClientGone) || errors.Is(err, sse.ErrGone) {
		n.status = statusClientGone
		return
	}
	e := s.explain(n.requestID, err)
	n.status = e.Status
	if events.Send(kind.failure(e)) == nil && kind.done {
		// Whether a broken stream's very last line arrives changes nothing any more.
		_ = events.Done()
	}
}

// departure is why a request's context has ended.
func departure(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errShutdown) {
		return errShutdown
	}
	return errClientGone
}

// usage is what has been used so far. A prompt counts once, however many answers it has.
func (j *job) usage() (u openai.Usage) {
	for _, c := range j.choices {
		if c.after == nil {
			u.PromptTokens += len(c.request.Prompt)
			if c.stream != nil {
				u.PromptTokensDetails.CachedTokens += c.stream.Cached()
			}
		}
		u.CompletionTokens += c.reader.Tokens()
		u.CompletionTokensDetails.ReasoningTokens += c.reader.ReasoningTokens()
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}

// finish is why the first answer ended.
func (j *job) finish() openai.FinishReason {
	if len(j.choices) == 0 {
		return ""
	}
	return j.choices[0].reader.Finish()
}

// chunkUsage is what a chunk before the last says of the usage: nothing unless it is asked for, null, or what it is so far.
func chunkUsage(s *openai.Streaming, j *job) *openai.ChunkUsage {
	switch {
	case s.ContinuousUsage:
		usage := j.usage()
		return &openai.ChunkUsage{Usage: &usage}
	case s.IncludeUsage:
		return &openai.ChunkUsage{}
	}
	return nil
}
