package bench

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hertz is the unit of /proc/stat, the same on all architectures.
const hertz = 100

// read returns a small file of the system, or nothing.
func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

func (m *Machine) describe() {
	if name := field(read("/proc/cpuinfo"), "model name"); name != "" {
		m.Processor = name
	}
	m.MemoryBytes, _ = kibibytes(read("/proc/meminfo"), "MemTotal")
	m.HugePages = chosen(read("/sys/kernel/mm/transparent_hugepage/enabled"))
}

// kibibytes returns a size in bytes that a text of lines has in "kB", which are KiB.
func kibibytes(text, name string) (int64, bool) {
	value, _ := strings.CutSuffix(field(text, name), " kB")
	n, err := strconv.ParseInt(value, 10, 50)
	return n << 10, err == nil && n >= 0
}

// peakResident returns the most memory that the process had since resetPeak.
func peakResident() (bytes int64, ok bool) { return kibibytes(read("/proc/self/status"), "VmHWM") }

// resetPeak begins the peak anew; a system that refuses goes on from the old one.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// Busy returns how much processor time this machine has spent on anything, since it started, all cores together, and what
// other machines took from it; ok is false on a system that does not tell.
func Busy() (spent time.Duration, ok bool) { return busyTime(read("/proc/stat")) }

func currentLoad() (load, bool) {
	busy, ok := Busy()
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil || !ok {
		return load{}, false
	}
	return load{at: time.Now(), busy: busy, own: time.Duration(own.Utime.Nano() + own.Stime.Nano())}, true
}

// busyTime adds up what the first line of /proc/stat says: user, nice, system, idle, waiting, interrupts of both kinds, and
// what other machines took. What follows is in the first two already.
func busyTime(stat string) (time.Duration, bool) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	var ticks int64
	for i, text := range fields[1:9] {
		n, err := strconv.ParseInt(text, 10, 53)
		if err != nil || n < 0 {
			return 0, false
		}
		if i != 3 && i != 4 { // idle, waiting
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / hertz), true
}
