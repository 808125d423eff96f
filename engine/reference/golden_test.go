package reference

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

// safetensors is the layout that the cases are recorded in.
const safetensors = "safetensors"

const (
	wantRecordings = 23 // of transformers and of OpenAI
	wantRuns       = 32 // the rounded ramp fits into one layout, the file of ggml is one, the other cases fit into three
)

// The agreement asked for: over a whole row of logits, |got−want| relative to the row's largest magnitude, and for each
// logit of at least a tenth of that, relative to itself.
const (
	maxRowError     = 1e-4
	maxElementError = 1e-4
	elementFloor    = 0.1
)

// golden is what hack/golden recorded from one implementation.
type golden struct {
	Implementation string  `json:"implementation"`
	Tokens         []int32 `json:"tokens"`
	Positions      []int   `json:"positions"`
	Logits         string  `json:"logits"` // base64 of float32, [positions][vocab]
	Greedy         []int32 `json:"greedy"`
}

func (g golden) rows(t *testing.T, vocab int) [][]float32 {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(g.Logits)
	if err != nil {
		t.Fatal(err)
	}
	if want := 4 * vocab * len(g.Positions); len(raw) != want || want == 0 {
		t.Fatalf("%d bytes of logits, want %d", len(raw), want)
	}
	rows := newRows(len(g.Positions), vocab)
	for i := range rows {
		for j := range rows[i] {
			rows[i][j] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(i*vocab+j):]))
		}
	}
	return rows
}

// TestAgreesWithOfficialImplementations reads every recorded configuration through every layout that can express it.
func TestAgreesWithOfficialImplementations(t *testing.T) {
	folders, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	recordings, runs := 0, 0
	for _, folder := range folders {
		var all []golden
		for _, name := range []string{"transformers.json", "openai.json"} {
			if g, ok := readGolden(t, filepath.Join(folder, name)); ok {
				all = append(all, g)
			}
		}
		recordings += len(all)
		for layout, m := range openLayouts(t, folder) {
			runs++
			t.Run(filepath.Base(folder)+" from "+layout, func(t *testing.T) {
				t.Parallel()
				if layout != safetensors && len(all) > 0 && len(all[0].Tokens) > longTexts {
					t.Skip("too slow with the race detector")
				}
				compare(t, m, all)
			})
		}
	}
	if recordings != wantRecordings || runs != wantRuns {
		t.Errorf("found %d recordings and made %d runs, want %d and %d", recordings, runs, wantRecordings, wantRuns)
	}
}

func readGolden(t *testing.T, file string) (golden, bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return golden{}, false
	}
	var g golden
	if err := errors.Join(err, json.Unmarshal(data, &g)); err != nil {
		t.Fatal(err)
	}
	return g, true
}

// compare runs the model once on what all implementations were given.
func compare(t *testing.T, m *Model, all []golden) {
	if len(all) == 0 {
		t.Fatal("no recording")
	}
	tokens, steps := all[0].Tokens, len(all[0].Greedy)
	s := m.NewSequence(len(tokens) + steps)
	logits, err := s.Forward(tokens)
	if err != nil {
		t.Fatal(err)
	}
	decoded := continueGreedily(t, s, logits[len(logits)-1], steps)
	for _, g := range all {
		if !slices.Equal(g.Tokens, tokens) {
			t.Fatalf("%s was given other tokens", g.Implementation)
		}
		var worstRow, worstElement float64
		for i, want := range g.rows(t, m.checkpoint.Config.VocabSize) {
			row, element := relativeErrors(logits[g.Positions[i]], want)
			if row > maxRowError || element > maxElementError {
				t.Errorf("%s, position %d: row error %.2g, element error %.2g, want at most %g and %g",
					g.Implementation, g.Positions[i], row, element, maxRowError, maxElementError)
			}
			worstRow, worstElement = max(worstRow, row), max(worstElement, element)
		}
		t.Logf("%s: row error %.2g, element error %.2g", g.Implementation, worstRow, worstElement)
		if diff := cmp.Diff(g.Greedy, decoded); diff != "" {
			t.Errorf("%s: greedy tokens (-want +got):\n%s", g.Implementation, diff)
		}
	}
}

// relativeErrors returns the largest difference relative to the row's magnitude, and relative to the element where that
// is not tiny. A NaN anywhere is an infinite error.
func relativeErrors(got, want []float32) (row, element float64) {
	var magnitude float64
	for _, v := range want {
		magnitude = max(magnitude, math.Abs(float64(v)))
	}
	for i, v := range want {
		difference := math.Abs(float64(got[i]) - float64(v))
		if math.IsNaN(difference) {
			return math.Inf(1), math.Inf(1)
		}
		row = max(row, difference/magnitude)
		if size := math.Abs(float64(v)); size >= elementFloor*magnitude {
			element = max(element, difference/size)
		}
	}
	return row, element
}

// continueGreedily decodes n tokens one at a time, through the cache.
func continueGreedily(t *testing.T, s *Sequence, logits []float32, n int) []int32 {
	t.Helper()
	var tokens []int32
	for range n {
		best := 0
		for i, v := range logits {
			if v > logits[best] {
				best = i
			}
		}
		tokens = append(tokens, int32(best))
		var err error
		if logits, err = s.Next(tokens[len(tokens)-1:]); err != nil {
			t.Fatal(err)
		}
	}
	return tokens
}

// openLayouts opens a case from its folder and, rewritten in memory, in the other two layouts.
func openLayouts(t *testing.T, folder string) map[string]*Model {
	t.Helper()
	if _, err := os.Stat(filepath.Join(folder, "model.safetensors")); err != nil {
		return map[string]*Model{"GGUF by its own library": open(t, folder)}
	}
	models := map[string]*Model{safetensors: open(t, folder)}
	config := models[safetensors].checkpoint.Config
	if config.YaRNTruncate {
		return models // the other two layouts cannot say that the ramp is rounded
	}
	file, err := os.ReadFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	tensors := weightstest.ReadSafetensors(file)
	original := fstest.MapFS{}
	for name, data := range weightstest.Original(config, tensors) {
		original["original/"+name] = &fstest.MapFile{Data: data}
	}
	for layout, files := range map[string]fs.FS{
		"original": original,
		"GGUF":     fstest.MapFS{"model.gguf": &fstest.MapFile{Data: weightstest.GGUF(config, tensors)}},
	} {
		c, err := weights.OpenFS(files)
		if err != nil {
			t.Fatal(err)
		}
		models[layout] = New(c)
	}
	return models
}

func open(t *testing.T, path string) *Model {
	t.Helper()
	c, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(c)
}
