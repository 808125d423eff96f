package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gptoss/gptoss-operator/server/bench"
)

// peakMemory is the name of the figure of memory.
const peakMemory = "peak_resident_bytes"

// spread is what all rounds gave together.
type spread struct {
	Samples []float64 `json:"samples"`
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
}

// row is one line of the table.
type row struct {
	Work   string             `json:"work"`
	Figure string             `json:"figure"`
	Tokens int                `json:"tokens,omitempty"`
	Stream int                `json:"sequences,omitempty"`
	Ours   spread             `json:"ours"`
	Peers  map[string]spread  `json:"peers,omitempty"`
	Ratio  map[string]float64 `json:"ratio,omitempty"` // ours to theirs
	Bound  float64            `json:"bound,omitempty"` // the median of what was measured with each sample of ours
	Share  float64            `json:"share,omitempty"`
	Target []verdict          `json:"target,omitempty"`
}

// verdict is a target and whether it was met; unknown without the peer.
type verdict struct {
	Text string `json:"text"`
	Met  *bool  `json:"met"`
}

// target is what a figure has to reach: so many times a peer's, or at most a value.
type target struct {
	work, figure string
	streams      int // any if 0
	peer         string
	times        float64
	most         float64
	text         string
}

var targets = []target{
	{work: "decode", figure: speed, peer: "llama.cpp", times: 1.55},
	{work: "decode", figure: speed, peer: "ik_llama.cpp", times: 1.4},
	{work: "prefill", figure: speed, peer: "llama.cpp", times: 4},
	{work: "prefill", figure: speed, peer: "ik_llama.cpp", times: 2},
	{work: "batch", figure: speed, streams: 16, peer: "llama.cpp", times: 3.5},
	{work: "memory", figure: peakMemory, most: 13 << 30, text: "≤ 13 GiB"},
	{work: "prefix", figure: "second_to_first", most: 1.0 / 20, text: "≤ 0.05"},
	{work: "latency", figure: "busy_p99_to_quiet_median", most: 3, text: "≤ 3"},
}

// rows gathers what the turns showed, in the order in which we measured it.
func (s *settings) rows(turns []turn) []row {
	var all []row
	var bounds []spread
	for _, t := range turns {
		if t.Who != ours || t.Discarded {
			continue
		}
		for _, f := range t.Figures {
			at := slices.IndexFunc(all, func(r row) bool { return r.of(f) })
			if at < 0 {
				at = len(all)
				all = append(all, row{Work: f.Work, Figure: f.Name, Tokens: f.Tokens, Stream: f.Streams})
				bounds = append(bounds, spread{})
			}
			all[at].Ours = all[at].Ours.with(f.Samples)
			if f.Bound > 0 {
				bounds[at] = bounds[at].with([]float64{f.Bound})
			}
		}
	}
	for i := range all {
		r := &all[i]
		r.compare(turns)
		if r.Bound = bounds[i].Median; r.Bound > 0 {
			r.Share = r.Ours.Median / r.Bound
		}
		r.judge()
	}
	return all
}

// of reports whether a figure belongs to the row. That of a peer's memory has no tokens.
func (r *row) of(f figure) bool {
	return r.Work == f.Work && r.Figure == f.Name && r.Stream == f.Streams && (r.Tokens == f.Tokens || r.Work == "memory")
}

// compare adds what the peers reached.
func (r *row) compare(turns []turn) {
	for _, t := range turns {
		if t.Who == ours || t.Discarded {
			continue
		}
		for _, f := range t.Figures {
			if !r.of(f) {
				continue
			}
			if r.Peers == nil {
				r.Peers, r.Ratio = map[string]spread{}, map[string]float64{}
			}
			p := r.Peers[t.Who].with(f.Samples)
			r.Peers[t.Who], r.Ratio[t.Who] = p, r.Ours.Median/p.Median
		}
	}
}

// judge holds the row to the targets.
func (r *row) judge() {
	for _, t := range targets {
		if t.work != r.Work || t.figure != r.Figure || t.streams != 0 && t.streams != r.Stream {
			continue
		}
		v := verdict{Text: t.text}
		if t.peer == "" {
			met := r.Ours.Median <= t.most
			v.Met = &met
		} else {
			v.Text = fmt.Sprintf("≥ %g × %s", t.times, t.peer)
			if ratio, ok := r.Ratio[t.peer]; ok {
				met := ratio >= t.times
				v.Met = &met
			}
		}
		r.Target = append(r.Target, v)
	}
}

// with returns the spread with more samples.
func (s spread) with(samples []float64) spread {
	all := append(slices.Clone(s.Samples), samples...)
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return spread{Samples: all, Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1]}
}

// markdown is the table, with a few words about how it came about.
func (s *settings) markdown(r *record) string {
	var b strings.Builder
	head, line := []string{"work"}, []string{"---"}
	for _, p := range s.peers {
		head, line = append(head, p.Name), append(line, "---:")
	}
	head, line = append(head, "gptoss-server"), append(line, "---:")
	for _, p := range s.peers {
		head, line = append(head, "times "+p.Name), append(line, "---:")
	}
	head, line = append(head, "bound", "share", "target"), append(line, "---:", "---:", "---")
	writeCells(&b, head)
	writeCells(&b, line)
	for i := range r.Table {
		writeCells(&b, s.cells(&r.Table[i]))
	}
	fmt.Fprintf(&b, "\nMedian [least–most] of all samples, %d rounds. %s\n", s.rounds, about(r))
	return b.String()
}

func writeCells(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func (s *settings) cells(r *row) []string {
	cells := []string{r.label()}
	for _, p := range s.peers {
		text := "-"
		if x, ok := r.Peers[p.Name]; ok {
			text = r.spread(x)
		}
		cells = append(cells, text)
	}
	cells = append(cells, r.spread(r.Ours))
	for _, p := range s.peers {
		text := "-"
		if x, ok := r.Ratio[p.Name]; ok {
			text = number(x)
		}
		cells = append(cells, text)
	}
	bound, share := "-", "-"
	if r.Bound > 0 {
		bound, share = number(r.Bound), fmt.Sprintf("%.0f %%", 100*r.Share)
	}
	var goals []string
	for _, v := range r.Target {
		text := v.Text
		if v.Met != nil {
			text += map[bool]string{true: ": met", false: ": missed"}[*v.Met]
		}
		goals = append(goals, text)
	}
	return append(cells, bound, share, strings.Join(goals, "; "))
}

// label names a row, with its unit.
func (r *row) label() string {
	name := r.Work
	if r.Figure != speed {
		name += ", " + strings.ReplaceAll(r.Figure, "_", " ")
	}
	if r.Tokens > 0 {
		name += fmt.Sprintf(", %d tokens", r.Tokens)
	}
	if r.Stream > 1 || r.Work == "batch" {
		name += fmt.Sprintf(", %d sequences", r.Stream)
	}
	return name + r.unit()
}

func (r *row) unit() string {
	switch {
	case r.Figure == speed:
		return " (tok/s)"
	case r.Work == "memory":
		return " (GiB)"
	case strings.Contains(r.Figure, "_to_"):
		return ""
	}
	return " (ms)"
}

func (r *row) spread(x spread) string {
	scale := 1.0
	if r.Work == "memory" {
		scale = 1 << 30
	}
	if len(x.Samples) == 1 {
		return number(x.Median / scale)
	}
	return fmt.Sprintf("%s [%s–%s]", number(x.Median/scale), number(x.Min/scale), number(x.Max/scale))
}

// about says where and how quietly it was measured.
func about(r *record) string {
	var report *bench.Report
	most, discarded, disturbed := 0.0, 0, 0
	for i := range r.Turns {
		t := &r.Turns[i]
		if t.Report != nil {
			report = t.Report
		}
		switch {
		case t.Discarded:
			discarded++
		case t.Disturbed:
			disturbed++
		}
		if t.ForeignCores != nil && !t.Discarded {
			most = max(most, *t.ForeignCores)
		}
	}
	if report == nil {
		return ""
	}
	m, roof := report.Machine, report.Roofline
	return fmt.Sprintf("%s, %d cores, %d threads, kernel %s, %s–%s GB/s, %s GOP/s, %s. At most %.2f cores were busy with something else; "+
		"%d turns were taken again for that, %d are in the table all the same.",
		m.Processor, m.Cores, r.Threads, report.Settings.Kernel, number(roof.Weights.Min), number(roof.Weights.Max), number(roof.Int8.Max), m.GoVersion, most, discarded, disturbed)
}

// number is short, and exact to three digits at least.
func number(x float64) string {
	digits := 3
	for limit := 10.0; limit <= 1000 && x >= limit; limit *= 10 {
		digits--
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}
