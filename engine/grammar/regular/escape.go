package regular

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// escape reads what follows a backslash.
func (p *parser) escape(inClass bool) (set, error) {
	if !p.more() {
		return nil, errors.New("the pattern ends in a backslash")
	}
	r := p.rune()
	switch r {
	case 'd':
		return digits, nil
	case 'D':
		return digits.negate(), nil
	case 'w':
		return wordRunes, nil
	case 'W':
		return wordRunes.negate(), nil
	case 's':
		return spaces, nil
	case 'S':
		return allSpaces.negate(), nil
	case 'p', 'P':
		return p.category(r == 'P')
	case 'b':
		if inClass {
			return set{{'\b', '\b'}}, nil
		}
		return nil, errors.New(`\b is not supported`)
	case 'B':
		return nil, errors.New(`\B is not supported`)
	case 'k':
		return nil, errors.New("backreferences are not supported")
	case 'c':
		if !p.more() {
			return nil, errors.New(`\c needs a letter`)
		}
		r = p.rune() & 31
		return set{{r, r}}, nil
	case 'x':
		return p.hex(2)
	case 'u':
		return p.unicode()
	case '0':
		return set{{0, 0}}, nil
	}
	if r >= '1' && r <= '9' {
		return nil, errors.New("backreferences are not supported")
	}
	if at := strings.IndexRune("tnvfr", r); at >= 0 {
		r = rune("\t\n\v\f\r"[at])
		return set{{r, r}}, nil
	}
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return nil, fmt.Errorf(`\%c is not supported`, r)
	}
	return set{{r, r}}, nil
}

func (p *parser) category(negated bool) (set, error) {
	end := strings.IndexByte(p.text[p.at:], '}')
	if !p.take("{") || end < 0 {
		return nil, errors.New(`\p needs a name in braces`)
	}
	name := p.text[p.at : p.at+end-1]
	p.at += end
	s, ok := property(name)
	if !ok {
		return nil, fmt.Errorf(`\p{%.32s} is not supported`, name)
	}
	if negated {
		s = s.negate()
	}
	return s, nil
}

func (p *parser) hex(digits int) (set, error) {
	r, ok := p.hexRune(digits)
	if !ok {
		return nil, errors.New("an escape lacks hexadecimal digits")
	}
	return set{{r, r}}.intersect(everything), nil
}

func (p *parser) hexRune(digits int) (rune, bool) {
	if p.at+digits > len(p.text) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.text[p.at:p.at+digits], 16, 32)
	if err != nil || n > maxRune {
		return 0, false
	}
	p.at += digits
	return rune(n), true
}

// unicode reads four digits, a pair of surrogates, or digits in braces.
func (p *parser) unicode() (set, error) {
	if p.take("{") {
		end := strings.IndexByte(p.text[p.at:], '}')
		if end < 1 || end > 8 {
			return nil, errors.New(`\u{…} needs a hexadecimal number`)
		}
		r, ok := p.hexRune(end)
		if !ok {
			return nil, errors.New(`\u{…} needs a hexadecimal number`)
		}
		p.at++
		return set{{r, r}}.intersect(everything), nil
	}
	high, ok := p.hexRune(4)
	if !ok {
		return nil, errors.New("an escape lacks hexadecimal digits")
	}
	if high >= 0xd800 && high <= 0xdbff && p.take(`\u`) {
		low, ok := p.hexRune(4)
		if !ok || low < 0xdc00 || low > 0xdfff {
			return nil, errors.New("half of a surrogate pair is missing")
		}
		high = 0x10000 + (high-0xd800)<<10 + (low - 0xdc00)
	}
	return set{{high, high}}.intersect(everything), nil
}
