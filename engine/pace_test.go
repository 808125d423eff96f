package engine

import (
	"math"
	"slices"
	"testing"
	"time"
)

const testLayers = 24

// machine is how long steps take on one: a step waits for memory or for arithmetic, whichever takes longer.
type machine struct {
	dense, expert, token time.Duration // of all layers: reading what every token needs, and an expert; computing a token
}

// step returns how long one takes whose prompt tokens go through some of the layers. Tokens meet in experts: gpt-oss-20b's
// 32 are soon all asked for.
func (m machine) step(streams, tokens, layers int) time.Duration {
	share := float64(layers) / testLayers
	experts := func(tokens int) float64 { return 32 * (1 - math.Pow(28.0/32, float64(tokens))) }
	part := func(tokens int) float64 {
		return max(float64(m.dense)+experts(tokens)*float64(m.expert), float64(tokens)*float64(m.token))
	}
	return time.Duration((1-share)*part(streams) + share*part(streams+tokens))
}

// TestPaceBoundsTheTimeBetweenTokens admits a prompt of 4,000 tokens beside streams.
func TestPaceBoundsTheTimeBetweenTokens(t *testing.T) {
	large := machine{dense: 45 * time.Millisecond, expert: 11 * time.Millisecond, token: 12 * time.Millisecond}
	small := machine{dense: 200 * time.Microsecond, expert: 20 * time.Microsecond, token: 50 * time.Microsecond}
	for name, tc := range map[string]struct {
		machine  machine
		streams  int
		before   int           // streams when a prompt was last admitted
		wantTime time.Duration // of the whole prompt, at most
		want     time.Duration // between two tokens in 99 of 100 cases; 0 for three times what it is without
	}{
		"one stream of a large model":              {machine: large, streams: 1, wantTime: 125 * time.Second},
		"four streams of a large model":            {machine: large, streams: 4, wantTime: 125 * time.Second},
		"sixteen streams of a large model":         {machine: large, streams: 16, wantTime: 130 * time.Second},
		"one stream where there were sixteen":      {machine: large, streams: 1, before: 16, wantTime: 130 * time.Second},
		"sixteen streams where there was one":      {machine: large, streams: 16, before: 1, wantTime: 130 * time.Second},
		"a small model, where nobody would notice": {machine: small, streams: 1, wantTime: time.Second, want: 25 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPace(testLayers, &Options{MaxBatchTokens: 512, BatchSize: 16})
			if tc.before > 0 {
				p, _ = admit(p, tc.machine, tc.before)
			}
			p, times := admit(p, tc.machine, tc.streams)
			total := time.Duration(0)
			for _, d := range times {
				total += d
			}
			slices.Sort(times)
			want := tc.want
			if want == 0 {
				want = 3 * tc.machine.step(tc.streams, 0, 0)
			}
			if got := times[len(times)*99/100]; got > want {
				t.Errorf("%v between two tokens, want at most %v; pace %+v", got, want, p)
			}
			if total > tc.wantTime {
				t.Errorf("the prompt takes %v, want at most %v; pace %+v", total, tc.wantTime, p)
			}
		})
	}
}

// admit runs a prompt beside streams that have been running for a while.
func admit(p pace, m machine, streams int) (pace, []time.Duration) {
	for range 20 {
		p = p.after(streams, 0, testLayers, m.step(streams, 0, 0))
	}
	var times []time.Duration
	for left := 4000; left > 0; {
		n := min(p.promptTokens(), left)
		for at := 0; at < testLayers; {
			layers := min(p.layersFor(n), testLayers-at)
			if n == 1 {
				layers = testLayers
			}
			took := m.step(streams, n, layers)
			times = append(times, took)
			p = p.after(streams, n, layers, took)
			at += layers
		}
		left -= n
	}
	return p, times
}

func TestPaceWithoutStreams(t *testing.T) {
	p := newPace(testLayers, &Options{MaxBatchTokens: 80, BatchSize: 16})
	if got := p.after(0, 512, testLayers, time.Minute); got != p {
		t.Errorf("a step that nobody waits for changes the pace to %+v", got)
	}
	if got := p.promptTokens(); got != 1 {
		t.Errorf("%d tokens before anything is known, want 1", got)
	}
	for range 1000 {
		tokens := p.promptTokens()
		p = p.after(1, tokens, p.layersFor(tokens), 0)
		if n := p.promptTokens(); n < 1 || n > 64 {
			t.Fatalf("%d tokens, want 1 to 64", n)
		}
	}
	if n := p.promptTokens(); n != 64 || p.layersFor(64) != testLayers {
		t.Errorf("a machine without limits runs %d tokens through %d layers, want all 64 and %d", n, p.layersFor(64), testLayers)
	}
}
