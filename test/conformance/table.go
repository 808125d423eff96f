package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// printTable shows how everything went and returns how many scenarios failed.
func printTable(out io.Writer, results []result) (failed int) {
	var names []string // of the clients that played
	for _, r := range results {
		if !slices.Contains(names, r.Client) {
			names = append(names, r.Client)
		}
	}
	fmt.Fprintf(out, "\n%-17s", "scenario")
	for _, n := range names {
		fmt.Fprintf(out, " %*s", width(n), n)
	}
	fmt.Fprintln(out)
	for _, s := range scenarios {
		row, played := row(s, names, results)
		if played {
			fmt.Fprintln(out, row)
		}
	}
	passed := 0
	var troubles []string
	for _, r := range results {
		if r.OK {
			passed++
			continue
		}
		failed++
		troubles = append(troubles, fmt.Sprintf("%s %s: %s", r.Client, r.Scenario, strings.ReplaceAll(strings.TrimSpace(r.Error), "\n", "\n    ")))
	}
	if len(troubles) > 0 {
		fmt.Fprintf(out, "\n%s\n", strings.Join(troubles, "\n"))
	}
	fmt.Fprintf(out, "\nconformance: %d passed, %d failed\n", passed, failed)
	return failed
}

func width(name string) int { return max(len(name), 8) }

// row is a line of the table; a client that does not play the scenario has a dot.
func row(s scenario, names []string, results []result) (line string, played bool) {
	line = fmt.Sprintf("%-17s", s.name)
	for _, n := range names {
		cell := "·"
		if i := slices.IndexFunc(results, func(r result) bool { return r.Client == n && r.Scenario == s.name }); i >= 0 {
			played = true
			word := "FAIL"
			if results[i].OK {
				word = "ok"
			}
			cell = fmt.Sprintf("%s%5.1f", word, results[i].Seconds)
		}
		line += fmt.Sprintf(" %*s", width(n), cell)
	}
	return line, played
}

// writeReport leaves the results for programs.
func writeReport(file string, t *target, results []result) error {
	data, err := json.MarshalIndent(struct {
		URL     string   `json:"url"`
		Model   string   `json:"model"`
		Results []result `json:"results"`
	}{t.url, t.model, results}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
