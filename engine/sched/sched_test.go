package sched

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// valid is a configuration that tests change.
func valid() Config {
	return Config{
		PageTokens: 4, FullPages: 64, WindowPages: 64, Window: 8, SwapFullPages: 8, SwapWindowPages: 8,
		MaxSequences: 8, BatchSize: 8, MaxBatchTokens: 64, PrefixCache: true,
	}
}

func TestNewRefusesLimitsThatMakeNoSense(t *testing.T) {
	if _, err := New(valid()); err != nil {
		t.Fatalf("a valid configuration: %v", err)
	}
	for name, tc := range map[string]struct {
		change    func(*Config)
		wantError string
	}{
		"no positions in a page":      {func(c *Config) { c.PageTokens = 0 }, "page tokens"},
		"no full pages":               {func(c *Config) { c.FullPages = 0 }, "full pages"},
		"more positions than counted": {func(c *Config) { c.FullPages = math.MaxInt32 / 2 }, "full pages"},
		"a negative window":           {func(c *Config) { c.Window = -1 }, "window"},
		"a window without pages":      {func(c *Config) { c.WindowPages = 0 }, "window pages"},
		"a negative swap space":       {func(c *Config) { c.SwapFullPages = -1 }, "swap space"},
		"a negative window swap":      {func(c *Config) { c.SwapWindowPages = -1 }, "swap space"},
		"no sequences":                {func(c *Config) { c.MaxSequences = 0 }, "sequences"},
		"no batch":                    {func(c *Config) { c.BatchSize = 0 }, "batch size"},
		"a batch without tokens":      {func(c *Config) { c.MaxBatchTokens = 7 }, "batch tokens"},
		"a negative timeout":          {func(c *Config) { c.BatchTimeout = -1 }, "batch timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			c := valid()
			tc.change(&c)
			if _, err := New(c); err == nil || !strings.Contains(err.Error(), tc.wantError) {
				t.Errorf("error %v, want one about %q", err, tc.wantError)
			}
		})
	}
}

func TestAddRefusesWhatCannotRun(t *testing.T) {
	few := valid()
	few.WindowPages = 2 // a sequence of more than two pages needs three
	for name, tc := range map[string]struct {
		config       Config
		prompt, max  int
		wantError    bool
		wantTooLarge bool
	}{
		"as much as there is":          {valid(), 255, 2, false, false},
		"one more":                     {valid(), 256, 2, true, true},
		"as much as the window pages":  {few, 7, 2, false, false},
		"more than the window pages":   {few, 8, 2, true, true},
		"a number that would overflow": {valid(), 2, math.MaxInt, true, true},
		"an empty prompt":              {valid(), 0, 2, true, false},
		"nothing to sample":            {valid(), 2, 0, true, false},
		"less than nothing to sample":  {valid(), 2, math.MinInt, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(tc.config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Add(Request{Prompt: make([]int32, tc.prompt), MaxTokens: tc.max})
			if (err != nil) != tc.wantError || errors.Is(err, ErrTooLarge) != tc.wantTooLarge {
				t.Errorf("error %v, want one: %t, too large: %t", err, tc.wantError, tc.wantTooLarge)
			}
			if got := s.Stats().Waiting; (got == 1) == tc.wantError {
				t.Errorf("%d sequences wait", got)
			}
		})
	}
}

func TestMisusePanics(t *testing.T) {
	for name, misuse := range map[string]func(*Scheduler){
		"Next during a step":       func(s *Scheduler) { s.Next(0, 0) },
		"Done without every token": func(s *Scheduler) { s.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(valid())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Add(Request{Prompt: []int32{1}, MaxTokens: 2}); err != nil {
				t.Fatal(err)
			}
			s.Next(0, 0)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			misuse(s)
		})
	}
}

func TestHarmlessMistakes(t *testing.T) {
	s, err := New(valid())
	if err != nil {
		t.Fatal(err)
	}
	s.Remove(7)
	s.Done()
	s.Abort()
	id, err := s.Add(Request{Prompt: []int32{1, 2, 3}, MaxTokens: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Remove(id)
	s.Remove(id)
	id, err = s.Add(Request{Prompt: []int32{1, 2, 3}, MaxTokens: 1})
	if err != nil {
		t.Fatal(err)
	}
	step := s.Next(0, 0)
	s.Remove(id)
	s.Remove(id)
	if got := s.Stats(); got.Running != 1 || got.FullUsed != 1 {
		t.Errorf("a running step lost its pages: %+v", got)
	}
	step.Rows[0].Token = 5
	s.Done()
	s.Done()
	if got := s.Stats(); got.Running+got.FullUsed+got.WindowUsed != 0 {
		t.Errorf("left behind: %+v", got)
	}
}

// TestPromptStaysTheCallers checks that sampled tokens do not land behind a prompt in the caller's memory.
func TestPromptStaysTheCallers(t *testing.T) {
	s, err := New(valid())
	if err != nil {
		t.Fatal(err)
	}
	memory := []int32{1, 2, 3, 4, 5, 6}
	if _, err := s.Add(Request{Prompt: memory[:3], MaxTokens: 3}); err != nil {
		t.Fatal(err)
	}
	for {
		step := s.Next(0, 0)
		if len(step.Rows) == 0 {
			break
		}
		step.Rows[0].Token = 9
		s.Done()
	}
	if !slices.Equal(memory, []int32{1, 2, 3, 4, 5, 6}) {
		t.Errorf("the caller's memory is %v", memory)
	}
}

func TestDecodingDoesNotAllocate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"with the prefix cache":    func(*Config) {},
		"without the prefix cache": func(c *Config) { c.PrefixCache = false },
		"in turns":                 func(c *Config) { c.BatchSize = 3 },
		"without a window":         func(c *Config) { c.Window, c.WindowPages = 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			c := valid()
			c.FullPages, c.WindowPages = 8*110, 8*5
			change(&c)
			s, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 8 {
				prompt := []int32{int32(i), 1, 2, 3, 4, 5, 6, 7, 8}
				if _, err := s.Add(Request{Prompt: prompt, MaxTokens: 400}); err != nil {
					t.Fatal(err)
				}
			}
			decode := func() {
				step := s.Next(time.Second, 8)
				for i := range step.Rows {
					step.Rows[i].Token = 3
				}
				s.Done()
			}
			for range 50 { // all are admitted, every list has its size
				decode()
			}
			// Pages fill up, slide out of the window and are taken again meanwhile.
			if n := testing.AllocsPerRun(100, decode); n != 0 {
				t.Errorf("a step allocates %v times", n)
			}
			if got := s.Stats(); got.Running != 8 || got.Tokens < 8*40 {
				t.Errorf("nothing was decoded: %+v", got)
			}
		})
	}
}
