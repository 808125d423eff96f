package bench

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/engine/kernel"
)

const (
	// mostRead is how much of the weights a bandwidth is measured over: far more than any cache holds.
	mostRead = 4 << 30
	// anonymousBytes is the memory that is taken to be measured.
	anonymousBytes = 1 << 30
	// spareBytes stay free of it, beside the weights.
	spareBytes = 1 << 30
	// piece is what a thread reads before it asks for more, so that a disturbed one does not keep the others waiting.
	piece = 1 << 20
	// rooflineSamples are taken of each series at the start.
	rooflineSamples = 5
	// rooflineTime is how long a sample takes.
	rooflineTime = 400 * time.Millisecond
)

// pieces are parts of memory that are read in turns.
type pieces [][]byte

func piecesOf(memory [][]byte) (all pieces, bytes int64) {
	for _, m := range memory {
		for ; len(m) > 0; m = m[min(piece, len(m)):] {
			p := m[:min(piece, len(m))]
			all, bytes = append(all, p), bytes+int64(len(p))
		}
	}
	return all, bytes
}

// first returns so many bytes of memory from its beginning.
func first(memory [][]byte, bytes int) (part [][]byte) {
	for _, m := range memory {
		n := min(len(m), bytes)
		if bytes -= n; n > 0 {
			part = append(part, m[:n])
		}
	}
	return part
}

// together runs f on so many threads.
func together(threads int, f func()) {
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

// read reads all pieces, over and over until so much time has passed, on all threads, and returns how many bytes that were.
func (p pieces) read(ctx context.Context, k kernel.Kernel, threads int, least time.Duration) (bytes int64) {
	var next, done atomic.Int64
	begun := time.Now()
	together(threads, func() {
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

// bandwidth adds to a series how fast memory can be read, so many times.
func (b *bench) bandwidth(ctx context.Context, s *Series, all pieces, samples int) error {
	if len(all) == 0 {
		return nil
	}
	return b.sample(ctx, []*Series{s}, samples, func(int) ([]float64, error) {
		begun := time.Now()
		bytes := all.read(ctx, b.kernels, b.report.Settings.Threads, b.rooflineTime)
		return []float64{float64(bytes) / time.Since(begun).Seconds() / 1e9}, nil
	})
}

// peak adds to a series how fast the kernels' instructions are without anything else.
func (b *bench) peak(ctx context.Context, s *Series) error {
	const rounds = 1 << 14
	return b.sample(ctx, []*Series{s}, rooflineSamples, func(int) ([]float64, error) {
		var operations atomic.Int64
		begun := time.Now()
		together(b.report.Settings.Threads, func() {
			for time.Since(begun) < b.rooflineTime {
				operations.Add(b.kernels.Peak(rounds))
			}
		})
		return []float64{float64(operations.Load()) / time.Since(begun).Seconds() / 1e9}, nil
	})
}

// roofline measures what the machine can do with these weights.
func (b *bench) roofline(ctx context.Context) error {
	r := &b.report.Roofline
	*r = Roofline{Weights: Series{Unit: unitBandwidth}, Int8: Series{Unit: unitPeak}}
	b.say("the machine: arithmetic")
	if err := b.peak(ctx, &r.Int8); err != nil {
		return err
	}
	b.say("the machine: memory")
	if err := b.anonymous(ctx); err != nil {
		return err
	}
	b.pieces, r.ReadBytes = piecesOf(first(b.source.memory(b.weights), mostRead))
	return b.bandwidth(ctx, &r.Weights, b.pieces, rooflineSamples)
}

// anonymous measures memory in huge pages, where that pushes nothing out.
func (b *bench) anonymous(ctx context.Context) error {
	room, ok := available()
	if !ok || b.hugeBytes == 0 || room < int64(b.hugeBytes)+spareBytes+b.report.Model.WeightBytes {
		return nil
	}
	data, release, err := hugeMemory(b.hugeBytes)
	if err != nil {
		return nil // a system without huge pages is measured without
	}
	defer release()
	for i := range data {
		data[i] = byte(i)
	}
	b.report.Roofline.Anonymous = &Series{Unit: unitBandwidth}
	all, _ := piecesOf([][]byte{data})
	return b.bandwidth(ctx, b.report.Roofline.Anonymous, all, rooflineSamples)
}
