package cpu

import (
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/reference"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// comparison says how far rows of logits are from the wanted ones.
type comparison struct {
	error      []float64 // root mean square of the difference, relative to that of the wanted row
	divergence []float64 // Kullback-Leibler, of the next-token distribution from the wanted one, in nats
}

func (c *comparison) add(want, got []float32) {
	var difference, size float64
	for j, v := range want {
		d := float64(got[j]) - float64(v)
		difference += d * d
		size += float64(v) * float64(v)
	}
	c.error = append(c.error, math.Sqrt(difference/size))
	p, q := logSoftmax(want), logSoftmax(got)
	var divergence float64
	for j := range p {
		divergence += math.Exp(p[j]) * (p[j] - q[j])
	}
	c.divergence = append(c.divergence, divergence)
}

func compare(want, got [][]float32) (c comparison) {
	for i, row := range want {
		c.add(row, got[i])
	}
	return c
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

func mean(x []float64) (sum float64) {
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func median(x []float64) float64 { return slices.Sorted(slices.Values(x))[len(x)/2] }

func referenceRows(t *testing.T, c *weights.Checkpoint, tokens []int32) [][]float32 {
	t.Helper()
	rows, err := reference.New(c).NewSequence(len(tokens)).Forward(tokens)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// recorded returns the tokens that a case of engine/reference was recorded with, at most n of them.
func recorded(t *testing.T, name string, n int) []int32 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../reference/testdata", name, "transformers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Tokens []int32 }
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	return golden.Tokens[:min(n, len(golden.Tokens))]
}

// wantCases is the number of small configurations in safetensors.
const wantCases = 11

// TestAgreesOnSmallConfigurations compares all rows of the recorded cases with the float32 reference and with the plain
// implementation of 8-bit activations. Products are exact integers on both sides of the latter, so what differs is the
// rounding of float32 sums, some 1e-7; where that rounds an activation of one of these narrow models the other way, the
// rows from there on differ by up to a few percent, which the median does not see. Against the reference it is 8 bits
// for 32 columns that count, four times in a layer: 2 to 5 percent of a row, the same as for the plain implementation.
func TestAgreesOnSmallConfigurations(t *testing.T) {
	folders, err := filepath.Glob("../reference/testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, folder := range folders {
		name := filepath.Base(folder)
		if _, err := os.Stat(filepath.Join(folder, "model.safetensors")); err != nil {
			continue
		}
		cases++
		t.Run(name, func(t *testing.T) {
			c, tokens := openCase(t, name), recorded(t, name, longText)
			o := options()
			o.FullPages, o.WindowPages = len(tokens)/o.PageTokens+1, len(tokens)/o.PageTokens+1
			got := run(t, newModel(t, packCheckpoint(t, c), o), tokens, 100).rows()
			exact, rounded := referenceRows(t, c, tokens), newPlain(c).forward(tokens)

			same, engine, straight := compare(rounded, got), compare(exact, got), compare(exact, rounded)
			if m, all := median(same.error), mean(same.error); !(m <= 2e-6) || !(all <= 0.01) {
				t.Errorf("error against the plain implementation: median %.2g, mean %.2g, want at most 2e-6 and 0.01", m, all)
			}
			if m := median(engine.error); !(m <= 0.06) {
				t.Errorf("error against the reference: median %.2g, want at most 0.06", m)
			}
			if e, s := mean(engine.divergence), mean(straight.divergence); !(e <= 1.1*s+1e-4) {
				t.Errorf("divergence from the reference: %.3g, and %.3g of the plain implementation", e, s)
			}
		})
	}
	if cases != wantCases {
		t.Errorf("found %d cases, want %d", cases, wantCases)
	}
}

// TestAgreesOnDemoModel lets the reference answer a few questions and compares the distributions of every token of the
// answers. Prompts do not count: the model has never learned to predict them, and what it is unsure of, any noise moves.
func TestAgreesOnDemoModel(t *testing.T) {
	const maxDivergence = 1e-3 // the product's; this test measures 3e-5
	c := openDemo(t)
	m := newModel(t, packCheckpoint(t, c), options())
	var all comparison
	different := 0
	for question, effort := range map[string]harmony.Effort{
		"Hello!": harmony.EffortLow, "": harmony.EffortHigh, "What is a pod?": harmony.EffortMedium,
		"Who wrote Hamlet?": harmony.EffortHigh, "What is 17 + 25?": harmony.EffortMedium,
	} {
		prompt := render(t, question, effort)
		tokens, want := answer(t, c, prompt)
		got := run(t, m, tokens, 100).rows()[len(prompt)-1:]
		for i := range want {
			all.add(want[i], got[i])
			if best(want[i]) != best(got[i]) {
				different++
			}
		}
	}
	if len(all.error) < 200 {
		t.Fatalf("answers of %d tokens in all are too short to tell", len(all.error))
	}
	if d := mean(all.divergence); !(d <= maxDivergence) || different > len(all.error)/100 {
		t.Errorf("divergence %.2g over %d tokens, want at most %g; %d have another likeliest token", d, len(all.error), maxDivergence, different)
	}
}

func best(logits []float32) int32 { return int32(slices.Index(logits, slices.Max(logits))) }

// render returns the token ids of a question to the demo model.
func render(t *testing.T, question string, effort harmony.Effort) []int32 {
	t.Helper()
	data, err := fs.ReadFile(demo.Files(), "tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	words, err := tokenizer.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	encoding, err := harmony.New(words)
	if err != nil {
		t.Fatal(err)
	}
	system := harmony.NewSystem()
	system.CurrentDate, system.Effort = "2025-08-05", effort
	ids, err := encoding.Render(harmony.Conversation{Messages: []harmony.Message{
		{Role: harmony.RoleSystem, Content: []harmony.Content{system}}, harmony.NewMessage(harmony.RoleUser, question),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// answer continues a prompt with the reference's likeliest tokens. Its rows are those that chose a token.
func answer(t *testing.T, c *weights.Checkpoint, prompt []int32) (tokens []int32, rows [][]float32) {
	t.Helper()
	const maxAnswer = 200
	preset, _ := model.Preset("gpt-oss-demo")
	s := reference.New(c).NewSequence(len(prompt) + maxAnswer)
	tokens = slices.Clone(prompt)
	for next := prompt; len(rows) < maxAnswer; next = tokens[len(tokens)-1:] {
		logits, err := s.Next(next)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, logits)
		id := best(logits)
		if slices.Contains(preset.EOSTokenIDs, id) {
			break
		}
		tokens = append(tokens, id)
	}
	return tokens, rows
}
