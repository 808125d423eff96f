package bench

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
)

// steps runs the forward pass by itself, with pages laid out by hand.
type steps struct {
	config     model.Config
	model      *cpu.Model
	stepTokens int
	sequences  []cpu.Sequence // their pages, and room for the logits of one token
}

// newSteps makes room for sequences of so many positions, which generate so many tokens from any one of them on. The first
// can also read prompts.
func (b *bench) newSteps(sequences, positions, generated int) (*steps, error) {
	full := pagesOf(positions)
	// Windows move through their pages in circles.
	window := b.source.config.SlidingWindow - 1
	first := min(pagesTouched(window+max(generated, b.stepTokens)), full)
	other := min(pagesTouched(window+generated), full)
	m, err := cpu.New(b.weights, cpu.Options{
		Threads: b.threads, Kernel: b.kernel, PageTokens: model.PageTokens,
		FullPages: sequences * full, WindowPages: first + (sequences-1)*other,
		MaxTokens: b.stepTokens, MaxLogits: sequences,
	})
	if err != nil {
		return nil, err
	}
	s := &steps{config: b.source.config, model: m, stepTokens: b.stepTokens, sequences: make([]cpu.Sequence, sequences)}
	for i := range s.sequences {
		window := pageTable(0, first, full)
		if i > 0 {
			window = pageTable(first+(i-1)*other, other, full)
		}
		s.sequences[i] = cpu.Sequence{
			Full: pageTable(i*full, full, full), Window: window,
			Logits: make([]float32, s.config.VocabSize), Tokens: make([]int32, 1),
		}
	}
	return s, nil
}

func pagesOf(positions int) int { return (positions + model.PageTokens - 1) / model.PageTokens }

// pagesTouched returns how many pages so many neighbouring positions lie in at most.
func pagesTouched(positions int) int { return (positions+model.PageTokens-2)/model.PageTokens + 1 }

// pageTable uses so many pages from the first one on, over and over.
func pageTable(first, pages, entries int) []int32 {
	table := make([]int32, entries)
	for i := range table {
		table[i] = int32(first + i%pages)
	}
	return table
}

// randomTokens draws token ids.
func randomTokens(seed uint64, n, vocabulary int) []int32 {
	r := rand.New(rand.NewPCG(seed, 0x6265))
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = r.Int32N(int32(vocabulary))
	}
	return tokens
}

// prefill computes a prompt in the first sequence, from its beginning, with the logits of the last token.
func (s *steps) prefill(ctx context.Context, tokens []int32) error {
	for at := 0; at < len(tokens); at += s.stepTokens {
		if err := ctx.Err(); err != nil {
			return err
		}
		one := s.sequences[0]
		one.Position, one.Tokens = at, tokens[at:min(at+s.stepTokens, len(tokens))]
		if at+len(one.Tokens) < len(tokens) {
			one.Logits = nil
		}
		if err := s.model.Step([]cpu.Sequence{one}); err != nil {
			return err
		}
	}
	return nil
}

// share gives all sequences the keys and values that the first has for so many positions, each its own copy.
func (s *steps) share(positions int) error {
	for kind, table := range map[cpu.Kind][]int32{cpu.Full: s.sequences[0].Full, cpu.Window: s.sequences[0].Window} {
		buffer := make([]byte, s.model.PageBytes(kind))
		for i, page := range table[:pagesOf(positions)] {
			if err := s.model.SavePage(kind, page, buffer); err != nil {
				return err
			}
			for _, other := range s.sequences[1:] {
				to := other.Full
				if kind == cpu.Window {
					to = other.Window
				}
				if err := s.model.LoadPage(kind, to[i], buffer); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// decode lets every sequence go on for so many tokens, which are drawn at random, and computes their logits.
func (s *steps) decode(ctx context.Context, seed uint64, position, tokens int) error {
	drawn := randomTokens(seed, len(s.sequences)*tokens, s.config.VocabSize)
	for i := range tokens {
		if err := ctx.Err(); err != nil {
			return err
		}
		for j := range s.sequences {
			s.sequences[j].Position = position + i
			s.sequences[j].Tokens[0], drawn = drawn[0], drawn[1:]
		}
		if err := s.model.Step(s.sequences); err != nil {
			return err
		}
	}
	return nil
}

// prefill measures prompts of one length.
func (b *bench) prefill(ctx context.Context, prompt int) error {
	s, err := b.newSteps(1, prompt, 1)
	if err != nil {
		return err
	}
	defer s.model.Close()
	if err := s.prefill(ctx, randomTokens(0, min(prompt, 16), s.config.VocabSize)); err != nil { // wakes all workers up
		return err
	}
	r := Result{Work: workPrefill, Figure: tokensPerSecond, Prompt: prompt, Sequences: 1, Series: Series{Unit: unitSpeed}}
	return b.measure(ctx, []Result{r}, func(repetition int) ([]float64, error) {
		tokens := randomTokens(uint64(repetition+1), prompt, s.config.VocabSize)
		begun := time.Now()
		err := s.prefill(ctx, tokens)
		return []float64{float64(prompt) / time.Since(begun).Seconds()}, err
	})
}

// decode measures sequences that generate tokens together.
func (b *bench) decode(ctx context.Context, work string, sequences int) error {
	s, err := b.newSteps(sequences, b.context+b.command.decode, b.command.decode)
	if err != nil {
		return err
	}
	defer s.model.Close()
	b.say("%s: %d tokens of context", work, b.context)
	if err := s.prefill(ctx, randomTokens(0, b.context, s.config.VocabSize)); err != nil {
		return err
	}
	if err := s.share(b.context); err != nil {
		return err
	}
	if err := s.decode(ctx, 0, b.context, 1); err != nil {
		return err
	}
	tokens := b.command.decode
	r := Result{
		Work: work, Figure: tokensPerSecond, Context: b.context, Decode: tokens, Sequences: sequences, Series: Series{Unit: unitSpeed},
	}
	return b.measure(ctx, []Result{r}, func(repetition int) ([]float64, error) {
		begun := time.Now()
		err := s.decode(ctx, uint64(repetition+1), b.context, tokens)
		return []float64{float64(sequences*tokens) / time.Since(begun).Seconds()}, err
	})
}

// memory fills the cache, runs the largest step and one of all sequences, and looks at how much memory that took.
func (b *bench) memory(ctx context.Context) error {
	n, positions := b.memorySequences, b.memoryContext
	s, err := b.newSteps(n, positions, 1)
	if err != nil {
		return err
	}
	defer s.model.Close()
	r := Result{Work: workMemory, Figure: "peak_resident_bytes", Context: positions, Sequences: n, Series: Series{Unit: unitBytes}}
	if _, ok := peakResident(); !ok {
		return nil // nobody knows on this system
	}
	b.say("memory: %d sequences of %d tokens", n, positions)
	for kind, pages := range map[cpu.Kind]func(cpu.Sequence) []int32{
		cpu.Full:   func(s cpu.Sequence) []int32 { return s.Full },
		cpu.Window: func(s cpu.Sequence) []int32 { return s.Window },
	} {
		empty := make([]byte, s.model.PageBytes(kind))
		for _, sequence := range s.sequences {
			for _, page := range pages(sequence) {
				if err := s.model.LoadPage(kind, page, empty); err != nil {
					return err
				}
			}
		}
	}
	return b.measure(ctx, []Result{r}, func(int) ([]float64, error) {
		if err := s.prefill(ctx, randomTokens(1, min(positions, b.stepTokens), s.config.VocabSize)); err != nil {
			return nil, err
		}
		err := s.decode(ctx, 2, positions-1, 1)
		peak, _ := peakResident()
		return []float64{float64(peak)}, err
	})
}
