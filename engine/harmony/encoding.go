package harmony

import (
	"fmt"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
)

// Encoding renders and parses with one tokenizer. It is immutable and safe for
// concurrent use.
type Encoding struct {
	t *tokenizer.Tokenizer

	start, end, message, channel, constrain, ret, call int32
	stop                                               []int32
}

// New returns the encoding for a tokenizer that has the control tokens.
func New(t *tokenizer.Tokenizer) (*Encoding, error) {
	e := &Encoding{t: t}
	for name, id := range map[string]*int32{
		"<|start|>":     &e.start,
		"<|end|>":       &e.end,
		"<|message|>":   &e.message,
		"<|channel|>":   &e.channel,
		"<|constrain|>": &e.constrain,
		"<|return|>":    &e.ret,
		"<|call|>":      &e.call,
	} {
		var ok bool
		if *id, ok = t.Special(name); !ok {
			return nil, fmt.Errorf("harmony: the tokenizer has no special token %s", name)
		}
	}
	e.stop = []int32{e.ret, e.call}
	if id, ok := t.Special("<|endoftext|>"); ok {
		e.stop = append(e.stop, id)
	}
	return e, nil
}

// StopTokens are the ids that end the assistant's turn: return, call and, where
// the tokenizer has it, endoftext. The end of a message is none of them.
func (e *Encoding) StopTokens() []int32 { return append([]int32(nil), e.stop...) }
