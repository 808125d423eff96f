package engine

import (
	"math"
	"slices"
	"testing"
	"time"
)

// machine is how long steps take on one: a step waits for memory or for arithmetic, whichever takes longer.
type machine struct {
	dense, expert, token time.Duration // reading what every token needs, and an expert; computing a token
}

// step returns how long one takes. Tokens meet in experts: gpt-oss-20b's 32 are soon all asked for.
func (m machine) step(tokens int) time.Duration {
	experts := 32 * (1 - math.Pow(28.0/32, float64(tokens)))
	return max(m.dense+time.Duration(experts*float64(m.expert)), time.Duration(tokens)*m.token)
}

// TestPaceBoundsTheTimeBetweenTokens admits a prompt of 4,000 tokens beside streams.
func TestPaceBoundsTheTimeBetweenTokens(t *testing.T) {
	large := machine{dense: 45 * time.Millisecond, expert: 11 * time.Millisecond, token: 14 * time.Millisecond}
	small := machine{dense: 200 * time.Microsecond, expert: 20 * time.Microsecond, token: 50 * time.Microsecond}
	for name, tc := range map[string]struct {
		machine   machine
		streams   int
		before    int           // streams when a prompt was last admitted
		wantSteps int           // at most
		want      time.Duration // between two tokens in 99 of 100 cases; 0 for three times what it is without
	}{
		"one stream of a large model":              {machine: large, streams: 1, wantSteps: 1000},
		"four streams of a large model":            {machine: large, streams: 4, wantSteps: 170},
		"sixteen streams of a large model":         {machine: large, streams: 16, wantSteps: 120},
		"one stream where there were sixteen":      {machine: large, streams: 1, before: 16, wantSteps: 1000},
		"sixteen streams where there was one":      {machine: large, streams: 16, before: 1, wantSteps: 120},
		"a small model, where nobody would notice": {machine: small, streams: 1, wantSteps: 40, want: 25 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			const most = 512
			p := pace{found: firstPrompt}
			if tc.before > 0 {
				p, _ = admit(p, tc.machine, tc.before, most)
			}
			p, times := admit(p, tc.machine, tc.streams, most)
			slices.Sort(times)
			want := tc.want
			if want == 0 {
				want = 3 * tc.machine.step(tc.streams)
			}
			if got := times[len(times)*99/100]; got > want {
				t.Errorf("%v between two tokens, want at most %v; pace %+v", got, want, p)
			}
			if len(times) > tc.wantSteps {
				t.Errorf("%d steps, want at most %d; pace %+v", len(times), tc.wantSteps, p)
			}
		})
	}
}

// admit runs a prompt beside streams that have been running for a while.
func admit(p pace, m machine, streams, most int) (pace, []time.Duration) {
	for range 20 {
		p = p.after(streams, 0, m.step(streams), most)
	}
	var times []time.Duration
	for left := 4000; left > 0; {
		n := min(p.promptTokens(), left)
		took := m.step(streams + n)
		times = append(times, took)
		left -= n
		p = p.after(streams, n, took, most)
	}
	return p, times
}

func TestPaceWithoutStreams(t *testing.T) {
	p := pace{found: firstPrompt}
	if got := p.after(0, 512, time.Minute, 512); got != p {
		t.Errorf("a step that nobody waits for changes the pace to %+v", got)
	}
	if got := p.promptTokens(); got != 1 {
		t.Errorf("%d tokens before anything is known, want 1", got)
	}
	for range 1000 {
		p = p.after(1, p.promptTokens(), 0, 64)
		if n := p.promptTokens(); n < 1 || n > 64 {
			t.Fatalf("%d tokens, want 1 to 64", n)
		}
	}
	if p.found != 64 {
		t.Errorf("a machine without limits runs %d tokens, want all 64", p.found)
	}
}
