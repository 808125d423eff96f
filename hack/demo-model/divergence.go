package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/reference"
)

const (
	// maxDivergence is what the next-token distributions of the engine may be off by on average, in nats.
	maxDivergence = 1e-3
	// stepTokens are computed by one step of the engine.
	stepTokens = 128
)

// distance says how far the engine's next-token distributions are from the reference's.
type distance struct {
	nats      []float64 // Kullback-Leibler divergence, of each position
	different int       // positions with another likeliest token
}

// divergence is what --divergence finds out. Only answers count: what the model has never learned to predict, such as a
// question, any noise moves.
type divergence struct {
	kernel           string
	questions        int
	answers, prompts distance
}

// pair is the model in both implementations.
type pair struct {
	*asked
	reference *reference.Model
	fast      *cpu.Model
	pages     []int32 // of the only sequence at a time, of both kinds
}

func newPair(m *asked, kernel string) (*pair, error) {
	w, err := cpu.FromCheckpoint(m.checkpoint)
	if err != nil {
		return nil, err
	}
	pages := make([]int32, (m.checkpoint.Config.MaxContext+model.PageTokens-1)/model.PageTokens)
	for i := range pages {
		pages[i] = int32(i)
	}
	e, err := cpu.New(w, cpu.Options{
		Kernel: kernel, PageTokens: model.PageTokens, FullPages: len(pages), WindowPages: len(pages),
		MaxTokens: stepTokens, MaxLogits: stepTokens,
	})
	if err != nil {
		return nil, err
	}
	return &pair{asked: m, reference: reference.New(m.checkpoint), fast: e, pages: pages}, nil
}

// diverge lets the reference answer questions until the answers have so many positions, and the engine follow.
func diverge(ctx context.Context, questionsFile, folder, kernel string, positions int) (*divergence, error) {
	questions, err := readQuestions(questionsFile)
	if err != nil {
		return nil, err
	}
	m, err := open(folder)
	if err != nil {
		return nil, err
	}
	defer m.close()
	p, err := newPair(m, kernel)
	if err != nil {
		return nil, err
	}
	defer p.fast.Close()
	d := &divergence{kernel: p.fast.Kernel()}
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(len(questions)) { // all kinds of questions, whatever the number
		if len(d.answers.nats) >= positions {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := p.add(d, questions[i]); err != nil {
			return nil, fmt.Errorf("question %d: %w", i+1, err)
		}
		fmt.Fprintf(os.Stderr, "\r%d questions, %d of %d positions", d.questions, len(d.answers.nats), positions)
	}
	fmt.Fprintln(os.Stderr)
	if n := len(d.answers.nats); n < positions {
		return nil, fmt.Errorf("the answers to all %d questions have %d positions, want %d", d.questions, n, positions)
	}
	return d, nil
}

// add compares the rows of one question.
func (p *pair) add(d *divergence, q question) error {
	prompt, err := p.encoding.Render(q.conversation())
	if err != nil {
		return err
	}
	tokens, want, err := p.answer(prompt)
	if err != nil {
		return err
	}
	got, err := p.follow(tokens)
	if err != nil {
		return err
	}
	d.questions++
	for i := range want {
		to := &d.answers
		if i < len(prompt)-1 {
			to = &d.prompts
		}
		if err := to.add(want[i], got[i]); err != nil {
			return err
		}
	}
	return nil
}

// answer continues a prompt with the reference's likeliest tokens, and returns the logits after each token, [vocab].
func (p *pair) answer(prompt []int32) (tokens []int32, rows [][]float32, err error) {
	s := p.reference.NewSequence(len(prompt) + maxAnswer)
	if rows, err = s.Forward(prompt); err != nil {
		return nil, nil, err
	}
	for tokens = slices.Clone(prompt); len(tokens) < len(prompt)+maxAnswer; {
		id := likeliest(rows[len(rows)-1])
		if slices.Contains(p.grammar.stops(), id) {
			break
		}
		row, err := s.Next([]int32{id})
		if err != nil {
			return nil, nil, err
		}
		tokens, rows = append(tokens, id), append(rows, row)
	}
	return tokens, rows, nil
}

// follow returns the engine's logits after each of the tokens.
func (p *pair) follow(tokens []int32) (rows [][]float32, err error) {
	vocabulary := p.checkpoint.Config.VocabSize
	for at := 0; at < len(tokens); at += stepTokens {
		part := tokens[at:min(at+stepTokens, len(tokens))]
		logits := make([]float32, len(part)*vocabulary)
		if err := p.fast.Step([]cpu.Sequence{{Tokens: part, Position: at, Full: p.pages, Window: p.pages, Logits: logits}}); err != nil {
			return nil, err
		}
		rows = slices.AppendSeq(rows, slices.Chunk(logits, vocabulary))
	}
	return rows, nil
}

func likeliest(logits []float32) int32 { return int32(slices.Index(logits, slices.Max(logits))) }

// add compares the distributions of one position.
func (d *distance) add(want, got []float32) error {
	p, q := logSoftmax(want), logSoftmax(got)
	var nats float64
	for i := range p {
		nats += math.Exp(p[i]) * (p[i] - q[i])
	}
	if math.IsNaN(nats) || math.IsInf(nats, 0) {
		return errors.New("logits that are no numbers")
	}
	d.nats = append(d.nats, nats)
	if likeliest(want) != likeliest(got) {
		d.different++
	}
	return nil
}

func logSoftmax(x []float32) []float64 {
	top := float64(slices.Max(x))
	var sum float64
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v) - top
		sum += math.Exp(out[i])
	}
	for i := range out {
		out[i] -= math.Log(sum)
	}
	return out
}

func (d *distance) mean() float64 {
	var sum float64
	for _, v := range d.nats {
		sum += v
	}
	return sum / float64(len(d.nats))
}

// reached reports whether the engine is as close as it has to be.
func (d *divergence) reached() bool { return d.answers.mean() <= maxDivergence }

func (d *divergence) print(w io.Writer) {
	fmt.Fprintf(w, "Kullback-Leibler divergence of the next-token distribution from the float32 reference, in nats; kernel %s, %d questions\n\n", d.kernel, d.questions)
	fmt.Fprintln(w, "| of | positions | mean | median | 99 % are below | most | another likeliest token |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range []struct {
		name string
		*distance
	}{{"answers", &d.answers}, {"prompts", &d.prompts}} {
		sorted := slices.Sorted(slices.Values(r.nats))
		n := len(sorted)
		if n == 0 {
			continue
		}
		fmt.Fprintf(w, "| %s | %d | %.2g | %.2g | %.2g | %.2g | %d (%.3f %%) |\n",
			r.name, n, r.mean(), sorted[n/2], sorted[n*99/100], sorted[n-1], r.different, share(r.different, n))
	}
	fmt.Fprintf(w, "\nThe mean over answers may be %g at most.\n", maxDivergence)
}
