package main

import (
	"context"
	"errors"
	"log/slog"
	"math"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/placement"
	"github.com/gptoss/gptoss-operator/server/options"
)

// openPacked opens a packed file where --load says, or where its weights are better off.
func openPacked(ctx context.Context, o options.Options, log *slog.Logger) (*source, error) {
	if o.Load == options.LoadCopy {
		log.Info("weights", "load", options.LoadCopy, "why", "--load says so")
		return copyPacked(o.Model, log)
	}
	s, err := readPacked(packed.Open(o.Model))
	if err != nil {
		return nil, err
	}
	if o.Load == options.LoadMap {
		log.Info("weights", "load", options.LoadMap, "why", "--load says so")
		return s, nil
	}
	choice, err := s.choose(ctx, o)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s.place(o.Model, choice, log)
}

// place takes weights that are mapped to where they are better off, and tells the log.
func (s *source) place(path string, choice placement.Choice, log *slog.Logger) (*source, error) {
	where, why := options.LoadMap, []any{"why", choice.Why}
	if choice.Copy {
		where = options.LoadCopy
	}
	if m := choice.Speeds; m.Ratio > 0 {
		why = append(why, "mapped_gb_per_s", tenths(m.Mapped), "huge_pages_gb_per_s", tenths(m.Huge))
	}
	log.Info("weights", append([]any{"load", where}, why...)...)
	if !choice.Copy {
		return s, nil
	}
	better, err := copyPacked(path, log)
	if err != nil {
		log.Warn("weights stay mapped, since they cannot be copied", "error", err)
		return s, nil
	}
	return better, s.close()
}

// readPacked completes what was opened.
func readPacked(f *packed.File, err error) (*source, error) {
	if err != nil {
		return nil, err
	}
	s := &source{file: f, files: f}
	if s.config, err = cpu.Config(f); err == nil {
		s.vocabulary, err = cpu.Vocabulary(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// copyPacked reads a file into memory, which may take minutes: the log hears of every tenth.
func copyPacked(path string, log *slog.Logger) (*source, error) {
	told := int64(0)
	return readPacked(packed.OpenCopy(path, func(done, total int64) {
		if tenth := 10 * done / total; tenth > told {
			told = tenth
			log.Info("copying weights", "percent", 10*tenth)
		}
	}))
}

// choose compares the mapping with a copy.
func (s *source) choose(ctx context.Context, o options.Options) (placement.Choice, error) {
	contextLength, err := o.ContextFor(s.config.MaxContext)
	if err != nil {
		return placement.Choice{}, err
	}
	k, err := kernel.Select(kernelName(o))
	if err != nil {
		return placement.Choice{}, err
	}
	plan := memory(s, o, contextLength)
	return placement.Choose(ctx, placement.Weights{
		Sections: s.file.Contents(), Bytes: s.file.Size(), Mapped: s.file.Mapped(), Beside: plan.Total - plan.Weights,
	}, k, threads(o)), nil
}

// tenths is enough of a number for a log.
func tenths(x float64) float64 { return math.Round(10*x) / 10 }
