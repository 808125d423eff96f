package server

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// TestLogprobsOnTheWire has é come as two tokens, the second and third that the model makes.
func TestLogprobsOnTheWire(t *testing.T) {
	tokens := ids("<|message|>é")
	const first = `{"token":"�","logprob":-1,"bytes":[195],"top_logprobs":[{"token":"�","logprob":-1,"bytes":[195]},` +
		`{"token":"b","logprob":-9999,"bytes":[98]},{"token":"\u003c|start|\u003e","logprob":-0.5,"bytes":null}]}`
	const second = `{"token":"�","logprob":-2,"bytes":[169],"top_logprobs":[]}`
	for name, tc := range map[string]struct{ more, want string }{
		"not asked for":     {"", `"logprobs":null,"finish_reason"`},
		"switched off":      {`,"logprobs":false`, `"logprobs":null,"finish_reason"`},
		"with alternatives": {`,"logprobs":true,"top_logprobs":3`, `"logprobs":{"content":[` + first + `,`},
		"without":           {`,"logprobs":true`, `,` + second + `],"refusal":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, &script{tokens: tokens, reason: engine.FinishLength})
			whole, stream := f.chat(t, ask(tc.more)).body, f.chat(t, ask(tc.more+`,"stream":true`)).body
			if !strings.Contains(whole, tc.want) || !strings.Contains(stream, tc.want) {
				t.Errorf("no %s in\n%s\nor\n%s", tc.want, whole, stream)
			}
			if asked := strings.Contains(tc.more, "true"); strings.Contains(whole, `"logprob"`) != asked || strings.Count(stream, `"logprobs":{`) != strings.Count(whole, `"logprobs":{`) {
				t.Errorf("log probabilities in\n%s\nor\n%s", whole, stream)
			}
		})
	}
}

func TestLogprobsOfNoContent(t *testing.T) {
	f := newFixture(t, says(`<|channel|>commentary to=functions.f<|message|>{}<|call|>`))
	if got := f.chat(t, ask(`,"logprobs":true`)).body; !strings.Contains(got, `"logprobs":{"content":[],"refusal":null}`) {
		t.Errorf("got %s", got)
	}
	if got := f.chat(t, ask(`,"logprobs":true,"stream":true`)).body; strings.Contains(got, `"logprobs":{`) {
		t.Errorf("got %s", got)
	}
}

func TestLogprobsNeedAVocabulary(t *testing.T) {
	f := newFixture(t, says(hello))
	m := *f.model.Load()
	m.Vocabulary = nil
	f.SetModel(&m)
	if e := f.chat(t, ask(`,"logprobs":true`)).error(t); e.Status != 400 || *e.Param != "logprobs" || *e.Code != openai.CodeUnsupported {
		t.Errorf("got %+v", e)
	}
	if got := f.chat(t, ask("")); got.status != 200 {
		t.Errorf("without: %s", got.body)
	}
}

// spelled is the tokens of the entries as one text, each entry cut where it is cut.
func spelled(entries []openai.TokenLogprob) []string {
	var out []string
	for _, e := range entries {
		raw := make([]byte, len(e.Bytes))
		for i, b := range e.Bytes {
			raw[i] = byte(b)
		}
		out = append(out, string(raw))
	}
	return out
}

func TestLogprobsFollowTheContent(t *testing.T) {
	const begin, next = "<|channel|>final<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"
	for name, tc := range map[string]struct {
		tokens      []int32
		more        string
		wantContent string
		want        []string
	}{
		"reasoning and control tokens have none": {ids("<|channel|>analysis<|message|>Hm" + next + "Yo<|return|>"), "", "Yo", []string{"Y", "o"}},
		"a preamble has, the break has not":      {ids("<|channel|>commentary<|message|>A" + next + "B"), "", "A\n\nB", []string{"A", "B"}},
		"a character of two tokens":              {append(ids(begin), piece(0), piece(1)), "", "ab€!", []string{"ab\xe2", "\x82\xac!"}},
		"a character that never ends":            {append(ids(begin), piece(0), piece(2)), "", "ab\ufffd", []string{"ab\xe2", "\x82"}},
		"a token inside one that is cut":         {append(ids(begin), 'a', piece(5), 'b'), `,"stop":"END"`, "ax", []string{"a", "xENDy"}},
		"a token behind a stop":                  {append(ids(begin), 'a', piece(6)), `,"stop":"\n\n"`, "a", []string{"a"}},
		"a stop of several tokens":               {ids(begin + "abENDc"), `,"stop":"END"`, "ab", []string{"a", "b"}},
		"what began a stop":                      {ids(begin + "abEN"), `,"stop":"END"`, "abEN", []string{"a", "b", "E", "N"}},
		"a stop within the break":                {ids("<|channel|>commentary<|message|>A" + next + "B"), `,"stop":"\nB"`, "A\n", []string{"A"}},
		"an answer that a header runs into":      {append(ids("<|channel|>"), piece(4), '!'), "", "answer!", []string{"answer", "!"}},
		"an answer without a header":             {ids("Hi you<|return|>"), "", "Hi you", []string{"H", "i", " ", "y", "o", "u"}},
		"a hidden answer without a header":       {append(ids("<|channel|>"), piece(3)), "", "", nil},
		"text before a call":                     {append(ids(begin+"a<|end|><|start|>assistant<|channel|>commentary"), piece(7), '}'), "", "a", []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, &script{tokens: tc.tokens})
			choice := decode[openai.ChatCompletion](t, f.chat(t, ask(`,"logprobs":true`+tc.more)).body).Choices[0]
			if diff := cmp.Diff(tc.want, spelled(choice.Logprobs.Content)); diff != "" || value(choice.Message.Content) != tc.wantContent {
				t.Errorf("content %q, want %q; tokens (-want,+got):\n%s", value(choice.Message.Content), tc.wantContent, diff)
			}
		})
	}
}

// generated makes a random output, often malformed, of control tokens, bytes and pieces.
func generated(r *rand.Rand) []int32 {
	texts := append([]string{"analysis", "final", "commentary", "assistant", " to=functions.f", "json", "Hé", "END", "\xff", " ", `{"a":1}`}, controlTokens...)
	var out []int32
	if r.IntN(2) == 0 {
		out = ids("<|channel|>final<|message|>")
	}
	for range r.IntN(30) {
		if r.IntN(3) == 0 {
			out = append(out, piece(r.IntN(len(pieces))))
		} else {
			out = append(out, ids(texts[r.IntN(len(texts))])...)
		}
	}
	return out
}

// TestLogprobsEqualTheContent holds the log probabilities of random outputs to the content, and those of a stream to those
// of the answer in one piece.
func TestLogprobsEqualTheContent(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 4))
	tails := []string{"", `,"stop":["END","€"]`, `,"include_reasoning":false,"top_logprobs":3`}
	for range 600 {
		tokens, tail := generated(r), `,"logprobs":true`+tails[r.IntN(len(tails))]
		f := newFixture(t, &script{tokens: tokens, reason: engine.FinishLength})
		whole := decode[openai.ChatCompletion](t, f.chat(t, ask(tail)).body)
		streamed := assemble(t, f.chat(t, ask(tail+`,"stream":true,"stream_options":{"include_usage":true}`)))
		if streamed.Choices[0].Logprobs == nil {
			streamed.Choices[0].Logprobs = &openai.Logprobs{Content: []openai.TokenLogprob{}}
		}
		if diff := cmp.Diff(whole, streamed); diff != "" {
			t.Fatalf("output %q%s (-whole,+streamed):\n%s", spell(tokens), tail, diff)
		}
		entries := whole.Choices[0].Logprobs.Content
		last := -1
		for i, text := range spelled(entries) {
			n := -int(entries[i].Logprob) // the script reports the token's number
			if n <= last || !strings.HasSuffix(string(words().TokenBytes(tokens[n])), text) || text == "" {
				t.Fatalf("output %q%s: entry %d is %q of token %d", spell(tokens), tail, i, text, n)
			}
			last = n
		}
		checkSpelling(t, tokens, tail, value(whole.Choices[0].Message.Content), spelled(entries))
	}
}

// checkSpelling compares what the entries spell with what the parser gives for the whole output.
func checkSpelling(t *testing.T, tokens []int32, tail, content string, entries []string) {
	t.Helper()
	encoding, err := harmony.New(words())
	if err != nil {
		t.Fatal(err)
	}
	parser, all, messages := encoding.NewParser(), "", map[int]bool{}
	add := func(deltas []harmony.Delta) {
		for _, d := range deltas {
			if d.Kind == harmony.KindContent {
				all += d.Text
				messages[d.Message] = true
			}
		}
	}
	for _, id := range tokens {
		add(parser.Push(id))
	}
	add(parser.Close())
	whole := words().NewDecoder().Write([]byte(strings.Join(entries, "") + "|"))
	whole = strings.TrimSuffix(whole, "|")
	stopped := strings.Contains(tail, "stop") && len(content) < len(all)
	if len(messages) > 1 { // half characters at the end of one and the beginning of the next may look like a whole one
		whole, all = ascii(whole), ascii(all)
	}
	switch {
	case !stopped && whole != all:
		t.Fatalf("output %q: the entries spell %q, want %q", spell(tokens), whole, all)
	case stopped && len(messages) == 1 && !strings.Contains(content, "\ufffd"):
		before := strings.Join(entries[:max(len(entries)-1, 0)], "")
		if !strings.HasPrefix(whole, content) || len(entries) > 0 && len(before) >= len(content) {
			t.Fatalf("output %q: the entries are %q, want as many as make %q", spell(tokens), entries, content)
		}
	}
}

func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return -1
		}
		return r
	}, text)
}

// spell shows tokens in a failure.
func spell(tokens []int32) (out []string) {
	for _, id := range tokens {
		out = append(out, string(words().TokenBytes(id)))
	}
	return out
}
