package harmony

import (
	"slices"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/tokenizer"
)

// Parser turns generated ids into deltas. It begins right after the start and
// "assistant" that end a prompt.
//
// Analysis becomes reasoning; final, and commentary without a recipient, become
// content; what is addressed to a function becomes a tool call. Dropped are
// messages on unknown channels, calls of built-in tools, what the model writes in
// the name of others, and everything after return, call or endoftext. Malformed
// output is taken for what it most likely means:
//   - a start or channel token inside a message ends that message, any other
//     control token there is passed over;
//   - a header without a message token ends where its words stop looking like a
//     header, and the rest is the message;
//   - a start or end token between a header and its message token is passed over;
//   - a message without a channel is content.
type Parser struct {
	e     *Encoding
	known []string

	state    state
	started  bool      // the header follows a start token
	segments []segment // of the header so far
	size     int       // bytes in segments
	buffered int       // tokens in segments
	broken   int32     // start or end that follows the header, until the next token says what it means
	kind     Kind      // of the message; 0 drops it
	decoder  *tokenizer.Decoder
	message  int // number of the message
	calls    int
	opened   int // messages begun
	usage    Usage
	out      []Delta
}

type state uint8

const (
	inHeader state = iota
	inContent
	afterTurn
)

// NewParser returns a parser for one answer. Naming the functions on offer lets
// it recognise a call that lacks the "functions." prefix.
func (e *Encoding) NewParser(functions ...string) *Parser {
	return &Parser{e: e, known: functions, decoder: e.t.NewDecoder()}
}

// Usage counts the tokens pushed so far. Those of an unfinished header count as
// framing until it turns out to hold content.
func (p *Parser) Usage() Usage { return p.usage }

// Push takes one generated id. The deltas are valid until the next call.
func (p *Parser) Push(id int32) []Delta {
	p.out = p.out[:0]
	p.resolve(id)
	switch {
	case p.state == afterTurn:
		p.usage.Framing++
	case p.e.t.IsSpecial(id):
		p.usage.Framing++
		p.control(id)
	case p.state == inHeader:
		p.usage.Framing++
		p.headerText(p.e.t.TokenBytes(id))
	default:
		*p.counter()++
		p.emit(p.decoder.Push(id))
	}
	return p.out
}

// Close ends the answer where it is and returns what was held back.
func (p *Parser) Close() []Delta {
	p.out = p.out[:0]
	p.resolve(-1)
	p.endMessage(false)
	p.state = afterTurn
	return p.out
}

func (p *Parser) control(id int32) {
	switch id {
	case p.e.message:
		if p.state == inHeader {
			h, _ := readHeader(p.segments, p.started, true, p.known)
			p.open(h)
		}
	case p.e.end, p.e.start:
		switch {
		case p.state != inHeader || !p.onlyHeader():
			p.boundary(id)
		case id == p.e.start || !p.expectsWord():
			p.broken = id
		}
	case p.e.channel:
		if p.state == inContent {
			p.endMessage(true)
		}
		p.segmentAfter(afterChannel)
	case p.e.constrain:
		if p.state == inHeader {
			p.segmentAfter(afterConstrain)
		}
	default:
		if slices.Contains(p.e.stop, id) {
			p.endMessage(true)
			p.state = afterTurn
		}
	}
}

// boundary ends a message or header with an end or start token.
func (p *Parser) boundary(id int32) {
	p.endMessage(true)
	p.started = id == p.e.start
}

// onlyHeader reports whether there is a header so far and no content behind it.
func (p *Parser) onlyHeader() bool {
	_, rest := readHeader(p.segments, p.started, false, p.known)
	return len(p.segments) > 0 && rest == ""
}

// expectsWord reports whether the header stops behind a channel or constrain token,
// where no end can be meant.
func (p *Parser) expectsWord() bool {
	last := p.segments[len(p.segments)-1]
	return last.after != afterStart && len(last.text) == 0
}

// resolve is told the token after one that broke a header off: if the header's
// message token follows after all, nothing was broken off.
func (p *Parser) resolve(next int32) {
	if id := p.broken; id != 0 {
		p.broken = 0
		if next != p.e.message {
			p.boundary(id)
		}
	}
}

// segmentAfter begins another part of the header.
func (p *Parser) segmentAfter(after mark) {
	p.segments = append(p.segments, segment{after: after})
	if p.size++; p.size > maxHeader {
		p.salvage()
	}
}

// headerText holds text back until the header is over.
func (p *Parser) headerText(b []byte) {
	if len(p.segments) == 0 {
		p.segments = append(p.segments, segment{})
	}
	last := &p.segments[len(p.segments)-1]
	last.text = append(last.text, b...)
	p.size += len(b)
	p.buffered++
	if p.size > maxHeader {
		p.salvage()
	}
}

// salvage opens a message whose header has no message token.
func (p *Parser) salvage() {
	h, rest := readHeader(p.segments, p.started, false, p.known)
	tokens := p.buffered
	p.open(h)
	if rest == "" || p.kind == 0 {
		return
	}
	p.usage.Framing -= tokens
	*p.counter() += tokens
	p.emit(p.decoder.Write([]byte(rest)))
}

// open begins a message. A call is announced at once, before its arguments.
func (p *Parser) open(h header) {
	p.clearHeader()
	p.state = inContent
	p.message = p.opened
	p.opened++
	var name string
	p.kind, name = p.route(h)
	if p.kind == KindToolCall {
		p.calls++
		p.out = append(p.out, Delta{Kind: p.kind, Index: p.calls - 1, Name: name, Message: p.message})
	}
}

// endMessage ends the message or header. whole says that a token ended it rather
// than the end of the output.
func (p *Parser) endMessage(whole bool) {
	if p.state == inHeader && len(p.segments) > 0 && p.isMessage(whole) {
		p.salvage()
	}
	if p.state == inContent {
		p.emit(p.decoder.Flush())
	}
	p.clearHeader()
	p.state, p.kind = inHeader, 0
}

// isMessage reports whether a header without a message token holds a message.
// What was cut off may be half a header: neither a word nor a name is taken from
// it that could have gone on.
func (p *Parser) isMessage(whole bool) bool {
	h, rest := readHeader(p.segments, p.started, false, p.known)
	kind, _ := p.route(h)
	if kind == KindToolCall {
		return whole || strings.HasPrefix(rest, "{")
	}
	return rest != "" && (whole || !unfinished(rest))
}

func (p *Parser) clearHeader() {
	p.segments, p.size, p.buffered, p.started = p.segments[:0], 0, 0, false
}

// route decides which field a message belongs to.
func (p *Parser) route(h header) (Kind, string) {
	if h.role != RoleAssistant {
		return 0, ""
	}
	if name, called := p.function(h.recipient); called {
		if name == "" {
			return 0, ""
		}
		return KindToolCall, name
	}
	switch h.channel {
	case ChannelAnalysis:
		return KindReasoning, ""
	case ChannelFinal, ChannelCommentary, "":
		return KindContent, ""
	}
	return 0, ""
}

// function returns the name of the function that a recipient stands for, empty if
// the message is for nobody here, and whether it is a call at all.
func (p *Parser) function(recipient string) (name string, called bool) {
	switch Role(recipient) {
	case "", "all", RoleUser, RoleAssistant, RoleSystem, RoleDeveloper:
		return "", false
	}
	if name, ok := strings.CutPrefix(recipient, functionsNamespace+"."); ok {
		return name, true
	}
	if slices.Contains(p.known, recipient) {
		return recipient, true
	}
	if isBuiltin(recipient) || recipient == functionsNamespace {
		return "", true
	}
	return recipient, true
}

// emit adds text to the message's field.
func (p *Parser) emit(text string) {
	if text == "" || p.kind == 0 {
		return
	}
	d := Delta{Kind: p.kind, Text: text, Message: p.message}
	if p.kind == KindToolCall {
		d.Index = p.calls - 1
	}
	p.out = append(p.out, d)
}

// counter is the part of the usage that the message's tokens belong to.
func (p *Parser) counter() *int {
	switch p.kind {
	case KindReasoning:
		return &p.usage.Reasoning
	case KindContent:
		return &p.usage.Content
	case KindToolCall:
		return &p.usage.ToolCall
	}
	return &p.usage.Framing
}
