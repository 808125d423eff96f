package placement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/weights/mapping"
)

const (
	// sampleBytes are compared, taken from so many places of the file: more than most caches hold.
	sampleBytes  = 256 << 20
	samplePlaces = 16
	// leastSample is what must have come from the disk within warmTime: from less, caches would answer.
	leastSample = 64 << 20
	warmTime    = 600 * time.Millisecond
	// turns are taken by both, one after the other, all of them within about turnsTime.
	turns     = 9
	turnsTime = 900 * time.Millisecond
	// leastRead is how long a turn takes at least: waking many threads must not count.
	leastRead = 10 * time.Millisecond
)

// Speeds is how fast the same weights are read, by all threads together.
type Speeds struct {
	Mapped, Huge float64 // GB/s, medians
	Ratio        float64 // median of Huge over Mapped, each of two readings that followed each other
}

// Measure compares a sample of mapped weights with a copy of it in huge pages. It takes less than two seconds, most of them
// where the weights have to come from a disk, and a quarter of a GB of memory meanwhile.
func Measure(ctx context.Context, weights [][]byte, k kernel.Kernel, threads int) (Speeds, error) {
	return measure(ctx, weights, k, threads, leastSample)
}

// measure wants a sample of at least so many bytes.
func measure(ctx context.Context, weights [][]byte, k kernel.Kernel, threads, least int) (Speeds, error) {
	all, _ := Cut(weights)
	mapped := warm(ctx, sample(all), k, threads)
	// Every page of it has been touched once: from here on neither the disk nor the system takes part.
	bytesInTime := mapped.Speed(ctx, k, threads, 0) * 1e9 * turnsTime.Seconds() / (2 * turns)
	mapped = mapped[:min(len(mapped), int(bytesInTime)/pieceBytes)]
	bytes := mapped.bytes()
	if ctx.Err() != nil {
		return Speeds{}, ctx.Err()
	}
	if bytes < least {
		return Speeds{}, errors.New("the weights come too slowly for it")
	}
	memory, err := mapping.Allocate(bytes)
	if err != nil {
		return Speeds{}, err
	}
	s, err := compare(ctx, mapped, mapped.copyTo(memory.Data, threads), k, threads)
	return s, errors.Join(err, memory.Close())
}

// sample takes pieces from many places, since not all of a file needs to lie alike in memory.
func sample(all Pieces) Pieces {
	const most = sampleBytes / pieceBytes
	if len(all) <= most {
		return all
	}
	const run = most / samplePlaces
	var some Pieces
	for i := range samplePlaces {
		from := i * (len(all) - run) / (samplePlaces - 1)
		some = append(some, all[from:from+run]...)
	}
	return some
}

// warm reads what it can in warmTime, which has the system map every page of it, and returns that.
func warm(ctx context.Context, all Pieces, k kernel.Kernel, threads int) Pieces {
	begun, done := time.Now(), 0
	for done < len(all) && time.Since(begun) < warmTime && ctx.Err() == nil {
		next := min(done+4*threads, len(all))
		all[done:next].Read(ctx, k, threads, 0)
		done = next
	}
	return all[:done]
}

func (p Pieces) bytes() (sum int) {
	for _, b := range p {
		sum += len(b)
	}
	return sum
}

// copyTo copies all pieces, one behind the other, on all threads, and returns the copies.
func (p Pieces) copyTo(memory []byte, threads int) Pieces {
	copies := make(Pieces, len(p))
	for i, b := range p {
		copies[i], memory = memory[:len(b)], memory[len(b):]
	}
	var next atomic.Int64
	Together(threads, func() {
		for i := next.Add(1) - 1; int(i) < len(p); i = next.Add(1) - 1 {
			copy(copies[i], p[i])
		}
	})
	return copies
}

// compare lets both take turns.
func compare(ctx context.Context, mapped, huge Pieces, k kernel.Kernel, threads int) (Speeds, error) {
	var of [3][]float64
	for range turns {
		m, h := mapped.Speed(ctx, k, threads, leastRead), huge.Speed(ctx, k, threads, leastRead)
		if ctx.Err() != nil {
			return Speeds{}, ctx.Err()
		}
		of[0], of[1], of[2] = append(of[0], m), append(of[1], h), append(of[2], h/m)
	}
	for i := range of {
		slices.Sort(of[i])
	}
	return Speeds{Mapped: of[0][turns/2], Huge: of[1][turns/2], Ratio: of[2][turns/2]}, nil
}

// gigabytes is a size in words.
func gigabytes(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }
