package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

const (
	tokenizerName = "tokenizer.json"
	// maxTokenizerBytes is twice the tokenizer.json of gpt-oss, and as much as the tokenizer reads.
	maxTokenizerBytes = 64 << 20
)

// chooseTokenizer takes the vocabulary of the GGUF file, else tokenizer.json, else, for a model with as many ids as
// gpt-oss has, the one inside the program: OpenAI's own layout comes without. origin names the choice for messages.
func chooseTokenizer(v *weights.Vocabulary, files fs.FS, vocabSize int) (words *tokenizer.Tokenizer, origin string, err error) {
	if v != nil {
		words, err = tokenizer.FromGGUF(v.Tokens, v.Merges, v.Types, v.Pre)
		return words, "GGUF vocabulary", err
	}
	words, err = readTokenizer(files)
	if errors.Is(err, fs.ErrNotExist) && vocabSize == o200k.Size {
		words, err = o200k.Harmony()
		return words, "o200k_harmony", err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("missing, and a vocabulary of %d tokens is not that of gpt-oss, which has %d", vocabSize, o200k.Size)
	}
	return words, tokenizerName, err
}

func readTokenizer(files fs.FS) (*tokenizer.Tokenizer, error) {
	f, err := files.Open(tokenizerName)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxTokenizerBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(data) > maxTokenizerBytes {
		return nil, fmt.Errorf("must have at most %d bytes", maxTokenizerBytes)
	}
	return tokenizer.Parse(data)
}

// trained returns one more than the highest id that a model has learnt: above it lie reserved ids and padding, which
// some vocabularies name (o200k_harmony, the GGUF converters of llama.cpp) and others leave out.
func trained(words *tokenizer.Tokenizer) int {
	n := words.Size()
	for n > 0 {
		id := int32(n - 1)
		name := string(words.TokenBytes(id))
		padding := words.IsSpecial(id) && (strings.HasPrefix(name, "<|reserved_") || strings.HasPrefix(name, "[PAD"))
		if name != "" && !padding {
			break
		}
		n--
	}
	return n
}
