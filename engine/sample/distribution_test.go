package sample

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// adjusted is the definition of bias and penalties: counts says how often an id
// was generated, prompt which ids the request began with.
func adjusted(logits []float32, p Params, prompt, generated []int32) []float64 {
	out := make([]float64, len(logits))
	for i, v := range logits {
		id := int32(i)
		x := float64(v + p.LogitBias[id])
		times := 0.0
		for _, g := range generated {
			if g == id {
				times++
			}
		}
		if r := p.RepetitionPenalty; r != 0 && (times > 0 || slices.Contains(prompt, id)) {
			if x > 0 {
				x /= r
			} else {
				x *= r
			}
		}
		x -= times * p.FrequencyPenalty
		if times > 0 {
			x -= p.PresencePenalty
		}
		out[i] = x
	}
	return out
}

// distribution is the definition of temperature and cuts, with a sort.
func distribution(logits []float64, p Params) []float64 {
	out := make([]float64, len(logits))
	order := make([]int, len(logits))
	top := slices.Max(logits)
	for i, v := range logits {
		out[i], order[i] = math.Exp((v-top)/p.Temperature), i
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

// falseAlarm is how likely a correct sampler is to fail one case with seeds chosen
// at random. The seeds are fixed, so a case that passes once passes always.
const falseAlarm = 1e-6

// tail returns Pearson's chi-square test of counts: how likely a correct sampler
// is to be as far from want, by the approximation of Wilson and Hilferty. Ids that
// are expected fewer than 10 times are put together.
func tail(t *testing.T, counts []int, want []float64) float64 {
	t.Helper()
	draws := 0
	for _, n := range counts {
		draws += n
	}
	statistic, freedom, rareWant, rare := 0.0, -1.0, 0.0, 0.0
	cell := func(got, want float64) {
		statistic += (got - want) * (got - want) / want
		freedom++
	}
	for i, p := range want {
		expected := p * float64(draws)
		switch {
		case p == 0:
			if counts[i] > 0 {
				t.Errorf("id %d is excluded but was drawn %d times", i, counts[i])
			}
		case expected < 10:
			rare, rareWant = rare+float64(counts[i]), rareWant+expected
		default:
			cell(float64(counts[i]), expected)
		}
	}
	if rareWant >= 1 {
		cell(rare, rareWant)
	}
	if freedom < 1 {
		t.Fatalf("%v degrees of freedom", freedom)
	}
	spread := 2 / (9 * freedom)
	z := (math.Cbrt(statistic/freedom) - (1 - spread)) / math.Sqrt(spread)
	return math.Erfc(z/math.Sqrt2) / 2
}

func testLogits(size int) []float32 {
	r := rand.New(rand.NewPCG(7, 8))
	logits := make([]float32, size)
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 2)
	}
	return logits
}

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
		"logit_bias":       {Temperature: 1, TopP: 1, LogitBias: map[int32]float32{0: 3, 1: -2, 39: 1.5}},
	} {
		t.Run(name, func(t *testing.T) {
			const draws, size = 40000, 40
			logits := testLogits(size)
			p.Seed = new(uint64(11))
			s := New(p, size)
			counts := make([]int, size)
			for range draws {
				counts[s.Sample(logits)]++
			}
			if got := tail(t, counts, distribution(adjusted(logits, p, nil, nil), p)); got < falseAlarm {
				t.Errorf("so far off only once in %.2g times", 1/got)
			}
		})
	}
}

// TestFirstDrawsFollowTheDistribution takes the first token of many requests whose
// seeds follow each other, as clients number them, in the middle of a text.
func TestFirstDrawsFollowTheDistribution(t *testing.T) {
	prompt, generated := []int32{3, 7, 12, 30}, []int32{5, 12, 5, 5, 22}
	for name, p := range map[string]Params{
		"plain":              {Temperature: 1, TopP: 1},
		"frequency penalty":  {Temperature: 1, TopP: 1, FrequencyPenalty: 0.7},
		"presence penalty":   {Temperature: 1, TopP: 1, PresencePenalty: -1.5},
		"repetition penalty": {Temperature: 1, TopP: 1, RepetitionPenalty: 1.8},
		"all of them": {
			Temperature: 0.8, TopP: 0.95, TopK: 30, MinP: 0.001, FrequencyPenalty: 0.3, PresencePenalty: 0.2, RepetitionPenalty: 1.2,
			LogitBias: map[int32]float32{5: 2, 12: -1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			const draws, size = 40000, 40
			logits := testLogits(size)
			s := New(p, size)
			counts := make([]int, size)
			for i := range draws {
				p.Seed = new(uint64(i))
				s.Reset(p)
				s.Prompt(prompt)
				for _, id := range generated {
					s.accept(id)
				}
				counts[s.Sample(logits)]++
			}
			if got := tail(t, counts, distribution(adjusted(logits, p, prompt, generated), p)); got < falseAlarm {
				t.Errorf("so far off only once in %.2g times", 1/got)
			}
		})
	}
}

// TestTheTestSeesSmallErrors makes sure that the tests above could fail.
func TestTheTestSeesSmallErrors(t *testing.T) {
	const draws, size = 40000, 40
	logits := testLogits(size)
	right := Params{Temperature: 1, TopP: 1, Seed: new(uint64(11))}
	for name, wrong := range map[string]Params{
		"temperature": {Temperature: 1.05, TopP: 1, Seed: right.Seed},
		"top_p":       {Temperature: 1, TopP: 0.99, Seed: right.Seed},
		"a bias":      {Temperature: 1, TopP: 1, LogitBias: map[int32]float32{int32(slices.Index(logits, slices.Max(logits))): 0.1}, Seed: right.Seed},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(wrong, size)
			counts := make([]int, size)
			for range draws {
				counts[s.Sample(logits)]++
			}
			if got := tail(t, counts, distribution(adjusted(logits, right, nil, nil), right)); got > falseAlarm {
				t.Errorf("a wrong sampler passes with %.2g", got)
			}
		})
	}
}

// TestCutsEqualASort compares the kept sets on large and tied inputs.
func TestCutsEqualASort(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for round := range 303 {
		size := 1 + r.IntN(3000)
		if round >= 300 {
			size = 201088
		}
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
		want := distribution(adjusted(logits, p, nil, nil), p)
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

// TestPaddingIsNeverSampled holds ids at and above the vocabulary's size out of
// everything, whatever pushes them.
func TestPaddingIsNeverSampled(t *testing.T) {
	const trained = 30
	logits := testLogits(40)
	for id := range logits[trained:] {
		logits[trained+id] = 50
	}
	bias := map[int32]float32{}
	for id := int32(trained); id < 40; id++ {
		bias[id] = 100
	}
	for name, p := range map[string]Params{
		"greedy": {}, "plain": {Temperature: 2, TopP: 1}, "cut": {Temperature: 1, TopP: 0.9, TopK: 5}, "biased": {Temperature: 1, TopP: 1, LogitBias: maps.Clone(bias)},
		"penalised": {Temperature: 1, TopP: 1, RepetitionPenalty: 9, FrequencyPenalty: 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(p, trained)
			top := make([]Logprob, MaxTop)
			for range 2000 {
				id := s.Sample(logits)
				logprob, n := s.Logprob(logits, id, top)
				if id >= trained || math.IsInf(logprob, 0) || n != MaxTop {
					t.Fatalf("drew %d with %v and %d alternatives", id, logprob, n)
				}
				for _, a := range top {
					if a.ID >= trained {
						t.Fatalf("alternative %d", a.ID)
					}
				}
			}
			if logprob, _ := s.Logprob(logits, trained, nil); !math.IsInf(logprob, -1) {
				t.Errorf("the padding has log probability %v", logprob)
			}
		})
	}
}
