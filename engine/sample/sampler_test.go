package sample

import (
	"math"
	"slices"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

func TestSampleIsDecided(t *testing.T) {
	all := Params{Temperature: 1, TopP: 1}
	for name, tc := range map[string]struct {
		params Params
		logits []float32
		want   int32
	}{
		"greedy":                              {Params{}, []float32{1, 3, 2}, 1},
		"greedy, the lowest of equals":        {Params{}, []float32{1, 3, 3, 3}, 1},
		"greedy past NaN":                     {Params{}, []float32{nan, 1, 2, nan}, 2},
		"greedy with +Inf":                    {Params{}, []float32{1, inf, inf}, 1},
		"greedy, nothing possible":            {Params{}, []float32{-inf, nan}, 0},
		"greedy past the vocabulary":          {Params{}, []float32{1, 2, 3, 4, 99}, 3},
		"greedy, no logits":                   {Params{}, nil, 0},
		"one possible":                        {all, []float32{-inf, nan, -3, -inf}, 2},
		"+Inf is certain":                     {all, []float32{1, 2, inf, 3}, 2},
		"nothing possible":                    {all, []float32{nan, -inf}, 0},
		"no logits":                           {all, nil, 0},
		"past the vocabulary":                 {all, []float32{-inf, 0, -inf, -inf, 99}, 1},
		"a temperature close to 0":            {Params{Temperature: 5e-324, TopP: 1}, []float32{1, 2, 3, 2.999}, 2},
		"far apart":                           {all, []float32{-3e38, 3e38, 0}, 1},
		"top_p 0":                             {Params{Temperature: 1}, []float32{1, 2, 2, 1}, 1},
		"top_k 1":                             {Params{Temperature: 1, TopP: 1, TopK: 1}, []float32{1, 2, 2, 1}, 1},
		"min_p 1":                             {Params{Temperature: 1, TopP: 1, MinP: 1}, []float32{1, 1, 2, 1}, 2},
		"a temperature that flattens nothing": {Params{Temperature: 1e300, TopP: 0}, []float32{1, 2, 3}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(tc.params, 4)
			for range 50 {
				if got := s.Sample(tc.logits); got != tc.want {
					t.Fatalf("drew %d, want %d", got, tc.want)
				}
			}
		})
	}
}

func TestEqualSeedsDrawEqually(t *testing.T) {
	logits := make([]float32, 1000)
	draw := func(s *Sampler) (ids []int32) {
		for range 50 {
			ids = append(ids, s.Sample(logits))
		}
		return ids
	}
	p := Params{Temperature: 1, TopP: 1, Seed: new(uint64(5))}
	s := New(p, 1000)
	first := draw(s)
	if slices.Equal(first, draw(s)) {
		t.Error("the draws repeat")
	}
	s.Reset(p)
	if again := draw(s); !slices.Equal(first, again) {
		t.Error("the same seed draws differently after Reset")
	}
	p.Seed = new(uint64(6))
	if slices.Equal(first, draw(New(p, 1000))) {
		t.Error("another seed draws the same")
	}
	p.Seed = nil
	if slices.Equal(draw(New(p, 1000)), draw(New(p, 1000))) {
		t.Error("no seed draws the same twice")
	}
}

func TestSampleDoesNotAllocate(t *testing.T) {
	const size = 5000
	logits := make([]float32, size)
	for i := range logits {
		logits[i] = float32(i%17) / 3
	}
	p := Params{
		Temperature: 0.7, TopP: 0.9, TopK: 500, MinP: 0.01, Seed: new(uint64(1)),
		FrequencyPenalty: 0.1, RepetitionPenalty: 1.1, LogitBias: map[int32]float32{3: 1},
	}
	s := New(p, size)
	top := make([]Logprob, MaxTop)
	prompt := []int32{1, 2, 3}
	if n := testing.AllocsPerRun(20, func() {
		s.Reset(p)
		s.Prompt(prompt)
		for range 3 {
			s.Logprob(logits, s.Sample(logits), top)
		}
	}); n != 0 {
		t.Errorf("%v allocations in a request", n)
	}
}

func TestPenaltiesAndBias(t *testing.T) {
	for name, tc := range map[string]struct {
		params Params
		prompt []int32
		logits []float32
		want   []int32 // drawn greedily, one after the other
	}{
		"none":       {Params{}, []int32{1}, []float32{1, 2, 0}, []int32{1, 1, 1}},
		"presence":   {Params{PresencePenalty: 1.5}, []int32{1}, []float32{1, 2, 0}, []int32{1, 0, 1, 1}},
		"frequency":  {Params{FrequencyPenalty: 0.6}, nil, []float32{1, 2, 0}, []int32{1, 1, 0, 1, 0}},
		"repetition": {Params{RepetitionPenalty: 2.5}, []int32{1}, []float32{1, 2, -1}, []int32{0, 1, 1}},
		"repetition of negative logits": {
			Params{RepetitionPenalty: 3}, []int32{0}, []float32{-1, -2, -9}, []int32{1, 0},
		},
		"a bias before the repetition penalty": {
			Params{RepetitionPenalty: 2, LogitBias: map[int32]float32{1: 4}}, []int32{1}, []float32{4, 2, 0}, []int32{0, 1, 1},
		},
		"ids out of range":       {Params{RepetitionPenalty: 3, LogitBias: map[int32]float32{-1: 9, 99: 9}}, []int32{-1, 3, 99}, []float32{0, 1, 0}, []int32{1}},
		"bias":                   {Params{LogitBias: map[int32]float32{2: 5, 1: -5}}, nil, []float32{1, 2, 0}, []int32{2, 2}},
		"a bias that forbids":    {Params{LogitBias: map[int32]float32{1: -inf}}, nil, []float32{1, 2, 0}, []int32{0}},
		"a bias that is certain": {Params{Temperature: 2, TopP: 1, LogitBias: map[int32]float32{0: inf}}, nil, []float32{1, 2, 0}, []int32{0}},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Params{PresencePenalty: 9}, 3)
			s.Sample([]float32{9, 9, 9}) // forgotten by Reset
			s.Reset(tc.params)
			s.Prompt(tc.prompt)
			logits := slices.Clone(tc.logits)
			var got []int32
			for range tc.want {
				got = append(got, s.Sample(logits))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("drew %v, want %v", got, tc.want)
			}
			if !slices.Equal(logits, tc.logits) {
				t.Errorf("the logits became %v", logits)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		params Params
		valid  bool
	}{
		"the zero value":       {Params{}, true},
		"everything":           {Params{Temperature: 2, TopP: 1, TopK: 5, MinP: 1}, true},
		"negative temperature": {Params{Temperature: -0.1}, false},
		"NaN temperature":      {Params{Temperature: math.NaN()}, false},
		"endless temperature":  {Params{Temperature: math.Inf(1)}, false},
		"top_p over 1":         {Params{TopP: 1.1}, false},
		"NaN top_p":            {Params{TopP: math.NaN()}, false},
		"negative top_k":       {Params{TopK: -1}, false},
		"negative min_p":       {Params{MinP: -0.1}, false},
		"NaN penalty":          {Params{PresencePenalty: math.NaN()}, false},
		"negative repetition":  {Params{RepetitionPenalty: -1}, false},
		"NaN bias":             {Params{LogitBias: map[int32]float32{1: nan}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.params.Validate(); (err == nil) != tc.valid {
				t.Errorf("error %v, want valid %v", err, tc.valid)
			}
		})
	}
}
