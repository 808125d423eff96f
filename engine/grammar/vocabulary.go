package grammar

import (
	"bytes"
	"slices"
)

const (
	// controlByte begins the spelling of a control token. UTF-8 never has it.
	controlByte = 0xff
	// maxToken bounds the bytes of a token; longer ones are never allowed.
	maxToken = 255
)

// controlText spells a control token.
func controlText(id int32) string {
	return string([]byte{controlByte, byte(id >> 16), byte(id >> 8), byte(id)})
}

// Vocabulary is the tokens of a model, as a trie over their bytes. It is immutable and safe for concurrent use.
type Vocabulary struct {
	texts   [][]byte // by id; of a control token its spelling, nil for what is never allowed
	words   int      // of a mask
	longest int      // bytes of the longest token

	// The trie in depth-first order: a node's descendants follow it, up to skip.
	label []byte
	depth []uint8
	skip  []int32
	token []int32 // that ends there, or -1
	// twins are further tokens with the same bytes, by the first of them.
	twins map[int32][]int32

	inside stringTokens
}

// NewVocabulary makes a vocabulary of size ids. token returns the bytes of one, and whether it is a control token; a token
// without bytes is never allowed.
func NewVocabulary(size int, token func(id int32) (text []byte, control bool)) *Vocabulary {
	v := &Vocabulary{texts: make([][]byte, size), words: (size + 63) / 64, twins: map[int32][]int32{}}
	ids := make([]int32, 0, size)
	for id := range int32(size) {
		text, control := token(id)
		switch {
		case control:
			text = []byte(controlText(id))
		case len(text) > maxToken || bytes.IndexByte(text, controlByte) >= 0:
			continue
		}
		if len(text) > 0 {
			v.texts[id] = text
			v.longest = max(v.longest, len(text))
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b int32) int {
		if c := bytes.Compare(v.texts[a], v.texts[b]); c != 0 {
			return c
		}
		return int(a - b)
	})
	v.plant(ids)
	v.inside = newStringTokens(v)
	return v
}

// plant builds the trie of sorted tokens.
func (v *Vocabulary) plant(ids []int32) {
	var path []int32 // the nodes of the last token
	var last []byte
	for i, id := range ids {
		text := v.texts[id]
		if i > 0 && bytes.Equal(text, last) {
			first := v.token[path[len(path)-1]]
			v.twins[first] = append(v.twins[first], id)
			continue
		}
		common := 0
		for common < len(text) && common < len(last) && text[common] == last[common] {
			common++
		}
		for _, n := range path[common:] {
			v.skip[n] = int32(len(v.label))
		}
		path = path[:common]
		for at := common; at < len(text); at++ {
			path = append(path, int32(len(v.label)))
			v.label = append(v.label, text[at])
			v.depth = append(v.depth, uint8(at+1))
			v.skip = append(v.skip, 0)
			v.token = append(v.token, -1)
		}
		v.token[path[len(path)-1]] = id
		last = text
	}
	for _, n := range path {
		v.skip[n] = int32(len(v.label))
	}
}

// Words is the length of a mask.
func (v *Vocabulary) Words() int { return v.words }

// Text returns the bytes of a token, and nil of one that is never allowed. The caller must not change them.
func (v *Vocabulary) Text(id int32) []byte { return v.texts[id] }

// Find returns the token of a text, or -1.
func (v *Vocabulary) Find(text string) int32 {
	at, end, found := int32(0), int32(len(v.label)), int32(-1)
	for i := 0; i < len(text); i++ {
		for at < end && v.label[at] != text[i] {
			at = v.skip[at]
		}
		if at >= end {
			return -1
		}
		found = v.token[at]
		at, end = at+1, v.skip[at]
	}
	return found
}

// appendTokens appends the tokens that end at a node of the trie.
func (v *Vocabulary) appendTokens(ids []int32, node int32) []int32 {
	id := v.token[node]
	if id < 0 {
		return ids
	}
	ids = append(ids, id)
	if len(v.twins) > 0 {
		ids = append(ids, v.twins[id]...)
	}
	return ids
}

// shortTokens is up to which number of characters there is a mask for strings with room for so many.
const shortTokens = 31

// stringTokens says what tokens do inside a JSON string, from between two characters on.
type stringTokens struct {
	// full has the tokens after which the string still goes on, fitting those of them for which there must be room for at
	// most so many characters.
	full    []uint64
	fitting [shortTokens + 1][]uint64
	long    []stringToken // those that need more room, the least first
	ends    []stringToken // places in the trie where the string ends, by the characters before
}

// stringToken is a token, or a place in the trie, and the characters up to there.
type stringToken struct{ id, runes int32 }

func newStringTokens(v *Vocabulary) stringTokens {
	b := NewBuilder()
	body := b.stringBody()
	s := stringTokens{full: make([]uint64, v.words)}
	for i := range s.fitting {
		s.fitting[i] = make([]uint64, v.words)
	}
	type place struct {
		node  Node
		runes int32
	}
	path := [maxToken + 1]place{{node: body}}
	var ids []int32
	for i := int32(0); int(i) < len(v.label); {
		from := path[v.depth[i]-1]
		to := place{node: -1}
		for _, e := range b.nodes[from.node].edges {
			if c := v.label[i]; e.lo <= c && c <= e.hi {
				to = place{e.to, from.runes}
				if e.counts {
					to.runes++
				}
			}
		}
		if to.node == Return {
			s.ends = append(s.ends, stringToken{i, to.runes})
		}
		if to.node <= Return {
			i = v.skip[i]
			continue
		}
		path[v.depth[i]] = to
		need := to.runes
		if to.node != body {
			need++
		}
		ids = v.appendTokens(ids[:0], i)
		for _, id := range ids {
			set(s.full, id)
			if need > shortTokens {
				s.long = append(s.long, stringToken{id, need})
				continue
			}
			for k := need; k <= shortTokens; k++ {
				set(s.fitting[k], id)
			}
		}
		i++
	}
	byRunes := func(a, b stringToken) int { return int(a.runes - b.runes) }
	slices.SortStableFunc(s.long, byRunes)
	slices.SortStableFunc(s.ends, byRunes)
	return s
}

func set(mask []uint64, id int32) { mask[id>>6] |= 1 << (id & 63) }

// entry returns the tokens of a string that must get at least low and may get at most high further characters.
func (s *stringTokens) entry(v *Vocabulary, low, high int32) *entry {
	e := &entry{mask: s.full}
	if int(high) < v.longest {
		e.mask = s.fitting[min(high, shortTokens)]
		for _, t := range s.long {
			if t.runes <= high {
				e.ids = append(e.ids, t.id)
			}
		}
	}
	var ends places
	for _, t := range s.ends {
		if t.runes >= low && t.runes <= high {
			ends.nodes = append(ends.nodes, t.id)
			e.ids = v.appendTokens(e.ids, t.id)
		}
	}
	e.ends = &ends
	return e
}
