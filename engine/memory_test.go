package engine

import (
	"io/fs"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
)

// TestThePlanIsWhatTheModelTakes compares the arithmetic that the operator reserves memory by with what is allocated.
func TestThePlanIsWhatTheModelTakes(t *testing.T) {
	for name, open := range map[string]func() (*weights.Checkpoint, error){
		"the demo":               func() (*weights.Checkpoint, error) { return weights.OpenFS(demo.Files()) },
		"heads that share tiles": func() (*weights.Checkpoint, error) { return weights.Open("reference/testdata/shapes") },
		"a window":               func() (*weights.Checkpoint, error) { return weights.Open("reference/testdata/window") },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := open()
			if err != nil {
				t.Fatal(err)
			}
			f := pack(t, c)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			var stored int64
			for _, s := range f.Sections() {
				if s.Name == "embedding" || s.Name == "final_norm" || s.Name == "lm_head" || strings.HasPrefix(s.Name, "layers.") {
					stored += s.Length
				}
			}
			if got := c.Config.Memory(model.Serving{}).Weights; got != stored {
				t.Errorf("weights of %d bytes, the packed file has %d", got, stored)
			}
			w, err := cpu.Load(f)
			if err != nil {
				t.Fatal(err)
			}
			checkWorking(t, w)
		})
	}
}

func pack(t *testing.T, c *weights.Checkpoint) *packed.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gptoss")
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

// checkWorking compares the pages of a model, and what two models of different size differ by in working memory.
func checkWorking(t *testing.T, w *cpu.Weights) {
	t.Helper()
	allocated := func(tokens int) int64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := cpu.New(w, cpu.Options{Threads: 1, PageTokens: model.PageTokens, FullPages: 4, WindowPages: 4, MaxTokens: tokens, MaxLogits: 1})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		full, window := w.Config.PageBytes()
		if got := [2]int{m.PageBytes(cpu.Full), m.PageBytes(cpu.Window)}; got != [2]int{int(full), int(window)} {
			t.Errorf("pages of %d bytes, the plan says %d and %d", got, full, window)
		}
		m.Close()
		return int64(after.TotalAlloc - before.TotalAlloc)
	}
	planned := func(tokens int) int64 { return w.Config.Memory(model.Serving{StepTokens: tokens}).Working }
	got, want := allocated(2048)-allocated(1024), planned(2048)-planned(1024)
	if ratio := float64(got) / float64(want); math.Abs(ratio-1) > 0.05 {
		t.Errorf("1024 tokens more in a step take %d bytes, the plan says %d", got, want)
	}
}

// TestNew runs the demo from a checkpoint and from a packed file, within memory given in bytes.
func TestNew(t *testing.T) {
	c, err := weights.OpenFS(demo.Files())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	f := pack(t, c)
	if _, err := fs.Stat(f, "tokenizer.json"); err != nil {
		t.Error(err)
	}
	for name, tc := range map[string]struct {
		options Options
		want    string // the error
	}{
		"a checkpoint":             {options: Options{Checkpoint: c, ContextLength: 512}},
		"packed weights":           {options: Options{Packed: f, ContextLength: 512}},
		"a megabyte":               {options: Options{Packed: f, ContextLength: 512, MaxSequences: 1, MaxBatchTokens: 64, KVBytes: 1 << 20}},
		"both":                     {Options{Packed: f, Checkpoint: c}, "engine: want a checkpoint or packed weights"},
		"too little memory":        {Options{Packed: f, KVBytes: 1 << 16}, "engine: 65536 bytes of memory for keys and values hold nothing beside the windows of 8 requests"},
		"memory for half of it":    {Options{Packed: f, KVBytes: 6 << 20}, "tokens, the context length is 8192"},
		"more than can be named":   {Options{Packed: f, KVBytes: math.MaxInt64}, "bytes of memory for keys and values are more than can be used"},
		"an unknown kernel":        {Options{Packed: f, Kernel: "mmx"}, `unknown variant "mmx"`},
		"steps that are too large": {Options{Packed: f, MaxBatchTokens: 1 << 20}, "tokens in a step"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := New(tc.options)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("error %v, want %s", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if ids, _, err := drain(submit(t, e, Request{Prompt: []int32{1, 2, 3}, MaxTokens: 4})); len(ids) != 4 || err != nil {
				t.Errorf("%d tokens, %v", len(ids), err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
