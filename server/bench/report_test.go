package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected files anew")

func TestStatistics(t *testing.T) {
	tests := map[string]struct {
		samples           []float64
		median, p50, p99  float64
		lowest, highest   float64
		percentileOfWhole float64
	}{
		"one":       {[]float64{3}, 3, 3, 3, 3, 3, 3},
		"two":       {[]float64{4, 1}, 2.5, 1, 4, 1, 4, 4},
		"unordered": {[]float64{5, 1, 3, 2, 4}, 3, 3, 5, 1, 5, 5},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var s Series
			for _, x := range tc.samples {
				s.add(x, nil)
			}
			got := []float64{s.Median, percentile(tc.samples, 50), percentile(tc.samples, 99), s.Min, s.Max, percentile(tc.samples, 100)}
			want := []float64{tc.median, tc.p50, tc.p99, tc.lowest, tc.highest, tc.percentileOfWhole}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("median, percentiles, least and most (-want +got):\n%s", diff)
			}
		})
	}
	many := make([]float64, 1000)
	for i := range many {
		many[i] = float64(1000 - i)
	}
	if got := percentile(many, 99); got != 990 {
		t.Errorf("the 99th percentile of 1 to 1000 is %v, want 990", got)
	}
}

func TestRound(t *testing.T) {
	for x, want := range map[float64]float64{0: 0, 1234567: 1234600, 12.3456789: 12.346, 0.00012345678: 0.00012346, -7.6543219: -7.6543} {
		if got := round(x); got != want {
			t.Errorf("round(%v) = %v, want %v", x, got, want)
		}
	}
}

func TestForeign(t *testing.T) {
	start := time.Unix(100, 0)
	before := load{at: start, busy: 10 * time.Second, own: time.Second}
	tests := map[string]struct {
		passed, busy, own time.Duration
		unknown           bool
		want              float64 // -1 for nothing
	}{
		"nothing else":        {time.Second, 2 * time.Second, 2 * time.Second, false, 0},
		"half a core":         {2 * time.Second, 5 * time.Second, 4 * time.Second, false, 0.5},
		"less than our own":   {time.Second, 1900 * time.Millisecond, 2 * time.Second, false, 0},
		"too short":           {200 * time.Millisecond, time.Second, 0, false, -1},
		"a system that hides": {time.Second, time.Second, 0, true, -1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			after := load{at: start.Add(tc.passed), busy: before.busy + tc.busy, own: before.own + tc.own}
			got := foreign(before, after, !tc.unknown)
			if (got == nil) != (tc.want < 0) || got != nil && *got != tc.want {
				t.Errorf("foreign = %v, want %v", got, tc.want)
			}
			var s Series
			s.add(1, got)
			if s.Disturbed != (tc.want > disturbance) {
				t.Errorf("disturbed is %v", s.Disturbed)
			}
		})
	}
}

func TestProcessorTexts(t *testing.T) {
	if got := field("a\t: 1\nmodel name\t: EPYC: x\n", "model name"); got != "EPYC: x" {
		t.Errorf("field gives %q", got)
	}
	if got := field("a: 1\n", "b"); got != "" {
		t.Errorf("a missing field is %q", got)
	}
	for text, want := range map[string]string{"always [madvise] never\n": "madvise", "": "", "[": "", "x": ""} {
		if got := chosen(text); got != want {
			t.Errorf("chosen(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestReport reads a report in JSON, whose field names are there to stay, and writes it in both formats.
func TestReport(t *testing.T) {
	data, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	for format, file := range map[string]string{"json": "testdata/report.json", "text": "testdata/report.txt"} {
		var got bytes.Buffer
		if err := r.write(&got, format); err != nil {
			t.Fatal(err)
		}
		if *update && format == "text" {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
	text := r.text()
	for i := range r.Results { // every figure of the one is in the other
		x := &r.Results[i]
		row := strings.Join(strings.Fields(strings.Join([]string{
			x.Work, x.name(), x.with(), x.value(x.Median), x.value(x.Min), x.value(x.Max),
		}, " ")), " ")
		if !strings.Contains(strings.Join(strings.Fields(text), " "), row) {
			t.Errorf("the text has no row %q:\n%s", row, text)
		}
	}
	if broken := (&Report{}).write(brokenWriter{}, "json"); broken == nil {
		t.Error("a report that cannot be written is no error")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }
