package tokenizer

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReadsBothFormsOfMerges(t *testing.T) {
	file := smallFile(t)
	model := file["model"].(map[string]any)
	merges := model["merges"].([]any)
	for i, m := range merges {
		pair := m.([]any)
		merges[i] = pair[0].(string) + " " + pair[1].(string)
	}
	tok, err := Parse(marshal(t, file))
	if err != nil {
		t.Fatal(err)
	}
	const text = "hellothing the 123 aaaaa"
	if diff := cmp.Diff(small(t).Encode(text), tok.Encode(text)); diff != "" {
		t.Errorf("ids (-pairs +strings):\n%s", diff)
	}
}

func TestParseWithoutIgnoreMerges(t *testing.T) {
	file := smallFile(t)
	file["model"].(map[string]any)["ignore_merges"] = false
	tok, err := Parse(marshal(t, file))
	if err != nil {
		t.Fatal(err)
	}
	// No merge leads to "qux".
	if diff := cmp.Diff([]string{"q", "u", "x"}, texts(tok, tok.Encode("qux"))); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestAddedTokensThatAreNotSpecialAreFoundInText(t *testing.T) {
	file := smallFile(t)
	next := 256 + len(smallWords) + 2
	file["added_tokens"] = append(file["added_tokens"].([]any),
		map[string]any{"id": next, "content": "[x]", "special": false},
		map[string]any{"id": next + 1, "content": "[x][y]", "special": false})
	tok, err := Parse(marshal(t, file))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"th", "[x][y]", "[x]", "["}, texts(tok, tok.Encode("th[x][y][x]["))); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

// TestMergesNeverMakeASpecialToken has a vocabulary that spells one out.
func TestMergesNeverMakeASpecialToken(t *testing.T) {
	file := smallFile(t)
	model := file["model"].(map[string]any)
	file["added_tokens"].([]any)[0].(map[string]any)["content"] = "hello"
	file["added_tokens"].([]any)[0].(map[string]any)["id"] = 256 + slices.Index(smallWords, "hello")
	model["merges"] = append(model["merges"].([]any), []any{"hell", "o"})
	tok, err := Parse(marshal(t, file))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"hell", "o"}, texts(tok, tok.Encode("hello"))); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	type object = map[string]any
	split := func(pattern string) object {
		return object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": "Isolated"}
	}
	for name, tc := range map[string]struct {
		change func(file, model object)
		want   string
	}{
		"another model":            {func(_, m object) { m["type"] = "Unigram" }, "only BPE"},
		"dropout":                  {func(_, m object) { m["dropout"] = 0.1 }, "dropout"},
		"byte fallback":            {func(_, m object) { m["byte_fallback"] = true }, "byte_fallback"},
		"a word suffix":            {func(_, m object) { m["end_of_word_suffix"] = "</w>" }, "end_of_word_suffix"},
		"a normalizer":             {func(f, _ object) { f["normalizer"] = object{"type": "NFC"} }, "normalizer"},
		"no pre_tokenizer":         {func(f, _ object) { f["pre_tokenizer"] = nil }, "no pre_tokenizer"},
		"an unknown step":          {func(f, _ object) { f["pre_tokenizer"] = object{"type": "Metaspace"} }, `"Metaspace"`},
		"Split without bytes":      {func(f, _ object) { f["pre_tokenizer"] = split(patternO200k) }, "only Split before"},
		"an empty sequence":        {func(f, _ object) { f["pre_tokenizer"] = object{"type": "Sequence"} }, "no ByteLevel"},
		"an unknown pattern":       {func(f, _ object) { f["pre_tokenizer"].(object)["pretokenizers"].([]any)[0] = split(`\w+`) }, `pattern "\\w+"`},
		"an id out of range":       {func(_, m object) { m["vocab"].(object)["zz"] = maxID }, "must lie in"},
		"a negative id":            {func(_, m object) { m["vocab"].(object)["zz"] = -1 }, "must lie in"},
		"an id that is no number":  {func(_, m object) { m["vocab"].(object)["zz"] = "1" }, "model.vocab"},
		"an id twice":              {func(_, m object) { m["vocab"].(object)["zz"] = 5 }, "id 5 is both"},
		"an empty token":           {func(_, m object) { m["vocab"].(object)[""] = 999 }, "0 bytes"},
		"a token that is no bytes": {func(_, m object) { m["vocab"].(object)["a b"] = 999 }, "byte-level alphabet"},
		"a byte without a token":   {func(_, m object) { delete(m["vocab"].(object), "!") }, "byte 0x21"},
		"no vocabulary":            {func(_, m object) { delete(m, "vocab") }, "model.vocab"},
		"no merges":                {func(_, m object) { delete(m, "merges") }, "model.merges"},
		"merges of three":          {func(_, m object) { m["merges"] = []any{[]any{"a", "b", "c"}} }, "array of two"},
		"merges of numbers":        {func(_, m object) { m["merges"] = []any{3} }, "neither"},
		"a merge of one":           {func(_, m object) { m["merges"] = []any{"a"} }, "two tokens"},
		"a merge of the unknown":   {func(_, m object) { m["merges"] = []any{"a q"} }, "not in the vocabulary"},
		"a merge with no part":     {func(_, m object) { m["merges"] = []any{"zzz q"} }, "not in the vocabulary"},
		"a merge twice":            {func(_, m object) { m["merges"] = []any{"t h", "t h"} }, "merge twice"},
		"a special token twice": {
			func(f, _ object) { f["added_tokens"].([]any)[0].(object)["content"] = "<|end|>" }, "has ids",
		},
		"an added token with an id that is taken": {
			func(f, _ object) { f["added_tokens"].([]any)[0].(object)["id"] = 7 }, "id 7 is both",
		},
		"an added token with a rule": {
			func(f, _ object) {
				f["added_tokens"].([]any)[0].(object)["special"] = false
				f["added_tokens"].([]any)[0].(object)["lstrip"] = true
			}, "lstrip",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := smallFile(t)
			tc.change(file, file["model"].(object))
			_, err := Parse(marshal(t, file))
			if err == nil || !strings.HasPrefix(err.Error(), "tokenizer: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want tokenizer: … %s", err, tc.want)
			}
		})
	}
}

func TestParseRefusesATokenThatComesTwice(t *testing.T) {
	data := strings.Replace(string(marshal(t, smallFile(t))), `"vocab":{`, `"vocab":{"!":400,`, 1)
	if _, err := Parse([]byte(data)); err == nil || !strings.Contains(err.Error(), `"!" has ids 400 and 33`) {
		t.Errorf("error %v", err)
	}
	if _, err := Parse(make([]byte, maxFile+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a huge file: %v", err)
	}
}

func TestFromRanksRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ data, want string }{
		"no rank":       {"YQ==", "line 1 of the ranks: no rank"},
		"no base64":     {"?? 1", "line 1"},
		"no number":     {"YQ== x", "line 1"},
		"a rank twice":  {smallRanks() + "eno= 5\n", "id 5 is both"},
		"a token twice": {smallRanks() + "YQ== 999\n", "has ids 97 and 999"},
		"missing bytes": {"YQ== 0\n", "byte 0x00"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := FromRanks([]byte(tc.data), nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(marshal(f, smallFile(f)))
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":1},"merges":["a b",["a","b"]]},"pre_tokenizer":{"type":"ByteLevel"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "tokenizer: ") {
				t.Errorf("error %v does not name the package", err)
			}
			return
		}
		const text = "hello <|start|> the 123 é \xff"
		if got := strings.Join(texts(tok, tok.Encode(text)), ""); got != text {
			t.Errorf("decoded %q", got)
		}
	})
}
