package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
)

// Report is what the command writes as JSON. Fields are added to it, never renamed; those that do not apply, or that this
// system cannot tell, are left out.
type Report struct {
	Time     string   `json:"time"`              // of the start, RFC 3339
	Version  string   `json:"version,omitempty"` // of this program
	Machine  Machine  `json:"machine"`
	Model    Model    `json:"model"`
	Settings Settings `json:"settings"`
	Roofline Roofline `json:"roofline"`
	Results  []Result `json:"results"`
}

// Machine is where the figures were taken.
type Machine struct {
	Processor   string `json:"processor"`
	System      string `json:"system"` // operating system and architecture
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	HugePages   string `json:"transparent_huge_pages,omitempty"` // always, madvise or never
	GoVersion   string `json:"go_version"`
}

// Model is what was run.
type Model struct {
	Path             string `json:"path"`
	Digest           string `json:"digest,omitempty"` // of a packed file
	Layers           int    `json:"layers"`
	Experts          int    `json:"experts"`
	ActiveExperts    int    `json:"active_experts"`
	Vocabulary       int    `json:"vocabulary"`
	TotalParameters  int64  `json:"total_parameters"`
	ActiveParameters int64  `json:"active_parameters"`
	WeightBytes      int64  `json:"weight_bytes"` // of the packed weights
	Mapped           bool   `json:"mapped"`       // used where the file lies, rather than copied
}

// Settings is how it was run.
type Settings struct {
	Threads        int    `json:"threads"`
	Kernel         string `json:"kernel"`
	Repetitions    int    `json:"repetitions"`
	MaxBatchTokens int    `json:"max_batch_tokens"`
	Load           string `json:"load,omitempty"` // of a packed file: map or copy
}

// Roofline is what the machine can do.
type Roofline struct {
	Weights   Series  `json:"weights_read"`             // the model's own weights, as the engine reads them, at the start and around every repetition that has a bound; GB/s
	ReadBytes int64   `json:"weights_read_bytes"`       // how many of them
	Anonymous *Series `json:"anonymous_read,omitempty"` // memory in huge pages, where there is room for it; GB/s
	Int8      Series  `json:"int8"`                     // products of bytes in registers, with the kernels' instructions; GOP/s
}

// Series is one figure, taken several times.
type Series struct {
	Unit    string    `json:"unit"` // tok/s, ms, bytes, GB/s, GOP/s, or "" for a ratio
	Samples []float64 `json:"samples"`
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
	// ForeignCores is for each sample how many cores were busy with something else meanwhile, the time that other machines
	// took from this one included; null where the sample was too short to tell.
	ForeignCores []*float64 `json:"foreign_cores"`
	Disturbed    bool       `json:"disturbed"` // one of them is above 0.3
}

// Result is a figure of a work.
type Result struct {
	Work   string `json:"work"`   // prefill, decode, batch, memory, prefix or latency
	Figure string `json:"figure"` // what of it, such as tokens_per_second
	// What it was taken with, as far as it applies.
	Prompt    int `json:"prompt,omitempty"`    // tokens
	Context   int `json:"context,omitempty"`   // tokens in the cache before
	Decode    int `json:"decode,omitempty"`    // tokens generated for each sequence
	Sequences int `json:"sequences,omitempty"` // that run together
	Series
	Bound             *Bound `json:"bound,omitempty"`
	PeakResidentBytes int64  `json:"peak_resident_bytes,omitempty"` // of the process, meanwhile
}

// Bound is what the roofline allows.
type Bound struct {
	Value      float64 `json:"value"`      // in the unit of the figure
	Limit      string  `json:"limit"`      // what sets it: bandwidth or int8
	Share      float64 `json:"share"`      // of it that the median reaches
	Bytes      float64 `json:"bytes"`      // read, for each token
	Operations float64 `json:"operations"` // multiplications and additions, for each token
	Bandwidth  float64 `json:"bandwidth"`  // GB/s: the median just before and after the repetitions
	Arithmetic float64 `json:"arithmetic"` // GOP/s: the best sample, since what disturbs it can only lower it
}

// disturbance is how many foreign cores mark a figure.
const disturbance = 0.3

// add appends a sample; foreign may be nil.
func (s *Series) add(value float64, foreign *float64) {
	s.Samples = append(s.Samples, round(value))
	s.ForeignCores = append(s.ForeignCores, foreign)
	s.Disturbed = s.Disturbed || foreign != nil && *foreign > disturbance
	s.Median, s.Min, s.Max = median(s.Samples), slices.Min(s.Samples), slices.Max(s.Samples)
}

// median returns the middle of x, or the mean of the two in the middle. x has at least one number.
func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	return round((x[(n-1)/2] + x[n/2]) / 2)
}

// percentile returns the smallest number of x that is not less than so many percent of them. x has at least one number.
func percentile(x []float64, percent float64) float64 {
	x = slices.Sorted(slices.Values(x))
	at := int(math.Ceil(percent / 100 * float64(len(x))))
	return x[min(max(at, 1), len(x))-1]
}

// reach adds a bound, and the share of it that was reached.
func (r *Result) reach(b *Bound) {
	if b != nil {
		b.Share = round(r.Median / b.Value)
	}
	r.Bound = b
}

// write writes the report as text or JSON.
func (r *Report) write(w io.Writer, format string) error {
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		return nil
	}
	if _, err := io.WriteString(w, r.text()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
