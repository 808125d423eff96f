package o200k

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestVocabularyIsOpenAIs rebuilds o200k_base.tiktoken. tiktoken and
// openai-harmony pin the same hash.
func TestVocabularyIsOpenAIs(t *testing.T) {
	tokens, err := tokens()
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	for rank, token := range tokens {
		fmt.Fprintf(h, "%s %d\n", base64.StdEncoding.EncodeToString(token), rank)
	}
	const want = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("SHA-256 %s, want %s", got, want)
	}
}

func TestSpecialTokens(t *testing.T) {
	tok := harmony(t)
	want := map[string]int32{
		"<|startoftext|>": 199998, "<|endoftext|>": 199999, "<|reserved_200000|>": 200000, "<|reserved_200001|>": 200001,
		"<|return|>": 200002, "<|constrain|>": 200003, "<|reserved_200004|>": 200004, "<|channel|>": 200005,
		"<|start|>": 200006, "<|end|>": 200007, "<|message|>": 200008, "<|reserved_200011|>": 200011, "<|call|>": 200012,
		"<|reserved_200013|>": 200013, "<|endofprompt|>": 200018, "<|reserved_201087|>": 201087,
	}
	got := map[string]int32{}
	for name, id := range want {
		if found, ok := tok.Special(name); ok {
			got[name] = found
		}
		if text := string(tok.TokenBytes(id)); text != name || !tok.IsSpecial(id) {
			t.Errorf("token %d is %q, want the special token %s", id, text, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("special tokens (-want +got):\n%s", diff)
	}
	if tok.Size() != Size || tok.IsSpecial(Ranks-1) || tok.IsSpecial(Size) || tok.TokenBytes(Size) != nil {
		t.Errorf("%d ids; %d is special: %v; %d is %q", tok.Size(), Ranks-1, tok.IsSpecial(Ranks-1), Size, tok.TokenBytes(Size))
	}
	// The first lies outside the model's embedding; openai-harmony knows the others by
	// name but has no ids for them.
	for _, name := range []string{"<|reserved_201088|>", "<|refusal|>", "<|untrusted|>", "<|end_untrusted|>"} {
		if id, ok := tok.Special(name); ok {
			t.Errorf("%s is token %d, want none", name, id)
		}
	}
}

// TestKnownIDs holds ids that OpenAI's documents and libraries name.
func TestKnownIDs(t *testing.T) {
	tok := harmony(t)
	for text, want := range map[string][]int32{
		"hello world": {24912, 2375}, "analysis": {35644}, "commentary": {12606, 815}, "final": {17196}, "assistant": {173781},
		" to": {316}, "=": {28}, "functions": {44580}, " code": {3490}, " json": {5701}, "<|start|>": {27, 91, 5236, 91, 29},
	} {
		if diff := cmp.Diff(want, tok.Encode(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	if got := tok.TokenBytes(9552); string(got) != " \xf0\x9f" {
		t.Errorf("token 9552 is %x", got)
	}
	if got := tok.Decode([]int32{132990, 9552}); !strings.Contains(got, "\uFFFD") {
		t.Errorf("tokens 132990 and 9552 are %q, want a broken character", got)
	}
}

func BenchmarkHarmony(b *testing.B) {
	for b.Loop() {
		if _, err := Harmony(); err != nil {
			b.Fatal(err)
		}
	}
}
