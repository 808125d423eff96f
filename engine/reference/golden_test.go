package reference

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/weights"
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

func TestAgreesWithOfficialImplementations(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range files {
		if filepath.Base(file) == "config.json" {
			continue
		}
		compared++
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			compare(t, file)
		})
	}
	if compared < 15 {
		t.Errorf("compared with %d recordings, want 15: 8 of transformers and 7 of OpenAI", compared)
	}
}

func compare(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	m := open(t, filepath.Dir(file))
	vocab := m.checkpoint.Config.VocabSize

	s := m.NewSequence(len(g.Tokens) + len(g.Greedy))
	logits, err := s.Forward(g.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	var worstRow, worstElement float64
	for i, want := range g.rows(t, vocab) {
		row, element := relativeErrors(logits[g.Positions[i]], want)
		if row > maxRowError || element > maxElementError {
			t.Errorf("position %d: row error %.2g, element error %.2g, want at most %g and %g",
				g.Positions[i], row, element, maxRowError, maxElementError)
		}
		worstRow, worstElement = max(worstRow, row), max(worstElement, element)
	}
	t.Logf("%s: row error %.2g, element error %.2g", g.Implementation, worstRow, worstElement)

	if diff := cmp.Diff(g.Greedy, continueGreedily(t, s, logits[len(logits)-1], len(g.Greedy))); diff != "" {
		t.Errorf("greedy tokens (-want +got):\n%s", diff)
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

func open(t *testing.T, dir string) *Model {
	t.Helper()
	c, err := weights.OpenDir(dir)
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
