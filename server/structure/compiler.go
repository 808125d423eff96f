package structure

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/gptoss/gptoss-operator/engine/grammar"
)

// Bounds of what is kept and done at once.
const (
	maxGrammars = 32
	maxBytes    = 128 << 20 // of all grammars, as they were when the last was added
	compiling   = 2         // at the same time
)

// Vocabulary is the model's tokens; *tokenizer.Tokenizer is one.
type Vocabulary interface {
	Size() int
	TokenBytes(id int32) []byte
	IsSpecial(id int32) bool
	Special(name string) (int32, bool)
}

// Compiler makes plans and keeps the grammars of the last ones. It is safe for concurrent use.
type Compiler struct {
	control    control
	vocabulary func() *grammar.Vocabulary
	slots      chan struct{}

	mu    sync.Mutex
	known map[[sha256.Size]byte]*list.Element
	order *list.List // of *kept, the last used first
}

// kept is a grammar in the making, or made.
type kept struct {
	key     [sha256.Size]byte
	done    chan struct{}
	grammar *grammar.Grammar
	err     error
}

// New returns a compiler for a vocabulary that has Harmony's control tokens. It reads the vocabulary in the background.
func New(v Vocabulary) (*Compiler, error) {
	c := &Compiler{slots: make(chan struct{}, compiling), known: map[[sha256.Size]byte]*list.Element{}, order: list.New()}
	k := &c.control
	for name, id := range map[string]*int32{
		"<|start|>": &k.start, "<|end|>": &k.end, "<|message|>": &k.message, "<|channel|>": &k.channel, "<|constrain|>": &k.constrain,
		"<|return|>": &k.ret, "<|call|>": &k.call,
	} {
		var ok bool
		if *id, ok = v.Special(name); !ok {
			return nil, fmt.Errorf("structure: the tokenizer has no special token %s", name)
		}
	}
	c.vocabulary = sync.OnceValue(func() *grammar.Vocabulary {
		return grammar.NewVocabulary(v.Size(), func(id int32) ([]byte, bool) { return v.TokenBytes(id), v.IsSpecial(id) })
	})
	go c.vocabulary()
	return c, nil
}

// Plan is what answers to one request are held to. A nil plan holds them to nothing.
type Plan struct {
	grammar *grammar.Grammar
	end     int32
	demands bool
}

// Plan returns nil where a request constrains nothing. An error is a [*ToolError], a [*FormatError], grammar.ErrTooLarge
// where each part is in bounds but not all together, or that of ctx.
func (c *Compiler) Plan(ctx context.Context, r Request) (*Plan, error) {
	if !r.constrains() {
		return nil, nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("structure: %w", err)
	}
	k := c.find(sha256.Sum256(raw), &r)
	select {
	case <-k.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if k.err != nil {
		return nil, k.err
	}
	return &Plan{grammar: k.grammar, end: c.control.end, demands: r.demanding()}, nil
}

func (k *kept) finished() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

func (k *kept) size() int {
	if k.grammar == nil {
		return 0
	}
	return k.grammar.Size()
}

// find returns a grammar that is known, or has it made.
func (c *Compiler) find(key [sha256.Size]byte, r *Request) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.known[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*kept)
	}
	k := &kept{key: key, done: make(chan struct{})}
	c.known[key] = c.order.PushFront(k)
	go c.make(k, r)
	return k
}

func (c *Compiler) make(k *kept, r *Request) {
	defer close(k.done)
	defer c.trim(k)
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	defer func() {
		if p := recover(); p != nil {
			k.err = fmt.Errorf("structure: panic while a grammar was made: %v", p)
		}
	}()
	p, err := c.control.compile(r)
	if err != nil {
		k.err = err
		return
	}
	g := grammar.New(p, c.vocabulary())
	k.grammar = g
}

// trim forgets the grammars that were not used for long, after one was made.
func (c *Compiler) trim(made *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total, n := 0, 0
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		k := e.Value.(*kept)
		if k == made || k.finished() {
			total += k.size()
		}
		if n++; n > maxGrammars || total > maxBytes && n > 1 {
			c.order.Remove(e)
			delete(c.known, k.key)
		}
		e = next
	}
}
