package engine

import (
	"github.com/gptoss/gptoss-operator/engine/reference"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// runner is the model as the step loop sees it.
type runner interface {
	// NewSequence makes room for maxTokens positions.
	NewSequence(maxTokens int) (sequence, error)
}

// sequence is the state of one running request: its KV cache and position.
type sequence interface {
	// Next appends tokens and returns the logits after the last one, one per
	// vocabulary entry, valid until the following call.
	Next(tokens []int32) ([]float32, error)
	// Close frees the sequence's memory.
	Close()
}

// referenceRunner runs the plain float32 forward pass.
type referenceRunner struct{ model *reference.Model }

func newReferenceRunner(c *weights.Checkpoint) runner {
	return referenceRunner{model: reference.New(c)}
}

func (r referenceRunner) NewSequence(maxTokens int) (sequence, error) {
	return referenceSequence{r.model.NewSequence(maxTokens)}, nil
}

type referenceSequence struct{ *reference.Sequence }

// Close leaves the memory to the garbage collector.
func (referenceSequence) Close() {}
