package tokenizer

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// smallGGUF is the small vocabulary as GGUF metadata.
type smallGGUF struct {
	tokens, merges []string
	types          []int32
	pre            string
}

func newSmallGGUF(t testing.TB) *smallGGUF {
	t.Helper()
	file := smallFile(t)
	model := file["model"].(map[string]any)
	vocabulary := model["vocab"].(map[string]any)
	g := &smallGGUF{pre: "gpt-4o", tokens: make([]string, len(vocabulary))}
	for text, id := range vocabulary {
		g.tokens[id.(int)] = text
	}
	g.types = slices.Repeat([]int32{ggufNormal}, len(g.tokens))
	g.add("<|start|>", ggufControl)
	g.add("<|end|>", ggufControl)
	g.add("[PAD286]", ggufUnused)
	for _, m := range model["merges"].([]any) {
		pair := m.([]any)
		g.merges = append(g.merges, pair[0].(string)+" "+pair[1].(string))
	}
	return g
}

func (g *smallGGUF) add(token string, kind int32) {
	g.tokens, g.types = append(g.tokens, token), append(g.types, kind)
}

func (g *smallGGUF) read() (*Tokenizer, error) {
	return FromGGUF(g.tokens, g.merges, g.types, g.pre)
}

func TestFromGGUFGivesTheSameTokens(t *testing.T) {
	tok, err := newSmallGGUF(t).read()
	if err != nil {
		t.Fatal(err)
	}
	file := small(t)
	for _, text := range randomTexts(2000) {
		if diff := cmp.Diff(file.Encode(text), tok.Encode(text)); diff != "" {
			t.Fatalf("%q: ids (-file +gguf):\n%s", text, diff)
		}
	}
	for _, name := range []string{"<|start|>", "<|end|>", "[PAD286]"} {
		id, ok := tok.Special(name)
		if !ok || !tok.IsSpecial(id) || string(tok.TokenBytes(id)) != name {
			t.Errorf("%s is no special token", name)
		}
		if slices.Contains(tok.Encode("a"+name), id) {
			t.Errorf("text becomes the special token %s", name)
		}
	}
}

func TestFromGGUFFindsTokensOfUsers(t *testing.T) {
	g := newSmallGGUF(t)
	g.add("[x]", ggufUser)
	g.add("[x] [y]", ggufUser)
	tok, err := g.read()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"th", "[x] [y]", "[x]", "["}, texts(tok, tok.Encode("th[x] [y][x]["))); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestFromGGUFSplitsAsToldTo(t *testing.T) {
	g := newSmallGGUF(t)
	g.pre = "gpt-2"
	tok, err := g.read()
	if err != nil {
		t.Fatal(err)
	}
	// GPT-2 keeps all digits together and does not take pieces whole.
	if diff := cmp.Diff([]string{"123", "4", "q", "u", "x"}, texts(tok, tok.Encode("1234qux"))); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestFromGGUFRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(g *smallGGUF)
		want   string
	}{
		"an unknown way to split":  {func(g *smallGGUF) { g.pre = "llama-bpe" }, `tokenizer.ggml.pre is "llama-bpe"`},
		"too few types":            {func(g *smallGGUF) { g.types = g.types[1:] }, "287 tokens have 286 types"},
		"no types":                 {func(g *smallGGUF) { g.types = nil }, "have 0 types"},
		"a token of type byte":     {func(g *smallGGUF) { g.add("<0x0A>", 6) }, "token 287 is of type 6"},
		"too many tokens":          {func(g *smallGGUF) { g.tokens = make([]string, maxID+1) }, "at most 262144"},
		"too many merges":          {func(g *smallGGUF) { g.merges = make([]string, maxMerges+1) }, "at most"},
		"an empty token":           {func(g *smallGGUF) { g.add("", ggufNormal) }, "0 bytes"},
		"an empty token of a user": {func(g *smallGGUF) { g.add("", ggufUser) }, "0 bytes"},
		"a token twice":            {func(g *smallGGUF) { g.add("hello", ggufNormal) }, "has ids"},
		"a control token twice":    {func(g *smallGGUF) { g.add("<|end|>", ggufControl) }, "has ids"},
		"a token that is no bytes": {func(g *smallGGUF) { g.add("a b", ggufNormal) }, "byte-level alphabet"},
		"a token that is too long": {func(g *smallGGUF) { g.add(strings.Repeat("a", maxToken+1), ggufNormal) }, "bytes"},
		"a byte without a token":   {func(g *smallGGUF) { g.types['!'] = ggufControl }, "byte 0x21"},
		"a merge of one":           {func(g *smallGGUF) { g.merges[0] = "a" }, "merge 0"},
		"a merge of the unknown":   {func(g *smallGGUF) { g.merges[0] = "a q" }, "not in the vocabulary"},
		"a merge twice":            {func(g *smallGGUF) { g.merges = append(g.merges, g.merges[0]) }, "merge twice"},
		"too many tokens of users": {
			func(g *smallGGUF) {
				for range maxOrdinary + 1 {
					g.add("[u"+strings.Repeat("x", len(g.tokens))+"]", ggufUser)
				}
			}, "not special, at most",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newSmallGGUF(t)
			tc.change(g)
			_, err := g.read()
			if err == nil || !strings.HasPrefix(err.Error(), "tokenizer: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want tokenizer: … %s", err, tc.want)
			}
		})
	}
}

// FuzzFromGGUF adds tokens, a letter for the type before each, and merges to the
// small vocabulary.
func FuzzFromGGUF(f *testing.F) {
	f.Add("cfoo\nu[x]\nnĠq\np[PAD]", "q u\nqu x", "gpt-4o")
	f.Add("n\n\nb<0x0A>", "a  b", "gpt-2")
	kinds := map[byte]int32{'n': ggufNormal, 'k': ggufUnknown, 'c': ggufControl, 'u': ggufUser, 'p': ggufUnused, 'b': 6}
	f.Fuzz(func(t *testing.T, tokens, merges, pre string) {
		g := newSmallGGUF(t)
		g.pre = pre
		for line := range strings.SplitSeq(tokens, "\n") {
			if line != "" {
				g.add(line[1:], kinds[line[0]])
			}
		}
		if merges != "" {
			g.merges = append(g.merges, strings.Split(merges, "\n")...)
		}
		tok, err := g.read()
		if err != nil {
			if !strings.HasPrefix(err.Error(), "tokenizer: ") {
				t.Errorf("error %v does not name the package", err)
			}
			return
		}
		text := "hello <|start|> the 123 é \xff" + tokens
		ids := tok.Encode(text)
		if got := strings.Join(texts(tok, ids), ""); got != text {
			t.Errorf("decoded %q, want %q", got, text)
		}
		if i := slices.IndexFunc(ids, tok.IsSpecial); i >= 0 {
			t.Errorf("%q has the special token %d", text, ids[i])
		}
	})
}

// FuzzFromRanks adds lines to the small vocabulary.
func FuzzFromRanks(f *testing.F) {
	f.Add([]byte("eno= 400\n\nenp6 999"))
	f.Add([]byte("?? 1\nYQ== x\nYQ== 97"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		tok, err := FromRanks(append([]byte(smallRanks()), lines...), map[string]int32{"<|start|>": 300})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "tokenizer: ") {
				t.Errorf("error %v does not name the package", err)
			}
			return
		}
		text := "hello <|start|> the 123 é \xff" + string(lines)
		if got := strings.Join(texts(tok, tok.Encode(text)), ""); got != text {
			t.Errorf("decoded %q, want %q", got, text)
		}
	})
}
