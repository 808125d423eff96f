package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/server"
	"github.com/gptoss/gptoss-operator/server/options"
)

// maxTokenizerBytes is twice the tokenizer.json of gpt-oss, and as much as the tokenizer reads.
const maxTokenizerBytes = 64 << 20

// loaded is a model together with what must be closed after it.
type loaded struct {
	*server.Model
	close func() error
}

// load opens the checkpoint and starts the engine on it. Errors name the file.
func load(o options.Options, log *slog.Logger) (*loaded, error) {
	checkpoint, err := open(o.Model)
	if err != nil {
		return nil, err
	}
	m, err := start(checkpoint, o, log)
	if err != nil {
		return nil, errors.Join(err, checkpoint.Close())
	}
	return m, nil
}

func open(model string) (*weights.Checkpoint, error) {
	if model == "demo" {
		return weights.OpenFS(demo.Files())
	}
	return weights.OpenDir(model)
}

func start(c *weights.Checkpoint, o options.Options, log *slog.Logger) (*loaded, error) {
	contextLength, err := o.ContextFor(c.Config.MaxContext)
	if err != nil {
		return nil, err
	}
	words, err := readTokenizer(c.Files())
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	if words.Size() > c.Config.VocabSize {
		return nil, fmt.Errorf("tokenizer.json: has %d tokens, but config.json says vocab_size %d", words.Size(), c.Config.VocabSize)
	}
	encoding, err := harmony.New(words)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	e, err := engine.New(engine.Options{
		Checkpoint:      c,
		ContextLength:   contextLength,
		VocabularyLimit: words.Size(), // what lies above is padding of the embedding
		QueueLimit:      o.MaxQueue,
		Logger:          log,
	})
	if err != nil {
		return nil, err
	}
	return &loaded{
		Model: &server.Model{
			Generator: e, Encoder: encoding, ContextLength: contextLength,
			ActiveParameters: c.Config.ActiveParameters(), TotalParameters: c.Config.TotalParameters(), Created: time.Now(),
		},
		close: func() error { return errors.Join(e.Close(), c.Close()) },
	}, nil
}

func readTokenizer(fsys fs.FS) (*tokenizer.Tokenizer, error) {
	f, err := fsys.Open("tokenizer.json")
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxTokenizerBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(data) > maxTokenizerBytes {
		return nil, fmt.Errorf("must have at most %d bytes", maxTokenizerBytes)
	}
	return tokenizer.Parse(data)
}
