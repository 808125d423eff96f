package placement

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/engine/kernel"
)

// pieceBytes is what a thread reads before it asks for more, so that a disturbed one does not keep the others waiting.
const pieceBytes = 1 << 20

// Pieces are parts of memory that several threads read in turns.
type Pieces [][]byte

// Cut returns memory in pieces, and how many bytes they have together.
func Cut(memory [][]byte) (all Pieces, bytes int64) {
	for _, m := range memory {
		for ; len(m) > 0; m = m[min(pieceBytes, len(m)):] {
			p := m[:min(pieceBytes, len(m))]
			all, bytes = append(all, p), bytes+int64(len(p))
		}
	}
	return all, bytes
}

// Together runs f on so many operating-system threads and returns when all have ended.
func Together(threads int, f func()) {
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			f()
		})
	}
	wg.Wait()
}

// Read reads all pieces, over and over until so much time has passed, on all threads, and returns how many bytes that were.
func (p Pieces) Read(ctx context.Context, k kernel.Kernel, threads int, least time.Duration) (bytes int64) {
	if len(p) == 0 {
		return 0
	}
	var next, done atomic.Int64
	begun := time.Now()
	Together(threads, func() {
		for ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= len(p) && time.Since(begun) >= least {
				return
			}
			k.Read(p[i%len(p)])
			done.Add(int64(len(p[i%len(p)])))
		}
	})
	return done.Load()
}

// Speed is Read, in GB/s.
func (p Pieces) Speed(ctx context.Context, k kernel.Kernel, threads int, least time.Duration) float64 {
	begun := time.Now()
	bytes := p.Read(ctx, k, threads, least)
	return float64(bytes) / time.Since(begun).Seconds() / 1e9
}
