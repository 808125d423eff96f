package screen

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line makes text safe for one line of a terminal: line breaks and tabs become spaces.
func Line(text string) string {
	return clean(text, func(r rune) string {
		if r == '\n' || r == '\t' || r == '\r' {
			return " "
		}
		return ""
	})
}

// Text makes text of several lines safe for a terminal.
func Text(text string) string {
	return clean(text, func(r rune) string {
		switch r {
		case '\n', '\t':
			return string(r)
		case '\r':
			return "" // before a line break it says nothing, elsewhere it would overwrite the line
		}
		return "\x00"
	})
}

// clean replaces what is not safe: with what the function says, or, where it says nothing, with an escape that can be read.
func clean(text string, control func(rune) string) string {
	if !strings.ContainsFunc(text, unsafeRune) && utf8.ValidString(text) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if !unsafeRune(r) {
			out.WriteRune(r)
			continue
		}
		switch by := control(r); {
		case r == '\n' || r == '\t' || r == '\r':
			out.WriteString(by)
		case r < 0x7f:
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// unsafeRune reports control characters of both sets, and those that reorder or hide what stands beside them.
func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'
}
