package tokenizer

import "unicode/utf8"

// Tokenizer is immutable and safe for concurrent use.
type Tokenizer struct {
	tokens   [][]byte // by id; nil where there is no token
	special  []bool   // by id
	specials map[string]int32
	pieces   vocabulary // ordinary tokens by their bytes
	bytes    [256]int32 // the token of each byte
	merges   pairTable
	ranked   bool    // two tokens merge if together they are one; merges is empty
	doubles  []int32 // if ranked: by two bytes their token or -1, the most frequent question
	longest  int     // bytes of the longest ordinary token
	whole    bool    // a piece that is a token is taken whole, before any merge
	split    splitter
	added    addedTokens
}

// Size is one more than the highest id.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// Special returns the id of a special token such as "<|start|>".
func (t *Tokenizer) Special(name string) (int32, bool) {
	id, ok := t.specials[name]
	return id, ok
}

// IsSpecial reports whether an id is that of a special token.
func (t *Tokenizer) IsSpecial(id int32) bool {
	return id >= 0 && int(id) < len(t.special) && t.special[id]
}

// TokenBytes returns the bytes that a token stands for, of a special token its
// name, and nil for an unknown id. The caller must not change them.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	if id < 0 || int(id) >= len(t.tokens) {
		return nil
	}
	return t.tokens[id]
}

// piece returns the id of an ordinary token.
func (t *Tokenizer) piece(token string) (int32, bool) {
	id, _, ok := t.pieces.find(t.tokens, token)
	return id, ok
}

// Encode returns the tokens of ordinary text.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.Append(make([]int32, 0, len(text)/3+1), text)
}

// Append appends the tokens of ordinary text to ids.
func (t *Tokenizer) Append(ids []int32, text string) []int32 {
	for text != "" {
		at, length, id := t.added.find(text)
		ids = t.appendPieces(ids, text[:at])
		if length == 0 {
			break
		}
		ids = append(ids, id)
		text = text[at+length:]
	}
	return ids
}

func (t *Tokenizer) appendPieces(ids []int32, text string) []int32 {
	for text != "" {
		end := t.split(text)
		piece := text[:end]
		text = text[end:]
		if len(piece) == 1 {
			ids = append(ids, t.bytes[piece[0]])
			continue
		}
		if t.whole {
			if id, ok := t.piece(piece); ok {
				ids = append(ids, id)
				continue
			}
		}
		ids = t.merge(ids, piece)
	}
	return ids
}

// Decode returns the text of ids, special tokens left out and invalid UTF-8
// replaced by U+FFFD.
func (t *Tokenizer) Decode(ids []int32) string {
	var out []byte
	d := t.NewDecoder()
	for _, id := range ids {
		out = append(out, d.Push(id)...)
	}
	return string(append(out, d.Flush()...))
}

// addedTokens are tokens that are no specials but are found in text before it is
// split, by their first byte and the longest first.
type addedTokens map[byte][]addedToken

type addedToken struct {
	text string
	id   int32
}

// find returns the place, length and id of the first added token in text, or the
// end of text and length 0.
func (a addedTokens) find(text string) (at, length int, id int32) {
	if len(a) == 0 {
		return len(text), 0, 0
	}
	for at := range len(text) {
		for _, token := range a[text[at]] {
			if len(text)-at >= len(token.text) && text[at:at+len(token.text)] == token.text {
				return at, len(token.text), token.id
			}
		}
	}
	return len(text), 0, 0
}

// Decoder turns a stream of ids into text, holding back a character until all of
// its bytes are there.
type Decoder struct {
	t       *Tokenizer
	pending []byte
}

// NewDecoder returns an empty decoder.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Push adds a token and returns the characters that it completes. Special tokens
// and unknown ids add nothing.
func (d *Decoder) Push(id int32) string {
	if d.t.IsSpecial(id) {
		return ""
	}
	return d.Write(d.t.TokenBytes(id))
}

// Write adds bytes and returns the characters that they complete.
func (d *Decoder) Write(b []byte) string {
	if len(d.pending) == 0 && utf8.Valid(b) {
		return string(b)
	}
	d.pending = append(d.pending, b...)
	out, rest := scrub(d.pending, false)
	d.pending = append(d.pending[:0], rest...)
	return out
}

// Flush ends the text: what is left of a character becomes U+FFFD.
func (d *Decoder) Flush() string {
	out, _ := scrub(d.pending, true)
	d.pending = d.pending[:0]
	return out
}

// scrub replaces each longest part of b that could have begun a character by one
// U+FFFD, as Unicode recommends and Rust's from_utf8_lossy does. Unless b is at
// its end, a character begun last is returned as the rest.
func scrub(b []byte, end bool) (text string, rest []byte) {
	var out []byte
	for len(b) > 0 {
		if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
			out = append(out, b[:n]...)
			b = b[n:]
			continue
		}
		if !end && !utf8.FullRune(b) {
			return string(out), b
		}
		n := 1
		for n < len(b) && !utf8.FullRune(b[:n]) && continues(b, n) {
			n++
		}
		out = utf8.AppendRune(out, utf8.RuneError)
		b = b[n:]
	}
	return string(out), nil
}

// continues reports whether b[:n+1] can begin a character, given that b[:n] can.
func continues(b []byte, n int) bool {
	if b[n]&0xc0 != 0x80 {
		return false
	}
	if n > 1 {
		return true
	}
	switch b[0] { // overlong forms, surrogates, past U+10FFFF
	case 0xe0:
		return b[1] >= 0xa0
	case 0xed:
		return b[1] < 0xa0
	case 0xf0:
		return b[1] >= 0x90
	case 0xf4:
		return b[1] < 0x90
	}
	return true
}
