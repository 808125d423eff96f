package o200k

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
)

//go:embed vocabulary.gz
var vocabulary []byte

const (
	// Ranks is the number of ordinary tokens; their ids begin at 0.
	Ranks = 199_998
	// Size is the number of ids of o200k_harmony, the rows of gpt-oss's embedding.
	Size = 201_088

	unpacked = 1_597_668 // bytes of vocabulary.gz's content
)

// named are the special tokens that have a name; the rest are reserved.
var named = map[int32]string{
	199998: "<|startoftext|>",
	199999: "<|endoftext|>",
	200002: "<|return|>",
	200003: "<|constrain|>",
	200005: "<|channel|>",
	200006: "<|start|>",
	200007: "<|end|>",
	200008: "<|message|>",
	200012: "<|call|>",
	200018: "<|endofprompt|>",
}

// Harmony returns o200k_harmony, the tokenizer of gpt-oss.
func Harmony() (*tokenizer.Tokenizer, error) {
	tokens, err := tokens()
	if err != nil {
		return nil, err
	}
	specials := make(map[string]int32, Size-Ranks)
	for id := int32(Ranks); id < Size; id++ {
		name, ok := named[id]
		if !ok {
			name = fmt.Sprintf("<|reserved_%d|>", id)
		}
		specials[name] = id
	}
	return tokenizer.FromTokens(tokens, specials)
}

// tokens returns the bytes of every ordinary token.
func tokens() ([][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(vocabulary))
	if err != nil {
		return nil, fmt.Errorf("o200k: %w", err)
	}
	data := make([]byte, unpacked)
	if _, err := io.ReadFull(z, data); err != nil {
		return nil, fmt.Errorf("o200k: %w", err)
	}
	lengths, text := data[:Ranks], data[Ranks:]
	out := make([][]byte, Ranks)
	for i, length := range lengths {
		n := int(length)
		if n > len(text) {
			return nil, errors.New("o200k: the vocabulary is cut off")
		}
		out[i], text = text[:n:n], text[n:]
	}
	if len(text) > 0 {
		return nil, fmt.Errorf("o200k: %d bytes follow the vocabulary", len(text))
	}
	return out, nil
}
