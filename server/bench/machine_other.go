//go:build !linux

package bench

import "time"

func (*Machine) describe() {}

func peakResident() (bytes int64, ok bool) { return 0, false }

func resetPeak() {}

// Busy returns how much processor time this machine has spent on anything; ok is false on a system that does not tell.
func Busy() (spent time.Duration, ok bool) { return 0, false }

func currentLoad() (load, bool) { return load{}, false }
