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
	b := newBuilder()
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
	for name, id := range specials {
		if err := b.specialToken(int64(id), name); err != nil {
			return nil, err
		}
	}
	b.t.whole = true
	b.t.split = loadClasses().o200k
	if err := b.rankedMerges(); err != nil {
		return nil, err
	}
	return b.finish()
}

// rankedMerges enters every pair of tokens that together are a token.
func (b builder) rankedMerges() error {
	for whole, token := range b.t.tokens {
		if b.t.special[whole] {
			continue
		}
		for i := 1; i < len(token); i++ {
			left, ok := b.t.pieces[string(token[:i])]
			if !ok {
				continue
			}
			if right, ok := b.t.pieces[string(token[i:])]; ok {
				b.t.merges.add(left, right, mergeResult{rank: uint32(whole), id: int32(whole)})
			}
		}
		if b.t.merges.size > maxMerges {
			return fmt.Errorf("tokenizer: the ranks allow more than %d merges", maxMerges)
		}
	}
	return nil
}
