package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// smallWords are the tokens of the small vocabulary beyond the 256 bytes, in the
// order in which they merge.
var smallWords = []string{
	"th", "the", " the", "in", "ing", "aa", "aaaa", "er", "he", "hello", "ll", "hell", "12", "123", "\n\n", "  ", "    ",
	"é", "中", "'s", "lo", "<|", "|>", "start", "st", "ar", "art", "qux",
}

// toByteLevel writes bytes in the alphabet of tokenizer.json.
func toByteLevel(s string) string {
	var out []rune
	for _, b := range []byte(s) {
		r := slices.Index(byteOf[:], int16(b))
		out = append(out, rune(r))
	}
	return string(out)
}

// smallFile is a tokenizer.json; a test changes it before it is parsed.
func smallFile(t testing.TB) map[string]any {
	t.Helper()
	vocabulary := map[string]any{}
	for b := range 256 {
		vocabulary[toByteLevel(string([]byte{byte(b)}))] = b
	}
	var merges []any
	for i, word := range smallWords {
		vocabulary[toByteLevel(word)] = 256 + i
	}
	for _, word := range smallWords {
		for cut := 1; cut < len(word); cut++ {
			left, right := toByteLevel(word[:cut]), toByteLevel(word[cut:])
			if vocabulary[left] != nil && vocabulary[right] != nil {
				merges = append(merges, []any{left, right})
			}
		}
	}
	next := 256 + len(smallWords)
	return map[string]any{
		"version":    "1.0",
		"normalizer": nil,
		"added_tokens": []any{
			map[string]any{"id": next, "content": "<|start|>", "special": true},
			map[string]any{"id": next + 1, "content": "<|end|>", "special": true},
		},
		"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Split", "pattern": map[string]any{"Regex": patternO200k}, "behavior": "Isolated", "invert": false},
			map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
		}},
		"model": map[string]any{"type": "BPE", "ignore_merges": true, "vocab": vocabulary, "merges": merges},
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func small(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Parse(marshal(t, smallFile(t)))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// smallRanks is the same vocabulary as a tiktoken file.
func smallRanks() string {
	var b strings.Builder
	line := func(token string, rank int) {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(token)), rank)
	}
	for i := range 256 {
		line(string([]byte{byte(i)}), i)
	}
	for i, word := range smallWords {
		line(word, 256+i)
	}
	return b.String()
}

// texts returns a token's bytes as text, for every id.
func texts(tok *Tokenizer, ids []int32) []string {
	var out []string
	for _, id := range ids {
		out = append(out, string(tok.TokenBytes(id)))
	}
	return out
}

// naiveMerge is byte-pair encoding as its definition says.
func naiveMerge(tok *Tokenizer, piece string) []int32 {
	var ids []int32
	for _, b := range []byte(piece) {
		ids = append(ids, tok.bytes[b])
	}
	for {
		best, result := -1, mergeResult{rank: noRank}
		for i := range len(ids) - 1 {
			if r := tok.join(ids[i], ids[i+1], string(tok.tokens[ids[i]])+string(tok.tokens[ids[i+1]])); r.rank < result.rank {
				best, result = i, r
			}
		}
		if best < 0 {
			return ids
		}
		ids = slices.Replace(ids, best, best+2, result.id)
	}
}

func mergeLong(tok *Tokenizer, piece string) []int32 {
	m := merger{t: tok, piece: piece}
	return m.merge(nil)
}
