package harmony

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/engine/tokenizer/o200k"
)

// controlIDs are the ids of o200k_harmony.
var controlIDs = map[string]int32{
	"endoftext": 199999, "return": 200002, "constrain": 200003, "channel": 200005,
	"start": 200006, "end": 200007, "message": 200008, "call": 200012, "reserved": 200013,
}

// oneByte has the 256 bytes as its ordinary tokens.
var oneByte = sync.OnceValues(func() (*Encoding, error) {
	var ranks strings.Builder
	for b := range 256 {
		fmt.Fprintf(&ranks, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(b)}), b)
	}
	specials := map[string]int32{}
	for name, id := range controlIDs {
		specials["<|"+name+"|>"] = id
	}
	tok, err := tokenizer.FromRanks([]byte(ranks.String()), specials)
	if err != nil {
		return nil, err
	}
	return New(tok)
})

// gptOSS has the vocabulary of gpt-oss.
var gptOSS = sync.OnceValues(func() (*Encoding, error) {
	tok, err := o200k.Harmony()
	if err != nil {
		return nil, err
	}
	return New(tok)
})

func newEncoding(t testing.TB) *Encoding     { return must(t, oneByte) }
func newRealEncoding(t testing.TB) *Encoding { return must(t, gptOSS) }

func must(t testing.TB, load func() (*Encoding, error)) *Encoding {
	t.Helper()
	e, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// spell writes ids as text with the control token <|x|> as U+0001 x U+0002.
func spell(e *Encoding, ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		name := string(e.t.TokenBytes(id))
		if e.t.IsSpecial(id) {
			name = "\x01" + strings.TrimSuffix(strings.TrimPrefix(name, "<|"), "|>") + "\x02"
		}
		b.WriteString(name)
	}
	return b.String()
}

// unspell is the reverse of spell.
func unspell(t testing.TB, e *Encoding, text string) []int32 {
	t.Helper()
	var ids []int32
	for {
		plain, rest, found := strings.Cut(text, "\x01")
		ids = e.t.Append(ids, plain)
		if !found {
			return ids
		}
		name, rest, found := strings.Cut(rest, "\x02")
		id, ok := controlIDs[name]
		if !found || !ok {
			t.Fatalf("unknown control token %q", name)
		}
		ids, text = append(ids, id), rest
	}
}

// tokens is unspell for text that a person can read: <x> is a control token.
func tokens(t testing.TB, e *Encoding, text string) []int32 {
	t.Helper()
	for name := range controlIDs {
		text = strings.ReplaceAll(text, "<"+name+">", "\x01"+name+"\x02")
	}
	return unspell(t, e, text)
}
