package sanitize

import (
	"strings"

	"golang.org/x/net/html"
)

// Text returns text without script elements and invisible characters, and with everything escaped that means something in
// HTML: & < > " and '. A script element that is never closed loses its tag only; what follows is text like any other.
func Text(text string) string {
	text = visible(text)
	if strings.IndexByte(text, '<') >= 0 {
		text = withoutScripts(text)
	}
	return html.EscapeString(text)
}

// withoutScripts removes script elements and stray tags of them.
func withoutScripts(text string) string {
	z := html.NewTokenizer(strings.NewReader(text))
	var out, script strings.Builder // script is what follows an open tag, kept in case that it is never closed
	inside := false
	for {
		kind := z.Next()
		if kind == html.ErrorToken { // the end: a string cannot fail otherwise
			if inside {
				out.WriteString(script.String())
			}
			out.Write(z.Raw())
			return out.String()
		}
		raw, tag := string(z.Raw()), isScript(z, kind)
		switch {
		case tag && kind == html.EndTagToken:
			inside = false
			script.Reset()
		case tag:
			inside = true
		case inside:
			script.WriteString(raw)
		default:
			out.WriteString(raw)
			z.NextIsNotRawText() // or a script within <title> or <style> would pass for text
		}
	}
}

// isScript consumes the tag's name.
func isScript(z *html.Tokenizer, kind html.TokenType) bool {
	if kind != html.StartTagToken && kind != html.EndTagToken && kind != html.SelfClosingTagToken {
		return false
	}
	name, _ := z.TagName()
	return string(name) == "script"
}

// blackFlag begins the flags of England, Scotland and Wales, which are spelled with tag characters.
const blackFlag = '\U0001F3F4'

// visible removes characters that hide text from people: Unicode's tag characters, which spell ASCII without a glyph, and
// the controls that let text run in another direction than it is read in.
func visible(text string) string {
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	flag := false
	return strings.Map(func(r rune) rune {
		tag := r >= 0xE0000 && r <= 0xE007F
		flag = r == blackFlag || flag && tag
		if hidden(r) && (!tag || !flag) {
			return -1
		}
		return r
	}, text)
}

func hidden(r rune) bool {
	return r >= 0xE0000 && r <= 0xE007F || // tags
		r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || // embeddings, overrides, isolates
		r == 0x200E || r == 0x200F || r == 0x061C // marks
}
