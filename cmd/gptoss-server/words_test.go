package main

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// demoVocabulary is the demo's tokenizer.json as a GGUF file would hold it, with one id of padding.
func demoVocabulary(t *testing.T) *weights.Vocabulary {
	t.Helper()
	data, err := fs.ReadFile(demo.Files(), "tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Model struct {
			Vocab  map[string]int
			Merges []json.RawMessage
		}
		Added []struct {
			ID      int
			Content string
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	words, err := tokenizer.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	v := &weights.Vocabulary{Tokens: make([]string, words.Size()+1), Types: make([]int32, words.Size()+1), Pre: "gpt-4o"}
	for text, id := range file.Model.Vocab {
		v.Tokens[id], v.Types[id] = text, 1
	}
	for _, a := range file.Added {
		v.Tokens[a.ID], v.Types[a.ID] = a.Content, 3
	}
	v.Tokens[words.Size()], v.Types[words.Size()] = "[PAD]", 5
	for _, merge := range file.Model.Merges {
		var pair []string
		var line string
		if json.Unmarshal(merge, &pair) == nil {
			line = strings.Join(pair, " ")
		} else if err := json.Unmarshal(merge, &line); err != nil {
			t.Fatal(err)
		}
		v.Merges = append(v.Merges, line)
	}
	return v
}

// TestChooseTokenizer expects the GGUF file's own vocabulary first, tokenizer.json second, o200k_harmony last.
func TestChooseTokenizer(t *testing.T) {
	official, err := o200k.Harmony()
	if err != nil {
		t.Fatal(err)
	}
	small, err := readTokenizer(demo.Files())
	if err != nil {
		t.Fatal(err)
	}
	broken := fstest.MapFS{"tokenizer.json": {Data: []byte("{")}}
	cases := map[string]struct {
		vocabulary *weights.Vocabulary
		files      fs.FS
		size       int
		want       *tokenizer.Tokenizer
		wantOrigin string
		wantErr    string
	}{
		"GGUF":                              {demoVocabulary(t), broken, small.Size(), small, "GGUF vocabulary", ""},
		"GGUF, a bad vocabulary":            {&weights.Vocabulary{Tokens: []string{"a"}, Pre: "gpt-4o"}, demo.Files(), 1, nil, "GGUF vocabulary", "tokenizer: 1 tokens have 0 types"},
		"tokenizer.json":                    {nil, demo.Files(), o200k.Size, small, "tokenizer.json", ""},
		"a bad tokenizer.json":              {nil, broken, o200k.Size, nil, "tokenizer.json", "tokenizer: "},
		"none, as many ids as gpt-oss":      {nil, fstest.MapFS{}, o200k.Size, official, "o200k_harmony", ""},
		"none, and another number of ids":   {nil, fstest.MapFS{}, 512, nil, "tokenizer.json", "missing, and a vocabulary of 512 tokens is not that of gpt-oss, which has 201088"},
		"a folder where a file should lie ": {nil, fstest.MapFS{"tokenizer.json/x": {}}, o200k.Size, nil, "tokenizer.json", "read tokenizer.json: "},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			words, origin, err := chooseTokenizer(tc.vocabulary, tc.files, tc.size)
			if origin != tc.wantOrigin || (err == nil) != (tc.wantErr == "") || err != nil && !strings.HasPrefix(err.Error(), tc.wantErr) {
				t.Fatalf("from %s: %v", origin, err)
			}
			if err != nil {
				return
			}
			if trained(words) != trained(tc.want) {
				t.Errorf("%d ids are trained, want %d", trained(words), trained(tc.want))
			}
			for id := range int32(trained(tc.want)) {
				if got, want := string(words.TokenBytes(id)), string(tc.want.TokenBytes(id)); got != want || words.IsSpecial(id) != tc.want.IsSpecial(id) {
					t.Fatalf("id %d is %q, want %q", id, got, want)
				}
			}
		})
	}
	if n := trained(official); n != 200_019 {
		t.Errorf("%d ids of o200k_harmony are trained, want 200019, as tokenizer.json of gpt-oss has them", n)
	}
}
