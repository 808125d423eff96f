package reference

import (
	"errors"
	"fmt"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// chunkTokens is how many tokens go through the layers together; it bounds the working buffers.
const chunkTokens = 64

// ErrContextFull is returned when a sequence would grow beyond its limit.
var ErrContextFull = errors.New("context is full")

// Model computes the logits of a checkpoint. It may serve several sequences at once.
type Model struct {
	checkpoint *weights.Checkpoint
	rope       model.RoPE
}

// New returns a model on an opened checkpoint, which must stay open.
func New(c *weights.Checkpoint) *Model {
	return &Model{checkpoint: c, rope: c.Config.RoPE()}
}

// NewSequence starts an empty sequence of at most maxTokens tokens; more than the model's context is cut to that.
func (m *Model) NewSequence(maxTokens int) *Sequence {
	return &Sequence{
		model:     m,
		maxTokens: min(max(maxTokens, 0), m.checkpoint.Config.MaxContext),
		layers:    make([]cache, m.checkpoint.Config.Layers),
	}
}

// Sequence is one text and the keys and values of its tokens. It is for one goroutine at a time.
type Sequence struct {
	model     *Model
	maxTokens int
	length    int
	layers    []cache
}

// Len returns the number of tokens so far.
func (s *Sequence) Len() int { return s.length }

// Cap returns the number of tokens that the sequence can hold.
func (s *Sequence) Cap() int { return s.maxTokens }

// Forward appends the tokens and returns the logits after each of them: [len(tokens)][vocab].
// After an error the sequence is as before.
func (s *Sequence) Forward(tokens []int32) ([][]float32, error) {
	if err := s.check(tokens); err != nil {
		return nil, err
	}
	var logits [][]float32
	for len(tokens) > 0 {
		n := min(len(tokens), chunkTokens)
		logits = append(logits, s.head(s.chunk(tokens[:n]))...)
		tokens = tokens[n:]
	}
	return logits, nil
}

// Next appends the tokens and returns the logits after the last of them: [vocab].
// After an error the sequence is as before.
func (s *Sequence) Next(tokens []int32) ([]float32, error) {
	if err := s.check(tokens); err != nil {
		return nil, err
	}
	var x [][]float32
	for len(tokens) > 0 {
		n := min(len(tokens), chunkTokens)
		x = s.chunk(tokens[:n])
		tokens = tokens[n:]
	}
	return s.head(x[len(x)-1:])[0], nil
}

func (s *Sequence) check(tokens []int32) error {
	if len(tokens) == 0 {
		return errors.New("reference: no tokens")
	}
	if len(tokens) > s.maxTokens-s.length {
		return fmt.Errorf("reference: %d tokens after %d, want at most %d in all: %w", len(tokens), s.length, s.maxTokens, ErrContextFull)
	}
	vocab := s.model.checkpoint.Config.VocabSize
	for _, id := range tokens {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("reference: token %d, want 0 to %d", id, vocab-1)
		}
	}
	return nil
}

// chunk sends tokens through all layers and returns the residual stream: [T] → [T, H].
func (s *Sequence) chunk(tokens []int32) [][]float32 {
	c := s.model.checkpoint
	x := newRows(len(tokens), c.Config.HiddenSize)
	for t, id := range tokens {
		c.Embedding.Row(int(id), x[t])
	}
	for i := range c.Layers {
		l := &c.Layers[i]
		addTo(x, attention(c.Config, l, s.model.rope, &s.layers[i], c.Config.Window(i), s.length, x))
		addTo(x, mixtureOfExperts(c.Config, l, x))
	}
	s.length += len(tokens)
	return x
}

// head turns the residual stream into logits: [T, H] → [T, vocab].
func (s *Sequence) head(x [][]float32) [][]float32 {
	c := s.model.checkpoint
	return matmul(c.LMHead, rmsNorm(x, c.FinalNorm, c.Config.RMSNormEps))
}
