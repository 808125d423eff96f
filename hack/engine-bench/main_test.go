package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseBench(t *testing.T) {
	want := []figure{
		{Work: "prefill", Name: speed, Tokens: 512, Streams: 1, Samples: []float64{11.1304, 11.0823}},
		{Work: "decode", Name: speed, Tokens: 64, Streams: 1, Samples: []float64{6.6667, 6.5979}},
	}
	lines := `{"n_prompt": 512, "n_gen": 0, "samples_ts": [ 11.1304, 11.0823 ]}
{"n_prompt": 0, "n_gen": 64, "samples_ts": [ 6.6667, 6.5979 ]}
{"n_prompt": 8, "n_gen": 8, "samples_ts": [ 1 ]}
`
	for name, output := range map[string][]byte{
		"an array": file(t, "bench.json"), "lines": []byte(lines), "after other words": append([]byte("loading\n"), file(t, "bench.json")...),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseBench(output)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("figures (-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func TestParseBatched(t *testing.T) {
	got, err := parseBatched(file(t, "batched.txt"))
	want := []figure{
		{Work: "batch", Name: speed, Tokens: 32, Streams: 1, Samples: []float64{6.2}},
		{Work: "batch", Name: speed, Tokens: 32, Streams: 4, Samples: []float64{9.2}},
		{Work: "batch", Name: speed, Tokens: 32, Streams: 16, Samples: []float64{9.5}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("figures (-want +got):\n%s%v", diff, err)
	}
}

func TestParseErrors(t *testing.T) {
	tests := map[string]struct {
		parse  func([]byte) ([]figure, error)
		output string
		want   string
	}{
		"no JSON":               {parseBench, "segmentation fault", "its output holds no JSON"},
		"half of it":            {parseBench, `[{"n_prompt": 5`, "its output is no JSON: unexpected EOF"},
		"no samples":            {parseBench, `[{"n_prompt": 512, "samples_ts": []}]`, "a figure of 512 tokens, 1 sequences, 0 samples"},
		"no tokens":             {parseBench, `{"samples_ts": [1]}`, "a figure of 0 tokens, 1 sequences, 1 samples"},
		"a speed below zero":    {parseBench, `{"n_gen": 1, "samples_ts": [-1]}`, "a speed of -1"},
		"no table":              {parseBatched, "loading", "its output holds no table"},
		"a table of its own":    {parseBatched, "| 1 | 2 | 3 |", "its table has 3 columns, want 10"},
		"words for sequences":   {parseBatched, "| 1 | 2 | x | 4 | 5 | 6 | 7 | 8 | 9 | 10 |", `its table has " x " sequences`},
		"words for a speed":     {parseBatched, "| 1 | 2 | 3 | 4 | 5 | 6 | 7 | x | 9 | 10 |", `its table has a speed of " x "`},
		"an endless speed":      {parseBatched, "| 1 | 2 | 3 | 4 | 5 | 6 | 7 | inf | 9 | 10 |", "a speed of +Inf"},
		"one cell of a table":   {parseBatched, "|", "its output holds no table"},
		"sequences below zero ": {parseBatched, "| 1 | 2 | -3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |", "a figure of 2 tokens, -3 sequences, 1 samples"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := tc.parse([]byte(tc.output)); err == nil || err.Error() != tc.want {
				t.Errorf("figures %v, error %v, want %s", got, err, tc.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(file(f, "bench.json"))
	f.Add(file(f, "batched.txt"))
	f.Add([]byte(`[{"name": "x", "bench": "y"}]`))
	f.Fuzz(func(t *testing.T, output []byte) {
		for _, parse := range []func([]byte) ([]figure, error){parseBench, parseBatched} {
			figures, err := parse(output)
			for _, f := range figures {
				if err == nil && f.check() != nil {
					t.Errorf("%v was taken", f)
				}
			}
		}
		if _, figures, err := parseOurs(output); err == nil {
			for _, f := range figures {
				if len(f.Samples) == 0 {
					t.Errorf("%v was taken", f)
				}
			}
		}
		if peers, err := parsePeers(output); err == nil {
			for _, p := range peers {
				if p.Name == "" || !filepath.IsAbs(p.Bench) {
					t.Errorf("%v was taken", p)
				}
			}
		}
	})
}

func TestPeers(t *testing.T) {
	want := peer{
		Name: "x", Bench: "/b/llama-bench", Batched: "/b/llama-batched-bench", Args: []string{"-rtr", "1"},
		BatchedArgs: []string{"-rtr"}, Env: []string{hugePages},
	}
	got, err := parsePeer("x=/b/llama-bench,batched=/b/llama-batched-bench,args=-rtr 1,batched-args=-rtr")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("peer (-want +got):\n%s%v", diff, err)
	}
	path := filepath.Join(t.TempDir(), "peers.json")
	text := `[{"name": "x", "bench": "/b/llama-bench", "batched": "/b/llama-batched-bench", "args": ["-rtr", "1"], "batched_args": ["-rtr"]},
		{"name": "y", "bench": "relative", "env": []}]`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	peers, err := readPeers(path)
	if err != nil || len(peers) != 2 || !filepath.IsAbs(peers[1].Bench) || len(peers[1].Env) != 0 {
		t.Fatalf("peers %+v, %v", peers, err)
	}
	if diff := cmp.Diff(want, peers[0]); diff != "" {
		t.Errorf("peer (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		"":              "want a name and a path for every peer",
		"x":             "want a name and a path for every peer",
		"x=y,fast=true": `unknown part "fast" of a peer`,
		"x|y=z":         `a peer is called "x|y", want a name that fits into a table`,
	} {
		if p, err := parsePeer(text); err == nil || err.Error() != want {
			t.Errorf("%q is %+v, %v, want %s", text, p, err, want)
		}
	}
}

func TestFlags(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no server":           {nil, "want --server, the program to measure"},
		"no folder":           {[]string{"--server=x"}, "want --cache or GPTOSS_CACHE, a folder to make models in"},
		"no folder for peers": {[]string{"--server=x", "--model=y", "--peer=p=q"}, "want --cache or GPTOSS_CACHE, a folder to make models in"},
		"no rounds":           {[]string{"--server=x", "--rounds=0"}, "--rounds is 0, want 1 to 1048576"},
		"bad sequences":       {[]string{"--sequences=1,x"}, `invalid value "1,x" for flag -sequences: want numbers from 1 to 256`},
		"two of one name":     {[]string{"--server=x", "--cache=c", "--peer=p=q", "--peer=p=r"}, `two programs are called "p"`},
		"our own name":        {[]string{"--server=x", "--cache=c", "--peer=ours=q"}, `two programs are called "ours"`},
		"an argument":         {[]string{"x"}, `unknown argument "x"`},
		"nothing allowed":     {[]string{"--server=x", "--cache=c", "--foreign=NaN"}, "--foreign is NaN, want more than 0"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			t.Setenv("GPTOSS_CACHE", "")
			if status := run(t.Context(), tc.args, &out, &errs); status != 2 || errs.String() != "engine-bench: "+tc.want+"; see --help\n" {
				t.Errorf("status %d, %q, want %q", status, errs.String(), tc.want)
			}
		})
	}
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"--help"}, &out, &errs); status != 0 || out.String() != usage || errs.Len() > 0 {
		t.Errorf("--help: status %d, %q, %q", status, out.String(), errs.String())
	}
	for line := range strings.Lines(usage) {
		if name, ok := strings.CutPrefix(line, "  --"); ok {
			name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
			if _, err := parse([]string{"--" + name + "=1"}, ""); err != nil && strings.Contains(err.Error(), "not defined") {
				t.Error(err)
			}
		}
	}
}

// script writes a program that writes a file, and that it was called.
func script(t *testing.T, dir, name, output string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", output))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, name)
	text := fmt.Sprintf("#!/bin/sh\necho %s \"$GLIBC_TUNABLES\" >> %s/log\ncat %s\n", name, dir, path)
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return program
}

// TestTurns lets three programs that know their figures by heart take turns.
func TestTurns(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GLIBC_TUNABLES", "")
	single, batched := script(t, dir, "single", "bench.json"), script(t, dir, "batched", "batched.txt")
	s, err := parse([]string{
		"--server", script(t, dir, "server", "ours.json"), "--model=demo", "--gguf=x.gguf", "--rounds=2", "--foreign=1000",
		"--peer", "llama.cpp=" + single + ",batched=" + batched, "--peer", "other=" + single, "--json", filepath.Join(dir, "record.json"),
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.look = 0
	var out bytes.Buffer
	if err := measure(t.Context(), s, &out, t.Logf); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	round := "server\nserver\nsingle huge\nbatched huge\nsingle huge\n"
	want := strings.ReplaceAll(round+round+"server\nbatched huge\n", "huge", strings.TrimPrefix(hugePages, "GLIBC_TUNABLES="))
	if diff := cmp.Diff(want, strings.ReplaceAll(string(log), " \n", "\n")); diff != "" {
		t.Errorf("turns (-want +got):\n%s", diff)
	}
	table, note, _ := strings.Cut(out.String(), "\n\n")
	wantTable := []string{
		"| work | llama.cpp | other | gptoss-server | times llama.cpp | times other | bound | share | target |",
		"| prefill, 512 tokens (tok/s) | 11.11 [11.08–11.13] | 11.11 [11.08–11.13] | 44.00 [42.00–46.00] | 3.962 | 3.962 | 85.00 | 52 % | ≥ 4 × llama.cpp: missed; ≥ 2 × ik_llama.cpp |",
		"| decode, 64 tokens (tok/s) | 6.632 [6.598–6.667] | 6.632 [6.598–6.667] | 11.00 [10.00–12.00] | 1.659 | 1.659 | 13.00 | 85 % | ≥ 1.55 × llama.cpp: met; ≥ 1.4 × ik_llama.cpp |",
		"| batch, 32 tokens, 16 sequences (tok/s) | 9.500 [9.500–9.500] | - | 38.00 [38.00–38.00] | 4.000 | - | 47.00 | 81 % | ≥ 3.5 × llama.cpp: met |",
		"| prefix, second to first, 2016 tokens | - | - | 0.040 [0.040–0.040] | - | - | - | - | ≤ 0.05: met |",
	}
	for _, line := range wantTable {
		if !strings.Contains(table, line) {
			t.Errorf("the table has no line\n%s\nbut is\n%s", line, table)
		}
	}
	if !strings.Contains(table, "| memory, peak resident bytes, 4096 tokens, 8 sequences (GiB) | 0.0") {
		t.Errorf("the table has no peak memory of the peer:\n%s", table)
	}
	if !strings.Contains(note, "2 rounds. A Processor, 2 cores, ") {
		t.Errorf("the note is %q", note)
	}
}

// TestDisturbed lets nothing count as quiet.
func TestDisturbed(t *testing.T) {
	dir := t.TempDir()
	s, err := parse([]string{"--server", script(t, dir, "server", "ours.json"), "--model=demo", "--rounds=1", "--retries=2", "--once=-"}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.look, s.foreign = 0, -1
	r, err := s.takeTurns(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	var got []bool
	for _, turn := range r.Turns {
		if turn.ForeignCores == nil {
			t.Skip("nobody knows here what else the machine does")
		}
		got = append(got, turn.Disturbed && turn.Discarded)
	}
	if diff := cmp.Diff([]bool{true, true, false, true, true, false}, got); diff != "" {
		t.Errorf("discarded (-want +got):\n%s", diff)
	}
	if text := about(r); !strings.Contains(text, "4 turns were taken again for that, 2 are in the table all the same.") {
		t.Errorf("the note is %q", text)
	}
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	fails := filepath.Join(dir, "fails")
	if err := os.WriteFile(fails, []byte("#!/bin/sh\necho loading\necho no such model >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args  []string
		space int64
		want  string
	}{
		"a server that fails":        {[]string{"--server", fails, "--model=demo"}, 0, "exit status 3: no such model"},
		"a server that cannot start": {[]string{"--server", dir + "/none", "--model=demo"}, 0, "no such file or directory"},
		"a server that says nothing": {[]string{"--server", script(t, dir, "server", "batched.txt"), "--model=demo"}, 0, "its output is no JSON"},
		"a model that is not made":   {[]string{"--server", fails, "--cache", dir}, 0, "making " + dir + "/gpt-oss-20b-synthetic.gptoss: exit status 3: no such model"},
		"no room for a model":        {[]string{"--server", fails, "--cache", dir}, math.MaxInt64, "GB free, making gpt-oss-20b-synthetic.gptoss takes 9223372036.9 GB"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := parse(tc.args, "")
			if err != nil {
				t.Fatal(err)
			}
			s.look, s.space = 0, tc.space
			s.foreign = 1000
			if err := measure(t.Context(), s, &bytes.Buffer{}, t.Logf); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

// TestFailureKeepsTurns has what was measured before a peer failed.
func TestFailureKeepsTurns(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "record.json")
	s, err := parse([]string{
		"--server", script(t, dir, "server", "ours.json"), "--model=demo", "--gguf=x.gguf", "--rounds=1", "--foreign=1000",
		"--peer", "llama.cpp=" + dir + "/none", "--json", kept,
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.look = 0
	var out bytes.Buffer
	if err := measure(t.Context(), s, &out, t.Logf); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v, want that of the peer", err)
	}
	if !strings.Contains(out.String(), "| prefill, 512 tokens (tok/s) | - | 44.00 [42.00–46.00] |") {
		t.Errorf("the table is\n%s", out.String())
	}
	var r record
	if data, err := os.ReadFile(kept); err != nil || json.Unmarshal(data, &r) != nil || len(r.Turns) != 2 {
		t.Errorf("the record has %d turns (%v), want 2", len(r.Turns), err)
	}
}
