package harmony

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkParse asserts what holds for any output whatever. Ordinary tokens must not
// spell a control token, so that one in the answer is a leak.
func checkParse(t *testing.T, e *Encoding, ids []int32) {
	t.Helper()
	p := e.NewParser("known")
	got := parse(t, p, ids)
	texts := []string{got.Reasoning, got.Content}
	for _, c := range got.Calls {
		if c.Name == "" {
			t.Errorf("a call without a name in %q", spell(e, ids))
		}
		texts = append(texts, c.Name, c.Arguments)
	}
	plain := spell(e, ids)
	for name := range controlIDs {
		plain = strings.ReplaceAll(plain, "\x01"+name+"\x02", "")
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			t.Errorf("%q is not valid UTF-8", text)
		}
		for name := range controlIDs {
			if strings.Contains(text, "<|"+name+"|>") && !strings.Contains(plain, "<|"+name+"|>") {
				t.Errorf("%q holds a control token", text)
			}
		}
	}
	u := p.Usage()
	if sum := u.Reasoning + u.Content + u.ToolCall + u.Framing; sum != len(ids) {
		t.Errorf("usage %+v adds up to %d, want %d tokens", u, sum, len(ids))
	}
	if got.Reasoning != "" && u.Reasoning == 0 || got.Content != "" && u.Content == 0 {
		t.Errorf("usage %+v does not count the answer %+v", u, got)
	}
	if again := p.Close(); len(again) > 0 {
		t.Errorf("a second Close returns %v", again)
	}
}

func TestParserTakesAnyTokens(t *testing.T) {
	e := newEncoding(t)
	words := []string{"assistant", "user", "analysis", "commentary", "final", " to=", "functions.", "f", "known", " json", " ", "{}", "é", "\xf0", "\n", "<|end|>"}
	// Terminators are rare, or little would come after them.
	common := []string{"start", "channel", "message", "constrain", "end"}
	all := append([]string{"return", "call", "endoftext", "reserved"}, common...)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var ids []int32
		for range r.IntN(30) {
			switch r.IntN(8) {
			case 0, 1, 2:
				ids = append(ids, controlIDs[common[r.IntN(len(common))]])
			case 3:
				ids = append(ids, controlIDs[all[r.IntN(len(all))]])
			case 4:
				ids = append(ids, int32(r.IntN(300)), int32(r.Uint32()))
			default:
				ids = e.t.Append(ids, words[r.IntN(len(words))])
			}
		}
		checkParse(t, e, ids)
	}
}

// FuzzParser reads two bytes as a token id, so that control tokens are reached.
func FuzzParser(f *testing.F) {
	e := newEncoding(f)
	for _, seed := range []string{
		"<channel>analysis<message>hm<end><start>assistant<channel>final<message>4<return>",
		"<channel>commentary to=functions.f <constrain>json<message>{\"a\":1}<call>",
		" to=functions.f<channel>commentary json<message>{}<end>x<start>user<message>y",
		"<channel>final héllo\xf0\x9f<end><message>\x98\x80<channel>",
	} {
		var data []byte
		for _, id := range tokens(f, e, seed) {
			if id > 255 {
				data = append(data, 1, byte(id-199998))
				continue
			}
			data = append(data, 0, byte(id))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ids []int32
		for ; len(data) >= 2; data = data[2:] {
			if data[0]&1 == 1 {
				ids = append(ids, 199998+int32(data[1]%18))
				continue
			}
			ids = append(ids, int32(data[1]))
		}
		checkParse(t, e, ids)
	})
}

// FuzzTool renders a tool with any parameters.
func FuzzTool(f *testing.F) {
	for _, seed := range []string{
		`{"type":"object","properties":{"a":{"type":"string","default":"x"}},"required":["a"]}`,
		`{"oneOf":[{"type":"integer","default":1e400},{"type":["null"]}]}`, `[[[[]]]]`, `{"a":1}}`, "\xff", `null`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, parameters string) {
		text, err := Tool{Name: "f", Parameters: []byte(parameters)}.declaration()
		if err == nil && !strings.HasPrefix(text, "type f = (") {
			t.Errorf("%q renders as %q", parameters, text)
		}
	})
}
