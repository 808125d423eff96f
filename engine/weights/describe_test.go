package weights

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

func TestDescribe(t *testing.T) {
	f := sharded(tinyTensors())
	got, err := Describe(f.dir(t))
	if err != nil {
		t.Fatal(err)
	}
	const first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	want := &Description{
		Layout: HuggingFace, Config: tiny(),
		Files: []FileInfo{{first, int64(len(f[first]))}, {second, int64(len(f[second]))}},
	}
	for i, x := range tinyTensors() {
		info := TensorInfo{Name: x.Name, Type: x.DType, File: first, Bytes: int64(len(x.Data))}
		if i >= len(tinyTensors())/2 {
			info.File = second
		}
		for _, n := range x.Shape {
			info.Shape = append(info.Shape, int64(n))
		}
		want.Tensors = append(want.Tensors, info)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("description (-want +got):\n%s", diff)
	}
	fromFS, err := DescribeFS(f.fs())
	if diff := cmp.Diff(got, fromFS); diff != "" || err != nil {
		t.Errorf("error %v, description (-folder +fs):\n%s", err, diff)
	}
}

func TestDescribeSaysWhatIsWrong(t *testing.T) {
	tensors := weightstest.GGUFTensors(tiny(), tinyTensors())
	for i := range tensors {
		if tensors[i].Name == "blk.0.ffn_up_exps.weight" {
			tensors[i].DType, tensors[i].Shape, tensors[i].Data = "Q4_K", []int{2, 32, 256}, make([]byte, 2*32*144)
		}
	}
	d, err := DescribeFS(folder{"x.gguf": weightstest.WriteGGUF(weightstest.Metadata(tiny()), tensors)}.fs())
	if err != nil {
		t.Fatal(err)
	}
	wantSentence(t, d.Problem, `x.gguf: tensor "blk.0.ffn_up_exps.weight": type Q4_K, want MXFP4`)
	if len(d.Tensors) != len(tensors) {
		t.Errorf("%d tensors, want %d", len(d.Tensors), len(tensors))
	}

	words := set(append(weightstest.Metadata(tiny()), vocabulary()...), mergesKey, make([]string, brief+1))
	d, err = DescribeFS(folder{"x.gguf": weightstest.WriteGGUF(words, weightstest.GGUFTensors(tiny(), tinyTensors()))}.fs())
	if want := []int32{3, 1}; err != nil || d.Problem != nil || !slices.Equal(d.Config.EOSTokenIDs, want) {
		t.Errorf("a vocabulary of many merges: error %v, problem %v, want end tokens %v", err, d.Problem, want)
	}

	_, err = DescribeFS(folder{"x.gguf": []byte("GGUF")}.fs())
	wantSentence(t, err, "x.gguf: 4 bytes long")
}

// TestDescribeReadsHeadsOnly describes files of 60 GiB and more that are holes beyond their heads, and opens one whose
// tensors are then mapped.
func TestDescribeReadsHeadsOnly(t *testing.T) {
	big, _ := model.Preset("gpt-oss-120b")
	safetensors, gguf := t.TempDir(), filepath.Join(t.TempDir(), "gpt-oss-120b.gguf")
	all := weightstest.Shapes(big)
	err := errors.Join(
		weightstest.SparseSafetensors(filepath.Join(safetensors, "model.safetensors"), weightstest.OriginalTensors(big, all)),
		weightstest.SparseGGUF(gguf, weightstest.Metadata(big), weightstest.GGUFTensors(big, all)))
	if err != nil {
		t.Skip("no room for a sparse file of 60 GiB: ", err)
	}
	config := weightstest.Original(big, all)[configName]
	if err := os.WriteFile(filepath.Join(safetensors, configName), config, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{safetensors, gguf} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := Describe(path)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if d.Problem != nil {
			t.Error(d.Problem)
		}
		if d.Files[0].Size < 60<<30 {
			t.Errorf("%s: %d bytes, want at least 60 GiB", d.Layout, d.Files[0].Size)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
			t.Errorf("%s: allocated %d bytes, want at most 8 MiB", d.Layout, got)
		}
		if diff := cmp.Diff(big, d.Config, cmpopts.IgnoreFields(model.Config{}, "EOSTokenIDs")); diff != "" {
			t.Errorf("%s: configuration (-want +got):\n%s", d.Layout, diff)
		}
	}
	c, err := Open(safetensors)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Layers[35].Down.Weight.Experts; got != 128 {
		t.Errorf("%d experts in the last layer, want 128", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenMapsExperts opens a GGUF file of 13 GiB, nearly all of which is a hole, and copies little of it.
func TestOpenMapsExperts(t *testing.T) {
	preset, _ := model.Preset("gpt-oss-20b")
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := weightstest.SparseGGUF(path, weightstest.Metadata(preset), weightstest.GGUFTensors(preset, weightstest.Shapes(preset))); err != nil {
		t.Skip("no room for a sparse file of 13 GiB: ", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := Open(path)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
		t.Errorf("allocated %d bytes, want at most 32 MiB: the biases of gate and up, and vectors", got)
	}
	row := make([]float32, preset.HiddenSize)
	if c.Layers[23].GateUp.Row(31, 5759, row); row[2879] != 0 || c.Layers[23].GateUp.Rows() != 5760 {
		t.Errorf("the last expert has %d rows, the last of which ends in %v", c.Layers[23].GateUp.Rows(), row[2879])
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestDescribePassesOverVocabularies describes a file with as long a vocabulary as the published ones have.
func TestDescribePassesOverVocabularies(t *testing.T) {
	const tokens, merges = model.PublishedVocabulary, 446_189
	words, pairs := make([]string, tokens), make([]string, merges)
	for i := range words {
		words[i] = "token"
	}
	for i := range pairs {
		pairs[i] = "left right"
	}
	words[200002], words[199999], words[200012] = "<|return|>", "<|endoftext|>", "<|call|>"
	preset, _ := model.Preset("gpt-oss-20b")
	metadata := append(weightstest.Metadata(preset),
		weightstest.Pair{Key: "tokenizer.ggml.model", Value: "gpt2"}, weightstest.Pair{Key: tokensKey, Value: words},
		weightstest.Pair{Key: "tokenizer.ggml.merges", Value: pairs})
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := weightstest.SparseGGUF(path, metadata, weightstest.GGUFTensors(preset, weightstest.Shapes(preset))); err != nil {
		t.Skip("no room for a sparse file of 13 GiB: ", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d, err := Describe(path)
	runtime.ReadMemStats(&after)
	if err != nil || d.Problem != nil {
		t.Fatal(err, d.Problem)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("allocated %d bytes, want at most 4 MiB", got)
	}
	if diff := cmp.Diff(preset, d.Config); diff != "" {
		t.Errorf("configuration (-preset +file):\n%s", diff)
	}
	l, err := list(path, whole)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(preset, l.config); diff != "" {
		t.Errorf("configuration by name (-preset +file):\n%s", diff)
	}
	if v := l.vocabulary; v == nil || len(v.Tokens) != tokens || len(v.Merges) != merges || v.Pre != "gpt-4o" {
		t.Error("the vocabulary is not whole")
	}
}
