package tokenizer

import (
	"math/rand/v2"
	"testing"

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
		if diff := cmp.Diff(want, mergeLong(tok, string(piece))); diff != "" {
			t.Fatalf("long %q (-want +got):\n%s", piece, diff)
		}
		if diff := cmp.Diff(want, tok.merge(nil, string(piece))); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", piece, diff)
		}
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
