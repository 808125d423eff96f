package bench

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/gptoss/gptoss-operator/server/terminal"
)

// text is the report for people.
func (r *Report) text() string {
	var s strings.Builder
	r.writeAbout(&s)
	t := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nmachine\tmedian\tmin\tmax\tforeign\tall")
	for _, m := range []struct {
		name   string
		series *Series
	}{
		{"weights read, " + unitBandwidth, &r.Roofline.Weights}, {"huge pages read, " + unitBandwidth, r.Roofline.Anonymous}, {"int8, " + unitPeak, &r.Roofline.Int8},
	} {
		if m.series != nil {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", m.name, m.series.spread(), m.series.foreign(), m.series.all())
		}
	}
	_ = t.Flush() // a builder takes everything
	fmt.Fprintln(t, "\nwork\tfigure\twith\tmedian\tmin\tmax\tbound\tshare\tforeign\tmemory\tall")
	for i := range r.Results {
		x := &r.Results[i]
		bound, share, memory := "-", "-", "-"
		if b := x.Bound; b != nil {
			bound, share = fmt.Sprintf("%s (%s)", number(b.Value), b.Limit), fmt.Sprintf("%.0f %%", 100*b.Share)
		}
		if x.PeakResidentBytes > 0 {
			memory = terminal.Bytes(x.PeakResidentBytes)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Work, x.name(), x.with(), x.spread(), bound, share, x.foreign(), memory, x.all())
	}
	_ = t.Flush() // a builder takes everything
	if r.disturbed() {
		fmt.Fprintf(&s, "\n! something else kept more than %g cores busy meanwhile\n", disturbance)
	}
	return s.String()
}

func (r *Report) writeAbout(s *strings.Builder) {
	t := tabwriter.NewWriter(s, 0, 0, 2, ' ', 0)
	m := r.Machine
	fmt.Fprintf(t, "processor\t%s, %d cores, %s\n", m.Processor, m.Cores, m.System)
	if m.MemoryBytes > 0 {
		fmt.Fprintf(t, "memory\t%s\n", terminal.Bytes(m.MemoryBytes))
	}
	if m.HugePages != "" {
		fmt.Fprintf(t, "transparent huge pages\t%s\n", m.HugePages)
	}
	where := "in memory"
	if r.Model.Mapped {
		where = "mapped"
	}
	fmt.Fprintf(t, "model\t%s: %d layers, %d of %d experts, vocabulary of %d\n", r.Model.Path, r.Model.Layers, r.Model.ActiveExperts, r.Model.Experts, r.Model.Vocabulary)
	if r.Model.Digest != "" {
		fmt.Fprintf(t, "digest\t%s\n", r.Model.Digest)
	}
	fmt.Fprintf(t, "parameters\t%d, %d active\n", r.Model.TotalParameters, r.Model.ActiveParameters)
	fmt.Fprintf(t, "weights\t%s, %s\n", terminal.Bytes(r.Model.WeightBytes), where)
	fmt.Fprintf(t, "settings\t%d threads, kernel %s, %d repetitions, %d tokens in a step\n",
		r.Settings.Threads, r.Settings.Kernel, r.Settings.Repetitions, r.Settings.MaxBatchTokens)
	fmt.Fprintf(t, "program\t%s\n", strings.TrimSpace(m.GoVersion+" "+r.Version))
	fmt.Fprintf(t, "begun\t%s\n", r.Time)
	_ = t.Flush() // a builder takes everything
}

// label names a figure with what it was taken with.
func (r *Result) label() string { return r.Work + ", " + r.name() + ", " + r.with() }

// name is the figure and its unit.
func (r *Result) name() string {
	if r.Figure == tokensPerSecond {
		return r.Unit
	}
	name := strings.ReplaceAll(r.Figure, "_", " ")
	if r.Unit == unitTime {
		name += ", " + r.Unit
	}
	return name
}

// with is what the figure was taken with.
func (r *Result) with() string {
	var parts []string
	for _, p := range []struct {
		format       string
		value, least int
	}{{"prompt %d", r.Prompt, 1}, {"context %d", r.Context, 1}, {"decode %d", r.Decode, 1}, {"%d sequences", r.Sequences, 2}} {
		if p.value >= p.least {
			parts = append(parts, fmt.Sprintf(p.format, p.value))
		}
	}
	return strings.Join(parts, ", ")
}

func (r *Report) disturbed() bool {
	series := []*Series{&r.Roofline.Weights, r.Roofline.Anonymous, &r.Roofline.Int8}
	for i := range r.Results {
		series = append(series, &r.Results[i].Series)
	}
	for _, s := range series {
		if s != nil && s.Disturbed {
			return true
		}
	}
	return false
}

// spread is the columns of median, least and most.
func (s *Series) spread() string {
	return s.value(s.Median) + "\t" + s.value(s.Min) + "\t" + s.value(s.Max)
}

func (s *Series) value(x float64) string {
	if s.Unit == unitBytes {
		return terminal.Bytes(int64(x))
	}
	return number(x)
}

func (s *Series) all() string {
	var parts []string
	for i, x := range s.Samples {
		mark := ""
		if i < len(s.ForeignCores) && s.ForeignCores[i] != nil && *s.ForeignCores[i] > disturbance {
			mark = "!"
		}
		parts = append(parts, s.value(x)+mark)
	}
	return strings.Join(parts, " ")
}

// foreign is the most that something else disturbed.
func (s *Series) foreign() string {
	most, known := 0.0, false
	for _, f := range s.ForeignCores {
		if f != nil {
			most, known = max(most, *f), true
		}
	}
	if !known {
		return "-"
	}
	mark := ""
	if s.Disturbed {
		mark = "!"
	}
	return fmt.Sprintf("%.2f%s", most, mark)
}

// number is short, and exact to three digits at least.
func number(x float64) string {
	switch {
	case x >= 1000:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}
