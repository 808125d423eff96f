package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/server/bench"
)

// ours is who we are in the table.
const ours = "ours"

// What the figure of peak memory is taken with.
const memorySequences, memoryContext = 8, 4096

// turn is one run of a program.
type turn struct {
	Round   int      `json:"round"` // from 1; 0 for what is done once, after the rounds
	Who     string   `json:"who"`
	Kind    string   `json:"kind"` // single, batched, memory, or once
	Command []string `json:"command"`
	usageOf
	Disturbed bool          `json:"disturbed"` // something else took more of the machine than --foreign
	Discarded bool          `json:"discarded"` // and it was done again
	Figures   []figure      `json:"figures,omitempty"`
	Report    *bench.Report `json:"report,omitempty"`
}

// record is everything that was seen.
type record struct {
	Started string `json:"started"`
	Model   string `json:"model"`
	GGUF    string `json:"gguf,omitempty"`
	Threads int    `json:"threads"`
	Turns   []turn `json:"turns"`
	Table   []row  `json:"table"`
}

// save writes the record as JSON.
func (r *record) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// takeTurns lets us and every peer measure, one after the other, as often as there are rounds. Beside an error are the
// turns before it.
func (s *settings) takeTurns(ctx context.Context, say func(string, ...any)) (*record, error) {
	r := &record{Started: time.Now().UTC().Format(time.RFC3339), Model: s.model, GGUF: s.gguf, Threads: s.threads}
	for _, t := range s.plan() {
		if err := s.take(ctx, r, t, say); err != nil {
			return r, err
		}
	}
	return r, nil
}

// plan lists the turns in their order.
func (s *settings) plan() []turn {
	var all []turn
	for round := 1; round <= s.rounds; round++ {
		all = append(
			all, turn{Round: round, Who: ours, Kind: "single", Command: s.ours("prefill,decode", s.decode, s.repetitions)},
			turn{Round: round, Who: ours, Kind: "batched", Command: s.ours("batch", s.batchDecode, 1)},
		)
		for i := range s.peers {
			p := &s.peers[i]
			all = append(all, turn{Round: round, Who: p.Name, Kind: "single", Command: p.single(s)})
			if p.Batched != "" {
				all = append(all, turn{Round: round, Who: p.Name, Kind: "batched", Command: p.batched(s)})
			}
		}
	}
	if s.once == "" || s.once == "-" {
		return all
	}
	all = append(all, turn{Who: ours, Kind: "once", Command: s.ours(s.once, s.decode, max(3, s.repetitions))})
	for i := range s.peers {
		if p := &s.peers[i]; p.Batched != "" && strings.Contains(s.once, "memory") {
			all = append(all, turn{Who: p.Name, Kind: "memory", Command: p.memory(s)})
		}
	}
	return all
}

// ours is our own command.
func (s *settings) ours(work string, decode, repetitions int) []string {
	list := make([]string, len(s.sequences))
	for i, n := range s.sequences {
		list[i] = strconv.Itoa(n)
	}
	return []string{
		s.server, "bench", s.model, "--work=" + work, "--repetitions=" + strconv.Itoa(repetitions), "--threads=" + strconv.Itoa(s.threads),
		"--load=" + s.load,
		"--prompt=" + strconv.Itoa(s.prompt), "--decode=" + strconv.Itoa(decode), "--context=" + strconv.Itoa(contextTokens),
		"--sequences=" + strings.Join(list, ","), "--memory-sequences=" + strconv.Itoa(memorySequences),
		"--memory-context=" + strconv.Itoa(memoryContext), "--output=json", "--quiet",
	}
}

// take runs a turn, again where something else disturbed it, and records every run.
func (s *settings) take(ctx context.Context, r *record, t turn, say func(string, ...any)) error {
	for again := 0; ; again++ {
		if err := s.settle(ctx, say); err != nil {
			return err
		}
		say("%s", t.label(s.rounds))
		one := t
		if err := one.run(ctx, s.env(t.Who)); err != nil {
			return err
		}
		one.Disturbed = one.ForeignCores != nil && *one.ForeignCores > s.foreign
		one.Discarded = one.Disturbed && again < s.retries
		r.Turns = append(r.Turns, one)
		if !one.Discarded {
			return nil
		}
		say("%.1f cores were busy with something else: again", *one.ForeignCores)
	}
}

func (t *turn) label(rounds int) string {
	if t.Round == 0 {
		return t.Who + ", " + t.Kind
	}
	return fmt.Sprintf("round %d of %d: %s, %s", t.Round, rounds, t.Who, t.Kind)
}

func (s *settings) env(who string) []string {
	for _, p := range s.peers {
		if p.Name == who {
			return p.Env
		}
	}
	return nil
}

// run fills in what one run shows.
func (t *turn) run(ctx context.Context, env []string) error {
	stdout, both, used, err := execute(ctx, t.Command, env)
	if err != nil {
		return err
	}
	t.usageOf = used
	switch {
	case t.Who == ours:
		t.Report, t.Figures, err = parseOurs(stdout)
	case t.Kind == "single":
		t.Figures, err = parseBench(stdout)
	case t.Kind == "batched":
		t.Figures, err = parseBatched(both)
	case t.Kind == "memory":
		_, err = parseBatched(both) // it did what was asked
		t.Figures = []figure{{Work: "memory", Name: peakMemory, Streams: memorySequences, Samples: []float64{float64(used.PeakBytes)}}}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.Command[0], err)
	}
	return nil
}

// parseOurs reads the report of gptoss-server bench.
func parseOurs(output []byte) (*bench.Report, []figure, error) {
	var r bench.Report
	if err := json.Unmarshal(output, &r); err != nil {
		return nil, nil, fmt.Errorf("its output is no JSON: %w", err)
	}
	var all []figure
	for i := range r.Results {
		x := &r.Results[i]
		f := figure{Work: x.Work, Name: x.Figure, Tokens: tokensOf(x), Streams: x.Sequences, Samples: x.Samples}
		if x.Bound != nil {
			f.Bound = x.Bound.Value
		}
		if len(f.Samples) == 0 {
			return nil, nil, fmt.Errorf("its report has no samples of %s", x.Work)
		}
		all = append(all, f)
	}
	return &r, all, nil
}

// tokensOf is the number that tells figures of a work apart, and that peers name as well.
func tokensOf(x *bench.Result) int {
	switch {
	case x.Prompt > 0:
		return x.Prompt
	case x.Decode > 0:
		return x.Decode
	}
	return x.Context
}
