package responses

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// The types of items that are served.
const (
	typeMessage   = "message"
	typeReasoning = "reasoning"
	typeCall      = "function_call"
	typeResult    = "function_call_output"
	typeReference = "item_reference"
)

// Status is how far a response or an item is.
type Status string

// The statuses of responses; items have the first three of them only.
const (
	StatusInProgress Status = "in_progress"
	StatusCompleted  Status = "completed"
	StatusIncomplete Status = "incomplete"
	StatusQueued     Status = "queued"
	StatusFailed     Status = "failed"
	StatusCancelled  Status = "cancelled"
)

// Item is an element of a conversation. Which fields have a meaning depends on Type; MarshalJSON writes those and no other.
type Item struct {
	Type   string
	ID     string
	Status Status

	Role    string // of a message
	Content []Part // of a message or of reasoning
	Summary []Part // of reasoning that another server summed up
	// Encrypted is the reasoning in the form that clients replay who keep no plain text; empty unless asked for.
	Encrypted string

	CallID    string // of a call and its result
	Name      string // of the called function
	Arguments string // of the call
	Output    string // of the result
}

// Part is a piece of a message's or a reasoning's content.
type Part struct {
	Type     string
	Text     string
	Logprobs []Logprob
}

// The types of parts.
const (
	partInput     = "input_text"
	partOutput    = "output_text"
	partRefusal   = "refusal"
	partReasoning = "reasoning_text"
	partSummary   = "summary_text"
)

// Logprob is a token of the output text and what the model might have said in its place.
type Logprob struct {
	Token       string       `json:"token"`
	Bytes       []int        `json:"bytes"`
	Logprob     float64      `json:"logprob"`
	TopLogprobs []TopLogprob `json:"top_logprobs"`
}

// TopLogprob is a token and the natural logarithm of its probability.
type TopLogprob struct {
	Token   string  `json:"token"`
	Bytes   []int   `json:"bytes"`
	Logprob float64 `json:"logprob"`
}

// MarshalJSON writes the fields that a part of this type has.
func (p Part) MarshalJSON() ([]byte, error) {
	switch p.Type {
	case partOutput:
		return json.Marshal(struct {
			Type        string     `json:"type"`
			Annotations []struct{} `json:"annotations"`
			Logprobs    []Logprob  `json:"logprobs"`
			Text        string     `json:"text"`
		}{p.Type, []struct{}{}, notNull(p.Logprobs), p.Text})
	case partRefusal:
		return json.Marshal(struct {
			Type    string `json:"type"`
			Refusal string `json:"refusal"`
		}{p.Type, p.Text})
	}
	return json.Marshal(struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}{p.Type, p.Text})
}

// MarshalJSON writes the fields that an item of this type has.
func (i Item) MarshalJSON() ([]byte, error) {
	switch i.Type {
	case typeReasoning:
		return json.Marshal(struct {
			ID        string `json:"id"`
			Type      string `json:"type"`
			Status    Status `json:"status"`
			Summary   []Part `json:"summary"`
			Content   []Part `json:"content"`
			Encrypted string `json:"encrypted_content,omitempty"`
		}{i.ID, i.Type, i.Status, notNull(i.Summary), notNull(i.Content), i.Encrypted})
	case typeCall:
		return json.Marshal(struct {
			ID        string `json:"id"`
			Type      string `json:"type"`
			Status    Status `json:"status"`
			CallID    string `json:"call_id"`
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		}{i.ID, i.Type, i.Status, i.CallID, i.Name, i.Arguments})
	case typeResult:
		return json.Marshal(struct {
			ID     string `json:"id"`
			Type   string `json:"type"`
			Status Status `json:"status"`
			CallID string `json:"call_id"`
			Output string `json:"output"`
		}{i.ID, i.Type, i.Status, i.CallID, i.Output})
	}
	return json.Marshal(struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Status  Status `json:"status"`
		Role    string `json:"role"`
		Content []Part `json:"content"`
	}{i.ID, i.Type, i.Status, i.Role, notNull(i.Content)})
}

// text joins the parts of an item's content, or of its summary where it has no content.
func (i Item) text() string {
	parts := i.Content
	if len(parts) == 0 {
		parts = i.Summary
	}
	var text strings.Builder
	for n, p := range parts {
		if n > 0 && i.Type == typeReasoning {
			text.WriteString("\n\n")
		}
		text.WriteString(p.Text)
	}
	return text.String()
}

// Memory that an item, a part and a token take beside their texts, for the bounds of the store: structures, slices and
// what the allocator rounds up. An item is in two places: its conversation and the index of references.
const (
	itemOverhead  = 640
	tokenOverhead = 96
)

// size is about how many bytes of memory an item takes.
func (i Item) size() int64 {
	n := itemOverhead + len(i.ID) + len(i.Role) + len(i.Encrypted) + len(i.CallID) + len(i.Name) + len(i.Arguments) + len(i.Output)
	for _, parts := range [][]Part{i.Content, i.Summary} {
		for _, p := range parts {
			n += tokenOverhead + len(p.Text)
			for _, l := range p.Logprobs {
				n += (tokenOverhead + 8*len(l.Bytes)) * (1 + len(l.TopLogprobs))
			}
		}
	}
	return int64(n)
}

// notNull has an empty list written as [].
func notNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// readInput reads the text or the items that a request adds to the conversation.
func (q *request) readInput() {
	o := q.object
	raw, ok := o.Raw("input")
	if !ok {
		if q.response.PreviousResponseID == nil {
			o.Missing("input")
		}
		return
	}
	if raw[0] == '"' {
		text := o.ItemText(raw, "input")
		q.addInput("input", Item{Type: typeMessage, Status: StatusCompleted, Role: "user", Content: []Part{{Type: partInput, Text: text}}})
		return
	}
	list := o.List("input", "a string or an array of items")
	if len(list) == 0 && q.response.PreviousResponseID == nil {
		o.Fail(openai.CodeInvalidValue, "input", "Invalid value for 'input': must have at least one item.")
	}
	if len(list) > maxItems {
		o.Fail(openai.CodeInvalidValue, "input", "Invalid value for 'input': at most %d items are allowed, not %d.", maxItems, len(list))
		return
	}
	for i, raw := range list {
		path := index("input", i)
		q.addInput(path, readItem(o.Item(raw, path)))
		if o.Err() != nil {
			return
		}
	}
}

func (q *request) addInput(path string, i Item) {
	q.input, q.paths = append(q.input, i), append(q.paths, path)
}

// readItem reads an item. One without a type is a message, or a reference where it has nothing but an id.
func readItem(o openai.Object) Item {
	kind := o.Text("type")
	if kind == "" {
		kind = typeMessage
		if _, isMessage := o.Raw("role"); !isMessage && o.Text("id") != "" {
			kind = typeReference
		}
	}
	i := Item{Type: kind, ID: o.Text("id"), Status: StatusCompleted}
	if o.Text("status") == string(StatusIncomplete) {
		i.Status = StatusIncomplete
	}
	switch kind {
	case typeMessage:
		readMessage(o, &i)
	case typeReasoning:
		readReplayedReasoning(o, &i)
	case typeCall:
		i.CallID, i.Name, i.Arguments = o.RequireText("call_id"), o.RequireText("name"), o.Text("arguments")
	case typeResult:
		i.CallID = o.RequireText("call_id")
		i.Output = readOutput(o)
	case typeReference:
		o.RequireText("id")
	default:
		o.Fail(openai.CodeUnsupported, o.At("type"),
			"Unsupported item '%s' of type %q: must be message, reasoning, function_call, function_call_output or item_reference.", o.At("type"), clip(kind))
	}
	return i
}

func readMessage(o openai.Object, i *Item) {
	i.Role = o.RequireText("role")
	oneOf(o, "role", i.Role, "user", "assistant", "system", "developer")
	kind := partInput
	if i.Role == "assistant" {
		kind = partOutput
	}
	i.Content = readParts(o, "content", kind)
}

// readParts reads a text, which becomes a part of the given kind, or a list of parts.
func readParts(o openai.Object, name, kind string) []Part {
	raw, ok := o.Raw(name)
	if !ok {
		o.Missing(name)
		return nil
	}
	if raw[0] == '"' {
		return []Part{{Type: kind, Text: o.Text(name)}}
	}
	var parts []Part
	for n, raw := range o.List(name, "a string or an array of parts") {
		part := o.Item(raw, index(o.At(name), n))
		parts = append(parts, readPart(part, kind))
	}
	return parts
}

// readPart takes text by any of its names, since clients replay parts of one API in the other.
func readPart(o openai.Object, kind string) Part {
	switch t := o.RequireText("type"); t {
	case partInput, partOutput, "text":
		requireField(o, "text")
		return Part{Type: kind, Text: o.Text("text")}
	case partRefusal:
		requireField(o, "refusal")
		return Part{Type: partRefusal, Text: o.Text("refusal")}
	default:
		o.Fail(openai.CodeUnsupported, o.At("type"), "Unsupported content part '%s' of type %q: the model reads text only.", o.At("type"), clip(t))
		return Part{}
	}
}

// requireField asks for a text that may be empty.
func requireField(o openai.Object, name string) {
	if _, ok := o.Raw(name); !ok {
		o.Missing(name)
	}
}

func readOutput(o openai.Object) string {
	var text strings.Builder
	for _, p := range readParts(o, "output", partInput) {
		text.WriteString(p.Text)
	}
	return text.String()
}

// readReplayedReasoning takes the reasoning from what the client kept of it: its text, what seal made of it, or a summary.
func readReplayedReasoning(o openai.Object, i *Item) {
	i.Content = readTexts(o, "content", partReasoning)
	i.Summary = readTexts(o, "summary", partSummary)
	sealed := o.Text("encrypted_content")
	if sealed == "" || len(i.Content) > 0 {
		return
	}
	text, ok := unseal(sealed)
	switch {
	case ok:
		i.Content = []Part{{Type: partReasoning, Text: text}}
	case len(i.Summary) == 0:
		o.Fail(openai.CodeInvalidValue, o.At("encrypted_content"),
			"Invalid value for '%s': it was not made by this server, which cannot read it; send the item's content or leave the item out.", o.At("encrypted_content"))
	}
}

func readTexts(o openai.Object, name, kind string) []Part {
	var parts []Part
	for n, raw := range o.List(name, "an array of parts") {
		part := o.Item(raw, index(o.At(name), n))
		oneOf(part, "type", part.RequireText("type"), kind, "text")
		requireField(part, "text")
		parts = append(parts, Part{Type: kind, Text: part.Text("text")})
	}
	return parts
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// encode writes what cannot fail to be written.
func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// clip shortens a client's word for a message.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
