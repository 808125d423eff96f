package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/sched"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
)

const (
	// defaultQueueLimit is how many requests may wait when Options names no limit.
	defaultQueueLimit = 128
	// defaultSequences is how many requests run at a time when Options names no number: enough that most of gpt-oss-20b's
	// experts are asked for in every step, so that one more request costs little but its keys and values.
	defaultSequences = 8
)

// Options configure an engine.
type Options struct {
	// Checkpoint is a model that is packed into memory, and not needed after New; Packed one that is packed already, and
	// must stay open until Close has returned. One of them must be given.
	Checkpoint *weights.Checkpoint
	Packed     *packed.File
	// ContextLength bounds prompt and generated tokens together; 0 asks for the
	// longest that the model was made for.
	ContextLength int
	// VocabularyLimit: ids at or above are never sampled; 0 allows them all.
	VocabularyLimit int
	// QueueLimit bounds the requests that wait for their turn; 0 means 128.
	QueueLimit int

	// MaxSequences bounds the requests that own memory; 0 means 8.
	MaxSequences int
	// BatchSize bounds the requests of one step; 0 means MaxSequences.
	BatchSize int
	// MaxBatchTokens bounds the tokens of one step; 0 means [model.DefaultStepTokens].
	MaxBatchTokens int
	// BatchTimeout is how long the first request of an idle engine waits for others to run with; 0 starts it at once.
	BatchTimeout time.Duration
	// PrefixCaching lets requests of one tenant go on from keys and values that an earlier one with the same beginning left.
	PrefixCaching bool
	// KVBytes is the memory for keys and values; 0 takes what [model.Config.Cache] plans for these limits: room for one
	// request of ContextLength, and for MaxSequences with up to 8192 tokens.
	KVBytes int64
	// SwapBytes is the size of a temporary file to which requests are moved that have to make room for older ones; 0 has
	// none, they are computed again later.
	SwapBytes int64
	// Threads is the number of cores that compute; 0 means one for each that Go may use.
	Threads int
	// Kernel forces one set of kernels, as [cpu.Options] knows them; "" takes the best.
	Kernel string

	// Logger receives what no caller can see, such as the stack of a panic in
	// the forward pass; nil means [slog.Default].
	Logger *slog.Logger
}

// config returns the model's configuration, before anything is done that takes time.
func (o *Options) config() (model.Config, error) {
	switch {
	case (o.Checkpoint == nil) == (o.Packed == nil):
		return model.Config{}, errors.New("engine: want a checkpoint or packed weights")
	case o.Packed != nil:
		return cpu.Config(o.Packed)
	}
	return o.Checkpoint.Config, nil
}

func (o *Options) weights() (*cpu.Weights, error) {
	if o.Packed != nil {
		return cpu.Load(o.Packed)
	}
	return cpu.FromCheckpoint(o.Checkpoint)
}

// setDefaults replaces zeros by what they stand for; contextLength and vocabulary are the model's.
func (o *Options) setDefaults(contextLength, vocabulary int) {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.ContextLength, contextLength},
		{&o.VocabularyLimit, vocabulary},
		{&o.QueueLimit, defaultQueueLimit},
		{&o.MaxSequences, defaultSequences},
		{&o.MaxBatchTokens, model.DefaultStepTokens},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.BatchSize == 0 {
		o.BatchSize = min(o.MaxSequences, o.MaxBatchTokens)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// check reports the first limit that makes no sense. Those of the scheduler are its own to check.
func (o *Options) check(contextLength, vocabulary int) error {
	switch {
	case o.ContextLength > contextLength:
		return fmt.Errorf("engine: context length %d, the model was made for at most %d", o.ContextLength, contextLength)
	case o.ContextLength < 2:
		return fmt.Errorf("engine: context length %d, it must hold a prompt and an answer", o.ContextLength)
	case o.VocabularyLimit < 0 || o.VocabularyLimit > vocabulary:
		return fmt.Errorf("engine: vocabulary limit %d, the model has %d entries", o.VocabularyLimit, vocabulary)
	case o.QueueLimit < 0:
		return fmt.Errorf("engine: queue limit %d is negative", o.QueueLimit)
	case o.KVBytes < 0 || o.SwapBytes < 0:
		return fmt.Errorf("engine: %d bytes of memory for keys and values, %d of swap space, neither may be negative", o.KVBytes, o.SwapBytes)
	}
	return nil
}

// layout is what the step loop knows of a model.
type layout struct {
	vocabulary             int // ids that a prompt may hold, and logits of a token
	contextLength          int // that the model was made for
	window                 int // positions that a layer with a window sees; 0 if there is none
	pageTokens             int
	fullPages, windowPages int
	layers                 int
}

// layoutOf plans the memory for keys and values. o has its defaults.
func layoutOf(c model.Config, o *Options) (layout, error) {
	s := model.Serving{ContextLength: o.ContextLength, Sequences: o.MaxSequences, StepTokens: o.MaxBatchTokens, Shared: true}
	pages := c.Cache(s)
	if o.KVBytes > 0 {
		pages = c.CacheWithin(s, o.KVBytes)
	}
	// Numbers of pages are 32 bits wide; the scheduler has its own opinion about less.
	if pages.FullPages > math.MaxInt32 || pages.WindowPages > math.MaxInt32 {
		return layout{}, fmt.Errorf("engine: %d bytes of memory for keys and values are more than can be used", pages.Bytes)
	}
	l := layout{
		vocabulary: c.VocabSize, contextLength: c.MaxContext, pageTokens: model.PageTokens, layers: c.Layers,
		fullPages: int(pages.FullPages), windowPages: int(pages.WindowPages),
	}
	if _, bytes := c.PageBytes(); bytes > 0 {
		l.window = c.SlidingWindow
	}
	if pages.FullPages == 0 {
		return layout{}, fmt.Errorf("engine: %d bytes of memory for keys and values hold nothing beside the windows of %d requests", o.KVBytes, o.MaxSequences)
	}
	return l, nil
}

// schedule returns a scheduler for so many pages. The swap space has slots of the kinds of [cpu.Kind].
func (l *layout) schedule(o *Options, slots [2]int) (*sched.Scheduler, error) {
	c := sched.Config{
		PageTokens: l.pageTokens, FullPages: l.fullPages, WindowPages: l.windowPages, Window: l.window,
		SwapFullPages: slots[cpu.Full], SwapWindowPages: slots[cpu.Window],
		MaxSequences: o.MaxSequences, BatchSize: o.BatchSize, MaxBatchTokens: o.MaxBatchTokens,
		BatchTimeout: o.BatchTimeout, PrefixCache: o.PrefixCaching,
	}
	s, err := sched.New(c)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	if n := c.Capacity(); n < o.ContextLength {
		return nil, fmt.Errorf("engine: the memory for keys and values holds %d tokens, the context length is %d", n, o.ContextLength)
	}
	return s, nil
}
