package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/model"
)

// uneven has heads that fill no block, and three layers.
func uneven() model.Config {
	c := tiny()
	c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.VocabSize = 3, 3, 1, 6, 37
	return c
}

func synthetic(t *testing.T, c model.Config, seed uint64) *Checkpoint {
	t.Helper()
	s, err := Synthetic(c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSyntheticIsTheSameEverywhere compares all values with those of the machine that this test was written on.
func TestSyntheticIsTheSameEverywhere(t *testing.T) {
	digest := func(c *Checkpoint) string {
		all := bits(c)
		names := make([]string, 0, len(all))
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		h := sha256.New()
		for _, name := range names {
			for _, v := range all[name] {
				h.Write(binary.LittleEndian.AppendUint32(nil, v))
			}
		}
		return hex.EncodeToString(h.Sum(nil)[:8])
	}
	for seed, want := range map[uint64]string{1: "b36e734bc752714d", 2: "f9016e572faa317b"} {
		if got := digest(synthetic(t, uneven(), seed)); got != want {
			t.Errorf("seed %d gives %s, want %s", seed, got, want)
		}
	}
}

// TestSyntheticTensorsDiffer looks for two tensors, or two experts of one, that are the same.
func TestSyntheticTensorsDiffer(t *testing.T) {
	c := uneven()
	c.Layers, c.Experts = 1024, 2
	s := synthetic(t, c, 1)
	seen := map[string]string{}
	note := func(name string, data []byte) {
		if other, ok := seen[string(data)]; ok {
			t.Errorf("%s and %s are the same", name, other)
		}
		seen[string(data)] = name
	}
	note("embedding", s.Embedding.Data)
	note("lm_head", s.LMHead.Data)
	for _, l := range s.Layers {
		for name, m := range map[string]Matrix{
			"query": l.Query.Weight, "key": l.Key.Weight, "value": l.Value.Weight, "output": l.Output.Weight,
			"router": l.Router.Weight, "gate and up bias": l.GateUp.Bias, "down bias": l.Down.Bias,
		} {
			note(name, m.Data)
		}
		for name, m := range map[string]MXFP4{"gate and up": l.GateUp.Weight, "down": l.Down.Weight} {
			half := len(m.Blocks) / 2
			note(name+" of one expert", m.Blocks[:half])
			note(name+" of the other", m.Blocks[half:])
		}
	}
	if len(seen) != 2+1024*11 {
		t.Errorf("compared %d tensors", len(seen))
	}
}

// TestSyntheticTakesLittleMemory counts what a layer more takes: its vectors, and nothing for its matrices.
func TestSyntheticTakesLittleMemory(t *testing.T) {
	c, _ := model.Preset("gpt-oss-demo")
	allocated := func(layers int) uint64 {
		c.Layers = layers
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		synthetic(t, c, 1)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := allocated(1), allocated(101)
	if stored := uint64(600 << 10); many-few > 100*stored/20 {
		t.Errorf("100 layers more take %d bytes, want less than a twentieth of the %d that they hold", many-few, 100*stored)
	}
}

// TestSyntheticScales checks that what goes through a model keeps its size, however wide the model is, and that random
// tokens visit all experts alike.
func TestSyntheticScales(t *testing.T) {
	for _, hidden := range []int{64, 256, 2880} {
		c := uneven()
		c.HiddenSize, c.VocabSize, c.Experts, c.ActiveExperts, c.Layers = hidden, 300, 32, 4, 1
		s := synthetic(t, c, 1)
		l := s.Layers[0]
		random := rand.New(rand.NewPCG(1, 1))
		visits := make([]int, c.Experts)
		var logits, gate []float64
		x, row := make([]float32, hidden), make([]float32, hidden)
		product := func(read func(dst []float32)) float64 {
			read(row)
			var sum float64
			for i, v := range x {
				sum += float64(v) * float64(row[i])
			}
			return sum
		}
		const tokens = 400
		for range tokens {
			for i := range x {
				x[i] = float32(random.NormFloat64())
			}
			r := random.IntN(c.VocabSize)
			logits = append(logits, product(func(dst []float32) { s.LMHead.Row(r, dst) }))
			gate = append(gate, product(func(dst []float32) { l.GateUp.Row(r%c.Experts, r%64, dst) }))
			scores := make([]float64, c.Experts)
			for e := range scores {
				scores[e] = product(func(dst []float32) { l.Router.Weight.Row(e, dst) }) + float64(l.Router.Bias[e])
			}
			sorted := slices.Sorted(slices.Values(scores))
			for e, v := range scores {
				if v >= sorted[c.Experts-c.ActiveExperts] {
					visits[e]++
				}
			}
		}
		if d := deviation(logits); d < 0.8 || d > 1.25 {
			t.Errorf("width %d: logits have a deviation of %.2f, want about 1", hidden, d)
		}
		if d := deviation(gate); d < 0.8 || d > 3.2 {
			t.Errorf("width %d: gates have a deviation of %.2f, want about 1.6", hidden, d)
		}
		if least, most := slices.Min(visits), slices.Max(visits); least < 15 || most > 110 {
			t.Errorf("width %d: experts have %d to %d visits, want about %d", hidden, least, most, tokens*c.ActiveExperts/c.Experts)
		}
	}
}

func deviation(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	n := float64(len(x))
	return math.Sqrt(squares/n - sum/n*sum/n)
}

func TestSyntheticRefuses(t *testing.T) {
	wrong, huge := tiny(), tiny()
	wrong.HiddenSize = 33
	huge.Experts, huge.IntermediateSize, huge.HiddenSize = 1<<12, 1<<16, 1<<16
	for want, c := range map[string]model.Config{
		`configuration: field "hidden_size" is 33, want a multiple of 32`: wrong,
		"a synthetic model of this configuration takes more than ":        huge,
	} {
		if _, err := Synthetic(c, 1); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want one that begins %q", err, want)
		}
	}
}

func TestSyntheticHasNoFiles(t *testing.T) {
	c := synthetic(t, tiny(), 1)
	if entries, err := fs.ReadDir(c.Files(), "."); err != nil || len(entries) > 0 {
		t.Errorf("files %v, %v, want none", entries, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c.Layout != MadeUp || bytes.Count(c.Embedding.Data, []byte{0}) == len(c.Embedding.Data) {
		t.Errorf("layout %q, or an embedding of zeros", c.Layout)
	}
}
