package synth

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
)

func run(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Run(ctx, args, func(string) string { return "" }, &out, &errs)
	return status, out.String(), errs.String()
}

const tinyConfig = `{"model_type":"gpt_oss","vocab_size":300,"hidden_size":64,"intermediate_size":32,"num_hidden_layers":4,
"num_attention_heads":4,"num_key_value_heads":2,"head_dim":8,"num_local_experts":4,"num_experts_per_tok":2,
"sliding_window":4,"max_position_embeddings":64,"rope_theta":10000,
"layer_types":["full_attention","full_attention","sliding_attention","full_attention"],
"rope_scaling":{"rope_type":"yarn","factor":2,"beta_fast":4,"beta_slow":1,"truncate":false,"original_max_position_embeddings":32}}`

// place writes a file into a folder of its own and returns the path.
func place(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// digest checks all of a packed file and returns its configuration and digest.
func digest(t *testing.T, path string) (model.Config, string) {
	t.Helper()
	f, err := packed.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := cpu.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(); err != nil {
		t.Error(err)
	}
	words, err := cpu.Vocabulary(f)
	if err != nil || (words == nil) != (w.Config.VocabSize < 264) || words != nil && len(words.Tokens) != w.Config.VocabSize {
		t.Errorf("the vocabulary is %v, %v", words, err)
	}
	config := w.Config
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	return config, f.Digest()
}

// packAgain packs a GGUF file.
func packAgain(t *testing.T, gguf string) string {
	t.Helper()
	c, err := weights.Open(gguf)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "again")
	w, err := packed.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := cpu.Pack(w, c, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return path
}

// TestSynth makes the same models in both formats: packed, the GGUF file is the packed one.
func TestSynth(t *testing.T) {
	small := strings.Replace(tinyConfig, `"vocab_size":300`, `"vocab_size":200`, 1)
	tests := map[string]struct {
		args         []string
		layers, size int
		note         string
	}{
		"a preset":               {[]string{"--model=gpt-oss-demo"}, 6, 1216, ""},
		"a preset, shortened":    {[]string{"--model", "gpt-oss-demo", "--layers=2"}, 2, 1216, ""},
		"a preset, another seed": {[]string{"--model", "gpt-oss-demo", "--layers=2", "--seed=7"}, 2, 1216, ""},
		"a file":                 {[]string{"--config", place(t, "config.json", tinyConfig)}, 4, 300, ""},
		"a file, shortened":      {[]string{"--config", place(t, "config.json", tinyConfig), "--layers=3"}, 3, 300, ""},
		"few tokens": {
			[]string{"--config", place(t, "config.json", small)},
			4, 200,
			"Its 200 tokens have no room for all bytes and the words of a conversation: it cannot be served.\n",
		},
	}
	took := regexp.MustCompile(` in [0-9ms]+`)
	seen := map[string]string{}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var files []string
			for _, dest := range []string{filepath.Join(dir, "x.gptoss"), filepath.Join(dir, "x.gguf")} {
				status, out, errs := run(t.Context(), append([]string{dest}, tc.args...)...)
				if status != 0 || !strings.HasPrefix(errs, "making up weights\n") || !strings.HasSuffix(errs, "waiting until it is on the disk\n") {
					t.Fatalf("status %d, stderr %q", status, errs)
				}
				want := tc.note + "Serve it with: gptoss-server --model=" + dest + "\n"
				if first, rest, _ := strings.Cut(took.ReplaceAllString(out, ""), "\n"); !strings.HasPrefix(first, dest+" is complete: ") || rest != want {
					t.Errorf("output %q, want an end of %q", out, want)
				}
				files = append(files, dest)
			}
			config, straight := digest(t, files[0])
			if config.Layers != tc.layers || config.VocabSize != tc.size {
				t.Errorf("%d layers and %d tokens, want %d and %d", config.Layers, config.VocabSize, tc.layers, tc.size)
			}
			if _, by := digest(t, packAgain(t, files[1])); by != straight {
				t.Errorf("packed from GGUF it is %s, want %s", by, straight)
			}
			if other, ok := seen[straight]; ok {
				t.Errorf("the same file as with %q", other)
			}
			seen[straight] = name
			if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
				t.Errorf("in the folder are %v, %v", left, err)
			}
		})
	}
}

// TestSynthComputes runs a model: its logits are finite and of the size of a real one's.
func TestSynthComputes(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "x")
	if status, out, errs := run(t.Context(), "--quiet", "--model=gpt-oss-demo", dest); status != 0 || out+errs != "" {
		t.Fatalf("status %d, %q", status, out+errs)
	}
	f, err := packed.Open(dest)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	w, err := cpu.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	m, err := cpu.New(w, cpu.Options{Threads: 1, PageTokens: 32, FullPages: 2, WindowPages: 2, MaxTokens: 64, MaxLogits: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tokens := make([]int32, 64)
	for i := range tokens {
		tokens[i] = int32(i * 17 % w.Config.VocabSize)
	}
	logits := make([]float32, len(tokens)*w.Config.VocabSize)
	pages := []int32{0, 1}
	if err := m.Step([]cpu.Sequence{{Tokens: tokens, Full: pages, Window: pages, Logits: logits}}); err != nil {
		t.Fatal(err)
	}
	var sum, squares float64
	for _, v := range logits {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	n := float64(len(logits))
	if d := math.Sqrt(squares/n - sum/n*sum/n); !(d > 0.8 && d < 1.25) {
		t.Errorf("logits have a deviation of %v, want about 1", d)
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	there, gguf, foreign := filepath.Join(dir, "there"), filepath.Join(dir, "there.gguf"), filepath.Join(dir, "foreign.gguf")
	for _, path := range []string{there, gguf} {
		if status, _, errs := run(t.Context(), "--model=gpt-oss-demo", "--layers=1", path); status != 0 {
			t.Fatal(errs)
		}
	}
	if err := os.WriteFile(foreign, []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, bad := place(t, "config.json", tinyConfig), place(t, "config.json", "{}")
	huge := place(t, "config.json", strings.NewReplacer(`"num_local_experts":4`, `"num_local_experts":4096`,
		`"hidden_size":64,"intermediate_size":32`, `"hidden_size":65536,"intermediate_size":65536`).Replace(tinyConfig))
	limit := place(t, "config.json", strings.Replace(tinyConfig, `"vocab_size"`, `"swiglu_limit":5,"vocab_size"`, 1))
	x := filepath.Join(dir, "x")
	tests := map[string]struct {
		args   []string
		status int
		want   string
	}{
		"nothing":                    {nil, 2, "want one DEST, not 0 paths; see --help"},
		"two paths":                  {[]string{x, "y"}, 2, "want one DEST, not 2 paths; see --help"},
		"an empty path":              {[]string{""}, 2, "want a path that is not empty; see --help"},
		"an unknown flag":            {[]string{x, "--fast"}, 2, "flag provided but not defined: -fast; see --help"},
		"model and file":             {[]string{x, "--model=gpt-oss-20b", "--config=c"}, 2, "want --model or --config, not both; see --help"},
		"no layers":                  {[]string{x, "--layers=0"}, 2, "--layers 0: must be at least 1; see --help"},
		"another format":             {[]string{x, "--format=onnx"}, 2, `--format "onnx": must be packed or gguf; see --help`},
		"an unknown model":           {[]string{x, "--model=gpt-2"}, 1, `no model is called "gpt-2": there are gpt-oss-20b, gpt-oss-120b and gpt-oss-demo`},
		"too many layers":            {[]string{x, "--layers=1025"}, 1, `field "num_hidden_layers" is 1025, want 1 to 1024`},
		"more layers than are known": {[]string{x, "--config", config, "--layers=5"}, 1, "--layers 5: " + config + " says which of 4 layers have a window, want at most as many"},
		"no file":                    {[]string{x, "--config", dir + "/none"}, 1, dir + "/none: no such file or directory"},
		"a folder as a file":         {[]string{x, "--config", dir}, 1, dir + ": is not a regular file"},
		"a file of another kind":     {[]string{x, "--config", bad}, 1, bad + `: field "model_type" is missing, want "gpt_oss"`},
		"a model of a terabyte":      {[]string{x, "--config", huge}, 1, "a synthetic model of this configuration takes more than 17179869184 bytes of memory"},
		"a limit that GGUF lacks":    {[]string{x, "--format=gguf", "--config", limit}, 1, "a GGUF file has no place for another swiglu_limit than 7, nor for truncate"},
		"a folder to make":           {[]string{dir}, 1, dir + ": is a folder, want the name of a file to make, such as " + dir + "/synth.gptoss"},
		"no folder to make it in":    {[]string{dir + "/no/x", "--model=gpt-oss-demo"}, 1, dir + "/no/x: the folder " + dir + "/no does not exist"},
		"the same for GGUF":          {[]string{dir + "/no/x.gguf", "--model=gpt-oss-demo"}, 1, dir + "/no/x.gguf: the folder " + dir + "/no does not exist"},
		"a packed file there":        {[]string{there}, 1, there + ": is a packed file already; --force replaces it"},
		"a GGUF file there":          {[]string{gguf}, 1, gguf + ": is a gguf file already; --force replaces it"},
		"a foreign file there":       {[]string{foreign, "--force"}, 1, foreign + ": is there already and is not a gguf file; remove it or name another"},
		"a file of the other format": {[]string{gguf, "--force", "--format=packed"}, 1, gguf + ": is there already and is not a packed file; remove it or name another"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			status, out, errs := run(t.Context(), append(tc.args, "--quiet")...)
			if want := "gptoss-server synth: " + tc.want + "\n"; status != tc.status || out != "" || errs != want {
				t.Errorf("status %d, output %q, error %q, want %d and %q", status, out, errs, tc.status, want)
			}
			if left, err := filepath.Glob(x + "*"); err != nil || len(left) > 0 {
				t.Errorf("%v was made all the same, %v", left, err)
			}
		})
	}
}

func TestForceReplaces(t *testing.T) {
	for _, name := range []string{"x.gptoss", "x.gguf"} {
		path := filepath.Join(t.TempDir(), name)
		var files [][]byte
		for _, args := range [][]string{{"--seed=1"}, {"--seed=2", "--force"}, {"--seed=1", "--force"}} {
			if status, _, errs := run(t.Context(), append(args, "--model=gpt-oss-demo", "--layers=1", path)...); status != 0 {
				t.Fatal(errs)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, data)
		}
		if bytes.Equal(files[0], files[1]) || !bytes.Equal(files[0], files[2]) {
			t.Errorf("%s: another seed makes the same file, or the same seed another", name)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	dir := t.TempDir()
	for _, name := range []string{"x", "x.gguf"} {
		status, out, errs := run(ctx, "--quiet", "--model=gpt-oss-demo", filepath.Join(dir, name))
		if status != 1 || out != "" || errs != "gptoss-server synth: interrupted; nothing is left of it\n" {
			t.Errorf("%s: status %d, output %q, error %q", name, status, out, errs)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestUsageNamesEveryFlag reads the usage text back: each flag in it is one that parse knows.
func TestUsageNamesEveryFlag(t *testing.T) {
	status, out, errs := run(t.Context(), "--help")
	if status != 0 || out != usage || errs != "" || !strings.Contains(out, "Examples:") {
		t.Errorf("--help: status %d, output %q, error %q", status, out, errs)
	}
	values := map[string]string{"--layers": "1", "--seed": "1", "--format": "gguf"}
	flags := 0
	for line := range strings.Lines(usage) {
		if !strings.HasPrefix(line, "  --") {
			continue
		}
		flags++
		words := strings.Fields(line)
		args := []string{"x", words[0]}
		if len(words) > 1 {
			args = append(args, values[words[0]])
		}
		if _, err := parse(args); err != nil && words[0] != "--help" {
			t.Errorf("%s: %v", words[0], err)
		}
	}
	if flags != 8 {
		t.Errorf("the usage text names %d flags, want 8", flags)
	}
}

// TestStartOfGGUF is what other programs look at first.
func TestStartOfGGUF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.gguf")
	if status, _, errs := run(t.Context(), "--model=gpt-oss-demo", "--layers=1", path); status != 0 {
		t.Fatal(errs)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %d %d", data[:4], binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint64(data[8:]))
	if diff := cmp.Diff("GGUF 3 22", got); diff != "" {
		t.Errorf("magic, version and tensors (-want +got):\n%s", diff)
	}
}
