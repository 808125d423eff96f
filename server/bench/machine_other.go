//go:build !linux

package bench

import (
	"errors"
	"time"
)

func (*Machine) describe() {}

func available() (bytes int64, ok bool) { return 0, false }

func peakResident() (bytes int64, ok bool) { return 0, false }

func resetPeak() {}

// Busy returns how much processor time this machine has spent on anything; ok is false on a system that does not tell.
func Busy() (spent time.Duration, ok bool) { return 0, false }

func currentLoad() (load, bool) { return load{}, false }

func hugeMemory(int) (data []byte, release func(), err error) {
	return nil, nil, errors.New("no huge pages on this system")
}
