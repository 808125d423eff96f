package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// peer is another program that runs the same model.
type peer struct {
	Name        string   `json:"name"`
	Bench       string   `json:"bench"`             // the path of its llama-bench
	Batched     string   `json:"batched,omitempty"` // of its llama-batched-bench, if that is to be run
	Args        []string `json:"args,omitempty"`    // more flags of the one
	BatchedArgs []string `json:"batched_args,omitempty"`
	Env         []string `json:"env"` // as NAME=VALUE
}

// hugePages makes the C library ask for huge pages, with which the others are faster.
const hugePages = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"

// parsePeer reads a peer in the form of the flag. Flags are separated by spaces and hold no commas.
func parsePeer(text string) (peer, error) {
	var p peer
	name, rest, _ := strings.Cut(text, "=")
	parts := strings.Split(rest, ",")
	p.Name, p.Bench = name, parts[0]
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "batched":
			p.Batched = value
		case "args":
			p.Args = strings.Fields(value)
		case "batched-args":
			p.BatchedArgs = strings.Fields(value)
		default:
			return p, fmt.Errorf("unknown part %.100q of a peer", key)
		}
	}
	return p, p.complete()
}

// readPeers reads a file of peers.
func readPeers(path string) ([]peer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxOutput))
	if err != nil {
		return nil, err
	}
	peers, err := parsePeers(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return peers, nil
}

func parsePeers(data []byte) ([]peer, error) {
	var peers []peer
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&peers); err != nil {
		return nil, err
	}
	for i := range peers {
		if err := peers[i].complete(); err != nil {
			return nil, err
		}
	}
	return peers, nil
}

// complete fills in what was left out. Programs run in a folder of their own, so paths become absolute.
func (p *peer) complete() (err error) {
	if p.Name == "" || p.Bench == "" {
		return errors.New("want a name and a path for every peer")
	}
	if strings.ContainsAny(p.Name, "|\n") {
		return fmt.Errorf("a peer is called %.100q, want a name that fits into a table", p.Name)
	}
	for _, path := range []*string{&p.Bench, &p.Batched} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if p.Env == nil {
		p.Env = []string{hugePages}
	}
	return nil
}

// single is the command that measures a prompt and one sequence.
func (p *peer) single(s *settings) []string {
	args := []string{
		p.Bench, "-m", s.gguf, "-t", strconv.Itoa(s.threads), "-p", strconv.Itoa(s.prompt), "-n", strconv.Itoa(s.decode),
		"-r", strconv.Itoa(s.repetitions), "-o", "json",
	}
	return append(args, p.Args...)
}

// contextTokens is what the streams of batched decoding have in the cache before.
const contextTokens = 128

// batched is the command that measures sequences which decode together.
func (p *peer) batched(s *settings) []string {
	most, list := 0, make([]string, len(s.sequences))
	for i, n := range s.sequences {
		most, list[i] = max(most, n), strconv.Itoa(n)
	}
	const roomy = 4096
	return p.batchedCommand(s, max(roomy, most*(contextTokens+s.batchDecode)), contextTokens, s.batchDecode, strings.Join(list, ","))
}

// memory is the command whose peak is looked at: a cache for so many sequences, of which hardly anything is computed.
func (p *peer) memory(s *settings) []string {
	return p.batchedCommand(s, memorySequences*memoryContext, 16, 1, strconv.Itoa(memorySequences))
}

func (p *peer) batchedCommand(s *settings, context, prompt, decode int, sequences string) []string {
	threads := strconv.Itoa(s.threads)
	args := []string{
		p.Batched, "-m", s.gguf, "-t", threads, "-tb", threads, "-c", strconv.Itoa(context),
		"-npp", strconv.Itoa(prompt), "-ntg", strconv.Itoa(decode), "-npl", sequences, "-pps",
	}
	return append(args, p.BatchedArgs...)
}
