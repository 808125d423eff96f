package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is a set of the properties of a character that the splitters ask for.
type class uint8

const (
	upper   class = 1 << iota // Lu, Lt
	lower                     // Ll
	other                     // Lm, Lo: letters without case
	marks                     // M
	number                    // N
	space                     // White_Space
	newline                   // CR, LF
	symbol                    // none of the above

	letter = upper | lower | other
	// The o200k pattern's two letter sets share what has no case.
	upperSet = upper | other | marks
	lowerSet = lower | other | marks
	bothSets = other | marks
)

// classes holds the class of every character, in blocks that equal ones share.
type classes struct {
	ascii  [utf8.RuneSelf]class
	blocks [(unicode.MaxRune + 1) / blockSize]*[blockSize]class
}

const blockSize = 256

var loadClasses = sync.OnceValue(func() *classes {
	flat := make([]class, unicode.MaxRune+1)
	set := func(c class, tables ...*unicode.RangeTable) {
		for _, t := range tables {
			for _, r := range t.R16 {
				for i := uint32(r.Lo); i <= uint32(r.Hi); i += uint32(r.Stride) {
					flat[i] |= c
				}
			}
			for _, r := range t.R32 {
				for i := r.Lo; i <= r.Hi; i += r.Stride {
					flat[i] |= c
				}
			}
		}
	}
	set(upper, unicode.Lu, unicode.Lt)
	set(lower, unicode.Ll)
	set(other, unicode.Lm, unicode.Lo)
	set(marks, unicode.M)
	set(number, unicode.N)
	set(space, unicode.White_Space)
	for _, r := range added16 {
		for c := r.first; c <= r.last; c++ {
			flat[c] = r.class
		}
	}
	flat['\r'] |= newline
	flat['\n'] |= newline
	for i, c := range flat {
		if c == 0 {
			flat[i] = symbol
		}
	}
	out := &classes{}
	copy(out.ascii[:], flat)
	seen := map[[blockSize]class]*[blockSize]class{}
	for i := range out.blocks {
		block := [blockSize]class(flat[i*blockSize:])
		if seen[block] == nil {
			seen[block] = &block
		}
		out.blocks[i] = seen[block]
	}
	return out
})

// at returns the class and length of the first character of text; past the end
// both are 0. A byte that is no valid UTF-8 is a symbol.
func (c *classes) at(text string) (class, int) {
	if text == "" {
		return 0, 0
	}
	if b := text[0]; b < utf8.RuneSelf {
		return c.ascii[b], 1
	}
	r, n := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && n == 1 {
		return symbol, 1
	}
	return c.blocks[r/blockSize][r%blockSize], n
}

// run returns the end of the characters of text, from start on, that are in set.
func (c *classes) run(text string, start int, set class) int {
	for start < len(text) {
		is, n := c.at(text[start:])
		if is&set == 0 {
			break
		}
		start += n
	}
	return start
}
