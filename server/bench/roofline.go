package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/engine/weights/mapping"
	"github.com/gptoss/gptoss-operator/engine/weights/placement"
)

const (
	// mostRead is how much of the weights a bandwidth is measured over: far more than any cache holds.
	mostRead = 4 << 30
	// anonymousBytes is the memory that is taken to be measured.
	anonymousBytes = 1 << 30
	// spareBytes stay free of it.
	spareBytes = 1 << 30
	// rooflineSamples are taken of each series at the start.
	rooflineSamples = 5
	// rooflineTime is how long a sample takes.
	rooflineTime = 400 * time.Millisecond
)

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

// bandwidth adds to a series how fast memory can be read, so many times.
func (b *bench) bandwidth(ctx context.Context, s *Series, all placement.Pieces, samples int) error {
	if len(all) == 0 {
		return nil
	}
	return b.sample(ctx, []*Series{s}, samples, func(int) ([]float64, error) {
		return []float64{all.Speed(ctx, b.kernels, b.report.Settings.Threads, b.rooflineTime)}, nil
	})
}

// peak adds to a series how fast the kernels' instructions are without anything else.
func (b *bench) peak(ctx context.Context, s *Series) error {
	const rounds = 1 << 14
	return b.sample(ctx, []*Series{s}, rooflineSamples, func(int) ([]float64, error) {
		var operations atomic.Int64
		begun := time.Now()
		placement.Together(b.report.Settings.Threads, func() {
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
	b.pieces, r.ReadBytes = placement.Cut(first(b.source.memory(b.weights), mostRead))
	return b.bandwidth(ctx, &r.Weights, b.pieces, rooflineSamples)
}

// anonymous measures memory in huge pages, where that pushes nothing out.
func (b *bench) anonymous(ctx context.Context) error {
	room, ok := placement.Room()
	if !ok || b.hugeBytes == 0 || room < int64(b.hugeBytes)+spareBytes {
		return nil
	}
	memory, err := mapping.Allocate(b.hugeBytes)
	if memory == nil {
		b.say("the machine: memory, without huge pages: %v", err)
		return nil
	}
	for i := range memory.Data {
		memory.Data[i] = byte(i)
	}
	b.report.Roofline.Anonymous = &Series{Unit: unitBandwidth}
	all, _ := placement.Cut([][]byte{memory.Data})
	return errors.Join(b.bandwidth(ctx, b.report.Roofline.Anonymous, all, rooflineSamples), memory.Close())
}
