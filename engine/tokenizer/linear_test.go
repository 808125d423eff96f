package tokenizer

import (
	"strings"
	"testing"
)

// hostile are units that, repeated, make a careless tokenizer take quadratic time:
// one piece without end, or pieces that each look far ahead.
var hostile = map[string]string{
	"one letter": "a", "blanks": " ", "line breaks": "\n", "blanks and line breaks": " \n ", "combining marks": "\u0301",
	"invalid UTF-8": "\xff", "a lead byte": "\xe4", "digits": "1", "slashes": "/", "letter and capital": "中A", "capitals": "A",
	"quotes": "'s", "blank and mark": " \u0301", "wide blanks": "\u2003", "symbols and line breaks": "!\n/", "words": "hello the ",
}

// TestMergingIsLinear counts what merging looks at: for a piece four times as long
// a quadratic implementation needs sixteen times as many steps.
func TestMergingIsLinear(t *testing.T) {
	const size = 1 << 13
	ranked, err := FromRanks([]byte(smallRanks()), nil)
	if err != nil {
		t.Fatal(err)
	}
	for kind, tok := range map[string]*Tokenizer{"ranks": ranked, "merges": small(t)} {
		for name, unit := range hostile {
			t.Run(kind+"/"+name, func(t *testing.T) {
				steps := func(size int) int {
					m := merger{t: tok, piece: strings.Repeat(unit, size/len(unit))}
					m.merge(nil)
					return m.steps
				}
				short, long := steps(size), steps(4*size)
				if long > 5*short || long > 64*4*size {
					t.Errorf("%d steps for %d bytes, %d for %d", short, size, long, 4*size)
				}
			})
		}
	}
}

// TestSplittingIsLinear has texts so long that a quadratic splitter would not be
// through with them when the test's time is over; a linear one takes milliseconds.
func TestSplittingIsLinear(t *testing.T) {
	for kind, split := range map[string]splitter{"o200k": loadClasses().o200k, "cl100k": loadClasses().cl100k, "GPT-2": loadClasses().gpt2} {
		for name, unit := range hostile {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				text := strings.Repeat(unit, (1<<20)/len(unit))
				for rest := text; rest != ""; {
					end := split(rest)
					if end <= 0 || end > len(rest) {
						t.Fatalf("a piece of %d bytes in %d", end, len(rest))
					}
					rest = rest[end:]
				}
			})
		}
	}
}

func TestHostileTextsAreEncodedInFull(t *testing.T) {
	tok := small(t)
	for name, unit := range hostile {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat(unit, 1<<16/len(unit))
			if got := strings.Join(texts(tok, tok.Encode(text)), ""); got != text {
				t.Error("the tokens do not add up to the text")
			}
		})
	}
}
