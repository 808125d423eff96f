package pack

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
)

func small() model.Config {
	return model.Config{
		VocabSize: 100, HiddenSize: 64, IntermediateSize: 32, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 16,
		Experts: 4, ActiveExperts: 2, SlidingWindow: 8, OriginalContext: 64, MaxContext: 128,
		RopeTheta: 150000, YaRNFactor: 2, YaRNBetaFast: 32, YaRNBetaSlow: 1, RMSNormEps: 1e-5, SwiGLULimit: 7,
	}
}

// tensors makes up weights, all bytes of which are the same.
func tensors(value byte) []weightstest.Tensor {
	all := weightstest.Shapes(small())
	for i, t := range all {
		size := 2
		if t.DType == model.U8 {
			size = 1
		}
		for _, n := range t.Shape {
			size *= n
		}
		all[i].Data = bytes.Repeat([]byte{value}, size)
	}
	return all
}

// original is a model in OpenAI's layout, by file name.
func original(value byte) map[string][]byte {
	files := weightstest.Original(small(), tensors(value))
	files["tokenizer.json"] = []byte("words")
	return files
}

// demo is a model as a folder in memory.
func demo() fs.FS {
	files := fstest.MapFS{}
	for name, data := range original(1) {
		files[name] = &fstest.MapFile{Data: data}
	}
	return files
}

// folder writes files into a new folder.
func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func run(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Run(ctx, args, demo(), func(string) string { return "" }, &out, &errs)
	return status, out.String(), errs.String()
}

// digest checks all of a file, its model included, and returns its digest.
func digest(t *testing.T, path string) string {
	t.Helper()
	f, err := packed.Open(path)
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
	if err := f.Verify(); err != nil || len(w.Layers) != small().Layers {
		t.Fatalf("%d layers, %v", len(w.Layers), err)
	}
	return f.Digest()
}

// TestPack packs the same model from all that it can lie in, and verifies the file.
func TestPack(t *testing.T) {
	gguf := filepath.Join(t.TempDir(), "small.gguf")
	if err := os.WriteFile(gguf, weightstest.GGUF(small(), tensors(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	const wordless = "It has no tokenizer, and a vocabulary of 100 tokens is not that of gpt-oss: it cannot be served.\n"
	tests := map[string]struct{ source, size, note string }{
		"the model inside": {"demo", "3.9 MB", ""},
		"a folder":         {folder(t, original(1)), "3.9 MB", ""},
		"a GGUF file":      {gguf, "3.8 MB", wordless},
	}
	took := regexp.MustCompile(` in [0-9ms]+, `)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "small.gptoss")
			status, out, errs := run(t.Context(), tc.source, dest)
			want := dest + " is complete: " + tc.size + ", " + digest(t, dest) + "\n" + tc.note + "Serve it with: gptoss-server --model=" + dest + "\n"
			if status != 0 || !strings.HasPrefix(errs, "opening "+tc.source+"\n") || !strings.HasSuffix(errs, "waiting until it is on the disk\n") {
				t.Errorf("status %d, stderr %q", status, errs)
			}
			if diff := cmp.Diff(want, took.ReplaceAllString(out, ", ")); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			status, out, errs = run(t.Context(), "--verify", dest)
			if want := dest + " is whole: " + tc.size + ", " + digest(t, dest) + "\n"; status != 0 || out != want || errs != "" {
				t.Errorf("verify: status %d, output %q, want %q, error %q", status, out, want, errs)
			}
		})
	}
}

func TestForceReplaces(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "x")
	run(t.Context(), "demo", dest)
	before := digest(t, dest)
	other := folder(t, original(2))
	if status, out, errs := run(t.Context(), other, dest); status != 1 || out != "" || digest(t, dest) != before {
		t.Errorf("without --force: status %d, output %q, error %q", status, out, errs)
	}
	if status, out, errs := run(t.Context(), other, dest, "--force", "--quiet"); status != 0 || out+errs != "" || digest(t, dest) == before {
		t.Errorf("with --force: status %d, output %q, error %q", status, out, errs)
	}
	if err := os.Truncate(dest, 100_000); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := run(t.Context(), "--force", "demo", dest); status != 0 || digest(t, dest) != before {
		t.Errorf("over a half-written one: status %d, error %q", status, errs)
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	good, half, bad, foreign := filepath.Join(dir, "good"), filepath.Join(dir, "half"), filepath.Join(dir, "bad"), filepath.Join(dir, "foreign")
	run(t.Context(), "demo", good)
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	damaged[packed.Align*3]++
	notANumber := original(1)
	notANumber["model.safetensors"] = weightstest.Safetensors(weightstest.OriginalTensors(small(), tensors(255)))
	for name, data := range map[string][]byte{half: whole[:len(whole)/2], bad: damaged, foreign: []byte("GGUF")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	halfText := fmt.Sprintf("half-written: %d bytes long, want %d", len(whole)/2, len(whole))
	tests := map[string]struct {
		args   []string
		status int
		want   string
	}{
		"nothing":                  {nil, 2, "want SOURCE and DEST, not 0 paths; see --help"},
		"no destination":           {[]string{"demo"}, 2, "want SOURCE and DEST, not 1 paths; see --help"},
		"three paths":              {[]string{"a", "--force", "b", "c"}, 2, "want SOURCE and DEST, not 3 paths; see --help"},
		"an unknown flag":          {[]string{"a", "b", "--fast"}, 2, "flag provided but not defined: -fast; see --help"},
		"both flags":               {[]string{"a", "--verify", "--force"}, 2, "want --verify or --force, not both; see --help"},
		"two to verify":            {[]string{"a", "--verify", "b"}, 2, "want one FILE to verify, not 2; see --help"},
		"an empty path":            {[]string{"demo", ""}, 2, "want a path that is not empty; see --help"},
		"a folder to make":         {[]string{"demo", dir}, 1, dir + ": is a folder, want the name of a file to make, such as " + dir + "/model.gptoss"},
		"no folder to make it in":  {[]string{"demo", dir + "/no/x"}, 1, dir + "/no/x: the folder " + dir + "/no does not exist"},
		"a packed file there":      {[]string{"demo", good}, 1, good + ": is a packed file already; --force replaces it"},
		"a half-written one there": {[]string{"demo", half}, 1, half + ": " + halfText + "; --force replaces it"},
		"a foreign one there":      {[]string{"demo", foreign, "--force"}, 1, foreign + ": is there already and is not a packed file; remove it or name another"},
		"a packed source":          {[]string{good, dir + "/x"}, 1, "cannot pack " + good + ": it is a packed file already"},
		"no source":                {[]string{dir + "/none", dir + "/x"}, 1, "cannot pack " + dir + "/none: " + dir + "/none: want a folder with config.json and model.safetensors, or a .gguf file: no such file or directory"},
		"a source of NaN":          {[]string{folder(t, notANumber), dir + "/x"}, 1, "embedding: row 0, column 0: NaN, want a finite number"},
		"half a file to verify":    {[]string{"--verify", half}, 1, half + ": " + halfText},
		"a bad file to verify":     {[]string{"--verify", bad}, 1, bad + `: section "tokenizer.json": damaged: its 5 bytes do not have the SHA-256 in the directory`},
		"another file to verify":   {[]string{"--verify", foreign}, 1, foreign + `: not a packed file: does not begin with "GPTOSSPK"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			status, out, errs := run(t.Context(), append(tc.args, "--quiet")...)
			if status != tc.status || out != "" || !strings.HasPrefix(errs, "gptoss-server pack: ") || !strings.HasSuffix(errs, tc.want+"\n") || strings.Count(errs, "\n") != 1 {
				t.Errorf("status %d, output %q, error %q, want %d and %q in one line", status, out, errs, tc.status, tc.want)
			}
			if _, err := os.Lstat(dir + "/x"); err == nil {
				t.Error("a file was made all the same")
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	dir := t.TempDir()
	status, out, errs := run(ctx, "--quiet", "demo", filepath.Join(dir, "x"))
	if status != 1 || out != "" || errs != "gptoss-server pack: interrupted; nothing is left of it\n" {
		t.Errorf("status %d, output %q, error %q", status, out, errs)
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
	flags := 0
	for line := range strings.Lines(usage) {
		if name, ok := strings.CutPrefix(line, "  --"); ok {
			name = strings.TrimSpace(name)
			if _, err := parse([]string{"a", "b", "--" + name}); err != nil && name != "help" && name != "verify" {
				t.Errorf("--%s: %v", name, err)
			}
			flags++
		}
	}
	if flags != 4 {
		t.Errorf("the usage text names %d flags, want 4", flags)
	}
}

// everLater is a clock that a second passes on every look, so that a terminal shows every piece.
func everLater() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}
