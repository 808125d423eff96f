package demo_test

import (
	"encoding/json"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/reference"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// maxAnswer is the number of tokens that every answer must fit into.
const maxAnswer = 60

func open(t testing.TB) *weights.Checkpoint {
	t.Helper()
	c, err := weights.OpenFS(demo.Files())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigIsThePreset(t *testing.T) {
	want, _ := model.Preset("gpt-oss-demo")
	got := open(t).Config
	if diff := cmp.Diff(windows(want), windows(got)); diff != "" {
		t.Errorf("windows of the layers (-preset +file):\n%s", diff)
	}
	// config.json spells the layers out and has one end token; generation_config.json has all.
	got.WindowLayers, got.EOSTokenIDs = want.WindowLayers, want.EOSTokenIDs
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-preset +file):\n%s", diff)
	}
}

func windows(c model.Config) []int {
	w := make([]int, c.Layers)
	for i := range w {
		w[i] = c.Window(i)
	}
	return w
}

func TestFilesAreSmall(t *testing.T) {
	var total int64
	err := fs.WalkDir(demo.Files(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		total += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if total > 2<<20 {
		t.Errorf("the demo model has %d bytes, want at most 2 MiB", total)
	}
}

// TestAnswersAreHarmony samples from the whole distribution, without the help of top_p.
func TestAnswersAreHarmony(t *testing.T) {
	v := vocabulary(t)
	m := reference.New(open(t))
	answers := make(chan string, 100)
	t.Run("prompts", func(t *testing.T) {
		for i, prompt := range prompts(v) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for _, temperature := range samples {
					text := v.text(generate(t, m, prompt, temperature, random))
					checkHarmony(t, text)
					answers <- text
				}
			})
		}
	})
	close(answers)
	different := map[string]bool{}
	for text := range answers {
		different[text] = true
	}
	if want := 8 * len(samples); len(different) < want {
		t.Errorf("only %d different answers, want at least %d", len(different), want)
	}
}

// TestReasoningIsSkippedAfterTheWord shows the limit of the head that looks for an analysis just made: a user's word
// "analysis" right before the answer passes for one. What follows is a valid turn all the same.
func TestReasoningIsSkippedAfterTheWord(t *testing.T) {
	v := vocabulary(t)
	prompt := v.encode("<|start|>", "user", "<|message|>", "analysis", "<|end|>", "<|start|>", "assistant")
	text := v.text(generate(t, reference.New(open(t)), prompt, 0, nil))
	if final, found := strings.CutPrefix(text, "<|channel|>final<|message|>"); !found || strings.Count(final, "<|") != 1 {
		t.Errorf("answer %q, want a final message alone", text)
	}
}

// checkHarmony takes an answer apart: one analysis message, then one final message that ends the turn.
func checkHarmony(t *testing.T, text string) {
	t.Helper()
	rest, found := strings.CutPrefix(text, "<|channel|>analysis<|message|>")
	analysis, rest, ended := strings.Cut(rest, "<|end|><|start|>assistant<|channel|>final<|message|>")
	final, rest, returned := strings.Cut(rest, "<|return|>")
	if !found || !ended || !returned || rest != "" ||
		strings.Contains(analysis+final, "<|") || len(strings.Fields(analysis)) < 5 || len(strings.Fields(final)) < 10 {
		t.Errorf("answer is not a turn of Harmony: %q", text)
	}
}

// prompts returns conversations that end where the model's turn begins: plain ones and some of random bytes.
func prompts(v vocab) [][]int32 {
	random := rand.New(rand.NewPCG(3, 4))
	system := "# Valid channels: analysis, commentary, final."
	texts := []string{"Hello", "What is 2 + 2?", "final", "Write a poem about analysis and the final.", "こんにちは", ""}
	for range 5 {
		noise := make([]byte, random.IntN(40))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		texts = append(texts, string(noise))
	}
	var all [][]int32
	for _, text := range texts {
		all = append(all, v.encode("<|start|>", "system", "<|message|>", system, "<|end|>",
			"<|start|>", "user", "<|message|>", text, "<|end|>", "<|start|>", "assistant"))
	}
	again := slices.Concat(all[0], v.encode("<|channel|>", "final", "<|message|>", "Hello", "<|end|>",
		"<|start|>", "user", "<|message|>", "Hi", "<|end|>", "<|start|>", "assistant"))
	return append(all, again, v.encode("<|start|>", "assistant"))
}

func generate(t *testing.T, m *reference.Model, prompt []int32, temperature float64, random *rand.Rand) []int32 {
	t.Helper()
	s := m.NewSequence(len(prompt) + maxAnswer)
	var answer []int32
	next := prompt
	for len(answer) < maxAnswer {
		logits, err := s.Next(next)
		if err != nil {
			t.Fatal(err)
		}
		id := pick(logits, temperature, random)
		answer = append(answer, id)
		if config, _ := model.Preset("gpt-oss-demo"); slices.Contains(config.EOSTokenIDs, id) {
			return answer
		}
		next = []int32{id}
	}
	return answer
}

// pick samples from the whole distribution, or takes its top at temperature 0.
func pick(logits []float32, temperature float64, random *rand.Rand) int32 {
	top := slices.Max(logits)
	if temperature == 0 {
		return int32(slices.Index(logits, top))
	}
	p := make([]float64, len(logits))
	var total float64
	for i, v := range logits {
		p[i] = math.Exp(float64(v-top) / temperature)
		total += p[i]
	}
	u := random.Float64()
	for i := range p {
		if u -= p[i] / total; u < 0 {
			return int32(i)
		}
	}
	return int32(slices.Index(logits, top))
}

// vocab is the least of a tokenizer: whole pieces where there are, bytes else.
type vocab struct {
	ids  map[string]int32
	text func([]int32) string
}

func vocabulary(t *testing.T) vocab {
	t.Helper()
	data, err := fs.ReadFile(demo.Files(), "tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Model struct{ Vocab map[string]int32 }
		Added []struct {
			ID      int32
			Content string
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	v := vocab{ids: map[string]int32{}}
	names := map[int32]string{}
	for letters, id := range file.Model.Vocab {
		names[id] = strings.ReplaceAll(letters, "Ġ", " ")
	}
	for _, a := range file.Added {
		names[a.ID] = a.Content
	}
	for id, name := range names {
		v.ids[name] = id
	}
	v.text = func(ids []int32) string {
		var b strings.Builder
		for _, id := range ids {
			b.WriteString(names[id])
		}
		return b.String()
	}
	return v
}

func (v vocab) encode(parts ...string) []int32 {
	var ids []int32
	for _, part := range parts {
		if id, ok := v.ids[part]; ok {
			ids = append(ids, id)
			continue
		}
		for _, word := range strings.SplitAfter(part, " ") {
			if id, ok := v.ids[" "+strings.TrimSpace(word)]; ok {
				ids = append(ids, id)
				continue
			}
			for i := range len(word) {
				ids = append(ids, int32(word[i])) // the first 256 ids are the bytes
			}
		}
	}
	return ids
}

func BenchmarkNext(b *testing.B) {
	m := reference.New(open(b))
	prompt := make([]int32, 200) // about Harmony's system message and a question
	s := m.NewSequence(0)
	for b.Loop() {
		if s.Len() == s.Cap() {
			b.StopTimer()
			s = m.NewSequence(len(prompt) + maxAnswer)
			if _, err := s.Next(prompt); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if _, err := s.Next([]int32{65}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}
