package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
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

// distribution is the definition of sampling, with a sort.
func distribution(logits []float32, p Params) []float64 {
	out := make([]float64, len(logits))
	order := make([]int, len(logits))
	top := float64(slices.Max(logits))
	for i, v := range logits {
		out[i], order[i] = math.Exp((float64(v)-top)/p.Temperature), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(out[b], out[a]) })
	if p.TopK > 0 {
		for _, i := range order[min(p.TopK, len(order)):] {
			out[i] = 0
		}
	}
	total, sum := 0.0, 0.0
	for _, w := range out {
		total += w
	}
	for n, i := range order {
		if n > 0 && sum >= p.TopP*total {
			out[i] = 0
		}
		sum += out[i]
	}
	for i := range out {
		if out[i] < p.MinP {
			out[i] = 0
		}
	}
	total = 0
	for _, w := range out {
		total += w
	}
	for i := range out {
		out[i] /= total
	}
	return out
}

// TestSampleFollowsTheDistribution is a chi-square test with fixed seeds: a
// correct sampler gives the same statistic on every run.
func TestSampleFollowsTheDistribution(t *testing.T) {
	for name, p := range map[string]Params{
		"plain":            {Temperature: 1, TopP: 1},
		"cold":             {Temperature: 0.5, TopP: 1},
		"hot":              {Temperature: 2, TopP: 1},
		"top_p":            {Temperature: 1, TopP: 0.7},
		"top_p of a half":  {Temperature: 1.3, TopP: 0.5},
		"top_k":            {Temperature: 1, TopP: 1, TopK: 7},
		"min_p":            {Temperature: 1, TopP: 1, MinP: 0.2},
		"all of them":      {Temperature: 0.9, TopP: 0.9, TopK: 12, MinP: 0.05},
		"top_k beyond all": {Temperature: 1, TopP: 1, TopK: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			const draws, size = 40000, 40
			r := rand.New(rand.NewPCG(7, 8))
			logits := make([]float32, size)
			for i := range logits {
				logits[i] = float32(r.NormFloat64() * 2)
			}
			p.Seed = new(uint64(11))
			s := New(p, size)
			counts := make([]int, size)
			for range draws {
				counts[s.Sample(logits)]++
			}
			statistic, freedom := 0.0, -1
			for i, want := range distribution(logits, p) {
				if want == 0 {
					if counts[i] > 0 {
						t.Errorf("id %d is excluded but was drawn %d times", i, counts[i])
					}
					continue
				}
				d := float64(counts[i]) - want*draws
				statistic += d * d / (want * draws)
				freedom++
			}
			// Mean and deviation of chi-square are freedom and √(2·freedom).
			if limit := float64(freedom) + 4*math.Sqrt(2*float64(freedom)); statistic > limit {
				t.Errorf("chi-square %.1f with %d degrees of freedom, want at most %.1f", statistic, freedom, limit)
			}
		})
	}
}

// TestCutsEqualASort compares the kept sets on large and tied inputs.
func TestCutsEqualASort(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for round := range 300 {
		size := 1 + r.IntN(3000)
		logits := make([]float32, size)
		for i := range logits {
			switch round % 3 {
			case 0:
				logits[i] = float32(r.NormFloat64() * 5)
			case 1:
				logits[i] = float32(r.IntN(4)) // many ties
			default:
				logits[i] = 1 // all tied
			}
		}
		p := Params{Temperature: 1, TopP: r.Float64(), TopK: r.IntN(size + 2)}
		if round%2 == 0 {
			p.TopK = 0
		}
		want := distribution(logits, p)
		s := New(p, size)
		s.Sample(logits)
		differ := 0
		for i, w := range s.weights {
			if (w > 0) != (want[i] > 0) {
				differ++
			}
		}
		// Sums in float32 and float64 may disagree on the token at the edge.
		if differ > 1 {
			t.Fatalf("round %d: %d of %d ids are kept differently with %+v", round, differ, size, p)
		}
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
	s := New(Params{
		Temperature: 0.7, TopP: 0.9, TopK: 500, MinP: 0.01,
		FrequencyPenalty: 0.1, RepetitionPenalty: 1.1, LogitBias: map[int32]float32{3: 1},
	}, size)
	if n := testing.AllocsPerRun(20, func() { s.Sample(logits) }); n != 0 {
		t.Errorf("%v allocations per token", n)
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

func FuzzSample(f *testing.F) {
	f.Add([]byte{0, 0, 192, 127, 0, 0, 128, 127, 0, 0, 128, 63}, 0.7, 0.9, 3, 0.1)
	f.Fuzz(func(t *testing.T, data []byte, temperature, topP float64, topK int, minP float64) {
		var logits []float32
		for ; len(data) >= 4; data = data[4:] {
			bits := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
			logits = append(logits, math.Float32frombits(bits))
		}
		s := New(Params{Temperature: temperature, TopP: topP, TopK: topK, MinP: minP}, len(logits))
		if id := s.Sample(logits); id < 0 || int(id) >= max(len(logits), 1) {
			t.Errorf("drew %d of %d", id, len(logits))
		}
	})
}

func BenchmarkSample(b *testing.B) {
	const size = 200019
	r := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, size)
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 3)
	}
	for name, p := range map[string]Params{
		"greedy": {}, "plain": {Temperature: 1, TopP: 1}, "top_p": {Temperature: 0.7, TopP: 0.9},
	} {
		b.Run(name, func(b *testing.B) {
			s := New(p, size)
			for b.Loop() {
				s.Sample(logits)
			}
		})
	}
}
