package responses

import (
	"crypto/rand"
	"strings"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// Piece is what the model adds to a response.
type Piece struct {
	openai.Delta
	// Message numbers the model's messages, so that two in a row are two items. Their texts are not joined by anything.
	Message int
	// Tokens made the content, where they were asked for.
	Tokens []openai.TokenLogprob
}

// assembler makes output items and events of pieces. What it gives to publish together with its items is all that a client
// learns about the output.
type assembler struct {
	newID     func(prefix string) string
	publish   func(kind string, event func(head) any)
	encrypted bool // reasoning has its replayable form in it
	obfuscate bool // deltas are padded, so that their length tells less about the text

	output []Item // finished items
	open   *openItem
}

// openItem is the item that grows.
type openItem struct {
	Item
	message int // of the model, or the call's index
	text    strings.Builder
	tokens  []Logprob
}

// add takes a piece.
func (a *assembler) add(p Piece) {
	if p.Reasoning != "" {
		a.grow(typeReasoning, p.Message, p.Reasoning, nil)
	}
	if p.Content != nil && *p.Content != "" {
		a.grow(typeMessage, p.Message, *p.Content, p.Tokens)
	}
	for _, call := range p.ToolCalls {
		if call.ID != "" {
			a.begin(Item{Type: typeCall, CallID: call.ID, Name: call.Function.Name}, call.Index)
		}
		if a.open != nil && a.open.Type == typeCall {
			a.write(call.Function.Arguments, nil)
		}
	}
}

// grow adds text to the open item, or to a new one where the open one is of another kind or message.
func (a *assembler) grow(kind string, message int, text string, tokens []openai.TokenLogprob) {
	if a.open == nil || a.open.Type != kind || a.open.message != message {
		a.begin(Item{Type: kind}, message)
	}
	a.write(text, logprobsOf(tokens))
}

// begin closes the open item and opens another.
func (a *assembler) begin(i Item, message int) {
	a.close(StatusCompleted)
	i.Status = StatusInProgress
	switch i.Type {
	case typeReasoning:
		i.ID = a.newID("rs_")
	case typeCall:
		i.ID = a.newID("fc_")
	default:
		i.ID, i.Role = a.newID("msg_"), string(openai.RoleAssistant)
	}
	a.open = &openItem{Item: i, message: message}
	a.publish("response.output_item.added", func(h head) any { return itemEvent{h, len(a.output), i} })
	if i.Type != typeCall {
		a.publish("response.content_part.added", func(h head) any { return partEvent{h, a.place(), Part{Type: partOf(i.Type)}} })
	}
}

func partOf(itemType string) string {
	if itemType == typeReasoning {
		return partReasoning
	}
	return partOutput
}

func (a *assembler) place() place { return place{ItemID: a.open.ID, OutputIndex: len(a.output)} }

func (a *assembler) write(text string, tokens []Logprob) {
	if text == "" {
		return
	}
	o := a.open
	o.text.WriteString(text)
	o.tokens = append(o.tokens, tokens...)
	padding := a.padding(len(text))
	switch o.Type {
	case typeReasoning:
		a.publish("response.reasoning_text.delta", func(h head) any { return reasoningDelta{h, a.place(), text, padding} })
	case typeCall:
		a.publish("response.function_call_arguments.delta", func(h head) any { return argumentsDelta{h, o.ID, len(a.output), text, padding} })
	default:
		a.publish("response.output_text.delta", func(h head) any { return textDelta{h, a.place(), text, notNull(tokens), padding} })
	}
}

// close finishes the open item, if there is one.
func (a *assembler) close(s Status) {
	o := a.open
	if o == nil {
		return
	}
	o.Status = s
	text := o.text.String()
	if o.Type == typeCall {
		o.Arguments = text
		a.publish("response.function_call_arguments.done", func(h head) any { return argumentsDone{h, o.ID, len(a.output), o.Name, text} })
	} else {
		part := Part{Type: partOf(o.Type), Text: text, Logprobs: o.tokens}
		o.Content = []Part{part}
		if o.Type == typeReasoning {
			a.publish("response.reasoning_text.done", func(h head) any { return reasoningDone{h, a.place(), text} })
			if a.encrypted {
				o.Encrypted = seal(text)
			}
		} else {
			a.publish("response.output_text.done", func(h head) any { return textDone{h, a.place(), text, notNull(o.tokens)} })
		}
		a.publish("response.content_part.done", func(h head) any { return partEvent{h, a.place(), part} })
	}
	a.publish("response.output_item.done", func(h head) any { return itemEvent{h, len(a.output), o.Item} })
	a.output = append(a.output, o.Item)
	a.open = nil
}

func logprobsOf(tokens []openai.TokenLogprob) []Logprob {
	var out []Logprob
	for _, t := range tokens {
		l := Logprob{Token: t.Token, Bytes: t.Bytes, Logprob: t.Logprob, TopLogprobs: []TopLogprob{}}
		for _, other := range t.TopLogprobs {
			l.TopLogprobs = append(l.TopLogprobs, TopLogprob{Token: other.Token, Bytes: other.Bytes, Logprob: other.Logprob})
		}
		out = append(out, l)
	}
	return out
}

// paddedTo is what the lengths of padded deltas are multiples of: longer than most tokens.
const paddedTo = 16

// padding is as many random letters as a delta lacks.
func (a *assembler) padding(n int) string {
	if !a.obfuscate {
		return ""
	}
	return rand.Text()[:paddedTo-n%paddedTo]
}
