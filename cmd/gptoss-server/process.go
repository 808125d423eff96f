package main

import (
	"io/fs"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/server/heap"
	"github.com/gptoss/gptoss-operator/server/options"
)

// cores returns how many cores compute where no flag says so, and gives Go room for one goroutine more. The forward pass
// keeps a goroutine busy on each core, and Go lets nobody else in for up to 10 ms; with one more to choose from it is the
// kernel that shares the cores out, and it lets a handler that wakes up in at once. The workers have threads of their own,
// so they lose no more than the handler needs.
var cores = sync.OnceValue(func() int {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 1)
	return n
})

// threads is --threads, or all cores.
func threads(o options.Options) int {
	n := cores()
	if o.Threads > 0 {
		return o.Threads
	}
	return n
}

// memory is what serving the model takes.
func memory(s *source, o options.Options, contextLength int) model.Memory {
	return s.config.Memory(model.Serving{
		ContextLength: contextLength, Sequences: o.MaxSequences, StepTokens: o.MaxBatchTokens, Shared: true,
	})
}

// boundHeap sets Go's soft memory limit to what the container has left for the heap, unless GOMEMLIMIT did. Keys and values,
// and weights that were packed before, lie outside of the heap.
func boundHeap(root fs.FS, plan model.Memory, weightsOutside bool, log *slog.Logger) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	container := heap.Container(root)
	if container == 0 {
		return
	}
	outside := plan.KVCache
	if weightsOutside {
		outside += plan.Weights
	}
	limit, err := heap.Limit(container, outside)
	if err != nil {
		log.Warn("no memory limit for Go's heap", "error", err.Error())
		return
	}
	debug.SetMemoryLimit(limit)
	log.Info("memory limit of Go's heap", "bytes", limit, "container", container, "outside", outside)
}
