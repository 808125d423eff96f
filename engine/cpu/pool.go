package cpu

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

const (
	// decodeSpins is how often a worker looks for the others before it parks: about 50 µs, longer than they differ within
	// a phase of decoding, and short enough to leave the core to somebody else.
	decodeSpins = 2000
	// maxClaim is the most items a worker takes at once: few claims while there is much to do.
	maxClaim = 8
	// cacheLine keeps counters that different workers write apart; processors fetch lines in pairs.
	cacheLine = 128
)

// PanicError is a panic inside of the forward pass, which ended that step but not the process.
type PanicError struct {
	Value any    // of the panic
	Stack []byte // of the worker, for the log
}

// Error returns the value of the panic, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("cpu: a worker panicked: %v", e.Value) }

// counter is an atomic number in cache lines of its own.
type counter struct {
	_ [cacheLine]byte
	atomic.Int64
	_ [cacheLine - 8]byte
}

// pool is a set of workers that run one program together. Every worker runs all of it, phase after phase: a phase has a
// number of items, which the workers claim, and ends when all are done. Between phases workers spin briefly, then park.
type pool struct {
	generation counter // phases ended and steps begun since the start: what waiting workers look at
	next       counter // items of the phase that were claimed
	arrived    counter // workers that found nothing left to claim

	spins   int
	failure atomic.Pointer[PanicError] // the first of the step
	workers []poolWorker
	program func(id int)
	ended   chan struct{}
	closing bool // written before a generation begins
	running sync.WaitGroup
}

// poolWorker is what the pool keeps of one worker.
type poolWorker struct {
	generation int64  // the last one seen; the worker's own
	noise      uint64 // what pause made, so that it has to make it
	parked     atomic.Bool
	wake       chan struct{}
	_          [cacheLine]byte
}

// newPool starts threads workers, each on an operating-system thread of its own, that run program(id) at every step and
// look for each other the given number of times before they park.
func newPool(threads, spins int, program func(id int)) *pool {
	p := &pool{spins: spins, workers: make([]poolWorker, threads), program: program, ended: make(chan struct{}, 1)}
	for id := range p.workers {
		p.workers[id].wake = make(chan struct{}, 1)
		p.running.Go(func() { p.work(id) })
	}
	return p
}

// work is the life of a worker.
func (p *pool) work(id int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Weights may lie in a file mapping; reading what somebody cut off the file then fails a step instead of the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for {
		p.wait(id)
		if p.closing {
			return
		}
		p.program(id)
		if p.arrived.Add(1) == int64(len(p.workers)) {
			p.arrived.Store(0)
			p.ended <- struct{}{}
		}
	}
}

// step runs the program once on all workers. One step at a time.
func (p *pool) step() error {
	p.failure.Store(nil)
	p.next.Store(0)
	p.release()
	<-p.ended
	if failure := p.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// close ends the workers. No step may be under way, and none may follow.
func (p *pool) close() {
	p.closing = true
	p.release()
	p.running.Wait()
}

// each runs body on ranges that cover 0 to n, shared out among all workers, then after on one of them, and returns when
// all that is done. Every worker must call it, with the same arguments. After a panic in any, the rest is left out.
func (p *pool) each(id, n int, body func(first, last int), after func()) {
	if p.failure.Load() == nil {
		p.claim(n, body)
	}
	if p.arrived.Add(1) < int64(len(p.workers)) {
		p.wait(id)
		return
	}
	if after != nil && p.failure.Load() == nil {
		p.guard(after)
	}
	p.arrived.Store(0)
	p.next.Store(0)
	p.workers[id].generation++
	p.release()
}

// claim takes items until none are left, fewer at a time towards the end so that all workers finish together.
func (p *pool) claim(n int, body func(first, last int)) {
	defer p.catch()
	for {
		left := n - int(p.next.Load())
		if left <= 0 {
			return
		}
		take := min(max(left/(4*len(p.workers)), 1), maxClaim)
		first := int(p.next.Add(int64(take))) - take
		if first >= n {
			return
		}
		body(first, min(first+take, n))
	}
}

func (p *pool) guard(f func()) {
	defer p.catch()
	f()
}

// catch is deferred: it turns a panic into the failure of the step.
func (p *pool) catch() {
	if v := recover(); v != nil {
		p.failure.CompareAndSwap(nil, &PanicError{Value: v, Stack: debug.Stack()})
	}
}

// wait returns when the generation after the worker's own has begun.
func (p *pool) wait(id int) {
	w := &p.workers[id]
	w.generation++
	for range p.spins {
		if p.generation.Load() >= w.generation {
			return
		}
		w.noise = pause(w.noise)
	}
	for p.generation.Load() < w.generation {
		w.parked.Store(true)
		// The generation may have begun before the worker said that it is parked. Whoever takes the flag back decides: the
		// worker goes on, or a token is on its way, from this generation or late from the one before.
		if p.generation.Load() < w.generation || !w.parked.CompareAndSwap(true, false) {
			<-w.wake
		}
	}
}

// release begins the next generation.
func (p *pool) release() {
	p.generation.Add(1)
	for i := range p.workers {
		if w := &p.workers[i]; w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
}

// pause passes some 25 ns without memory accesses: a chain of multiplications, each waiting for the one before.
func pause(x uint64) uint64 {
	for range 20 {
		x = x*0x9e3779b97f4a7c15 + 1
	}
	return x
}
