package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

func small() model.Config {
	return model.Config{
		VocabSize: 100, HiddenSize: 64, IntermediateSize: 32, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 16,
		Experts: 4, ActiveExperts: 2, SlidingWindow: 8, OriginalContext: 64, MaxContext: 16384,
		RopeTheta: 150000, YaRNFactor: 256, YaRNBetaFast: 32, YaRNBetaSlow: 1, RMSNormEps: 1e-5, SwiGLULimit: 7,
	}
}

// demo is a model in OpenAI's layout as a folder in memory, all bytes of whose weights are the same.
func demo() fs.FS {
	all := weightstest.Shapes(small())
	for i, t := range all {
		size := 2
		if t.DType == model.U8 {
			size = 1
		}
		for _, n := range t.Shape {
			size *= n
		}
		all[i].Data = bytes.Repeat([]byte{1}, size)
	}
	files := fstest.MapFS{}
	for name, data := range weightstest.Original(small(), all) {
		files[name] = &fstest.MapFile{Data: data}
	}
	return files
}

// packedDemo is the same as a packed file.
func packedDemo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.gptoss")
	c, err := weights.OpenFS(demo())
	if err != nil {
		t.Fatal(err)
	}
	w, err := packed.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := cpu.Pack(w, c, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return path
}

// quick is a command line that takes no time.
func quick(t *testing.T, model string, args ...string) command {
	t.Helper()
	c, err := parse(append([]string{
		model, "--prompt=20,40", "--decode=3", "--context=20", "--sequences=1,3", "--max-batch-tokens=32", "--prefix=100",
		"--streams=1,2", "--long-prompt=100", "--memory-sequences=2", "--memory-context=64", "--repetitions=2",
	}, args...), "")
	if err != nil {
		t.Fatal(err)
	}
	c.rooflineTime, c.hugeBytes = time.Millisecond, 1<<20
	return c
}

// shown is a meter for whose clock no time passes, so that it shows words only.
func shown(out io.Writer) *terminal.Meter {
	return &terminal.Meter{Out: out, Now: func() time.Time { return time.Time{} }}
}

func TestEverything(t *testing.T) {
	file := packedDemo(t)
	for name, tc := range map[string]struct{ path, load, wantLoad string }{
		"packed": {file, loadMap, loadMap}, "packed, copied": {file, loadCopy, loadCopy}, "demo": {demoPath, loadCopy, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := quick(t, tc.path, "--load="+tc.load).run(t.Context(), demo(), shown(io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			if want := tc.wantLoad == loadMap && runtime.GOOS != "windows"; r.Model.Mapped != want || r.Settings.Load != tc.wantLoad {
				t.Errorf("mapped is %v, load is %q, want %v and %q", r.Model.Mapped, r.Settings.Load, want, tc.wantLoad)
			}
			if r.Settings.Threads < 1 || r.Settings.Kernel == "" || r.Machine.Processor == "" {
				t.Errorf("settings %+v on %+v", r.Settings, r.Machine)
			}
			var got []string
			for i := range r.Results {
				x := &r.Results[i]
				got = append(got, x.label())
				if len(x.Samples) != 2 || x.Min > x.Median || x.Median > x.Max || x.Min <= 0 {
					t.Errorf("%s: %+v", x.label(), x.Series)
				}
				speed := x.Figure == tokensPerSecond
				if (x.Bound != nil) != speed || speed && (x.Bound.Value <= 0 || x.Bound.Share <= 0 || x.Bound.Bytes <= 0 || x.Bound.Operations <= 0) {
					t.Errorf("%s: bound %+v", x.label(), x.Bound)
				}
			}
			if diff := cmp.Diff(wantLabels(), got); diff != "" {
				t.Errorf("figures (-want +got):\n%s", diff)
			}
		})
	}
}

func wantLabels() []string {
	want := []string{
		"prefill, tok/s, prompt 20", "prefill, tok/s, prompt 40", "decode, tok/s, context 20, decode 3",
		"batch, tok/s, context 20, decode 3", "batch, tok/s, context 20, decode 3, 3 sequences",
	}
	if _, ok := peakResident(); ok {
		want = append(want, "memory, peak resident bytes, context 64, 2 sequences")
	}
	want = append(
		want, "prefix, first request first token, ms, prompt 116", "prefix, second request first token, ms, prompt 116",
		"prefix, second to first, prompt 116", "latency, short prompt first token, ms, prompt 20",
	)
	for _, streams := range []string{"", ", 2 sequences"} {
		want = append(
			want, "latency, quiet median, ms, context 20"+streams, "latency, quiet p99, ms, context 20"+streams,
			"latency, busy median, ms, prompt 100, context 20"+streams, "latency, busy p99, ms, prompt 100, context 20"+streams,
			"latency, busy max, ms, prompt 100, context 20"+streams, "latency, busy p99 to quiet median, prompt 100, context 20"+streams,
			"latency, long prompt first token, ms, prompt 100, context 20"+streams,
		)
	}
	return want
}

// TestExecute looks at what a person gets to see.
func TestExecute(t *testing.T) {
	path := packedDemo(t)
	c := quick(t, path, "--work=decode", "--kernel=generic", "--output=json")
	var out, errs bytes.Buffer
	if status := c.execute(t.Context(), demo(), shown(&errs), &out, &errs); status != 0 {
		t.Fatalf("status %d, %s", status, errs.String())
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Settings.Kernel != "generic" || len(r.Results) != 1 || r.Model.Path != path || len(r.Roofline.Weights.Samples) != rooflineSamples+3 {
		t.Errorf("the report is %s", out.String())
	}
	if !strings.Contains(errs.String(), "decode, tok/s, context 20, decode 3, repetition 2 of 2\n") {
		t.Errorf("progress is %q", errs.String())
	}
	errs.Reset()
	live := shown(&errs)
	live.Live = true
	if status := c.execute(t.Context(), demo(), live, &out, &errs); status != 0 || !strings.HasSuffix(errs.String(), "\r\x1b[K") {
		t.Errorf("status %d, a terminal shows %q", status, errs.String())
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	foreignFile := filepath.Join(dir, "foreign.gguf")
	if err := os.WriteFile(foreignFile, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no model":            {nil, 2, "want one MODEL, not 0; see --help"},
		"two models":          {[]string{"a", "b"}, 2, "want one MODEL, not 2; see --help"},
		"an unknown flag":     {[]string{"a", "--fast"}, 2, "flag provided but not defined: -fast; see --help"},
		"an unknown work":     {[]string{"a", "--work=sleep"}, 2, `unknown work "sleep", want some of prefill, decode, batch, memory, prefix, latency; see --help`},
		"no number":           {[]string{"a", "--decode=x"}, 2, "want a number from 1 to 1048576; see --help"},
		"no list":             {[]string{"a", "--prompt=1,,2"}, 2, "want a number from 1 to 1048576; see --help"},
		"a long list":         {[]string{"a", "--prompt=" + strings.Repeat("1,", 40) + "1"}, 2, "want at most 32 numbers; see --help"},
		"an unknown kernel":   {[]string{"a", "--kernel=x"}, 2, `unknown variant "x"`},
		"an unknown format":   {[]string{"a", "--output=xml"}, 2, `--output is "xml", want text or json; see --help`},
		"an unknown place":    {[]string{"a", "--load=auto"}, 2, `--load is "auto", want map or copy; see --help`},
		"too many sequences":  {[]string{"a", "--max-batch-tokens=8"}, 2, "--sequences 16 do not fit into steps of --max-batch-tokens 8; see --help"},
		"too many streams":    {[]string{"a", "--max-batch-tokens=8", "--sequences=1", "--streams=8"}, 2, "--streams 8 leave no room for prompts in steps of --max-batch-tokens 8; see --help"},
		"too much to hold":    {[]string{"a", "--max-batch-tokens=4", "--sequences=1", "--streams=1"}, 2, "--memory-sequences 8 do not fit into steps of --max-batch-tokens 4; see --help"},
		"no file":             {[]string{dir + "/none"}, 1, "no such file or directory"},
		"a foreign file":      {[]string{foreignFile}, 1, "cannot measure " + foreignFile + ": "},
		"a long prompt":       {[]string{"demo", "--prompt=16385", "--work=prefill"}, 1, "--prompt ask for 16385 tokens in a row, the model allows at most 16384"},
		"streams that go far": {[]string{"demo", "--work=latency", "--long-prompt=20000"}, 1, "--context, --decode and --long-prompt ask for 20198 tokens in a row, the model allows at most 16384"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			status := Run(t.Context(), append(tc.args, "--quiet"), demo(), func(string) string { return "" }, &out, &errs)
			text := errs.String()
			if status != tc.status || out.Len() > 0 || !strings.HasPrefix(text, "gptoss-server bench: ") || !strings.Contains(text, tc.want) || strings.Count(text, "\n") != 1 {
				t.Errorf("status %d, output %q, error %q, want %d and %q in one line", status, out.String(), text, tc.status, tc.want)
			}
		})
	}
}

// TestInterrupted ends the context before the start, and at each word of progress.
func TestInterrupted(t *testing.T) {
	path := packedDemo(t)
	c := quick(t, path, "--repetitions=1", "--streams=1", "--sequences=2", "--prompt=20")
	words := &counter{}
	if _, err := c.run(t.Context(), demo(), shown(words)); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= words.lines; n++ {
		ctx, stop := context.WithCancel(t.Context())
		if _, err := c.run(ctx, demo(), shown(&counter{stop: stop, at: n})); err == nil {
			t.Errorf("interrupted at word %d of %d: no error", n, words.lines)
		}
		stop()
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs bytes.Buffer
	status := Run(ctx, []string{path, "--quiet"}, demo(), func(string) string { return "" }, &out, &errs)
	if status != 1 || out.Len() > 0 || errs.String() != "gptoss-server bench: interrupted\n" {
		t.Errorf("status %d, output %q, error %q", status, out.String(), errs.String())
	}
}

// counter counts lines and stops at one of them.
type counter struct {
	lines, at int
	stop      func()
}

func (c *counter) Write(b []byte) (int, error) {
	if c.lines++; c.lines == c.at {
		c.stop()
	}
	return len(b), nil
}

// TestUsageNamesEveryFlag reads the usage text back: each flag in it is one that parse knows, with the default it names.
func TestUsageNamesEveryFlag(t *testing.T) {
	var out, errs bytes.Buffer
	if status := Run(t.Context(), []string{"--help"}, demo(), func(string) string { return "" }, &out, &errs); status != 0 || out.String() != usage || errs.Len() > 0 {
		t.Errorf("--help: status %d, output %q, error %q", status, out.String(), errs.String())
	}
	standard, err := parse([]string{"m"}, "")
	if err != nil {
		t.Fatal(err)
	}
	flags := 0
	lines := slices.Collect(strings.Lines(usage))
	for i, line := range lines {
		name, ok := strings.CutPrefix(line, "  --")
		if !ok {
			continue
		}
		flags++
		name, placeholder, _ := strings.Cut(strings.TrimSpace(name), " ")
		if placeholder == "" {
			continue // --quiet, --help
		}
		_, after, _ := strings.Cut(strings.Join(lines[i+1:], ""), "(default ")
		value, _, _ := strings.Cut(after, ")")
		if name == "work" {
			value = strings.Join(works, ",")
		}
		got, err := parse([]string{"m", "--" + name + "=" + value}, "")
		if err != nil {
			t.Errorf("--%s=%s: %v", name, value, err)
		}
		if diff := cmp.Diff(standard, got, cmp.AllowUnexported(command{})); diff != "" {
			t.Errorf("--%s=%s is not the default:\n%s", name, value, diff)
		}
	}
	if flags != 18 {
		t.Errorf("the usage text names %d flags, want 18", flags)
	}
}

func TestKernelOfTheEnvironment(t *testing.T) {
	tests := map[string]struct {
		args        []string
		environment string
		want        string
	}{
		"nothing named":           {nil, "", ""},
		"the environment's":       {nil, "generic", "generic"},
		"auto in the environment": {nil, "auto", ""},
		"the flag goes first":     {[]string{"--kernel=generic"}, "none such", "generic"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := parse(append([]string{"m"}, tc.args...), tc.environment)
			if err != nil || c.kernel != tc.want {
				t.Errorf("kernel %q, %v, want %q", c.kernel, err, tc.want)
			}
		})
	}
}

// TestPageTable lets windows go round.
func TestPageTable(t *testing.T) {
	if diff := cmp.Diff([]int32{6, 7, 8, 6, 7}, pageTable(6, 3, 5)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	for positions, want := range map[int]int{1: 1, 2: 2, 33: 2, 34: 3, 128: 5, 639: 21} {
		if got := pagesTouched(positions); got != want {
			t.Errorf("%d positions lie in %d pages at most, want %d", positions, got, want)
		}
	}
}
