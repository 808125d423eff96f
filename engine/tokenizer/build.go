package tokenizer

import (
	"fmt"
	"slices"
)

// Limits on what a file may hold; o200k_harmony has 201,088 ids and 446,189
// merges.
const (
	maxFile     = 64 << 20
	maxID       = 1 << 18
	maxMerges   = 4 << 20
	maxToken    = 4 << 10 // bytes of one token
	maxAdded    = 1 << 16
	maxOrdinary = 1 << 10 // added tokens that are no specials
)

// builder collects a vocabulary, whatever file it comes from.
type builder struct {
	t *Tokenizer
}

// newBuilder makes room for a number of tokens and merges; both may be exceeded.
func newBuilder(tokens, merges int) builder {
	return builder{&Tokenizer{
		tokens:   make([][]byte, 0, tokens),
		special:  make([]bool, 0, tokens),
		specials: map[string]int32{},
		pieces:   newVocabulary(tokens),
		added:    addedTokens{},
		merges:   newPairTable(merges),
	}}
}

// put enters the bytes of an id.
func (b builder) put(id int64, token []byte) error {
	if id < 0 || id >= maxID {
		return fmt.Errorf("tokenizer: id %d of token %.40q, it must lie in [0, %d)", id, token, maxID)
	}
	if len(token) == 0 || len(token) > maxToken {
		return fmt.Errorf("tokenizer: token %d has %d bytes, it must have 1 to %d", id, len(token), maxToken)
	}
	t := b.t
	if grow := int(id) + 1 - len(t.tokens); grow > 0 {
		t.tokens = append(t.tokens, make([][]byte, grow)...)
		t.special = append(t.special, make([]bool, grow)...)
	}
	if t.tokens[id] != nil {
		return fmt.Errorf("tokenizer: id %d is both %.40q and %.40q", id, t.tokens[id], token)
	}
	t.tokens[id] = token
	return nil
}

// ordinary enters a token of the vocabulary.
func (b builder) ordinary(id int64, token []byte) error {
	if err := b.put(id, token); err != nil {
		return err
	}
	if other, ok := b.t.piece(string(token)); ok {
		return fmt.Errorf("tokenizer: token %.40q has ids %d and %d", token, other, id)
	}
	b.t.pieces.add(b.t.tokens, int32(id))
	b.t.longest = max(b.t.longest, len(token))
	return nil
}

// specialToken enters a special token. One that the vocabulary holds as well is taken
// out of it, so that no text can lead to it.
func (b builder) specialToken(id int64, name string) error {
	t := b.t
	if other, ok := t.specials[name]; ok {
		return fmt.Errorf("tokenizer: special token %.40q has ids %d and %d", name, other, id)
	}
	if id >= 0 && id < int64(len(t.tokens)) && string(t.tokens[id]) == name && !t.special[id] {
		t.pieces.remove(t.tokens, name)
	} else if err := b.put(id, []byte(name)); err != nil {
		return err
	}
	t.special[id] = true
	t.specials[name] = int32(id)
	return nil
}

// addedToken enters a token that is no special but is found in text before it is
// split.
func (b builder) addedToken(id int64, text string) error {
	if err := b.put(id, []byte(text)); err != nil {
		return err
	}
	b.t.added[text[0]] = append(b.t.added[text[0]], addedToken{text, int32(id)})
	return nil
}

// sortAdded makes the longest of the added tokens be found first.
func (b builder) sortAdded() error {
	count := 0
	for _, tokens := range b.t.added {
		count += len(tokens)
		slices.SortStableFunc(tokens, func(x, y addedToken) int { return len(y.text) - len(x.text) })
	}
	if count > maxOrdinary {
		return fmt.Errorf("tokenizer: %d added tokens that are not special, at most %d are read", count, maxOrdinary)
	}
	return nil
}

// finish checks that every byte can be encoded.
func (b builder) finish() (*Tokenizer, error) {
	for i := range b.t.bytes {
		id, ok := b.t.piece(string([]byte{byte(i)}))
		if !ok {
			return nil, fmt.Errorf("tokenizer: byte 0x%02x has no token; a byte-level vocabulary holds all 256", i)
		}
		b.t.bytes[i] = id
	}
	return b.t, nil
}
