package tokenizer

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
)

// FromRanks reads a tiktoken file: per line a token in base64 and its rank, which
// is its id as well. Two neighbouring tokens merge if together they are a token,
// the lowest rank first. The text is split by the o200k pattern.
func FromRanks(data []byte, specials map[string]int32) (*Tokenizer, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("tokenizer: %d bytes of ranks, at most %d are read", len(data), maxFile)
	}
	b := newBuilder(0, 0)
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		code, rank, ok := bytes.Cut(line, []byte(" "))
		if !ok {
			return nil, fmt.Errorf("tokenizer: line %d of the ranks: no rank", number)
		}
		token, err := base64.StdEncoding.AppendDecode(nil, code)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: line %d of the ranks: %w", number, err)
		}
		id, err := strconv.ParseInt(string(rank), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: line %d of the ranks: %w", number, err)
		}
		if err := b.ordinary(id, token); err != nil {
			return nil, err
		}
	}
	return b.ranked(specials)
}

// FromTokens is FromRanks for tokens in the order of their ranks, which begin at 0.
// The tokenizer keeps them; the caller must not change them.
func FromTokens(tokens [][]byte, specials map[string]int32) (*Tokenizer, error) {
	if len(tokens) > maxID {
		return nil, fmt.Errorf("tokenizer: %d tokens, at most %d are read", len(tokens), maxID)
	}
	b := newBuilder(len(tokens)+len(specials), 0)
	for id, token := range tokens {
		if err := b.ordinary(int64(id), token); err != nil {
			return nil, err
		}
	}
	return b.ranked(specials)
}

// ranked enters special tokens and leaves merges to the ranks.
func (b builder) ranked(specials map[string]int32) (*Tokenizer, error) {
	for name, id := range specials {
		if err := b.specialToken(int64(id), name); err != nil {
			return nil, err
		}
	}
	b.t.whole = true
	b.t.split = loadClasses().o200k
	b.t.ranked = true
	b.t.doubles = make([]int32, 1<<16)
	for i := range b.t.doubles {
		b.t.doubles[i] = -1
	}
	for id, token := range b.t.tokens {
		if len(token) == 2 && !b.t.special[id] {
			b.t.doubles[int(token[0])<<8|int(token[1])] = int32(id)
		}
	}
	return b.finish()
}
