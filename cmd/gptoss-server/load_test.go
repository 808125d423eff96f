package main

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
	"github.com/gptoss/gptoss-operator/server/options"
)

// writeLayouts writes the demo in the other layouts below a folder, and returns its configuration.
func writeLayouts(t *testing.T, root string) model.Config {
	t.Helper()
	checkpoint, err := weights.OpenFS(demo.Files())
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		data, err := fs.ReadFile(demo.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	config, tensors := checkpoint.Config, weightstest.ReadSafetensors(read("model.safetensors"))
	place := func(name string, data []byte) {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(root, "huggingface"), demo.Files()); err != nil {
		t.Fatal(err)
	}
	for name, data := range weightstest.Original(config, tensors) {
		place("openai/original/"+name, data)
	}
	place("openai/tokenizer.json", read("tokenizer.json"))
	v := demoVocabulary(t)
	v.Tokens, v.Types = v.Tokens[:len(v.Tokens)-1], v.Types[:len(v.Types)-1]
	words := []weightstest.Pair{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: v.Pre},
		{Key: "tokenizer.ggml.tokens", Value: v.Tokens},
		{Key: "tokenizer.ggml.token_type", Value: v.Types},
		{Key: "tokenizer.ggml.merges", Value: v.Merges},
	}
	place("llama/demo.gguf", weightstest.WriteGGUF(append(weightstest.Metadata(config), words...), weightstest.GGUFTensors(config, tensors)))

	packTo(t, filepath.Join(root, "llama/demo.gguf"), filepath.Join(root, "words.gptoss"))
	packTo(t, "demo", filepath.Join(root, "demo.gptoss"))
	return config
}

func packTo(t *testing.T, source, path string) {
	t.Helper()
	if status := run(t.Context(), []string{"pack", source, path, "--quiet"}, environment(nil), io.Discard, io.Discard); status != 0 {
		t.Fatalf("%s cannot be packed", source)
	}
}

// TestLoadLayouts expects the same model, the same tokens and the same answer from each.
func TestLoadLayouts(t *testing.T) {
	root := t.TempDir()
	config := writeLayouts(t, root)
	conversation := harmony.Conversation{Messages: []harmony.Message{harmony.NewMessage(harmony.RoleUser, "Hello, how are you? 1234")}}
	var want, wantAnswer []int32
	for _, name := range []string{"demo", "huggingface", "openai", "openai/original", "llama", "llama/demo.gguf", "demo.gptoss", "words.gptoss"} {
		o := options.Default()
		if o.Model = name; name != "demo" {
			o.Model = filepath.Join(root, name)
		}
		m, err := load(t.Context(), o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := m.Encoder.Render(conversation)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || m.TotalParameters != config.TotalParameters() {
			t.Errorf("%s: %d parameters; tokens (-demo,+got):\n%s", name, m.TotalParameters, diff)
		}
		answer := generate(t, m, got)
		if wantAnswer == nil {
			wantAnswer = answer
		}
		if diff := cmp.Diff(wantAnswer, answer); diff != "" || len(answer) == 0 {
			t.Errorf("%s: the answer (-demo,+got):\n%s", name, diff)
		}
		if err := m.close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLoadSynthetic serves a made-up model from both formats: the same tokens, and the same answer.
func TestLoadSynthetic(t *testing.T) {
	conversation := harmony.Conversation{Messages: []harmony.Message{harmony.NewMessage(harmony.RoleUser, "Hello")}}
	var answers [][]int32
	for _, name := range []string{"x.gguf", "x.gptoss"} {
		o := options.Default()
		o.Model = filepath.Join(t.TempDir(), name)
		if status := run(t.Context(), []string{"synth", "--model=gpt-oss-demo", o.Model}, environment(nil), io.Discard, io.Discard); status != 0 {
			t.Fatalf("%s: status %d", name, status)
		}
		if status := run(t.Context(), []string{"inspect", o.Model}, environment(nil), io.Discard, io.Discard); status != 0 {
			t.Errorf("inspect %s: status %d", name, status)
		}
		m, err := load(t.Context(), o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		prompt, err := m.Encoder.Render(conversation)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, append(prompt, generate(t, m, prompt)...))
		if err := m.close(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(answers[0], answers[1]); diff != "" || len(answers[0]) == 0 {
		t.Errorf("tokens (-GGUF +packed):\n%s", diff)
	}
}

// generate takes the likeliest token a few times.
func generate(t *testing.T, m *loaded, prompt []int32) (ids []int32) {
	t.Helper()
	s, err := m.Generator.Submit(t.Context(), engine.Request{Prompt: prompt, MaxTokens: 8})
	if err != nil {
		t.Fatal(err)
	}
	for token := range s.Tokens() {
		ids = append(ids, token.ID)
	}
	if _, err := s.Result(); err != nil {
		t.Error(err)
	}
	return ids
}

// TestPackedFilesThatCannotBeServed expects one sentence.
func TestPackedFilesThatCannotBeServed(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "demo.gptoss")
	packTo(t, "demo", whole)
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"half of it": {data[:len(data)/2], "half-written"},
		"no model":   {emptyPacked(t), "holds no model"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.gptoss")
			if err := os.WriteFile(path, tc.data, 0o600); err != nil {
				t.Fatal(err)
			}
			o := options.Default()
			o.Model = path
			if _, err := load(t.Context(), o, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

// emptyPacked is a packed file with a section that no model has.
func emptyPacked(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	w, err := packed.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Section("x", 0), w.Commit()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
