// Command engine-bench measures the engine beside other programs that run the same model, in turns, so that whatever the
// machine does meets all of them alike. It writes the table of docs/performance.md, and everything that it saw as JSON.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = `engine-bench measures gptoss-server and other programs in turns.

Usage:
  engine-bench --server bin/gptoss-server [flags]

Flags:
  --model FILE        packed model; without, gpt-oss-20b with random weights is made in the cache
  --gguf FILE         the same model for the others; made likewise if there are any
  --cache DIR         where models are made (default $GPTOSS_CACHE/bench)
  --peer NAME=PATH[,batched=PATH][,args=ARGS][,batched-args=ARGS]
                      another program: its llama-bench and llama-batched-bench, and flags for each; may be repeated
  --peers FILE        the same as JSON: [{"name", "bench", "batched", "args": [], "batched_args": [], "env": []}]
  --rounds N          how often everybody takes a turn (default 3)
  --repetitions N     measurements of each figure in a turn (default 2)
  --threads N         cores that compute (default all)
  --load HOW          where ours reads its packed model from: map or copy (default map)
  --prompt N          tokens of the prompt (default 512)
  --decode N          tokens that one sequence generates (default 64)
  --sequences LIST    sequences that decode together (default 1,4,16)
  --batch-decode N    tokens that each of them generates (default 32)
  --once LIST         works that only we are measured at, after the rounds (default memory,prefix,latency; - for none)
  --foreign X         cores busy with something else above which a turn is taken again (default 0.5)
  --retries N         how often at most (default 2)
  --json FILE         where everything goes that was seen
  --help              print this text and exit

Peers run with GLIBC_TUNABLES=glibc.malloc.hugetlb=1 unless their env says otherwise: it gives them huge pages.

Example:
  engine-bench --server bin/gptoss-server \
    --peer 'llama.cpp=/src/llama.cpp/build/bin/llama-bench,batched=/src/llama.cpp/build/bin/llama-batched-bench,args=-lm none -fa 1,batched-args=-lm none -fa on'
`

// settings is the parsed command line.
type settings struct {
	server, model, gguf, cache string
	peers                      []peer
	rounds, repetitions        int
	threads                    int
	load                       string
	prompt, decode             int
	sequences                  []int
	batchDecode                int
	once                       string
	foreign                    float64
	retries                    int
	json                       string

	space int64 // bytes that must be free where a model is made

	look time.Duration // at what else the machine does, before every turn
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 0 when the table is complete, 1 after a failure, 2 for wrong flags.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, os.Getenv("GPTOSS_CACHE"))
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "engine-bench: %v; see --help\n", err)
		return 2
	}
	say := func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	if err := measure(ctx, s, stdout, say); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(stderr, "engine-bench:", err)
		return 1
	}
	return 0
}

// measure makes what is missing, lets everybody take their turns and writes the table.
func measure(ctx context.Context, s settings, stdout io.Writer, say func(string, ...any)) error {
	if err := s.makeModels(ctx, say); err != nil {
		return err
	}
	record, failed := s.takeTurns(ctx, say)
	if len(record.Turns) == 0 {
		return failed
	}
	// Turns take minutes each: those before a failure or an interruption are not lost.
	record.Table = s.rows(record.Turns)
	if s.json != "" {
		if err := record.save(s.json); err != nil {
			return errors.Join(failed, err)
		}
	}
	_, err := io.WriteString(stdout, s.markdown(record))
	return errors.Join(failed, err)
}

// parse reads the command line; cache is where models are made unless it says so.
func parse(args []string, cache string) (settings, error) {
	s := settings{
		load: "map", rounds: 3, repetitions: 2, prompt: 512, decode: 64, sequences: []int{1, 4, 16}, batchDecode: 32,
		once: "memory,prefix,latency", foreign: 0.5, retries: 2, look: 2 * time.Second, space: modelSpace,
	}
	if cache != "" {
		s.cache = filepath.Join(cache, "bench")
	}
	set := flag.NewFlagSet("engine-bench", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for name, to := range map[string]*string{
		"server": &s.server, "model": &s.model, "gguf": &s.gguf, "cache": &s.cache, "once": &s.once, "json": &s.json, "load": &s.load,
	} {
		set.StringVar(to, name, *to, "")
	}
	for name, to := range map[string]*int{
		"rounds": &s.rounds, "repetitions": &s.repetitions, "threads": &s.threads, "prompt": &s.prompt, "decode": &s.decode,
		"batch-decode": &s.batchDecode, "retries": &s.retries,
	} {
		set.IntVar(to, name, *to, "")
	}
	set.Float64Var(&s.foreign, "foreign", s.foreign, "")
	set.Func("sequences", "", func(text string) (err error) {
		s.sequences, err = parseNumbers(text)
		return err
	})
	set.Func("peer", "", func(text string) error {
		p, err := parsePeer(text)
		s.peers = append(s.peers, p)
		return err
	})
	set.Func("peers", "", func(path string) error {
		peers, err := readPeers(path)
		s.peers = append(s.peers, peers...)
		return err
	})
	if err := set.Parse(args); err != nil {
		return s, err
	}
	if set.NArg() > 0 {
		return s, fmt.Errorf("unknown argument %.100q", set.Arg(0))
	}
	return s, s.check()
}

func (s *settings) check() error {
	for name, n := range map[string]int{
		"rounds": s.rounds, "repetitions": s.repetitions, "prompt": s.prompt, "decode": s.decode, "batch-decode": s.batchDecode,
	} {
		if n < 1 || n > 1<<20 {
			return fmt.Errorf("--%s is %d, want 1 to %d", name, n, 1<<20)
		}
	}
	switch {
	case s.server == "":
		return errors.New("want --server, the program to measure")
	case s.threads < 0 || s.threads > 1024:
		return fmt.Errorf("--threads is %d, want 0 to 1024", s.threads)
	case s.load != "map" && s.load != "copy":
		return fmt.Errorf("--load is %.40q, want map or copy", s.load)
	case s.retries < 0 || s.retries > 100:
		return fmt.Errorf("--retries is %d, want 0 to 100", s.retries)
	case !(s.foreign > 0):
		return fmt.Errorf("--foreign is %g, want more than 0", s.foreign)
	case s.cache == "" && (s.model == "" || s.gguf == "" && len(s.peers) > 0):
		return errors.New("want --cache or GPTOSS_CACHE, a folder to make models in")
	}
	seen := map[string]bool{ours: true}
	for _, p := range s.peers {
		if seen[p.Name] {
			return fmt.Errorf("two programs are called %.100q", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

func parseNumbers(text string) ([]int, error) {
	const most, maxNumbers = 256, 32
	var all []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("want numbers from 1 to %d", most)
		}
		if all = append(all, n); len(all) > maxNumbers {
			return nil, fmt.Errorf("want at most %d numbers", maxNumbers)
		}
	}
	return all, nil
}
