package cpu

import (
	"bytes"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

// oddConfig is a small model whose rows fill no tile and whose heads fill no block.
func oddConfig() model.Config {
	return model.Config{
		VocabSize: 37, HiddenSize: 64, IntermediateSize: 32, Layers: 3, Heads: 3, KVHeads: 1, HeadDim: 6,
		Experts: 3, ActiveExperts: 2, SlidingWindow: 4, OriginalContext: 32, MaxContext: 64,
		RopeTheta: 10000, YaRNFactor: 2, YaRNBetaFast: 4, YaRNBetaSlow: 1, RMSNormEps: 1e-5, SwiGLULimit: 7,
		EOSTokenIDs: []int32{3}, WindowLayers: []bool{true, true, false},
	}
}

// randomTensors makes up finite weights.
func randomTensors(c model.Config) []weightstest.Tensor {
	r := rand.New(rand.NewPCG(7, 7))
	all := weightstest.Shapes(c)
	for i, t := range all {
		size := 1
		for _, n := range t.Shape {
			size *= n
		}
		for range size {
			switch {
			case strings.HasSuffix(t.Name, "_scales"):
				all[i].Data = append(all[i].Data, byte(r.IntN(255)))
			case t.DType == model.U8:
				all[i].Data = append(all[i].Data, byte(r.IntN(256)))
			default: // bfloat16 from 2^-15 up
				all[i].Data = append(all[i].Data, byte(r.IntN(256)), byte(0x38+r.IntN(8)+r.IntN(2)*128))
			}
		}
	}
	return all
}

// folderOf is a model as a folder in memory.
func folderOf(t testing.TB, c model.Config, tensors []weightstest.Tensor) fstest.MapFS {
	t.Helper()
	about, err := aboutModel(&weights.Checkpoint{Config: c, Vocabulary: &weights.Vocabulary{}})
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		"config.json":            &fstest.MapFile{Data: about[1].data},
		"model.safetensors":      &fstest.MapFile{Data: weightstest.Safetensors(tensors)},
		"tokenizer.json":         &fstest.MapFile{Data: []byte("words")},
		"generation_config.json": &fstest.MapFile{Data: []byte("{}")},
	}
}

func openFS(t testing.TB, fsys fs.FS) *weights.Checkpoint {
	t.Helper()
	c, err := weights.OpenFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// packFile packs a checkpoint into a file and opens that.
func packFile(t testing.TB, c *weights.Checkpoint, progress func(done, total int64)) *packed.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	w, err := packed.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Pack(w, c, progress); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	f, err := packed.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// sectionsOf returns the sections with weights, of a file or of what FromCheckpoint makes.
func sectionsOf(f *packed.File) map[string][]byte {
	all := map[string][]byte{}
	for _, s := range f.Sections() {
		all[s.Name], _ = f.Section(s.Name)
	}
	for _, name := range []string{formatName, configName, generationName, tokenizerName, vocabularyName} {
		delete(all, name)
	}
	return all
}

func inMemory(t testing.TB, c *weights.Checkpoint) memory { return inMemoryBy(t, c, 1) }

func inMemoryBy(t testing.TB, c *weights.Checkpoint, packers int) memory {
	t.Helper()
	sections, err := tensorSections(c)
	if err != nil {
		t.Fatal(err)
	}
	m := memory{}
	if err := writeSections(&memoryWriter{to: m}, sections, packers, nil); err != nil {
		t.Fatal(err)
	}
	return m
}

// sameSections compares without printing megabytes.
func sameSections(t *testing.T, want, got map[string][]byte) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	for name := range want {
		if !bytes.Equal(want[name], got[name]) {
			t.Errorf("section %s differs", name)
		}
	}
}

// TestPackEqualsMemory packs to a file and into memory, and loads both.
func TestPackEqualsMemory(t *testing.T) {
	checkpoints := map[string]*weights.Checkpoint{
		"demo": openFS(t, demo.Files()),
		"odd":  openFS(t, folderOf(t, oddConfig(), randomTensors(oddConfig()))),
	}
	for name, c := range checkpoints {
		t.Run(name, func(t *testing.T) {
			var last, total, calls int64
			f := packFile(t, c, func(done, all int64) {
				if done < last || done > all || calls > 0 && all != total {
					t.Errorf("progress went from %d of %d to %d of %d", last, total, done, all)
				}
				last, total, calls = done, all, calls+1
			})
			if last != total || calls < 10 {
				t.Errorf("progress ended at %d of %d after %d calls", last, total, calls)
			}
			if err := f.Verify(); err != nil {
				t.Error(err)
			}
			for _, packers := range []int{1, 3, maxPackers} {
				sameSections(t, inMemoryBy(t, c, packers), sectionsOf(f))
			}
			got, err := Load(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.check(); err != nil {
				t.Error(err)
			}
			sameWeights(t, c, got)
			if diff := cmp.Diff(c.Config, got.Config); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if v, err := Vocabulary(f); v != nil || err != nil {
				t.Errorf("a vocabulary from nowhere: %v, %v", v, err)
			}
			for _, name := range []string{tokenizerName, generationName} {
				wantFile, err := fs.ReadFile(c.Files(), name)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := fs.ReadFile(f, name); err != nil || !bytes.Equal(got, wantFile) {
					t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(wantFile), err)
				}
			}
		})
	}
}

// sameWeights compares what lies in the fields of the last layer with the checkpoint's.
func sameWeights(t *testing.T, c *weights.Checkpoint, w *Weights) {
	t.Helper()
	want, got := c.Layers[len(c.Layers)-1], w.Layers[len(w.Layers)-1]
	vectors := map[string][2][]float32{
		"attention norm": {want.AttentionNorm, got.AttentionNorm},
		"qkv bias":       {slices.Concat(want.Query.Bias, want.Key.Bias, want.Value.Bias), got.QKVBias},
		"sinks":          {want.Sinks, got.Sinks},
		"output bias":    {want.Output.Bias, got.OutputBias},
		"mlp norm":       {want.MLPNorm, got.MLPNorm},
		"router":         {rowsOf(want.Router.Weight, want.Router.Weight.Cols), got.Router},
		"router bias":    {want.Router.Bias, got.RouterBias},
		"gate, up bias":  {rowsOf(want.GateUp.Bias, want.GateUp.Bias.Cols), got.GateUpBias},
		"down bias":      {rowsOf(want.Down.Bias, want.Down.Bias.Cols), got.DownBias},
		"final norm":     {c.FinalNorm, w.FinalNorm},
	}
	for name, v := range vectors {
		if !slices.Equal(v[0], v[1]) {
			t.Errorf("%s differs", name)
		}
	}
	for e := range got.GateUp {
		for name, m := range map[string]struct {
			want weights.MXFP4
			got  *kernel.MXFP4
		}{"gate and up": {want.GateUp.Weight, &got.GateUp[e]}, "down": {want.Down.Weight, &got.Down[e]}} {
			data := wholeMXFP4(t, m.want)
			size := len(data) / m.want.Experts
			whole, err := kernel.NewMXFP4(data[e*size:(e+1)*size], m.want.Rows, m.want.Cols)
			if err != nil {
				t.Fatal(err)
			}
			sameProducts(t, name, &whole, m.got)
		}
	}
}

// TestLoadIsAView makes sure that loading copies nothing.
func TestLoadIsAView(t *testing.T) {
	f := packFile(t, openFS(t, demo.Files()), nil)
	w, err := Load(f)
	if err != nil {
		t.Fatal(err)
	}
	allocated := testing.AllocsPerRun(3, func() {
		if _, err := loadWeights(f, w.Config); err != nil {
			t.Error(err)
		}
	})
	if most := float64(20 * len(w.Layers)); allocated > most {
		t.Errorf("%v allocations, want at most %v", allocated, most)
	}
	first, _ := f.Section("embedding")
	if got, ok := view[uint16](first); !ok || &got[0] != &w.Embedding[0] {
		t.Error("the embedding is a copy")
	}
}

// TestPackIsPackingWhole compares with packing each matrix at once, from the rows that the checkpoint decodes.
func TestPackIsPackingWhole(t *testing.T) {
	c := openFS(t, folderOf(t, oddConfig(), randomTensors(oddConfig())))
	got := inMemory(t, c)
	for i, l := range c.Layers {
		p := layerPrefix(i)
		want := map[string][]byte{
			"qkv":     wholeInt8(t, l.Query.Weight, l.Key.Weight, l.Value.Weight),
			"output":  wholeInt8(t, l.Output.Weight),
			"gate_up": wholeMXFP4(t, l.GateUp.Weight),
			"down":    wholeMXFP4(t, l.Down.Weight),
			"sinks":   floatBytes(l.Sinks),
			"qkv_bias": floatBytes(slices.Concat(
				l.Query.Bias, l.Key.Bias, l.Value.Bias)),
			"router":       floatBytes(rowsOf(l.Router.Weight, l.Router.Weight.Cols)),
			"gate_up_bias": floatBytes(rowsOf(l.GateUp.Bias, l.GateUp.Bias.Cols)),
			"down_bias":    floatBytes(rowsOf(l.Down.Bias, l.Down.Bias.Cols)),
		}
		for name, data := range want {
			if !bytes.Equal(data, got[p+name]) {
				t.Errorf("section %s: differs", p+name)
			}
		}
	}
	if !bytes.Equal(got["embedding"], c.Embedding.Data) || !bytes.Equal(got["lm_head"], wholeInt8(t, c.LMHead)) {
		t.Error("the embedding, which is bfloat16 already, or lm_head differs")
	}
}

func floatBytes(x []float32) []byte {
	b := make([]byte, 4*len(x))
	putFloats(b, x)
	return b
}

// rowsOf decodes a matrix into rows of the given width.
func rowsOf(m weights.Matrix, width int) []float32 {
	all := make([]float32, m.Rows*width)
	for r := range m.Rows {
		m.Row(r, all[r*width:(r+1)*width])
	}
	return all
}

func wholeInt8(t *testing.T, parts ...weights.Matrix) []byte {
	t.Helper()
	cols := (parts[0].Cols + 31) / 32 * 32
	var all []float32
	for _, m := range parts {
		all = append(all, rowsOf(m, cols)...)
	}
	size, err := kernel.Int8Bytes(len(all)/cols, cols)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	if err := kernel.PackInt8(data, all, len(all)/cols, cols); err != nil {
		t.Fatal(err)
	}
	return data
}

func wholeMXFP4(t *testing.T, m weights.MXFP4) (all []byte) {
	t.Helper()
	size, err := kernel.MXFP4Bytes(m.Rows, m.Cols)
	if err != nil {
		t.Fatal(err)
	}
	for e := range m.Experts {
		data, n := make([]byte, size), m.Rows*m.Cols/2
		if err := kernel.PackMXFP4(data, m.Blocks[e*n:(e+1)*n], m.Scales[e*n/16:(e+1)*n/16], m.Rows, m.Cols); err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}
