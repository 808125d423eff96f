package main

import (
	"math"
	"slices"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/sample"
)

const questionsFile = "evaluation.jsonl.gz"

// The least shares of right answers and calls, in percent: what the committed model reaches (docs/demo-model.md), less
// what a sample may be off by. They go up with the model.
const leastAnswers, leastCalls = 92, 88

// TestSampleOfQuestions asks every twelfth question: enough to see that the committed model is the one that was measured.
func TestSampleOfQuestions(t *testing.T) {
	s, err := evaluate(t.Context(), questionsFile, "", 60, sample.Params{TopP: 1})
	if err != nil {
		t.Fatal(err)
	}
	answers, calls := s.sum(false), s.sum(true)
	if answers.right*100 < leastAnswers*answers.asked || calls.right*100 < leastCalls*calls.asked {
		t.Errorf("answers %+v, calls %+v: want %d %% and %d %% right", answers, calls, leastAnswers, leastCalls)
	}
	if n := answers.valid + calls.valid; n < answers.asked+calls.asked {
		t.Errorf("%d of %d outputs are Harmony, want all", n, answers.asked+calls.asked)
	}
}

// TestDivergence compares a few answers; all kernels of this machine must give the same.
func TestDivergence(t *testing.T) {
	var want *divergence
	for _, kernel := range []string{"", "generic"} {
		d, err := diverge(t.Context(), questionsFile, "", kernel, 100)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(d.answers.nats); n < 100 || len(d.prompts.nats) < n || !d.reached() {
			t.Errorf("mean %g over %d positions of answers and %d of prompts", d.answers.mean(), n, len(d.prompts.nats))
		}
		if want == nil {
			want = d
		}
		if !slices.Equal(want.answers.nats, d.answers.nats) || !slices.Equal(want.prompts.nats, d.prompts.nats) {
			t.Errorf("%s and %s differ", want.kernel, d.kernel)
		}
	}
}

// TestDistance computes divergences by hand.
func TestDistance(t *testing.T) {
	var d distance
	for _, got := range [][]float32{{0, 0}, {1, 1}, {0, 1}} {
		if err := d.add([]float32{0, 0}, got); err != nil {
			t.Fatal(err)
		}
	}
	// ln 2 less than the entropies across: (ln(1+e) + ln(1+e) - 1)/2 - ln 2
	want := []float64{0, 0, math.Log(1+math.E) - 0.5 - math.Ln2}
	for i := range want {
		if math.Abs(d.nats[i]-want[i]) > 1e-12 {
			t.Errorf("divergence %d is %g, want %g", i, d.nats[i], want[i])
		}
	}
	if m := d.mean(); math.Abs(m-want[2]/3) > 1e-12 || d.different != 1 {
		t.Errorf("mean %g, %d with another likeliest token", m, d.different)
	}
	if (&divergence{answers: distance{nats: []float64{2 * maxDivergence}}}).reached() || (&divergence{}).reached() {
		t.Error("too far off, or nothing at all, is reached")
	}
	if err := d.add([]float32{0, 0}, []float32{0, float32(math.NaN())}); err == nil {
		t.Error("no error for logits that are no numbers")
	}
}

// TestPromptsAreThoseOfTraining renders all questions with the engine's Harmony and compares the ids with the ones that
// training made in Python.
func TestPromptsAreThoseOfTraining(t *testing.T) {
	questions, err := readQuestions(questionsFile)
	if err != nil {
		t.Fatal(err)
	}
	m, err := open("")
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	answers, calls := 0, 0
	for i, q := range questions {
		ids, err := m.encoding.Render(q.conversation())
		if err != nil {
			t.Fatal(err)
		}
		if got := checksum(ids); got != q.Prompt {
			t.Errorf("question %d: the prompt's ids have checksum %d, want %d", i+1, got, q.Prompt)
		}
		if q.isCall() {
			calls++
		} else {
			answers++
		}
	}
	if answers != 500 || calls != 200 {
		t.Errorf("%d questions and %d calls, want 500 and 200", answers, calls)
	}
}

// TestOnlyExactAnswersAreRight guards the measure itself.
func TestOnlyExactAnswersAreRight(t *testing.T) {
	call := want{Tool: "f", Arguments: `{"a":1}`}
	for name, tc := range map[string]struct {
		answer answer
		want   want
		right  bool
	}{
		"the answer":                {answer{content: "42"}, want{Answer: "42"}, true},
		"another answer":            {answer{content: "42."}, want{Answer: "42"}, false},
		"the call":                  {answer{tool: "f", arguments: `{"a":1}`, calls: 1}, call, true},
		"other arguments":           {answer{tool: "f", arguments: `{"a": 1}`, calls: 1}, call, false},
		"another tool":              {answer{tool: "g", arguments: `{"a":1}`, calls: 1}, call, false},
		"an answer for a call":      {answer{content: "42"}, call, false},
		"a call for an answer":      {answer{tool: "f", calls: 1}, want{Answer: ""}, false},
		"the answer besides a call": {answer{content: "42", tool: "f", calls: 1}, want{Answer: "42"}, false},
	} {
		if got := tc.answer.right(tc.want); got != tc.right {
			t.Errorf("%s: right is %v, want %v", name, got, tc.right)
		}
	}
}

func TestGrammar(t *testing.T) {
	g := grammar{
		channel: 1, message: 2, end: 3, start: 4, constrain: 5, ret: 6, call: 7,
		analysis: []int32{10}, final: []int32{11}, assistant: []int32{12}, json: []int32{13}, commentary: []int32{14, 15},
		isControl: map[int32]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true},
	}
	thought := []int32{1, 10, 2, 20, 21, 3, 4, 12}
	for name, tc := range map[string]struct {
		rest []int32
		want bool
	}{
		"a final answer":             {[]int32{1, 11, 2, 30, 6}, true},
		"a call":                     {[]int32{1, 14, 15, 40, 5, 13, 2, 30, 7}, true},
		"an empty answer":            {[]int32{1, 11, 2, 6}, false},
		"no end":                     {[]int32{1, 11, 2, 30}, false},
		"more after the end":         {[]int32{1, 11, 2, 30, 6, 30}, false},
		"a control token within":     {[]int32{1, 11, 2, 30, 1, 30, 6}, false},
		"a call that ends as answer": {[]int32{1, 14, 15, 40, 5, 13, 2, 30, 6}, false},
		"nothing after the thought":  {nil, false},
	} {
		if got := g.accepts(append(append([]int32{}, thought...), tc.rest...)); got != tc.want {
			t.Errorf("%s: accepted %v, want %v", name, got, tc.want)
		}
	}
}
