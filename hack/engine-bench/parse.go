package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxOutput is more than any of the programs writes.
const maxOutput = 16 << 20

// figure is what was measured, with every sample of it.
type figure struct {
	Work    string    `json:"work"`             // prefill, decode, batch, memory, prefix or latency
	Name    string    `json:"figure"`           // as gptoss-server bench calls it
	Tokens  int       `json:"tokens,omitempty"` // of the prompt, or generated
	Streams int       `json:"sequences,omitempty"`
	Samples []float64 `json:"samples"`
	Bound   float64   `json:"bound,omitempty"`
}

// speed is the name of a figure in tokens per second.
const speed = "tokens_per_second"

// parseBench reads what llama-bench writes with -o json, an array, or -o jsonl, one object after the other.
func parseBench(output []byte) ([]figure, error) {
	at := bytes.IndexAny(output, "[{")
	if at < 0 {
		return nil, errors.New("its output holds no JSON")
	}
	type test struct {
		Prompt    int       `json:"n_prompt"`
		Generated int       `json:"n_gen"`
		Speeds    []float64 `json:"samples_ts"`
	}
	var tests []test
	d := json.NewDecoder(bytes.NewReader(output[at:]))
	if output[at] == '[' {
		if err := d.Decode(&tests); err != nil {
			return nil, fmt.Errorf("its output is no JSON: %w", err)
		}
	} else {
		for d.More() {
			var t test
			if err := d.Decode(&t); err != nil {
				return nil, fmt.Errorf("its output is no JSON: %w", err)
			}
			tests = append(tests, t)
		}
	}
	var all []figure
	for _, t := range tests {
		f := figure{Work: "prefill", Name: speed, Tokens: t.Prompt, Streams: 1, Samples: t.Speeds}
		if t.Generated > 0 {
			f.Work, f.Tokens = "decode", t.Generated
		}
		if t.Generated > 0 && t.Prompt > 0 {
			continue // both in one figure, which nobody asked for
		}
		if err := f.check(); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// parseBatched reads the table of llama-batched-bench:
//
//	| PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |
func parseBatched(output []byte) ([]figure, error) {
	const columns, generated, sequences, decodeSpeed = 10, 1, 2, 7
	var all []figure
	for line := range strings.Lines(string(output)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		tokens, err := strconv.Atoi(strings.TrimSpace(cells[min(generated, len(cells)-1)]))
		if err != nil {
			continue // the head of the table
		}
		if len(cells) != columns {
			return nil, fmt.Errorf("its table has %d columns, want %d", len(cells), columns)
		}
		streams, err := strconv.Atoi(strings.TrimSpace(cells[sequences]))
		if err != nil {
			return nil, fmt.Errorf("its table has %.40q sequences", cells[sequences])
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(cells[decodeSpeed]), 64)
		if err != nil {
			return nil, fmt.Errorf("its table has a speed of %.40q", cells[decodeSpeed])
		}
		f := figure{Work: "batch", Name: speed, Tokens: tokens, Streams: streams, Samples: []float64{value}}
		if err := f.check(); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, errors.New("its output holds no table")
	}
	return all, nil
}

// check refuses what no program can measure.
func (f *figure) check() error {
	if f.Tokens < 1 || f.Streams < 1 || len(f.Samples) == 0 {
		return fmt.Errorf("a figure of %d tokens, %d sequences, %d samples", f.Tokens, f.Streams, len(f.Samples))
	}
	for _, x := range f.Samples {
		if !(x > 0) || math.IsInf(x, 0) {
			return fmt.Errorf("a speed of %v", x)
		}
	}
	return nil
}
