package sched

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the answers of the scripts in testdata anew")

// TestScripts runs the scripts in testdata. A script is commands, each group followed by a line of dashes and what the
// scheduler answered:
//
//	new page=4 full=8 window=8 sees=8 swapfull=0 swapwindow=0 sequences=4 batch=4 tokens=16 timeout=0 cache=true
//	add NAME [tenant=NAME] [salt=TEXT] prompt=1..4,9 [max=3] [at=10ms]
//	step [now=20ms] [prompts=8] [cancel=NAME] [stop=NAME] [fail=NAME] [times=2]   one pass; the removals come while it runs
//	abort                                                                         one pass that fails
//	cancel NAME                                                                   between two passes
//	stats
//
// A step answers with a line per row: the sequence, its first position and number of tokens, its pages, and the token
// sampled, which is 100 for the first of the first sequence, 200 for the first of the second, and so on.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("answers differ (-want +got):\n%s", diff)
			}
		})
	}
}

// runScript returns the script with the answers that it gets.
func runScript(t *testing.T, text string) string {
	r := &script{t: t, ids: map[string]ID{}, names: map[ID]string{}, sampled: map[ID]int32{}}
	var out strings.Builder
	for group := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(group, "\n----")
		fmt.Fprintf(&out, "%s\n----\n", commands)
		for line := range strings.SplitSeq(commands, "\n") {
			if !strings.HasPrefix(line, "#") {
				out.WriteString(r.command(strings.Fields(line)))
			}
		}
		out.WriteString("\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// script is the state of a run.
type script struct {
	t       *testing.T
	s       *Scheduler
	ids     map[string]ID
	names   map[ID]string
	sampled map[ID]int32
	now     time.Duration
}

// options are the words of a command that have a value.
type options map[string]string

func (r *script) number(o options, name string, otherwise int) int {
	if o[name] == "" {
		return otherwise
	}
	n, err := strconv.Atoi(o[name])
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *script) time(o options, name string) time.Duration {
	if o[name] == "" {
		return r.now
	}
	d, err := time.ParseDuration(o[name])
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// tokens reads a prompt: ids and ranges of them.
func (r *script) tokens(text string) (list []int32) {
	for part := range strings.SplitSeq(text, ",") {
		low, high, ok := strings.Cut(part, "..")
		if !ok {
			high = low
		}
		first, err1 := strconv.Atoi(low)
		last, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil {
			r.t.Fatalf("prompt %q: %v, %v", text, err1, err2)
		}
		for i := first; i <= last; i++ {
			list = append(list, int32(i))
		}
	}
	return list
}

func (r *script) command(words []string) string {
	var name string
	o := options{}
	for _, w := range words[1:] {
		if key, value, ok := strings.Cut(w, "="); ok {
			o[key] = value
		} else {
			name = w
		}
	}
	switch words[0] {
	case "new":
		return r.create(o)
	case "add":
		return r.add(name, o)
	case "cancel":
		r.s.Remove(r.ids[name])
		return ""
	case "stats":
		return fmt.Sprintf("%+v\n", r.s.Stats())
	case "step", "abort":
		var out strings.Builder
		for range r.number(o, "times", 1) {
			r.step(&out, o, words[0] == "abort")
		}
		return out.String()
	}
	r.t.Fatalf("unknown command %q", words)
	return ""
}

func (r *script) create(o options) string {
	s, err := New(Config{
		PageTokens: r.number(o, "page", 4), FullPages: r.number(o, "full", 8),
		WindowPages: r.number(o, "window", 16), Window: r.number(o, "sees", 8),
		SwapFullPages: r.number(o, "swapfull", 0), SwapWindowPages: r.number(o, "swapwindow", 0),
		MaxSequences: r.number(o, "sequences", 4), BatchSize: r.number(o, "batch", 4),
		MaxBatchTokens: r.number(o, "tokens", 16), BatchTimeout: r.time(o, "timeout"),
		PrefixCache: o["cache"] != "false",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.s = s
	return ""
}

func (r *script) add(name string, o options) string {
	id, err := r.s.Add(Request{Tenant: o["tenant"], Salt: o["salt"], Prompt: r.tokens(o["prompt"]), MaxTokens: r.number(o, "max", 3), Arrived: r.time(o, "at")})
	if err != nil {
		return fmt.Sprintln(err)
	}
	r.ids[name], r.names[id], r.sampled[id] = id, name, int32(id)*100
	return ""
}

// step runs one pass and describes it.
func (r *script) step(out *strings.Builder, o options, fail bool) {
	r.now = r.time(o, "now")
	step := r.s.Next(r.now, r.number(o, "prompts", 0))
	for _, p := range step.Preempted {
		fmt.Fprintf(out, "preempt %s, spilled %t\n", r.names[p.ID], p.Spilled)
	}
	kinds := [...]string{Full: "full", Window: "window"}
	for _, m := range step.Saves {
		fmt.Fprintf(out, "save %s %s %d -> %d\n", r.names[m.ID], kinds[m.Kind], m.Page, m.Slot)
	}
	for _, m := range step.Loads {
		fmt.Fprintf(out, "load %s %s %d <- %d\n", r.names[m.ID], kinds[m.Kind], m.Page, m.Slot)
	}
	switch {
	case step.Wait > 0:
		fmt.Fprintf(out, "wait %v\n", step.Wait)
	case len(step.Rows) == 0:
		fmt.Fprintln(out, "nothing to do")
	}
	for i := range step.Rows {
		if w := &step.Rows[i]; r.names[w.ID] == o["fail"] {
			fmt.Fprintf(out, "%s fails\n", o["fail"])
			w.Failed = true
			continue
		}
		r.row(out, &step.Rows[i])
		if r.names[step.Rows[i].ID] == o["stop"] {
			r.s.Remove(step.Rows[i].ID)
		}
	}
	if id, ok := r.ids[o["cancel"]]; ok {
		r.s.Remove(id)
	}
	if fail {
		r.s.Abort()
	} else {
		r.s.Done()
	}
}

func (r *script) row(out *strings.Builder, w *Row) {
	fmt.Fprintf(out, "%s %d+%d full %v window %v", r.names[w.ID], w.Position, len(w.Tokens), w.Full, w.Window)
	if w.Cached > 0 {
		fmt.Fprintf(out, " cached %d", w.Cached)
	}
	if w.Sample {
		w.Token = r.sampled[w.ID]
		r.sampled[w.ID]++
		fmt.Fprintf(out, " -> %d", w.Token)
	}
	out.WriteString("\n")
}
