package engine

import (
	"fmt"

	"github.com/gptoss/gptoss-operator/engine/sample"
)

// Request is one prompt to be continued.
type Request struct {
	// ID appears in logs only.
	ID string
	// Tenant is who asks: memory and time are shared out between tenants, and cached
	// prefixes are never shared across them. It is compared and hashed, never logged.
	Tenant string
	// Salt keeps cached prefixes apart within a tenant: only requests with the
	// same one share them.
	Salt string
	// Prompt holds token ids; the engine keeps the slice until the request ends.
	Prompt []int32
	// MaxTokens bounds the generated tokens, the stop token included. It is
	// clipped to what the context still holds; zero or less asks for all of that.
	MaxTokens int
	// Sampling says how a token is drawn from the logits.
	Sampling sample.Params
	// StopTokens end the request when generated; the stop token is delivered too.
	StopTokens []int32
	// MinTokens is how many tokens come before a stop token may be drawn.
	MinTokens int
	// Logprobs asks for the log probability of each token and of this many
	// alternatives, from 0 to [sample.MaxTop]; nil for none of it.
	Logprobs *int
	// Constraint narrows what may be generated; nil allows everything, and costs nothing.
	Constraint Constraint
}

// Constraint says which tokens a request may generate next; *grammar.Matcher is one. It belongs to one request, whose calls
// come one after the other, in the time of a step.
type Constraint interface {
	// Mask sets the bits of the tokens that may come next and clears all others: bit id%64 of word id/64. Where it says
	// false the mask is of no account and every token may come. Ids past the mask's end may not.
	Mask(mask []uint64) (constrained bool)
	// Accept is told every token that is drawn, in order.
	Accept(token int32)
}

// FinishReason says why a stream ended.
type FinishReason string

// The reasons for which a stream ends.
const (
	FinishStop      FinishReason = "stop"      // a stop token was generated
	FinishLength    FinishReason = "length"    // MaxTokens or the context is used up
	FinishCancelled FinishReason = "cancelled" // the request's context ended
	FinishError     FinishReason = "error"     // Result's error says what happened
)

// Token is one generated token.
type Token struct {
	ID int32
	// Logprobs is nil unless the request asked for it.
	Logprobs *Logprobs
}

// Logprobs says how likely the model held a token to be, and which tokens it held
// to be most likely there; see [sample.Sampler.Logprob] for what is counted.
type Logprobs struct {
	Chosen float64
	Top    []sample.Logprob // most likely first
}

// check returns the number of tokens that the request may generate.
func (r *Request) check(contextLength, vocabulary int) (maxTokens int, err error) {
	if len(r.Prompt) == 0 {
		return 0, fmt.Errorf("engine: %w: the prompt is empty", ErrInvalidRequest)
	}
	if len(r.Prompt) >= contextLength {
		return 0, fmt.Errorf("engine: %w: %d tokens, the context holds %d", ErrPromptTooLong, len(r.Prompt), contextLength)
	}
	for i, id := range r.Prompt {
		if id < 0 || int(id) >= vocabulary {
			return 0, fmt.Errorf("engine: %w: prompt token %d is %d, outside [0, %d)", ErrInvalidRequest, i, id, vocabulary)
		}
	}
	if err := r.Sampling.Validate(); err != nil {
		return 0, fmt.Errorf("engine: %w: %w", ErrInvalidRequest, err)
	}
	if n := r.Logprobs; n != nil && (*n < 0 || *n > sample.MaxTop) {
		return 0, fmt.Errorf("engine: %w: log probabilities of %d alternatives, there may be 0 to %d", ErrInvalidRequest, *n, sample.MaxTop)
	}
	room := contextLength - len(r.Prompt)
	if r.MaxTokens <= 0 || r.MaxTokens > room {
		return room, nil
	}
	return r.MaxTokens, nil
}
