package synth

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// The types of a token in a GGUF file.
const (
	normal  = 1
	control = 3
	unused  = 5
)

// controls are the special tokens of a made-up vocabulary, in the order of their ids, which are its last.
var controls = []string{
	"<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>",
}

// vocabulary returns the words of a model with so many ids: those of gpt-oss where they fit, made-up ones for fewer ids,
// and none where not even all bytes do.
func vocabulary(size int) (*weights.Vocabulary, error) {
	switch {
	case size >= o200k.Size:
		return published(size)
	case size >= 256+len(controls):
		return madeUp(size), nil
	}
	return nil, nil
}

// endTokens are the ids that end an answer, in the order in which a GGUF file is searched for them.
func endTokens(v *weights.Vocabulary) []int32 {
	var ids []int32
	for _, name := range []string{"<|return|>", "<|endoftext|>", "<|call|>"} {
		ids = append(ids, int32(slices.Index(v.Tokens, name)))
	}
	return ids
}

// trainedIDs is how many ids of gpt-oss have a name in its tokenizer.json; the rest is padding.
const trainedIDs = 200_019

// published writes o200k_harmony as the converters of GGUF do.
func published(size int) (*weights.Vocabulary, error) {
	words, err := o200k.Harmony()
	if err != nil {
		return nil, err
	}
	v := &weights.Vocabulary{Tokens: make([]string, size), Types: make([]int32, size), Pre: "gpt-4o", BOS: 199_998, EOS: 200_002}
	ids := make(map[string]int32, o200k.Ranks)
	tokens := make([][]byte, o200k.Ranks)
	for id := range v.Tokens {
		switch {
		case id < o200k.Ranks:
			tokens[id] = words.TokenBytes(int32(id))
			ids[string(tokens[id])] = int32(id)
			v.Tokens[id], v.Types[id] = printable(tokens[id]), normal
		case id < trainedIDs:
			v.Tokens[id], v.Types[id] = string(words.TokenBytes(int32(id))), control
		default:
			v.Tokens[id], v.Types[id] = fmt.Sprintf("[PAD%d]", id), unused
		}
	}
	v.Merges = merges(tokens, ids, v.Tokens)
	return v, nil
}

// merges lists every way to put a token together from two others. The rank of a merge is that of its result, so the
// tokens that come first are made first, as from the ranks themselves.
func merges(tokens [][]byte, ids map[string]int32, names []string) []string {
	var all []string
	var pairs [][2]int32
	for _, token := range tokens {
		pairs = pairs[:0]
		for cut := 1; cut < len(token); cut++ {
			left, ok := ids[string(token[:cut])]
			right, also := ids[string(token[cut:])]
			if ok && also {
				pairs = append(pairs, [2]int32{left, right})
			}
		}
		slices.SortFunc(pairs, func(a, b [2]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
		for _, p := range pairs {
			all = append(all, names[p[0]]+" "+names[p[1]])
		}
	}
	return all
}

// madeUp begins with all bytes, goes on with words that are another and a letter, and ends with the special tokens.
func madeUp(size int) *weights.Vocabulary {
	v := &weights.Vocabulary{Pre: "gpt-4o", BOS: int32(size - len(controls)), EOS: int32(size - len(controls) + 1)}
	for b := range 256 {
		v.Tokens = append(v.Tokens, printable([]byte{byte(b)}))
	}
	for parent := 0; len(v.Tokens) < size-len(controls); parent++ {
		for letter := 'a'; letter <= 'z' && len(v.Tokens) < size-len(controls); letter++ {
			v.Tokens = append(v.Tokens, v.Tokens[parent]+string(letter))
			v.Merges = append(v.Merges, v.Tokens[parent]+" "+string(letter))
		}
	}
	v.Types = slices.Repeat([]int32{normal}, len(v.Tokens))
	for _, name := range controls {
		v.Tokens, v.Types = append(v.Tokens, name), append(v.Types, control)
	}
	return v
}

// printable writes bytes in GPT-2's alphabet: visible characters of Latin-1 as themselves, the others from U+0100 on.
func printable(token []byte) string {
	var out bytes.Buffer
	for _, b := range token {
		out.WriteRune(alphabet[b])
	}
	return out.String()
}

var alphabet = func() (table [256]rune) {
	next := rune(0x100)
	for b := range rune(256) {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			table[b] = b
			continue
		}
		table[b] = next
		next++
	}
	return table
}()
