// Package terminal is what the sub-commands share in writing to a person.
package terminal

import (
	"fmt"
	"io"
	"os"
)

// Say writes to a standard stream; when that fails there is nobody left to tell.
func Say(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

// Live reports whether somebody watches w on a terminal that can redraw a line; term is the variable TERM.
func Live(w io.Writer, term string) bool {
	f, ok := w.(*os.File)
	if !ok || term == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Bytes writes a size in thousands, as disks and model hubs do.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n), 0
	for x >= 999.95 && unit < 5 {
		x /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", x, " kMGTP"[unit])
}
