package main

import (
	"context"
	"fmt"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/sample"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
)

// maxAnswer is far more tokens than any answer of the model's world has.
const maxAnswer = 400

// answer is what the model said.
type answer struct {
	reasoning, content, tool, arguments string
	calls                               int
	valid                               bool // the output is Harmony, token by token
	thought                             int  // tokens of reasoning
}

func (m *asked) ask(ctx context.Context, q question, params sample.Params, seed uint64) (answer, error) {
	prompt, err := m.encoding.Render(q.conversation())
	if err != nil {
		return answer{}, err
	}
	if got := checksum(prompt); got != q.Prompt {
		return answer{}, fmt.Errorf("the prompt's ids differ from those of training: checksum %d, want %d", got, q.Prompt)
	}
	params.Seed = &seed
	stream, err := m.engine.Submit(ctx, engine.Request{Prompt: prompt, MaxTokens: maxAnswer, Sampling: params, StopTokens: m.grammar.stops()})
	if err != nil {
		return answer{}, err
	}
	var ids []int32
	for t := range stream.Tokens() {
		ids = append(ids, t.ID)
	}
	if reason, err := stream.Result(); err != nil {
		return answer{}, fmt.Errorf("%s: %w", reason, err)
	}
	return m.parse(ids), nil
}

func (m *asked) parse(ids []int32) answer {
	a := answer{valid: m.grammar.accepts(ids)}
	p := m.encoding.NewParser()
	read := func(deltas []harmony.Delta) {
		for _, d := range deltas {
			switch d.Kind {
			case harmony.KindReasoning:
				a.reasoning += d.Text
			case harmony.KindContent:
				a.content += d.Text
			case harmony.KindToolCall:
				a.tool += d.Name
				a.arguments += d.Text
				a.calls = max(a.calls, d.Index+1)
			}
		}
	}
	for _, id := range ids {
		read(p.Push(id))
	}
	read(p.Close())
	a.thought = p.Usage().Reasoning
	return a
}

func (a *answer) right(w want) bool {
	if w.Tool != "" {
		return a.calls == 1 && a.tool == w.Tool && a.arguments == w.Arguments && a.content == ""
	}
	return a.calls == 0 && a.content == w.Answer
}

// grammar holds the control tokens of a strict turn: an analysis, then a final answer or a call.
type grammar struct {
	channel, message, end, start, constrain, ret, call int32
	analysis, final, assistant, json                   []int32
	commentary                                         []int32
	isControl                                          map[int32]bool
}

func newGrammar(t *tokenizer.Tokenizer) (grammar, error) {
	g := grammar{
		analysis: t.Encode("analysis"), final: t.Encode("final"), assistant: t.Encode("assistant"), json: t.Encode("json"),
		commentary: t.Encode("commentary"), isControl: map[int32]bool{},
	}
	for name, id := range map[string]*int32{
		"<|channel|>": &g.channel, "<|message|>": &g.message, "<|end|>": &g.end, "<|start|>": &g.start,
		"<|constrain|>": &g.constrain, "<|return|>": &g.ret, "<|call|>": &g.call,
	} {
		found, ok := t.Special(name)
		if !ok {
			return grammar{}, fmt.Errorf("the vocabulary has no %s", name)
		}
		*id = found
		g.isControl[found] = true
	}
	return g, nil
}

func (g *grammar) stops() []int32 { return []int32{g.ret, g.call} }

// accepts reports whether ids are: channel "analysis" message text end start "assistant", then channel "final" message
// text return, or channel "commentary" and a recipient, constrain "json" message text call.
func (g *grammar) accepts(ids []int32) bool {
	r := reader{ids: ids, isControl: g.isControl}
	thought := r.is(g.channel) && r.are(g.analysis) && r.is(g.message) && r.text() && r.is(g.end)
	if next := thought && r.is(g.start) && r.are(g.assistant) && r.is(g.channel); !next {
		return false
	}
	if r.are(g.final) {
		return r.is(g.message) && r.text() && r.is(g.ret) && len(r.ids) == 0
	}
	return r.are(g.commentary) && r.text() && r.is(g.constrain) && r.are(g.json) && r.is(g.message) && r.text() && r.is(g.call) && len(r.ids) == 0
}

// reader takes ids from the front.
type reader struct {
	ids       []int32
	isControl map[int32]bool
}

func (r *reader) is(id int32) bool { return r.are([]int32{id}) }

func (r *reader) are(ids []int32) bool {
	for i, id := range ids {
		if i >= len(r.ids) || r.ids[i] != id {
			return false
		}
	}
	r.ids = r.ids[len(ids):]
	return true
}

// text takes one or more ordinary tokens.
func (r *reader) text() bool {
	n := 0
	for n < len(r.ids) && !r.isControl[r.ids[n]] {
		n++
	}
	r.ids = r.ids[n:]
	return n > 0
}
