package tokenizer

import "fmt"

// Limits on what a file may hold; o200k_harmony has 201,088 ids and 446,189
// merges.
const (
	maxFile     = 64 << 20
	maxID       = 1 << 20
	maxMerges   = 4 << 20
	maxToken    = 4 << 10 // bytes of one token
	maxAdded    = 1 << 16
	maxOrdinary = 1 << 10 // added tokens that are no specials
)

// builder collects a vocabulary, whatever file it comes from.
type builder struct {
	t *Tokenizer
}

func newBuilder() builder {
	return builder{&Tokenizer{
		specials: map[string]int32{},
		pieces:   map[string]int32{},
		added:    addedTokens{},
		merges:   newPairTable(16),
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
	if other, ok := b.t.pieces[string(token)]; ok {
		return fmt.Errorf("tokenizer: token %.40q has ids %d and %d", token, other, id)
	}
	b.t.pieces[string(token)] = int32(id)
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
		delete(t.pieces, name)
	} else if err := b.put(id, []byte(name)); err != nil {
		return err
	}
	t.special[id] = true
	t.specials[name] = int32(id)
	return nil
}

// finish checks that every byte can be encoded.
func (b builder) finish() (*Tokenizer, error) {
	for i := range b.t.bytes {
		id, ok := b.t.pieces[string([]byte{byte(i)})]
		if !ok {
			return nil, fmt.Errorf("tokenizer: byte 0x%02x has no token; a byte-level vocabulary holds all 256", i)
		}
		b.t.bytes[i] = id
	}
	return b.t, nil
}
