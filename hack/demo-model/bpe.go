package main

import (
	"fmt"
	"strings"
)

// specials are the Harmony control tokens, in the order of the published tokenizer; they follow the trained tokens.
var specials = []string{
	"<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>",
	"<|start|>", "<|end|>", "<|message|>", "<|call|>",
}

// splitPattern cuts text into pieces before merging; it is o200k's.
const splitPattern = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
	`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
	`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// vocabulary is a byte-level BPE: the 256 bytes, then one token per merge, then the specials.
type vocabulary struct {
	tokens []string // by id
	id     map[string]int
	merges [][2]string
}

// train merges the most frequent neighbours until there are size tokens. words maps a piece of text to its weight.
func train(words map[string]int, size int) (*vocabulary, error) {
	v := &vocabulary{id: map[string]int{}}
	for b := range 256 {
		v.add(string([]byte{byte(b)}))
	}
	split := map[string][]string{}
	for w := range words {
		split[w] = strings.Split(latin(w), "")
	}
	for len(v.tokens) < size {
		best, found := mostFrequent(words, split)
		if !found {
			return nil, fmt.Errorf("no neighbours left to merge at %d tokens, want %d: add words", len(v.tokens), size)
		}
		v.merges = append(v.merges, best)
		v.add(unlatin(best[0] + best[1]))
		for w, parts := range split {
			split[w] = merge(parts, best)
		}
	}
	for _, s := range specials {
		v.add(s)
	}
	return v, nil
}

func (v *vocabulary) add(token string) {
	v.id[token] = len(v.tokens)
	v.tokens = append(v.tokens, token)
}

// mostFrequent returns the pair that occurs most often, the first in order of text among equals.
func mostFrequent(words map[string]int, split map[string][]string) (best [2]string, found bool) {
	counts := map[[2]string]int{}
	for w, parts := range split {
		for i := range len(parts) - 1 {
			counts[[2]string{parts[i], parts[i+1]}] += words[w]
		}
	}
	for pair, n := range counts {
		top := counts[best]
		if n > top || n == top && (pair[0] < best[0] || pair[0] == best[0] && pair[1] < best[1]) {
			best, found = pair, true
		}
	}
	return best, found
}

func merge(parts []string, pair [2]string) []string {
	var out []string
	for i := 0; i < len(parts); i++ {
		if i+1 < len(parts) && parts[i] == pair[0] && parts[i+1] == pair[1] {
			out = append(out, pair[0]+pair[1])
			i++
			continue
		}
		out = append(out, parts[i])
	}
	return out
}

// latin writes bytes as letters the way GPT-2 does: printable Latin-1 as it is, the others from U+0100 on.
func latin(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(byteLetters[s[i]])
	}
	return b.String()
}

func unlatin(s string) string {
	var b strings.Builder
	for _, r := range s {
		for c, letter := range byteLetters {
			if r == letter {
				b.WriteByte(byte(c))
			}
		}
	}
	return b.String()
}

var byteLetters = func() (letters [256]rune) {
	next := rune(256)
	for b := range letters {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			letters[b] = rune(b)
			continue
		}
		letters[b] = next
		next++
	}
	return letters
}()

// tokenizerJSON returns the vocabulary in the format of Hugging Face's tokenizers.
func (v *vocabulary) tokenizerJSON() object {
	trained := len(v.tokens) - len(specials)
	vocab := make(object, trained)
	for id, t := range v.tokens[:trained] {
		vocab[id] = field{latin(t), id}
	}
	added := make([]object, len(specials))
	for i, s := range specials {
		added[i] = object{
			{"id", trained + i},
			{"content", s},
			{"single_word", false},
			{"lstrip", false},
			{"rstrip", false},
			{"normalized", false},
			{"special", true},
		}
	}
	byteLevel := object{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}
	split := object{
		{"type", "Split"},
		{"pattern", object{{"Regex", splitPattern}}},
		{"behavior", "Isolated"},
		{"invert", false},
	}
	return object{
		{"version", "1.0"},
		{"truncation", nil},
		{"padding", nil},
		{"added_tokens", added},
		{"normalizer", nil},
		{"pre_tokenizer", object{{"type", "Sequence"}, {"pretokenizers", []object{split, byteLevel}}}},
		{"post_processor", nil},
		{"decoder", byteLevel},
		{"model", object{
			{"type", "BPE"},
			{"dropout", nil},
			{"unk_token", nil},
			{"continuing_subword_prefix", nil},
			{"end_of_word_suffix", nil},
			{"fuse_unk", false},
			{"byte_fallback", false},
			{"ignore_merges", true},
			{"vocab", vocab},
			{"merges", v.merges},
		}},
	}
}
