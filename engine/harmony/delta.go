package harmony

// Kind says which field of the answer a delta belongs to.
type Kind int

// The kinds of deltas.
const (
	KindReasoning Kind = iota + 1 // the analysis channel
	KindContent                   // the final channel, and preambles on commentary
	KindToolCall                  // a call of a function
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case KindReasoning:
		return "reasoning"
	case KindContent:
		return "content"
	case KindToolCall:
		return "tool call"
	}
	return "none"
}

// Delta is a piece of the answer.
type Delta struct {
	Kind Kind
	// Text is whole UTF-8 characters: of the reasoning, of the content, or of a
	// tool call's arguments.
	Text string
	// Index numbers the tool calls of the answer from 0.
	Index int
	// Name is the called function without the "functions." prefix: set on the
	// first delta of a call, which has no text, and empty afterwards.
	Name string
	// Message numbers the messages of the answer from 0, so that a reader may
	// separate two messages of one kind.
	Message int
}

// Usage counts the tokens given to a parser. Each counts exactly once.
type Usage struct {
	Reasoning int
	Content   int
	ToolCall  int
	// Framing counts control tokens, headers and messages that belong to no
	// field, such as those on an unknown channel.
	Framing int
}
