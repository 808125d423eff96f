// Package regular makes deterministic automata over characters: from the regular expressions of JSON Schema, from the
// formats that it names, and from bounds on numbers.
//
// Patterns are those of ECMA-262 with the flag u, as far as they are regular: alternation, groups, quantifiers, classes,
// escapes, ^ and $ wherever they stand, and lookahead that is not inside a group. Backreferences, word boundaries,
// lookbehind and lookahead inside groups are refused by name. A pattern is searched for, not matched from end to end, so
// "b" allows "abc". Where dialects differ the narrower reading is taken, since the automata decide what is written: a dot
// is no line terminator at all, \s is white space in ASCII, \S nothing that is white space in Unicode.
//
// Everything is bounded, in length, depth, states and work: patterns come from strangers.
package regular
