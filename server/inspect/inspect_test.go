package inspect

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

var update = flag.Bool("update", false, "write the golden files")

// small is a model with four layers, of which the last has other types in GGUF.
func small() model.Config {
	return model.Config{
		VocabSize: 1000, HiddenSize: 64, IntermediateSize: 32, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 16,
		Experts: 4, ActiveExperts: 2, SlidingWindow: 8, OriginalContext: 64, MaxContext: 2048,
		RopeTheta: 150000, YaRNFactor: 32, YaRNBetaFast: 32, YaRNBetaSlow: 1, RMSNormEps: 1e-5, SwiGLULimit: 7,
	}
}

func tensors(c model.Config) []weightstest.Tensor {
	all := weightstest.Shapes(c)
	for i, t := range all {
		size := 2
		if t.DType == model.U8 {
			size = 1
		}
		for _, n := range t.Shape {
			size *= n
		}
		all[i].Data = make([]byte, size)
	}
	return all
}

// original is a model in OpenAI's layout, as a folder in memory.
func original() fs.FS {
	files := fstest.MapFS{}
	for name, data := range weightstest.Original(small(), tensors(small())) {
		files[name] = &fstest.MapFile{Data: data}
	}
	return files
}

// mixed is a GGUF model whose last layer has floats for experts.
func mixed() []byte {
	all := weightstest.GGUFTensors(small(), tensors(small()))
	for i, t := range all {
		if t.DType == model.MXFP4 && strings.HasPrefix(t.Name, "blk.3.") {
			all[i].DType, all[i].Data = model.F16, make([]byte, len(t.Data)/17*64)
		}
	}
	words := []weightstest.Pair{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.tokens", Value: []string{"<|return|>", "<|call|>"}},
		{Key: "tokenizer.ggml.merges", Value: []string{}},
	}
	return weightstest.WriteGGUF(append(weightstest.Metadata(small()), words...), all)
}

func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Run(t.Context(), args, original(), &out, &errs)
	return status, out.String(), errs.String()
}

func TestGolden(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("small.gguf", mixed(), 0o600); err != nil {
		t.Fatal(err)
	}
	packSmall(t, "small.gptoss")
	tests := map[string][]string{
		"original.txt":     {"demo"},
		"gguf.txt":         {"small.gguf", "--context-length", "100", "--sequences=3"},
		"gguf-tensors.txt": {"--tensors", "small.gguf"},
		"gguf.json":        {"small.gguf", "--output=json"},
		"preset-20b.txt":   {"--preset", "gpt-oss-20b"},
		"preset-120b.txt":  {"--preset=gpt-oss-120b", "--context-length=8192", "--sequences=16"},
		"packed.txt":       {"small.gptoss", "--sequences=2"},
		"help.txt":         {"--help"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			status, got, errs := run(t, args...)
			if status != 0 || errs != "" {
				t.Fatalf("status %d, %q", status, errs)
			}
			compareGolden(t, name, got)
		})
	}
}

// packSmall writes the small model as packed weights.
func packSmall(t *testing.T, path string) {
	t.Helper()
	c, err := weights.OpenFS(original())
	if err != nil {
		t.Fatal(err)
	}
	w, err := packed.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cpu.Pack(w, c, nil), w.Commit(), c.Close()); err != nil {
		t.Fatal(err)
	}
}

// source is where the tests lie; a test that changes its folder needs it.
var source = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(source, "testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	cut := filepath.Join(dir, "cut.gptoss")
	if err := os.WriteFile(cut, []byte("GPTOSSPK and then nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken.gguf")
	if err := os.WriteFile(broken, []byte("GGUF and then nothing that is one"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args   []string
		status int
		want   string
	}{
		"nothing":               {nil, 2, "gptoss-server inspect: want the path of a model; see --help\n"},
		"two paths":             {[]string{"a", "--tensors", "b"}, 2, "want one path, not 2"},
		"a path and a preset":   {[]string{"a", "--preset=gpt-oss-20b"}, 2, "want a path or --preset, not both"},
		"an unknown flag":       {[]string{"a", "--color"}, 2, "flag provided but not defined: -color"},
		"an unknown output":     {[]string{"a", "--output=yaml"}, 2, `--output is "yaml", want text or json`},
		"no sequences":          {[]string{"a", "--sequences=0"}, 2, "--sequences is 0, want 1 or more"},
		"a negative context":    {[]string{"a", "--context-length=-1"}, 2, "--context-length is -1, want 1 or more"},
		"a context too long":    {[]string{"demo", "--context-length=4096"}, 1, "--context-length is 4096, want at most the model's 2048"},
		"an unknown preset":     {[]string{"--preset=gpt-oss-7b"}, 1, `no preset "gpt-oss-7b", want gpt-oss-20b or gpt-oss-120b`},
		"a path to nothing":     {[]string{filepath.Join(dir, "none")}, 1, "none: want a folder with config.json and model.safetensors, or a .gguf file"},
		"an empty folder":       {[]string{t.TempDir()}, 1, "no model in the folder"},
		"a packed file cut off": {[]string{cut}, 1, "cut.gptoss: half-written"},
		"a file that is not it": {[]string{broken}, 1, "broken.gguf: is a GGUF file of version"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			status, out, errs := run(t, tc.args...)
			if status != tc.status || out != "" || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("status %d, output %q, error %q, want %d, none and %q in one line", status, out, errs, tc.status, tc.want)
			}
		})
	}
}

// TestProblem describes a model that the engine cannot compute with, and says so.
func TestProblem(t *testing.T) {
	all := weightstest.GGUFTensors(small(), tensors(small()))
	for i := range all {
		if all[i].Name == "blk.2.ffn_up_exps.weight" {
			all[i].DType, all[i].Shape, all[i].Data = "Q4_K", []int{4, 32, 256}, make([]byte, 4*32*144)
			all = append(all, weightstest.Tensor{Name: "evil\x1b[2J", DType: model.F32, Shape: []int{1}, Data: make([]byte, 4)})
		}
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(path, weightstest.WriteGGUF(weightstest.Metadata(small()), all), 0o600); err != nil {
		t.Fatal(err)
	}
	const problem = `x.gguf: tensor "blk.2.ffn_up_exps.weight": type Q4_K, want MXFP4`
	status, out, errs := run(t, path)
	if status != 1 || !strings.Contains(errs, problem) || !strings.Contains(out, "Problem     "+problem) || !strings.Contains(out, "Q4_K") {
		t.Errorf("status %d, error %q, output\n%s", status, errs, out)
	}
	if strings.Contains(out, "\x1b") || !strings.Contains(out, `evil\x1b[2J`) {
		t.Errorf("a tensor's name reaches the terminal as it is:\n%s", out)
	}
}

// TestReadsNoTensor inspects a file of 60 GiB that is a hole beyond its head.
func TestReadsNoTensor(t *testing.T) {
	big, _ := model.Preset("gpt-oss-120b")
	path := filepath.Join(t.TempDir(), "gpt-oss-120b.gguf")
	if err := weightstest.SparseGGUF(path, weightstest.Metadata(big), weightstest.GGUFTensors(big, weightstest.Shapes(big))); err != nil {
		t.Skip("no room for a sparse file of 60 GiB: ", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	status, out, errs := run(t, path)
	runtime.ReadMemStats(&after)
	if status != 0 || !strings.Contains(out, "GGUF, 1 file, 60.77 GiB") {
		t.Errorf("status %d, error %q, output\n%s", status, errs, out)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("allocated %d bytes, want at most 8 MiB", got)
	}
}
