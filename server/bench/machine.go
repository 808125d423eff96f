package bench

import (
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

func machine() Machine {
	m := Machine{
		Processor: runtime.GOARCH, System: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), GoVersion: runtime.Version(),
	}
	m.describe()
	return m
}

// version returns what the go command knows about the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "-dirty"
		}
	}
	if v := info.Main.Version; revision == "" && v != "" && v != "(devel)" {
		return v
	}
	return revision + changed
}

// load is how much processor time was spent until a moment.
type load struct {
	at   time.Time
	busy time.Duration // by all that runs on the machine, and by other machines on its cores
	own  time.Duration
}

// foreign returns how many cores were busy with something else between two moments; nil if nobody can tell.
func foreign(before, after load, ok bool) *float64 {
	// The system counts in hundredths of a second, for each core.
	const shortest = 250 * time.Millisecond
	passed := after.at.Sub(before.at)
	if !ok || passed < shortest {
		return nil
	}
	cores := round(max(((after.busy-before.busy)-(after.own-before.own)).Seconds()/passed.Seconds(), 0))
	return &cores
}

// field returns what follows a name and a colon in a text of such lines, as /proc has them.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// chosen returns the word in brackets, as the system marks what is chosen from a list.
func chosen(text string) string {
	_, rest, _ := strings.Cut(text, "[")
	word, _, _ := strings.Cut(rest, "]")
	return word
}
