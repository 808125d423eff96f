package tokenizer

import (
	"fmt"
	"strings"
)

// splitter returns the end of the first piece of a text that is not empty; the
// piece is not empty either. Tokens never cross the end of a piece.
type splitter func(text string) int

// The patterns that a splitter is written for, as they stand in tokenizer.json
// and in tiktoken's sources.
const (
	patternO200k = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
		`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
		`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternCL100k = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+` +
		`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
)

func splitterFor(pattern string) (splitter, error) {
	switch pattern {
	case patternO200k:
		return loadClasses().o200k, nil
	case patternCL100k:
		return loadClasses().cl100k, nil
	case patternGPT2:
		return loadClasses().gpt2, nil
	}
	return nil, fmt.Errorf("tokenizer: pre_tokenizer pattern %.80q is none of o200k, cl100k and GPT-2", pattern)
}

// Each splitter tries the alternatives of its pattern in order. Where a regular
// expression would go back over what it took, the comment says what comes of it.

func (c *classes) o200k(text string) int {
	if end := c.casedWord(text); end > 0 {
		return end + contraction(text[end:], true)
	}
	if end := c.digits(text, 3); end > 0 {
		return end
	}
	if end := c.symbols(text); end > 0 {
		for end < len(text) && (text[end] == '\r' || text[end] == '\n' || text[end] == '/') {
			end++
		}
		return end
	}
	return c.spaces(text, true)
}

func (c *classes) cl100k(text string) int {
	if n := contraction(text, true); n > 0 {
		return n
	}
	first, start := c.at(text)
	if first&(letter|number|newline) != 0 {
		start = 0
	}
	if end := c.run(text, start, letter); end > start {
		return end
	}
	if end := c.digits(text, 3); end > 0 {
		return end
	}
	if end := c.symbols(text); end > 0 {
		for end < len(text) && (text[end] == '\r' || text[end] == '\n') {
			end++
		}
		return end
	}
	return c.spaces(text, true)
}

func (c *classes) gpt2(text string) int {
	if n := contraction(text, false); n > 0 {
		return n
	}
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	for _, set := range [...]class{letter, number} {
		if end := c.run(text, start, set); end > start {
			return end
		}
	}
	if end := c.symbols(text); end > 0 {
		return end
	}
	return c.spaces(text, false)
}

// casedWord matches the two word alternatives of o200k without the contraction:
// an optional character that is no line break, letter or number, then U*L+, or
// else U+L*, where letters without case and marks are in both U and L. It returns
// 0 if there is no word.
func (c *classes) casedWord(text string) int {
	first, start := c.at(text)
	if first&(letter|number|newline) != 0 {
		start = 0
	}
	end, lastBoth := start, 0 // ends of the run of U, and of its last part also in L
	var next class
	for {
		var n int
		if next, n = c.at(text[end:]); next&upperSet == 0 {
			break
		}
		end += n
		if next&bothSets != 0 {
			lastBoth = end
		}
	}
	switch {
	case next&lower != 0:
		return c.run(text, end, lowerSet)
	case lastBoth > 0:
		// U* gives back as little as leaves L+ a character.
		return lastBoth
	case first&marks != 0:
		// The optional character gives way: the mark alone is L+.
		return start
	case end > start:
		return end
	}
	return 0
}

// digits matches up to limit numbers.
func (c *classes) digits(text string, limit int) int {
	end := 0
	for range limit {
		is, n := c.at(text[end:])
		if is&number == 0 {
			break
		}
		end += n
	}
	return end
}

// symbols matches an optional blank and one or more characters that are no
// white space, letter or number.
func (c *classes) symbols(text string) int {
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	if end := c.run(text, start, symbol|marks); end > start {
		return end
	}
	return 0
}

// spaces matches white space. With lines it ends after the last line break of the
// run; else, unless the text ends there, before the last character, which goes
// with what follows.
func (c *classes) spaces(text string, lines bool) int {
	end, last := 0, 0
	for end < len(text) {
		is, n := c.at(text[end:])
		if is&space == 0 {
			break
		}
		end, last = end+n, n
	}
	if lines {
		if i := strings.LastIndexAny(text[:end], "\r\n"); i >= 0 {
			return i + 1
		}
	}
	if end < len(text) && end > last {
		return end - last
	}
	return end
}

// contraction returns the length of 's, 't, 're, 've, 'm, 'll or 'd at the start
// of text, or 0. Folding case follows Unicode, where U+017F is an s.
func contraction(text string, fold bool) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	a, b := text[1], byte(0)
	if len(text) > 2 {
		b = text[2]
	}
	if fold {
		if a == 0xc5 && b == 0xbf {
			return 3
		}
		a, b = a|0x20, b|0x20
	}
	switch {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return 2
	case (a == 'r' || a == 'v') && b == 'e', a == 'l' && b == 'l':
		return 3
	}
	return 0
}
