package regular

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// How long the numbers are that are written. An integer fits into 64 bits. A number that has bounds has at most as many
// digits as a float64 tells apart, so that a reader's rounding cannot carry it over a bound; without bounds it may have an
// exponent, of two digits, which keeps it finite.
const (
	maxIntegerDigits = 18
	maxFloatDigits   = 15
	freeFraction     = 17
	// maxModulus bounds a multipleOf, in units of its last decimal place.
	maxModulus = 100_000
)

// NumberSpec says which numbers are wanted; nil stands for no bound.
type NumberSpec struct {
	Integer          bool
	Low, High        *big.Rat
	LowOpen          bool // Low itself is excluded
	HighOpen         bool
	MultipleOf       *big.Rat
	multiplierDigits int
	modulus          int
}

// freeNumber is JSON's grammar, within the digits above.
const freeNumber = `-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?`

// Number returns the decimal texts of numbers, as JSON writes them.
func Number(spec NumberSpec) (*DFA, error) {
	if !spec.Integer && spec.Low == nil && spec.High == nil && spec.MultipleOf == nil {
		return Whole(freeNumber)
	}
	if err := spec.prepare(); err != nil {
		return nil, err
	}
	n := numbers{spec: spec, ids: map[numberState]int32{}}
	if err := n.setBounds(); err != nil {
		return nil, err
	}
	n.id(numberState{})
	for i := 0; i < len(n.order); i++ {
		var edges []Edge
		for _, r := range "-.0123456789" {
			if to, ok := n.step(n.order[i], r); ok {
				edges = append(edges, Edge{r, r, n.id(to)})
			}
		}
		n.dfa.States = append(n.dfa.States, State{n.accepts(n.order[i]), joined(edges)})
		if len(n.order) > 20*maxStates {
			return nil, ErrTooComplex
		}
	}
	d := n.dfa.trim().minimise()
	if len(d.States) > maxStates {
		return nil, ErrTooComplex
	}
	return d, nil
}

// prepare writes multipleOf as modulus / 10^multiplierDigits.
func (s *NumberSpec) prepare() error {
	s.modulus = 1
	if s.MultipleOf == nil {
		return nil
	}
	if s.MultipleOf.Sign() <= 0 {
		return errors.New("multipleOf must be greater than 0")
	}
	scaled := new(big.Rat).Set(s.MultipleOf)
	for !scaled.IsInt() {
		if s.multiplierDigits++; s.multiplierDigits > 9 {
			return errors.New("multipleOf has more than 9 decimal places")
		}
		scaled.Mul(scaled, big.NewRat(10, 1))
	}
	if !scaled.Num().IsInt64() || scaled.Num().Int64() > maxModulus {
		return fmt.Errorf("%w: multipleOf has too many digits", ErrTooComplex)
	}
	s.modulus = int(scaled.Num().Int64())
	if s.Integer && s.multiplierDigits > 0 { // multiples of 1.5 that are integers are those of 3
		ten := 1
		for range s.multiplierDigits {
			ten *= 10
		}
		a, b := s.modulus, ten
		for b != 0 {
			a, b = b, a%b
		}
		s.modulus, s.multiplierDigits = s.modulus/a, 0
	}
	return nil
}

// magnitude is a bound of a number without its sign: decimal digits before and after the point. far means no bound.
type magnitude struct {
	whole, fraction string
	open, far       bool
}

// numberState is what is known of the digits read so far.
type numberState struct {
	phase    uint8 // 0 nothing, 1 a minus, 2 a leading zero, 3 more digits, 4 a point, 5 digits behind it
	negative bool
	whole    int8 // digits before the point
	fraction int8 // behind it
	low      int8 // how the digits compare with those of the bounds: -1, 0, 1
	high     int8
	rest     int32 // modulo the modulus
	nonzero  bool
}

type numbers struct {
	spec   NumberSpec
	bounds [2][2]magnitude // by sign: the least and the greatest magnitude
	none   [2]bool         // no number of that sign is in bounds
	digits int
	ids    map[numberState]int32
	order  []numberState
	dfa    DFA
}

func (n *numbers) id(s numberState) int32 {
	id, ok := n.ids[s]
	if !ok {
		id = int32(len(n.order))
		n.ids[s] = id
		n.order = append(n.order, s)
	}
	return id
}

// setBounds splits the bounds into those of either sign.
func (n *numbers) setBounds() error {
	n.digits = maxFloatDigits
	if n.spec.Integer {
		n.digits = maxIntegerDigits
	}
	least := magnitude{whole: "0"}
	far := magnitude{far: true}
	n.bounds = [2][2]magnitude{{least, far}, {least, far}}
	if low := n.spec.Low; low != nil {
		m, err := n.magnitude(low, n.spec.LowOpen)
		if err != nil {
			return err
		}
		if low.Sign() >= 0 {
			n.bounds[0][0] = m
			n.none[1] = true
		} else {
			n.bounds[1][1] = m
		}
	}
	if high := n.spec.High; high != nil {
		m, err := n.magnitude(high, n.spec.HighOpen)
		if err != nil {
			return err
		}
		if high.Sign() > 0 || high.Sign() == 0 && !n.spec.HighOpen {
			n.bounds[0][1] = m
		} else {
			n.none[0] = true
		}
		if high.Sign() < 0 {
			n.bounds[1][0] = m
		}
	}
	return nil
}

func (n *numbers) magnitude(r *big.Rat, open bool) (magnitude, error) {
	text := strings.TrimPrefix(r.FloatString(40), "-")
	whole, fraction, _ := strings.Cut(text, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) >= 40 || len(whole)+len(fraction) > n.digits && fraction != "" || len(whole) > 40 {
		return magnitude{}, errors.New("a bound has too many digits")
	}
	return magnitude{whole: whole, fraction: fraction, open: open}, nil
}

// step takes a character.
func (n *numbers) step(s numberState, r rune) (numberState, bool) {
	if r == '-' {
		return numberState{phase: 1, negative: true}, s.phase == 0 && !n.none[1]
	}
	if r == '.' {
		ok := (s.phase == 2 || s.phase == 3) && !n.spec.Integer && int(s.whole) < n.digits && (n.spec.MultipleOf == nil || n.spec.multiplierDigits > 0)
		n.resolve(&s)
		s.phase = 4
		return s, ok
	}
	digit := int(r - '0')
	switch s.phase {
	case 0, 1:
		if s.phase == 0 && n.none[0] {
			return s, false
		}
		s.phase = 3
		if digit == 0 {
			s.phase = 2
		}
	case 2:
		return s, false
	}
	s.nonzero = s.nonzero || digit > 0
	if n.spec.MultipleOf != nil {
		s.rest = int32((int(s.rest)*10 + digit) % n.spec.modulus)
	}
	b := &n.bounds[sign(s.negative)]
	if s.phase >= 4 {
		s.phase = 5
		s.low = compareDigit(s.low, b[0].fraction, int(s.fraction), digit)
		s.high = compareDigit(s.high, b[1].fraction, int(s.fraction), digit)
		s.fraction++
		limit := n.digits - int(s.whole)
		if n.spec.MultipleOf != nil {
			limit = min(limit, n.spec.multiplierDigits)
		}
		return s, int(s.fraction) <= limit
	}
	s.low = compareDigit(s.low, b[0].whole, int(s.whole), digit)
	s.high = compareDigit(s.high, b[1].whole, int(s.whole), digit)
	s.whole++
	return s, int(s.whole) <= n.digits
}

func sign(negative bool) int {
	if negative {
		return 1
	}
	return 0
}

// compareDigit compares one more digit with the bound's at that place, if all before are equal.
func compareDigit(so int8, bound string, at, digit int) int8 {
	want := 0
	if at < len(bound) {
		want = int(bound[at] - '0')
	}
	switch {
	case so != 0:
		return so
	case digit < want:
		return -1
	case digit > want:
		return 1
	}
	return 0
}

// resolve compares the digits before the point as a whole: the number with more of them is greater.
func (n *numbers) resolve(s *numberState) {
	b := &n.bounds[sign(s.negative)]
	for i, so := range []*int8{&s.low, &s.high} {
		switch {
		case b[i].far || int(s.whole) < len(b[i].whole):
			*so = -1
		case int(s.whole) > len(b[i].whole):
			*so = 1
		}
	}
}

// accepts reports whether a number may end in a state.
func (n *numbers) accepts(s numberState) bool {
	if s.phase != 2 && s.phase != 3 && s.phase != 5 {
		return false
	}
	b := &n.bounds[sign(s.negative)]
	if s.phase < 5 {
		n.resolve(&s)
	}
	for i, so := range []*int8{&s.low, &s.high} {
		if *so == 0 && len(b[i].fraction) > int(s.fraction) {
			*so = -1 // the bound has more decimals, the last of which is not 0
		}
	}
	if s.low < 0 || s.low == 0 && b[0].open || s.high > 0 || s.high == 0 && b[1].open && !b[1].far {
		return false
	}
	if s.negative && !s.nonzero {
		return false
	}
	rest := int(s.rest)
	for range n.spec.multiplierDigits - int(s.fraction) {
		rest = rest * 10 % n.spec.modulus
	}
	return rest == 0
}
