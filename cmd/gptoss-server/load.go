package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/server"
	"github.com/gptoss/gptoss-operator/server/options"
)

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
	return weights.Open(model)
}

func start(c *weights.Checkpoint, o options.Options, log *slog.Logger) (*loaded, error) {
	contextLength, err := o.ContextFor(c.Config.MaxContext)
	if err != nil {
		return nil, err
	}
	words, origin, err := chooseTokenizer(c.Vocabulary, c.Files(), c.Config.VocabSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	if words.Size() > c.Config.VocabSize {
		return nil, fmt.Errorf("%s: has %d tokens, but the model's vocabulary has %d", origin, words.Size(), c.Config.VocabSize)
	}
	encoding, err := harmony.New(words)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	e, err := engine.New(engine.Options{
		Checkpoint:      c,
		ContextLength:   contextLength,
		VocabularyLimit: trained(words), // what lies above is padding of the embedding
		QueueLimit:      o.MaxQueue,
		Logger:          log,
	})
	if err != nil {
		return nil, err
	}
	return &loaded{
		Model: &server.Model{
			Generator: e, Encoder: encoding, Vocabulary: words, ContextLength: contextLength,
			ActiveParameters: c.Config.ActiveParameters(), TotalParameters: c.Config.TotalParameters(), Created: time.Now(),
		},
		close: func() error { return errors.Join(e.Close(), c.Close()) },
	}, nil
}
