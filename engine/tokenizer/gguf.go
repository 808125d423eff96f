package tokenizer

import "fmt"

// The types of a token in GGUF, tokenizer.ggml.token_type.
const (
	ggufNormal  = 1
	ggufUnknown = 2
	ggufControl = 3
	ggufUser    = 4 // found in text before it is split
	ggufUnused  = 5 // fills the vocabulary up to the model's size
)

// FromGGUF makes a tokenizer from the metadata of a GGUF file whose
// tokenizer.ggml.model is "gpt2": tokens by id and merges by rank in the byte-level
// alphabet, control tokens and those that users defined as they are. pre names how
// text is split: "gpt-4o" as o200k, "gpt-2" as GPT-2.
func FromGGUF(tokens, merges []string, types []int32, pre string) (*Tokenizer, error) {
	switch {
	case len(tokens) > maxID:
		return nil, fmt.Errorf("tokenizer: %d tokens, at most %d are read", len(tokens), maxID)
	case len(merges) > maxMerges:
		return nil, fmt.Errorf("tokenizer: %d merges, at most %d are read", len(merges), maxMerges)
	case len(types) != len(tokens):
		return nil, fmt.Errorf("tokenizer: %d tokens have %d types", len(tokens), len(types))
	}
	b := newBuilder(len(tokens), len(merges))
	switch pre {
	case "gpt-4o":
		b.t.split, b.t.whole = loadClasses().o200k, true
	case "gpt-2":
		b.t.split = loadClasses().gpt2
	default:
		return nil, fmt.Errorf("tokenizer: tokenizer.ggml.pre is %.40q, only gpt-4o and gpt-2 are supported", pre)
	}
	for id, text := range tokens {
		if err := b.ggufToken(int64(id), text, types[id]); err != nil {
			return nil, err
		}
	}
	if err := b.sortAdded(); err != nil {
		return nil, err
	}
	for rank, text := range merges {
		left, right, err := cutMerge(text)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: merge %d: %w", rank, err)
		}
		if err := b.addMerge(rank, left, right); err != nil {
			return nil, err
		}
	}
	return b.finish()
}

func (b builder) ggufToken(id int64, text string, kind int32) error {
	switch kind {
	case ggufNormal:
		token, ok := fromByteLevel(text)
		if !ok {
			return fmt.Errorf("tokenizer: token %.40q is not in the byte-level alphabet", text)
		}
		return b.ordinary(id, token)
	case ggufControl, ggufUnknown, ggufUnused:
		return b.specialToken(id, text)
	case ggufUser:
		return b.addedToken(id, text)
	}
	return fmt.Errorf("tokenizer: token %d is of type %d, only 1 to 5 are supported", id, kind)
}
