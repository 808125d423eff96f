package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/placement"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

const (
	tokensPerSecond = "tokens_per_second"

	unitSpeed     = "tok/s"
	unitTime      = "ms"
	unitBytes     = "bytes"
	unitRatio     = ""
	unitBandwidth = "GB/s"
	unitPeak      = "GOP/s"
)

// source is where a model lies: one of file and checkpoint is there.
type source struct {
	file       *packed.File
	checkpoint *weights.Checkpoint
	config     model.Config
}

// open opens a model; progress hears how far the copy of a packed file is, where one is wanted.
func open(path, load string, demo fs.FS, progress func(done, total int64)) (s *source, err error) {
	s = &source{}
	switch {
	case path == demoPath:
		s.checkpoint, err = weights.OpenFS(demo)
	case packed.Is(path):
		if load == loadCopy {
			s.file, err = packed.OpenCopy(path, progress)
		} else {
			s.file, err = packed.Open(path)
		}
		if err != nil {
			return nil, err
		}
		if s.config, err = cpu.Config(s.file); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.file.Close())
		}
		return s, nil
	default:
		s.checkpoint, err = weights.Open(path)
	}
	if err != nil {
		return nil, err
	}
	s.config = s.checkpoint.Config
	return s, nil
}

func (s *source) close() error {
	if s.file != nil {
		return s.file.Close()
	}
	return s.checkpoint.Close()
}

// load returns the weights as the kernels read them: where they lie, or packed into memory.
func (s *source) load() (*cpu.Weights, error) {
	if s.file != nil {
		return cpu.Load(s.file)
	}
	return cpu.FromCheckpoint(s.checkpoint)
}

// memory returns weights to be read as bytes: all of a file, of others what can be seen.
func (s *source) memory(w *cpu.Weights) [][]byte {
	if s.file == nil {
		return [][]byte{unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w.Embedding))), 2*len(w.Embedding))}
	}
	return s.file.Contents()
}

// bench is a run of the command.
type bench struct {
	command
	meter   *terminal.Meter
	source  *source
	weights *cpu.Weights
	kernels kernel.Kernel
	pieces  placement.Pieces // of the weights, to read
	report  *Report
}

// say shows what is done now.
func (b *bench) say(format string, args ...any) { b.meter.Say(fmt.Sprintf(format, args...)) }

// run measures what the command line says.
func (c command) run(ctx context.Context, demo fs.FS, m *terminal.Meter) (report *Report, err error) {
	b := &bench{command: c, meter: m, report: &Report{Time: time.Now().UTC().Format(time.RFC3339), Version: version(), Machine: machine()}}
	if b.kernels, err = kernel.Select(c.kernel); err != nil {
		return nil, err
	}
	b.say("opening %s", c.model)
	if b.source, err = open(c.model, c.load, demo, m.Progress); err != nil {
		return nil, fmt.Errorf("cannot measure %s: %w", c.model, err)
	}
	defer func() { err = errors.Join(err, b.source.close()) }()
	config := b.source.config
	if n, by := c.needs(); n > config.MaxContext {
		return nil, fmt.Errorf("%s ask for %d tokens in a row, the model allows at most %d", by, n, config.MaxContext)
	}
	if b.weights, err = b.source.load(); err != nil {
		return nil, fmt.Errorf("cannot measure %s: %w", c.model, err)
	}
	b.describe()
	if err := b.warmUp(ctx); err != nil {
		return nil, err
	}
	if err := b.roofline(ctx); err != nil {
		return nil, err
	}
	if err := b.direct(ctx); err != nil {
		return nil, err
	}
	b.weights, b.pieces = nil, nil // what has no file is packed again by the engine: once is enough in memory
	debug.FreeOSMemory()
	if c.has(workPrefix, workLatency) {
		err = b.serve(ctx)
	}
	return b.report, err
}

func (b *bench) describe() {
	c := b.source.config
	b.report.Settings = Settings{
		Threads: b.threads, Kernel: b.kernels.String(), Repetitions: b.repetitions, MaxBatchTokens: b.stepTokens,
	}
	if b.threads == 0 {
		b.report.Settings.Threads = runtime.GOMAXPROCS(0)
	}
	b.report.Model = Model{
		Path: b.model, Layers: c.Layers, Experts: c.Experts, ActiveExperts: c.ActiveExperts, Vocabulary: c.VocabSize,
		TotalParameters: c.TotalParameters(), ActiveParameters: c.ActiveParameters(), WeightBytes: c.Memory(model.Serving{}).Weights,
	}
	if f := b.source.file; f != nil {
		b.report.Settings.Load = b.load
		b.report.Model.Digest, b.report.Model.Mapped = f.Digest(), f.Mapped()
	}
}

// warmUp reads all weights, so that no measurement waits for the disk or for the system to map a page.
func (b *bench) warmUp(ctx context.Context) error {
	all, total := placement.Cut(b.source.memory(b.weights))
	const batch = 64
	var done int64
	b.say("reading the weights")
	for len(all) > 0 && ctx.Err() == nil {
		n := min(batch, len(all))
		done += all[:n].Read(ctx, b.kernels, b.report.Settings.Threads, 0)
		b.meter.Progress(done, total)
		all = all[n:]
	}
	return ctx.Err()
}

// passes are what one repetition of a figure takes; nil if there is no bound for it.
func (b *bench) passes(r *Result) []pass {
	switch r.Work {
	case workPrefill:
		return prefillPasses(r.Prompt, b.stepTokens)
	case workDecode, workBatch:
		return decodePasses(r.Sequences, r.Context, r.Decode)
	}
	return nil
}

// direct measures what needs the forward pass only.
func (b *bench) direct(ctx context.Context) error {
	if b.has(workPrefill) {
		for _, n := range b.prompts {
			if err := b.prefill(ctx, n); err != nil {
				return err
			}
		}
	}
	if b.has(workDecode) {
		if err := b.decode(ctx, workDecode, 1); err != nil {
			return err
		}
	}
	if b.has(workBatch) {
		for _, n := range b.sequences {
			if err := b.decode(ctx, workBatch, n); err != nil {
				return err
			}
		}
	}
	if b.has(workMemory) {
		return b.memory(ctx)
	}
	return nil
}

// measure takes the figures of results, all together in each repetition, and adds them to the report. Around repetitions that
// have a bound it looks at the bandwidth: on a machine that shares its memory with others that may change within seconds.
func (b *bench) measure(ctx context.Context, results []Result, once func(repetition int) ([]float64, error)) error {
	series := make([]*Series, len(results))
	for i := range results {
		series[i] = &results[i].Series
	}
	passes := b.passes(&results[0])
	begun := len(b.report.Roofline.Weights.Samples)
	resetPeak()
	for i := range b.repetitions {
		if err := b.bandwidthNow(ctx, passes != nil); err != nil {
			return err
		}
		b.say("%s, repetition %d of %d", results[0].label(), i+1, b.repetitions)
		if err := b.sample(ctx, series, 1, func(int) ([]float64, error) { return once(i) }); err != nil {
			return err
		}
	}
	if err := b.bandwidthNow(ctx, passes != nil); err != nil {
		return err
	}
	peak, _ := peakResident()
	for i := range results {
		results[i].PeakResidentBytes = peak
	}
	if passes != nil {
		results[0].reach(b.report.Roofline.bound(b.source.config, passes, b.report.Roofline.Weights.Samples[begun:]))
	}
	b.report.Results = append(b.report.Results, results...)
	return nil
}

func (b *bench) bandwidthNow(ctx context.Context, wanted bool) error {
	if !wanted {
		return nil
	}
	return b.bandwidth(ctx, &b.report.Roofline.Weights, b.pieces, 1)
}

// sample takes samples of series, one of each at a time, and looks at what else the machine did meanwhile.
func (b *bench) sample(ctx context.Context, series []*Series, repetitions int, once func(repetition int) ([]float64, error)) error {
	for i := range repetitions {
		before, ok := currentLoad()
		values, err := once(i)
		after, ok2 := currentLoad()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		for j, s := range series {
			s.add(values[j], foreign(before, after, ok && ok2))
		}
	}
	return nil
}
