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

// added16 lists the letters, marks and numbers that Unicode 15.1 and 16.0 added.
// OpenAI's tokenizers split by Unicode 16, the tables of package unicode in Go
// 1.26 are those of 15.0. Found by comparing all code points with tiktoken 0.14.0.
var added16 = [...]struct {
	first, last rune
	class       class
}{
	{0x0897, 0x0897, marks},
	{0x1c89, 0x1c89, upper},
	{0x1c8a, 0x1c8a, lower},
	{0xa7cb, 0xa7cc, upper},
	{0xa7cd, 0xa7cd, lower},
	{0xa7da, 0xa7da, upper},
	{0xa7db, 0xa7db, lower},
	{0xa7dc, 0xa7dc, upper},
	{0x105c0, 0x105f3, other},
	{0x10d40, 0x10d49, number},
	{0x10d4a, 0x10d4f, other},
	{0x10d50, 0x10d65, upper},
	{0x10d69, 0x10d6d, marks},
	{0x10d6f, 0x10d6f, other},
	{0x10d70, 0x10d85, lower},
	{0x10ec2, 0x10ec4, other},
	{0x10efc, 0x10efc, marks},
	{0x11380, 0x11389, other},
	{0x1138b, 0x1138b, other},
	{0x1138e, 0x1138e, other},
	{0x11390, 0x113b5, other},
	{0x113b7, 0x113b7, other},
	{0x113b8, 0x113c0, marks},
	{0x113c2, 0x113c2, marks},
	{0x113c5, 0x113c5, marks},
	{0x113c7, 0x113ca, marks},
	{0x113cc, 0x113d0, marks},
	{0x113d1, 0x113d1, other},
	{0x113d2, 0x113d2, marks},
	{0x113d3, 0x113d3, other},
	{0x113e1, 0x113e2, marks},
	{0x116d0, 0x116e3, number},
	{0x11bc0, 0x11be0, other},
	{0x11bf0, 0x11bf9, number},
	{0x11f5a, 0x11f5a, marks},
	{0x13460, 0x143fa, other},
	{0x16100, 0x1611d, other},
	{0x1611e, 0x1612f, marks},
	{0x16130, 0x16139, number},
	{0x16d40, 0x16d6c, other},
	{0x16d70, 0x16d79, number},
	{0x18cff, 0x18cff, other},
	{0x1ccf0, 0x1ccf9, number},
	{0x1e5d0, 0x1e5ed, other},
	{0x1e5ee, 0x1e5ef, marks},
	{0x1e5f0, 0x1e5f0, other},
	{0x1e5f1, 0x1e5fa, number},
	{0x2ebf0, 0x2ee5d, other},
}
