package regular

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a pattern.
const (
	maxPattern = 8192 // bytes
	maxNesting = 64
	maxRepeat  = 4096 // of a quantifier
)

var errLookBeforeBegin = errors.New("lookahead before ^ is not supported")

// ErrTooComplex says that a pattern is regular, but takes too many states.
var ErrTooComplex = errors.New("the pattern is too complex")

type operation uint8

const (
	opEmpty operation = iota
	opSet
	opConcat
	opAlternate
	opRepeat
	opBegin // ^
	opEnd   // $
	opLook  // (?=…) and (?!…)
	opRest  // all that is left of the text is in an automaton's language
)

// expression is a parsed pattern.
type expression struct {
	op       operation
	set      set
	subs     []*expression
	min, max int  // of opRepeat; max is -1 for no bound
	negative bool // of opLook
	rest     *DFA // of opRest
}

// parser reads a pattern of ECMA-262.
type parser struct {
	text  string
	at    int
	depth int
}

func parse(pattern string) (*expression, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrTooComplex, len(pattern), maxPattern)
	}
	if !utf8.ValidString(pattern) {
		return nil, errors.New("the pattern is not valid UTF-8")
	}
	p := &parser{text: pattern}
	e, err := p.alternation()
	if err == nil && p.at < len(p.text) {
		err = fmt.Errorf("unmatched ) at byte %d", p.at)
	}
	return e, err
}

// more reports whether there is something left; peek is its first byte.
func (p *parser) more() bool { return p.at < len(p.text) }

func (p *parser) peek() byte { return p.text[p.at] }

func (p *parser) take(prefix string) bool {
	if strings.HasPrefix(p.text[p.at:], prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

func (p *parser) rune() rune {
	r, n := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += n
	return r
}

func (p *parser) alternation() (*expression, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("%w: groups are nested deeper than %d", ErrTooComplex, maxNesting)
	}
	defer func() { p.depth-- }()
	e := &expression{op: opAlternate}
	for {
		c, err := p.concatenation()
		if err != nil {
			return nil, err
		}
		e.subs = append(e.subs, c)
		if !p.take("|") {
			return e, nil
		}
	}
}

func (p *parser) concatenation() (*expression, error) {
	e := &expression{op: opConcat}
	for p.more() && p.peek() != '|' && p.peek() != ')' {
		atom, err := p.atom()
		if err != nil {
			return nil, err
		}
		if atom, err = p.quantified(atom); err != nil {
			return nil, err
		}
		e.subs = append(e.subs, atom)
	}
	return e, nil
}

func (p *parser) atom() (*expression, error) {
	switch {
	case p.take("^"):
		return &expression{op: opBegin}, nil
	case p.take("$"):
		return &expression{op: opEnd}, nil
	case p.take("."):
		return &expression{op: opSet, set: lineEnds.negate()}, nil
	case p.take("("):
		return p.group()
	case p.take("["):
		return p.class()
	case p.take(`\`):
		s, err := p.escape(false)
		return &expression{op: opSet, set: s}, err
	}
	r := p.rune()
	if strings.ContainsRune("*+?", r) {
		return nil, fmt.Errorf("nothing to repeat at byte %d", p.at-1)
	}
	if r == '{' { // u flag: a syntax error; without it, itself
		if _, _, ok := p.counts(); ok {
			return nil, fmt.Errorf("nothing to repeat at byte %d", p.at-1)
		}
	}
	return &expression{op: opSet, set: set{{r, r}}}, nil
}

func (p *parser) group() (*expression, error) {
	wrap := func(e *expression) *expression { return e }
	switch {
	case p.take("?:"):
	case p.take("?="), p.take("?!"):
		negative := p.text[p.at-1] == '!'
		wrap = func(e *expression) *expression {
			return &expression{op: opLook, negative: negative, subs: []*expression{e}}
		}
	case p.take("?<="), p.take("?<!"):
		return nil, errors.New("lookbehind is not supported")
	case p.take("?<"), p.take("?P<"):
		end := strings.IndexByte(p.text[p.at:], '>')
		if end < 0 {
			return nil, errors.New("the name of a group does not end")
		}
		p.at += end + 1
	case p.more() && p.peek() == '?':
		return nil, errors.New("flags inside a pattern are not supported")
	}
	e, err := p.alternation()
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, errors.New("a group does not end")
	}
	return wrap(e), nil
}

func (p *parser) quantified(atom *expression) (*expression, error) {
	for p.more() {
		low, high := 0, -1
		switch {
		case p.take("*"):
		case p.take("+"):
			low = 1
		case p.take("?"):
			high = 1
		case p.peek() == '{':
			at := p.at
			p.at++
			var ok bool
			if low, high, ok = p.counts(); !ok {
				p.at = at
				return atom, nil
			}
		default:
			return atom, nil
		}
		if low > maxRepeat || high > maxRepeat {
			return nil, fmt.Errorf("%w: a quantifier is over %d", ErrTooComplex, maxRepeat)
		}
		if high >= 0 && low > high {
			return nil, errors.New("the numbers of a quantifier are out of order")
		}
		if atom.op == opBegin || atom.op == opEnd || atom.op == opLook {
			return nil, errors.New("an assertion cannot be repeated")
		}
		p.take("?") // lazy: the same texts match
		atom = &expression{op: opRepeat, subs: []*expression{atom}, min: low, max: high}
	}
	return atom, nil
}

// counts reads what follows a brace: "2}", "2,}" or "2,5}".
func (p *parser) counts() (low, high int, ok bool) {
	end := strings.IndexByte(p.text[p.at:], '}')
	if end < 0 {
		return 0, 0, false
	}
	first, second, ranged := strings.Cut(p.text[p.at:p.at+end], ",")
	number := func(s string) (int, bool) {
		if s == "" || strings.Trim(s, "0123456789") != "" {
			return 0, false
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			n = maxRepeat + 1
		}
		return n, true
	}
	if low, ok = number(first); !ok {
		return 0, 0, false
	}
	switch {
	case !ranged:
		high = low
	case second == "":
		high = -1
	default:
		if high, ok = number(second); !ok {
			return 0, 0, false
		}
	}
	p.at += end + 1
	return low, high, true
}

// class reads what follows a bracket.
func (p *parser) class() (*expression, error) {
	negated := p.take("^")
	var all []span
	for {
		if !p.more() {
			return nil, errors.New("a class does not end")
		}
		if p.take("]") {
			break
		}
		low, err := p.classAtom()
		if err != nil {
			return nil, err
		}
		rest := p.text[p.at:]
		if !strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "-]") || len(low) != 1 || low[0].lo != low[0].hi {
			all = append(all, low...)
			continue
		}
		p.at++
		if !p.more() {
			return nil, errors.New("a class does not end")
		}
		high, err := p.classAtom()
		if err != nil {
			return nil, err
		}
		if len(high) != 1 || high[0].lo != high[0].hi {
			all = append(append(all, low...), high...)
			all = append(all, span{'-', '-'})
			continue
		}
		if low[0].lo > high[0].lo {
			return nil, errors.New("a range of a class is out of order")
		}
		all = append(all, span{low[0].lo, high[0].lo})
	}
	s := normal(all).intersect(everything)
	if negated {
		s = s.negate()
		if slicesContain(all, spaces) { // [^\s]: see the package comment
			s = s.intersect(allSpaces.negate())
		}
	}
	return &expression{op: opSet, set: s}, nil
}

func slicesContain(spans []span, s set) bool {
	joined := normal(append([]span(nil), spans...))
	return len(joined.intersect(s)) == len(s)
}

func (p *parser) classAtom() (set, error) {
	if p.take(`\`) {
		return p.escape(true)
	}
	r := p.rune()
	return set{{r, r}}, nil
}
