package synth

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
)

// TestPublishedWords has the ids, and as many merges, as the published GGUF files, and splits text as gpt-oss does.
func TestPublishedWords(t *testing.T) {
	v, err := vocabulary(o200k.Size + 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Tokens) != o200k.Size+2 || len(v.Merges) != 446_189 || v.Tokens[o200k.Size+1] != "[PAD201089]" {
		t.Errorf("%d tokens up to %q, %d merges", len(v.Tokens), v.Tokens[len(v.Tokens)-1], len(v.Merges))
	}
	if diff := cmp.Diff([]int32{200002, 199999, 200012}, endTokens(v)); diff != "" {
		t.Errorf("end tokens (-want +got):\n%s", diff)
	}
	got, err := tokenizer.FromGGUF(v.Tokens, v.Merges, v.Types, v.Pre)
	if err != nil {
		t.Fatal(err)
	}
	want, err := o200k.Harmony()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Hello, world! 12345", "Grüße aus 東京\n\n\tfunc main() {}", "antidisestablishmentarianism", "\x00\xff"} {
		if diff := cmp.Diff(want.Encode(text), got.Encode(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// TestMadeUpWords makes tokenizers of all sizes: every text can be written, and what was written read.
func TestMadeUpWords(t *testing.T) {
	for _, size := range []int{264, 265, 300, 1216, 8192, o200k.Size - 1} {
		v, err := vocabulary(size)
		if err != nil {
			t.Fatal(err)
		}
		words, err := tokenizer.FromGGUF(v.Tokens, v.Merges, v.Types, v.Pre)
		if err != nil {
			t.Fatalf("%d tokens: %v", size, err)
		}
		if words.Size() != size || len(v.Merges) != size-264 {
			t.Errorf("%d tokens and %d merges, want %d and %d", words.Size(), len(v.Merges), size, size-264)
		}
		for _, name := range controls {
			if _, ok := words.Special(name); !ok {
				t.Errorf("%d tokens: no %s", size, name)
			}
		}
		const text = "Grüße, abcabc!"
		var back []byte
		for _, id := range words.Encode(text) {
			back = append(back, words.TokenBytes(id)...)
		}
		if string(back) != text {
			t.Errorf("%d tokens: %q comes back as %q", size, text, back)
		}
	}
	if v, err := vocabulary(263); v != nil || err != nil {
		t.Errorf("263 tokens: %v, %v, want no words", v, err)
	}
}
