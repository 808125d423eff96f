// Package process starts a cluster's programs, notices when one dies, and
// remembers them between commands without mistaking a stranger for one of them.
package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Spec is a program to start.
type Spec struct {
	Name string   // of the component
	Args []string // with the program's path first
	Env  []string // NAME=value, nothing else is passed on
	Log  string   // file that takes stdout and stderr
}

// Record is what is kept of a started process.
type Record struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot; with PID it names one process for ever
}

// Exit is the end of a process.
type Exit struct {
	Spec Spec
	Err  error // nil for status 0
}

// Group is the programs started by this process.
type Group struct {
	Dir   string // folder of the records
	exits chan Exit
}

// NewGroup makes an empty group with its records in dir.
func NewGroup(dir string) *Group { return &Group{Dir: dir, exits: make(chan Exit, 32)} }

// Exits delivers every end of a process while this one lives. A component is
// to run for ever, so any end is a failure.
func (g *Group) Exits() <-chan Exit { return g.exits }

// Start starts a program in a session of its own, so that a Ctrl-C meant for
// this command does not reach it.
func (g *Group) Start(s Spec) error {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("process: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(s.Args[0], s.Args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = s.Env, log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("process: start %s: %w", s.Name, err)
	}
	start, err := StartTime(cmd.Process.Pid)
	if err != nil {
		return err
	}
	go func() { g.exits <- Exit{s, cmd.Wait()} }()
	data, err := json.Marshal(Record{s.Name, cmd.Process.Pid, start})
	if err != nil {
		return fmt.Errorf("process: %w", err)
	}
	if err := os.WriteFile(filepath.Join(g.Dir, s.Name+".json"), data, 0o600); err != nil {
		return fmt.Errorf("process: %w", err)
	}
	return nil
}

// Describe says how a process ended, with the last lines of its log.
func (e Exit) Describe() error {
	how := "exit status 0"
	if e.Err != nil {
		how = e.Err.Error()
	}
	return fmt.Errorf("%s ended (%s); the end of %s:\n%s", e.Spec.Name, how, e.Spec.Log, Tail(e.Spec.Log, 20))
}

// Records reads the records of a folder, sorted by name.
func Records(dir string) ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	sort.Strings(files)
	var all []Record
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("process: %w", err)
		}
		var r Record
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("process: %s: %w", file, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// Alive tells whether this very process still runs; one that ended and waits
// to be reaped does not.
func (r Record) Alive() bool {
	s, err := readStat(r.PID)
	return err == nil && s.start == r.Start && s.state != "Z" && s.state != "X"
}

// Stop ends processes of this pid namespace by force, as nothing that they
// would still write is kept, and waits until they are gone.
func Stop(all []Record, patience time.Duration) error {
	for _, r := range all {
		if !r.Alive() {
			continue
		}
		if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process: kill %s (pid %d): %w", r.Name, r.PID, err)
		}
	}
	deadline := time.Now().Add(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for _, r := range all {
		for r.Alive() {
			if time.Now().After(deadline) {
				return fmt.Errorf("process: %s (pid %d) is still running", r.Name, r.PID)
			}
			<-again.C
		}
	}
	return nil
}

// StartTime is when a process started, in clock ticks since boot.
func StartTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

type stat struct {
	state string
	start uint64
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, fmt.Errorf("process: %w", err)
	}
	return parseStat(string(data))
}

// parseStat reads fields 3 (state) and 22 (start time). The name in field 2 may
// hold spaces and parentheses, so counting starts after its last one.
func parseStat(line string) (stat, error) {
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("process: stat has %d fields after the name, want at least 20", len(fields))
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("process: stat: start time: %w", err)
	}
	return stat{fields[0], start}, nil
}

// Tail is the last lines of a file, or why there are none.
func Tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
