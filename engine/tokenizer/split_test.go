package tokenizer

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// reference splits with Go's regular expressions, which take the same match as a
// backtracking engine but know neither the lookahead nor Unicode's white space.
type reference struct {
	before *regexp.Regexp // the alternatives before \s+(?!\S)
	spaces *regexp.Regexp
}

func newReference(pattern string) reference {
	const white = `\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`
	pattern, _, _ = strings.Cut(pattern, `|\s+(?!\S)`)
	pattern = strings.ReplaceAll(pattern, `[^\s`, `[^`+white)
	pattern = strings.ReplaceAll(pattern, `\s`, `[`+white+`]`)
	return reference{regexp.MustCompile(`^(?:` + pattern + `)`), regexp.MustCompile(`^[` + white + `]+`)}
}

func (r reference) split(text string) int {
	if m := r.before.FindStringIndex(text); m != nil {
		return m[1]
	}
	run := r.spaces.FindString(text)
	if len(run) == len(text) {
		return len(run)
	}
	if all := []rune(run); len(all) > 1 {
		return len(string(all[:len(all)-1]))
	}
	return len(run)
}

func pieces(split splitter, text string) (out []string) {
	for text != "" {
		end := split(text)
		if end <= 0 || end > len(text) {
			return append(out, "no end in: "+text)
		}
		out = append(out, text[:end])
		text = text[end:]
	}
	return out
}

func TestSplittersEqualTheirPatterns(t *testing.T) {
	for name, pattern := range map[string]string{"o200k": patternO200k, "cl100k": patternCL100k, "GPT-2": patternGPT2} {
		t.Run(name, func(t *testing.T) {
			split, err := splitterFor(pattern)
			if err != nil {
				t.Fatal(err)
			}
			want := newReference(pattern)
			for _, text := range randomTexts(5000) {
				if diff := cmp.Diff(pieces(want.split, text), pieces(split, text)); diff != "" {
					t.Fatalf("%q (-want +got):\n%s", text, diff)
				}
			}
		})
	}
}

func TestO200kSplits(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"words take one character before": {"a.b cD-ef", "a|.b| c|D|-ef"},
		"capitals begin a word":           {"HTTPServer XMLHttp", "HTTPServer| XMLHttp"},
		"contractions, in any case":       {"don't WE'LL it'ſ x'q", "don't| WE'LL| it'ſ| x|'q"},
		"three digits":                    {"12345", "123|45"},
		"blanks before a word":            {"a   b", "a|  | b"},
		"blanks at the end":               {"a   ", "a|   "},
		"line breaks end blanks":          {"a \n \n b", "a| \n \n| b"},
		"symbols take line breaks":        {"a;\n//\nb", "a|;\n//\n|b"},
		"a mark alone before capitals":    {"\u0301AB", "\u0301|AB"},
		"caseless letters before capital": {"中A中B", "中A中|B"},
		"letters new in Unicode 16":       {"\U0002EBF0's", "\U0002EBF0's"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, strings.Join(pieces(loadClasses().o200k, tc.text), "|")); diff != "" {
				t.Errorf("pieces (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnicodeVersion fails when Go's tables move on: added16 then has to be made
// anew, for letters that OpenAI's tables lack would have to be taken out.
func TestUnicodeVersion(t *testing.T) {
	if unicode.Version != "15.0.0" {
		t.Errorf("package unicode is at %s, added16 complements 15.0.0", unicode.Version)
	}
}

func FuzzEncode(f *testing.F) {
	for _, text := range randomTexts(20) {
		f.Add(text)
	}
	tok := small(f)
	want := newReference(patternO200k)
	f.Fuzz(func(t *testing.T, text string) {
		ids := tok.Encode(text)
		if got := strings.Join(texts(tok, ids), ""); got != text {
			t.Errorf("%q decodes to %q", text, got)
		}
		if i := slices.IndexFunc(ids, tok.IsSpecial); i >= 0 {
			t.Errorf("%q has the special token %d", text, ids[i])
		}
		for _, r := range added16 {
			if strings.ContainsFunc(text, func(c rune) bool { return c >= r.first && c <= r.last }) {
				return // unknown to package regexp
			}
		}
		if diff := cmp.Diff(pieces(want.split, text), pieces(tok.split, text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	})
}
