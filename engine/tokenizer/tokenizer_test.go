package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestEncode(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                           {"", nil},
		"a whole piece":                     {" the", []string{" the"}},
		"merges in order of rank":           {"hellothing", []string{"hello", "th", "ing"}},
		"a piece taken whole before merges": {"qux", []string{"qux"}},
		"a special token's name is text":    {"<|start|>", []string{"<|", "start", "|>"}},
		"a character of two bytes":          {"é", []string{"é"}},
		"bytes that are no UTF-8":           {"a\xff\xfe", []string{"a", "\xff", "\xfe"}},
		"half a character":                  {"\xe4\xb8", []string{"\xe4", "\xb8"}},
	} {
		t.Run(name, func(t *testing.T) {
			tok := small(t)
			if diff := cmp.Diff(tc.want, texts(tok, tok.Encode(tc.text))); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBothFilesGiveTheSameTokens(t *testing.T) {
	fromFile := small(t)
	fromRanks, err := FromRanks([]byte(smallRanks()), map[string]int32{"<|start|>": 300})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range randomTexts(2000) {
		if diff := cmp.Diff(fromRanks.Encode(text), fromFile.Encode(text)); diff != "" {
			t.Fatalf("%q: ids (-ranks +file):\n%s", text, diff)
		}
	}
}

func TestMergeFollowsTheDefinition(t *testing.T) {
	tok := small(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		piece := make([]byte, 2+r.IntN(2*shortPiece))
		for i := range piece {
			piece[i] = "aahelothing12 "[r.IntN(14)]
		}
		want := naiveMerge(tok, string(piece))
		if diff := cmp.Diff(want, tok.mergeLong(nil, string(piece))); diff != "" {
			t.Fatalf("long %q (-want +got):\n%s", piece, diff)
		}
		if diff := cmp.Diff(want, tok.merge(nil, string(piece))); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", piece, diff)
		}
	}
}

func TestHostileTextsAreEncodedInFull(t *testing.T) {
	tok := small(t)
	for name, unit := range map[string]string{
		"one letter": "a", "blanks": " ", "line breaks": "\n", "combining marks": "\u0301", "invalid UTF-8": "\xff",
		"a lead byte": "\xe4", "digits": "1", "slashes": "/", "letter and capital": "中A", "quotes": "'s",
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat(unit, 1<<18/len(unit))
			if got := strings.Join(texts(tok, tok.Encode(text)), ""); got != text {
				t.Error("the tokens do not add up to the text")
			}
		})
	}
}

func TestDecoderHoldsBackHalfCharacters(t *testing.T) {
	tok := small(t)
	for name, tc := range map[string]struct {
		bytes string
		want  []string // per byte, and at the end
	}{
		"whole characters":          {"aé", []string{"a", "", "é", ""}},
		"four bytes":                {"😀", []string{"", "", "", "😀", ""}},
		"a stray continuation":      {"\x80a", []string{"\uFFFD", "a", ""}},
		"cut off by another letter": {"\xe4\xb8a", []string{"", "", "\uFFFDa", ""}},
		"cut off by the end":        {"\xe4\xb8", []string{"", "", "\uFFFD"}},
		"an overlong form":          {"\xe0\x80a", []string{"", "\uFFFD\uFFFD", "a", ""}},
		"a surrogate":               {"\xed\xa0\x80", []string{"", "\uFFFD\uFFFD", "\uFFFD", ""}},
		"past the last code point":  {"\xf4\x90", []string{"", "\uFFFD\uFFFD", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			d := tok.NewDecoder()
			var got []string
			for _, b := range []byte(tc.bytes) {
				got = append(got, d.Push(int32(b)))
			}
			got = append(got, d.Flush())
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeLeavesOutSpecialsAndUnknownIDs(t *testing.T) {
	tok := small(t)
	start, ok := tok.Special("<|start|>")
	if !ok || !tok.IsSpecial(start) || string(tok.TokenBytes(start)) != "<|start|>" || int(start) != tok.Size()-2 {
		t.Errorf("<|start|> is %d, %v, of %d", start, ok, tok.Size())
	}
	if _, ok := tok.Special("hello"); ok || tok.IsSpecial('a') || tok.IsSpecial(-1) || tok.TokenBytes(-1) != nil || tok.TokenBytes(1<<30) != nil {
		t.Error("an ordinary or unknown token is special")
	}
	if got := tok.Decode([]int32{'a', start, -1, 1 << 30, 'b'}); got != "ab" {
		t.Errorf("decoded %q, want ab", got)
	}
}

// randomTexts mixes what the splitters tell apart.
func randomTexts(count int) []string {
	parts := []string{
		"the", "The", "HELLO", "hello", "12345", "٣", "é", "É", "ß", "ſ", "中", "ǅ", "ʰ", "\u0301", "\u0903", " ", "  ", "\t", "\n", "\r\n",
		"\u00a0", "\u2003", "\u0085", "'s", "'S", "'ſ", "'ll", "'LL", "'re", "'", "!", "//", "<|start|>", "😀", "\u200d", "\xff", "\xe4\xb8", "_", "Ⅷ", "½",
	}
	r := rand.New(rand.NewPCG(5, 6))
	out := make([]string, count)
	for i := range out {
		for range r.IntN(12) {
			out[i] += parts[r.IntN(len(parts))]
		}
	}
	return out
}

// TestGoldenIDs needs the vocabulary of o200k_harmony.
func TestGoldenIDs(t *testing.T) {
	tok := large(t)
	for text, want := range map[string][]int32{
		"hello world": {24912, 2375}, "analysis": {35644}, "commentary": {12606, 815}, "final": {17196}, "assistant": {173781},
		" to": {316}, "=": {28}, "functions": {44580}, " code": {3490}, " json": {5701}, "<|start|>": {27, 91, 5236, 91, 29},
	} {
		if got := tok.Encode(text); !slices.Equal(got, want) {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
	if got := tok.TokenBytes(9552); string(got) != " \xf0\x9f" {
		t.Errorf("token 9552 is %x", got)
	}
	if utf8.ValidString(string(tok.TokenBytes(132990)) + string(tok.TokenBytes(9552))) {
		t.Error("tokens 132990 and 9552 are valid UTF-8")
	}
}

func BenchmarkEncode(b *testing.B) {
	prose := strings.Repeat("The quick brown fox jumps over the lazy dog, and doesn't look back; it's 1969 in Paris.\n", 1000)
	for name, load := range map[string]func(testing.TB) *Tokenizer{"small": small, "o200k": large} {
		b.Run(name, func(b *testing.B) {
			tok := load(b)
			b.SetBytes(int64(len(prose)))
			var ids []int32
			for b.Loop() {
				ids = tok.Append(ids[:0], prose)
			}
		})
	}
}
