package responses

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// Create answers POST /v1/responses.
func (a *API) Create(w http.ResponseWriter, r *http.Request) error {
	tenant := a.config.Tenant(r)
	q, chat, l, err := a.prepare(w, r, tenant)
	if err != nil {
		return err
	}
	j := a.newJob(tenant, q, chat, l)
	switch {
	case j.response.Background:
		return a.answerBackground(w, r, j)
	case q.stream:
		return a.answerStream(w, r, j)
	}
	a.run(r.Context(), j)
	a.config.Ended(r, Outcome{ID: j.response.ID, Finish: j.finish, Usage: j.usage})
	if j.err != nil {
		return j.err
	}
	writeJSON(w, j.snapshot())
	return nil
}

// CountInput answers POST /v1/responses/input_tokens.
func (a *API) CountInput(w http.ResponseWriter, r *http.Request) error {
	q, chat, _, err := a.prepare(w, r, a.config.Tenant(r))
	if err != nil {
		return err
	}
	tokens, err := a.config.Model.Count(chat)
	if err != nil {
		return rename(err, q.names)
	}
	writeJSON(w, InputTokens{"response.input_tokens", tokens})
	return nil
}

// prepare reads a request and finds the conversation that it goes on with.
func (a *API) prepare(w http.ResponseWriter, r *http.Request, tenant string) (*request, *openai.ChatRequest, *link, error) {
	body, err := a.config.Body(w, r)
	if err != nil {
		return nil, nil, nil, err
	}
	q, err := readRequest(body)
	if err != nil {
		return nil, nil, nil, err
	}
	l := &link{}
	if id := q.response.PreviousResponseID; id != nil {
		if l.before, err = a.previous(key{tenant, *id}); err != nil {
			return nil, nil, nil, err
		}
	}
	if err := a.resolve(tenant, q); err != nil {
		return nil, nil, nil, err
	}
	l.input = q.input
	chat, err := a.fit(q, q.turns(l))
	return q, chat, l, err
}

// previous finds the conversation of an earlier response.
func (a *API) previous(k key) (*link, error) {
	j, r := a.find(k)
	switch {
	case r != nil:
		return r.link, nil
	case j != nil:
		return nil, openai.Invalid(openai.CodeInvalidValue, "previous_response_id",
			"Invalid value for 'previous_response_id': the response %q has not ended yet.", clip(k.id))
	}
	return nil, openai.Invalid("previous_response_not_found", "previous_response_id",
		"Previous response with id %q not found: it does not exist, was not stored, or is kept no longer.", clip(k.id))
}

// resolve puts stored items in the place of references and gives the others ids.
func (a *API) resolve(tenant string, q *request) error {
	for n := range q.input {
		i := &q.input[n]
		if i.Type == typeReference {
			found, ok := a.store.item(tenant, i.ID)
			if !ok {
				return openai.NewError(http.StatusNotFound, openai.TypeNotFound, openai.CodeNotFound, q.paths[n]+".id",
					fmt.Sprintf("Item with id %q not found: it does not exist, was not stored, or is kept no longer.", clip(i.ID)))
			}
			*i = found
		}
		if i.ID == "" {
			i.ID = a.config.NewID(prefixes[i.Type])
		}
	}
	return nil
}

// prefixes begin the ids of items that came without one.
var prefixes = map[string]string{typeMessage: "msg_", typeReasoning: "rs_", typeCall: "fc_", typeResult: "fco_"}

// turns lists the conversation with what the request adds to it.
func (q *request) turns(l *link) []turn {
	var out []turn
	for _, i := range l.before.turns() {
		out = append(out, turn{i, "previous_response_id"})
	}
	for n, i := range q.input {
		out = append(out, turn{i, q.paths[n]})
	}
	return out
}

// fit translates the request and, where it may be shortened, leaves out as much of the beginning of its conversation as
// does not fit.
func (a *API) fit(q *request, turns []turn) (*openai.ChatRequest, error) {
	if len(turns) > maxItems {
		if !q.truncate {
			return nil, openai.Invalid(openai.CodeContextLengthExceeded, "previous_response_id",
				"The conversation has %d items, and at most %d are allowed. Set truncation to \"auto\" or begin another.", len(turns), maxItems)
		}
		turns = shorten(turns, len(turns)-maxItems)
	}
	chat, err := q.translate(turns)
	if err != nil || !q.truncate {
		return chat, err
	}
	limit := a.config.Model.Settings(chat).ContextLength
	// Counting takes time, so that what is far too long is cut before.
	if n := excess(turns, mostBytes*limit); n > 0 {
		turns = shorten(turns, n)
		if chat, err = q.translate(turns); err != nil {
			return nil, err
		}
	}
	if a.roomFor(chat, limit) {
		return chat, nil
	}
	best := chat // where nothing fits, the model says so
	sort.Search(len(turns)-1, func(n int) bool {
		chat, err := q.translate(shorten(turns, n+1))
		fits := err == nil && a.roomFor(chat, limit)
		if fits {
			best = chat
		}
		return fits
	})
	return best, nil
}

// mostBytes is more than the tokens of any text but a monotonous one have on average.
const mostBytes = 16

// excess is how many items there are before the last ones that have so many bytes together. The very last is not among them.
func excess(turns []turn, most int) int {
	for n, t := range slices.Backward(turns) {
		for _, p := range t.Content {
			most -= len(p.Text)
		}
		if most -= len(t.Arguments) + len(t.Output); most < 0 {
			return min(n+1, len(turns)-1)
		}
	}
	return 0
}

// roomFor reports whether a prompt leaves room for an answer: for as many tokens as were asked for, but no more than half
// of the context, or for an eighth of it.
func (a *API) roomFor(chat *openai.ChatRequest, limit int) bool {
	tokens, err := a.config.Model.Count(chat)
	room := limit / 8
	if chat.MaxTokens != nil {
		room = min(*chat.MaxTokens, limit/2)
	}
	return err == nil && tokens+room <= limit
}

// shorten leaves out the first n items that are no instructions, and the results of calls that were left out.
func shorten(turns []turn, n int) []turn {
	calls := map[string]bool{}
	var out []turn
	for k, t := range turns {
		instruction := t.Type == typeMessage && (t.Role == "system" || t.Role == "developer")
		if k < n && !instruction || t.Type == typeResult && !calls[t.CallID] {
			continue
		}
		if t.Type == typeCall {
			calls[t.CallID] = true
		}
		out = append(out, t)
	}
	return slices.Clip(out)
}

// answerStream sends the events while the response is made. The response ends when its client leaves.
func (a *API) answerStream(w http.ResponseWriter, r *http.Request, j *job) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	a.start(ctx, j, func() {})
	if err := j.wait(); err != nil {
		return err
	}
	// The job sees the end of the request's context and ends the feed, with an event that says why.
	err := j.feed.follow(context.WithoutCancel(ctx), w, 0)
	cancel()
	<-j.done
	if err == nil {
		err = j.err
	}
	if err != nil && errors.Is(context.Cause(r.Context()), context.Canceled) {
		err = ErrGone
	}
	a.config.Ended(r, Outcome{ID: j.response.ID, Finish: j.finish, Usage: j.usage, Err: err})
	return nil
}

// answerBackground has the response made and sends its events, or what it is at the beginning.
func (a *API) answerBackground(w http.ResponseWriter, r *http.Request, j *job) error {
	if err := a.begin(r.Context(), j); err != nil {
		return err
	}
	if err := j.wait(); err != nil {
		return err
	}
	if j.feed == nil {
		a.config.Ended(r, Outcome{ID: j.response.ID})
		writeJSON(w, j.snapshot())
		return nil
	}
	a.config.Ended(r, Outcome{ID: j.response.ID, Err: j.feed.follow(r.Context(), w, 0)})
	return nil
}

// wait waits until the request is accepted or refused.
func (j *job) wait() error {
	select {
	case <-j.accepted:
		return nil
	case <-j.done:
	}
	select {
	case <-j.accepted: // and ended by now
		return nil
	default:
		return j.err
	}
}

// writeJSON sends an answer as a whole.
func writeJSON(w http.ResponseWriter, body any) {
	data, err := json.Marshal(body)
	if err != nil { // the types of this package hold nothing that cannot be encoded
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)+1))
	// Not every ResponseWriter knows deadlines; the error says only that.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	// A client that is gone needs no answer, and net/http ends the connection itself.
	_, _ = w.Write(append(data, '\n'))
}
