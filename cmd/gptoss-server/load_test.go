package main

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/weightstest"
	"github.com/gptoss/gptoss-operator/server/options"
)

// TestLoadLayouts writes the demo in the other layouts and expects the same model and the same tokens from each.
func TestLoadLayouts(t *testing.T) {
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
	root := t.TempDir()
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

	conversation := harmony.Conversation{Messages: []harmony.Message{harmony.NewMessage(harmony.RoleUser, "Hello, how are you? 1234")}}
	var want []int32
	for _, model := range []string{"demo", "huggingface", "openai", "openai/original", "llama", "llama/demo.gguf"} {
		o := options.Default()
		if o.Model = model; model != "demo" {
			o.Model = filepath.Join(root, model)
		}
		m, err := load(o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", model, err)
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
			t.Errorf("%s: %d parameters; tokens (-demo,+got):\n%s", model, m.TotalParameters, diff)
		}
		if err := m.close(); err != nil {
			t.Errorf("%s: %v", model, err)
		}
	}
}
