package regular

import (
	"slices"
	"unicode"
)

// maxRune is the last character.
const maxRune = unicode.MaxRune

// span is a range of characters, both ends included.
type span struct{ lo, hi rune }

// set is characters in rising, disjoint spans that do not touch.
type set []span

var (
	everything = set{{0, 0xd7ff}, {0xe000, maxRune}} // surrogates are no characters
	digits     = set{{'0', '9'}}
	wordRunes  = set{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	// spaces are what every dialect takes for white space, allSpaces what any does.
	spaces    = set{{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}
	allSpaces = set{
		{'\t', '\r'},
		{' ', ' '},
		{0x85, 0x85},
		{0xa0, 0xa0},
		{0x1680, 0x1680},
		{0x2000, 0x200a},
		{0x2028, 0x2029},
		{0x202f, 0x202f},
		{0x205f, 0x205f},
		{0x3000, 0x3000},
		{0xfeff, 0xfeff},
	}
	lineEnds = set{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}
)

// normal sorts spans and joins those that touch.
func normal(spans []span) set {
	slices.SortFunc(spans, func(a, b span) int { return int(a.lo - b.lo) })
	out := set{}
	for _, s := range spans {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// negate returns all other characters.
func (s set) negate() set {
	out, next := set{}, rune(0)
	for _, r := range s {
		if r.lo > next {
			out = append(out, span{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= maxRune {
		out = append(out, span{next, maxRune})
	}
	return out.intersect(everything)
}

func (s set) intersect(other set) set {
	out := set{}
	for i, j := 0, 0; i < len(s) && j < len(other); {
		lo, hi := max(s[i].lo, other[j].lo), min(s[i].hi, other[j].hi)
		if lo <= hi {
			out = append(out, span{lo, hi})
		}
		if s[i].hi < other[j].hi {
			i++
		} else {
			j++
		}
	}
	return out
}

// property returns the characters of a Unicode category or script, such as L, Lu or Greek.
func property(name string) (set, bool) {
	for _, prefix := range []string{"Script=", "sc=", "General_Category=", "gc="} {
		if len(name) > len(prefix) && name[:len(prefix)] == prefix {
			name = name[len(prefix):]
			break
		}
	}
	long := map[string]string{
		"Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Mark": "M", "Number": "N", "Decimal_Number": "Nd",
		"Punctuation": "P", "Symbol": "S", "Separator": "Z", "Alphabetic": "L",
	}
	if short, ok := long[name]; ok {
		name = short
	}
	table, ok := unicode.Categories[name]
	if !ok {
		table, ok = unicode.Scripts[name]
	}
	if !ok {
		return nil, false
	}
	var spans []span
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			spans = append(spans, span{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			spans = append(spans, span{r, r})
		}
	}
	for _, r := range table.R16 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range table.R32 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return normal(spans).intersect(everything), true
}
