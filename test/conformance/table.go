package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// printTable shows how everything went and returns how many scenarios failed that are not pending.
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
	passed, waiting := 0, 0
	var troubles []string
	for _, r := range results {
		switch {
		case r.OK:
			passed++
			continue
		case slices.Contains(pending, r.Scenario):
			waiting++
		default:
			failed++
		}
		troubles = append(troubles, fmt.Sprintf("%s %s: %s", r.Client, r.Scenario, strings.ReplaceAll(strings.TrimSpace(r.Error), "\n", "\n    ")))
	}
	if len(troubles) > 0 {
		fmt.Fprintf(out, "\n%s\n", strings.Join(troubles, "\n"))
	}
	for _, name := range pending {
		if done(name, results) {
			fmt.Fprintf(out, "%s passes: take it out of the list of pending scenarios\n", name)
		}
	}
	if waiting > 0 {
		fmt.Fprintf(out, "\n%d failures are of scenarios that are pending\n", waiting)
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
			switch r := results[i]; {
			case r.OK:
				word = "ok"
			case slices.Contains(pending, s.name):
				word = "wait"
			}
			cell = fmt.Sprintf("%s%5.1f", word, results[i].Seconds)
		}
		line += fmt.Sprintf(" %*s", width(n), cell)
	}
	return line, played
}

// done reports whether all clients that played a scenario passed it, and any did.
func done(name string, results []result) bool {
	played := false
	for _, r := range results {
		if r.Scenario == name {
			if !r.OK {
				return false
			}
			played = true
		}
	}
	return played
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
