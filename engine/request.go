package engine

import (
	"fmt"

	"github.com/gptoss/gptoss-operator/engine/sample"
)

// Request is one prompt to be continued.
type Request struct {
	// ID appears in logs only.
	ID string
	// Prompt holds token ids; the engine keeps the slice until the request ends.
	Prompt []int32
	// MaxTokens bounds the generated tokens, the stop token included. It is
	// clipped to what the context still holds; zero or less asks for all of that.
	MaxTokens int
	// Sampling says how a token is drawn from the logits.
	Sampling sample.Params
	// StopTokens end the request when generated; the stop token is delivered too.
	StopTokens []int32
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
	room := contextLength - len(r.Prompt)
	if r.MaxTokens <= 0 || r.MaxTokens > room {
		return room, nil
	}
	return r.MaxTokens, nil
}
