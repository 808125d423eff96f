package engine

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gptoss/gptoss-operator/engine/sample"
)

// tokens reads a stream to its end.
func tokens(t *testing.T, s *Stream) (all []Token) {
	t.Helper()
	for token := range s.Tokens() {
		all = append(all, token)
	}
	if _, err := s.Result(); err != nil {
		t.Error(err)
	}
	return all
}

// TestLogprobs uses that the fake gives one token the logit 1 and all others 0.
func TestLogprobs(t *testing.T) {
	const limit = 10
	likely := 1 - math.Log(math.E+limit-1)
	others := -math.Log(math.E + limit - 1)
	for name, tc := range map[string]struct {
		logprobs *int
		want     []*Logprobs
	}{
		"not asked for":     {nil, []*Logprobs{nil, nil}},
		"of the token":      {new(0), []*Logprobs{{Chosen: likely}, {Chosen: likely}}},
		"with alternatives": {new(2), []*Logprobs{{likely, []sample.Logprob{{ID: 1, Logprob: likely}, {ID: 0, Logprob: others}}}, {likely, []sample.Logprob{{ID: 2, Logprob: likely}, {ID: 0, Logprob: others}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &fakeRunner{}
			e := startEngine(t, r, Options{VocabularyLimit: limit})
			// The bias would show if it counted.
			request := Request{Prompt: prompt(1), MaxTokens: 2, Logprobs: tc.logprobs, Sampling: sample.Params{LogitBias: map[int32]float32{5: 0.5}}}
			var got []*Logprobs
			for _, token := range tokens(t, submit(t, e, request)) {
				got = append(got, token.Logprobs)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(1e-12, 0)); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
			closeEngine(t, e, r)
		})
	}
}

// TestSeedsAreReproducible has other requests run beside and between two with one seed.
func TestSeedsAreReproducible(t *testing.T) {
	r := &fakeRunner{}
	e := startEngine(t, r, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := e.Submit(ctx, Request{Prompt: prompt(100), Sampling: sample.Params{Temperature: 1}}); err != nil {
		t.Fatal(err)
	}
	run := func(seed uint64, frequency float64) []Token {
		return tokens(t, submit(t, e, Request{
			Prompt: prompt(3), MaxTokens: 30, Logprobs: new(3),
			Sampling: sample.Params{Temperature: 1.5, TopP: 0.95, FrequencyPenalty: frequency, Seed: &seed},
		}))
	}
	first := run(7, 0.5)
	if other := run(8, 0.5); cmp.Equal(first, other) {
		t.Error("another seed gives the same tokens")
	}
	if again := run(7, 0.5); !cmp.Equal(first, again) {
		t.Errorf("the same seed gives other tokens (-first,+again):\n%s", cmp.Diff(first, again))
	}
	if other := run(7, 0); cmp.Equal(first, other) {
		t.Error("a penalty changes nothing")
	}
	closeEngine(t, e, r)
}

// TestMinTokens has a model that wants to stop after two tokens, and then takes the next likely token, the lowest id, as
// often as it must.
func TestMinTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		least int
		want  []int32
	}{
		"none":                        {0, []int32{1, 2, stopToken}},
		"fewer than there are":        {2, []int32{1, 2, stopToken}},
		"more":                        {4, []int32{1, 2, 0, 0, stopToken}},
		"as many as there is room":    {6, []int32{1, 2, 0, 0, 0, 0}},
		"more than there can ever be": {99, []int32{1, 2, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &fakeRunner{stopAfter: 2}
			e := startEngine(t, r, Options{})
			var got []int32
			for _, token := range tokens(t, submit(t, e, Request{
				Prompt: prompt(1), MaxTokens: 6, MinTokens: tc.least, StopTokens: []int32{stopToken, -1, stopToken}, Logprobs: new(1),
			})) {
				got = append(got, token.ID)
				if best := token.Logprobs.Top[0].ID; len(got) > 2 && best != stopToken {
					t.Errorf("the likeliest token is said to be %d", best)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
			closeEngine(t, e, r)
		})
	}
}
