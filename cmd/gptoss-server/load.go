package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/server"
	"github.com/gptoss/gptoss-operator/server/options"
	"github.com/gptoss/gptoss-operator/server/structure"
)

// loaded is a model together with what must be closed after it.
type loaded struct {
	*server.Model
	close func() error
}

// source is where a model lies: one of checkpoint and file is there.
type source struct {
	checkpoint *weights.Checkpoint
	file       *packed.File
	config     model.Config
	vocabulary *weights.Vocabulary // nil unless the model came from GGUF
	files      fs.FS               // for tokenizer.json
}

func (s *source) close() error {
	if s.file != nil {
		return s.file.Close()
	}
	return s.checkpoint.Close()
}

// load opens the model and starts the engine on it. Errors name the file.
func load(ctx context.Context, o options.Options, log *slog.Logger) (*loaded, error) {
	s, err := open(ctx, o, log)
	if err != nil {
		return nil, err
	}
	m, err := start(s, o, log)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	if s.checkpoint != nil {
		// All of it is in memory now.
		if err := s.close(); err != nil {
			return nil, errors.Join(err, m.close())
		}
		boundGarbage()
		return m, nil
	}
	end := m.close
	m.close = func() error { return errors.Join(end(), s.close()) }
	return m, nil
}

func open(ctx context.Context, o options.Options, log *slog.Logger) (*source, error) {
	path := o.Model
	if path != "demo" && packed.Is(path) {
		return openPacked(ctx, o, log)
	}
	var c *weights.Checkpoint
	var err error
	if path == "demo" {
		c, err = weights.OpenFS(demo.Files())
	} else {
		c, err = weights.Open(path)
	}
	if err != nil {
		return nil, err
	}
	return &source{checkpoint: c, config: c.Config, vocabulary: c.Vocabulary, files: c.Files()}, nil
}

func start(s *source, o options.Options, log *slog.Logger) (*loaded, error) {
	contextLength, err := o.ContextFor(s.config.MaxContext)
	if err != nil {
		return nil, err
	}
	words, origin, err := chooseTokenizer(s.vocabulary, s.files, s.config.VocabSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	if words.Size() > s.config.VocabSize {
		return nil, fmt.Errorf("%s: has %d tokens, but the model's vocabulary has %d", origin, words.Size(), s.config.VocabSize)
	}
	encoding, err := harmony.New(words)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	boundHeap(os.DirFS("/"), memory(s, o, contextLength), s.file != nil, log)
	forms, err := structure.New(words)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	e, err := engine.New(engineOptions(s, o, contextLength, trained(words), log))
	if err != nil {
		return nil, err
	}
	return &loaded{
		Model: &server.Model{
			Generator: e, Encoder: encoding, Vocabulary: words, Structure: forms, ContextLength: contextLength,
			ActiveParameters: s.config.ActiveParameters(), TotalParameters: s.config.TotalParameters(), Created: time.Now(),
		},
		close: e.Close,
	}, nil
}

// engineOptions translates the flags. Ids from vocabulary on are padding of the embedding.
func engineOptions(s *source, o options.Options, contextLength, vocabulary int, log *slog.Logger) engine.Options {
	return engine.Options{
		Checkpoint:      s.checkpoint,
		Packed:          s.file,
		ContextLength:   contextLength,
		VocabularyLimit: vocabulary,
		QueueLimit:      o.MaxQueue,
		MaxSequences:    o.MaxSequences,
		BatchSize:       o.BatchSize,
		MaxBatchTokens:  o.MaxBatchTokens,
		BatchTimeout:    o.BatchTimeout,
		PrefixCaching:   o.PrefixCaching,
		SwapBytes:       o.SwapSpace,
		Threads:         threads(o),
		Kernel:          kernelName(o),
		Logger:          log,
	}
}

// kernelName is --kernel as the engine knows it.
func kernelName(o options.Options) string {
	if o.Kernel == options.KernelAuto {
		return ""
	}
	return o.Kernel
}

// boundGarbage keeps the collector from waiting until there is as much garbage as there are weights, which a checkpoint
// leaves on the heap. They hold no pointers, so looking at them more often costs nothing.
func boundGarbage() {
	const most = 256 << 20
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > most {
		debug.SetGCPercent(max(int(100*most/m.HeapAlloc), 1))
	}
}
