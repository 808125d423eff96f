package engine

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/sample"
)

// rails is a constraint that plays a script of what is allowed: nil for everything. Past its end nothing is.
type rails struct {
	script   [][]int32
	accepted []int32
	panics   bool
}

func (r *rails) Mask(mask []uint64) bool {
	if r.panics {
		panic("the constraint is broken")
	}
	for i := range mask {
		mask[i] = 0
	}
	n := len(r.accepted)
	if n >= len(r.script) {
		return true
	}
	for _, id := range r.script[n] {
		mask[id/64] |= 1 << (id % 64)
	}
	return r.script[n] != nil
}

func (r *rails) Accept(token int32) { r.accepted = append(r.accepted, token) }

func TestConstraints(t *testing.T) {
	for name, tc := range map[string]struct {
		rails      rails
		want       []int32
		wantReason FinishReason
		wantError  error
	}{
		// Unconstrained, the fake says 1, 2, 3, …
		"allowed tokens only":             {rails: rails{script: [][]int32{{5}, {6, 7}, {stopToken}}}, want: []int32{5, 6, stopToken}, wantReason: FinishStop},
		"the model's choice where it may": {rails: rails{script: [][]int32{nil, {2, 9}, nil, {stopToken}}}, want: []int32{1, 2, 3, stopToken}, wantReason: FinishStop},
		"nothing is allowed":              {rails: rails{script: [][]int32{{5}}}, want: []int32{5}, wantReason: FinishError, wantError: ErrNothingAllowed},
		"the constraint panics":           {rails: rails{panics: true}, wantReason: FinishError},
	} {
		t.Run(name, func(t *testing.T) {
			r := &fakeRunner{}
			e := startEngine(t, r, Options{Logger: slog.New(slog.DiscardHandler)})
			c := tc.rails
			beside := submit(t, e, Request{Prompt: prompt(20), MaxTokens: 9, StopTokens: []int32{stopToken}})
			got, reason, err := drain(submit(t, e, Request{Prompt: prompt(3), StopTokens: []int32{stopToken}, Constraint: &c}))
			if !slices.Equal(got, tc.want) || reason != tc.wantReason || tc.wantError != nil && !errors.Is(err, tc.wantError) {
				t.Errorf("got %v, %s, %v; want %v, %s, %v", got, reason, err, tc.want, tc.wantReason, tc.wantError)
			}
			if diff := cmp.Diff(tc.want, c.accepted); diff != "" {
				t.Errorf("accepted (-want,+got):\n%s", diff)
			}
			if got, _, _ := drain(beside); !slices.Equal(got, []int32{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
				t.Errorf("the request beside got %v", got)
			}
			closeEngine(t, e, r)
		})
	}
}

// TestConstrainedLogprobsAreTheModels holds log probabilities to those of a run without a constraint.
func TestConstrainedLogprobsAreTheModels(t *testing.T) {
	r := &fakeRunner{}
	e := startEngine(t, r, Options{})
	ask := func(c Constraint) Token {
		return tokens(t, submit(t, e, Request{Prompt: prompt(3), MaxTokens: 1, Logprobs: new(2), Constraint: c, Sampling: sample.Params{}}))[0]
	}
	free, forced := ask(nil), ask(&rails{script: [][]int32{{5}}})
	if diff := cmp.Diff(free.Logprobs.Top, forced.Logprobs.Top); diff != "" {
		t.Errorf("alternatives (-free,+constrained):\n%s", diff)
	}
	if forced.ID != 5 || forced.Logprobs.Chosen >= free.Logprobs.Chosen {
		t.Errorf("the forced token %d has %v, the free one %v", forced.ID, forced.Logprobs.Chosen, free.Logprobs.Chosen)
	}
	closeEngine(t, e, r)
}
