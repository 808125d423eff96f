package openai

import "encoding/json"

// FinishReason is why a choice ended.
type FinishReason string

// The finish reasons that this server gives.
const (
	FinishStop      FinishReason = "stop"
	FinishLength    FinishReason = "length"
	FinishToolCalls FinishReason = "tool_calls"
	// FinishFunctionCall stands for FinishToolCalls where the client gave functions, not tools.
	FinishFunctionCall FinishReason = "function_call"
)

// ChatCompletion is the answer to a request that does not stream.
type ChatCompletion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"` // "chat.completion"
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []Choice `json:"choices"`
	Usage   Usage    `json:"usage"`
	Origin
}

// Origin says what made an answer.
type Origin struct {
	ServiceTier string `json:"service_tier,omitempty"` // "default" where the request named one
	// SystemFingerprint changes with the model and with the program that runs it.
	SystemFingerprint string `json:"system_fingerprint,omitempty"`
}

// Choice is one answer.
type Choice struct {
	Index        int             `json:"index"`
	Message      ResponseMessage `json:"message"`
	Logprobs     *Logprobs       `json:"logprobs"` // null unless asked for
	FinishReason FinishReason    `json:"finish_reason"`
}

// ImpossibleLogprob stands for a probability of 0, whose logarithm JSON cannot express.
const ImpossibleLogprob = -9999.0

// Logprobs are the tokens that made the visible content: neither those of the reasoning and of tool calls nor the control
// tokens between messages. Their bytes together are the content, where no stop sequence cut it: then the last token may
// reach beyond. The blank line that joins a preamble to the answer after it was made by no token and has no entry.
type Logprobs struct {
	Content []TokenLogprob `json:"content"`
	Refusal *struct{}      `json:"refusal"` // always null: what the model refuses, it refuses in the content
}

// TokenLogprob is a token of the content and what the model might have said in its place.
type TokenLogprob struct {
	TopLogprob
	TopLogprobs []TopLogprob `json:"top_logprobs"` // most likely first; empty, not null, where none were asked for
}

// TopLogprob is a token and the natural logarithm of its probability.
type TopLogprob struct {
	Token   string  `json:"token"` // bytes that are no whole character appear as U+FFFD
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"` // null for a control token, which stands for no text
}

// ResponseMessage is the assistant's message. The reasoning is in both fields that clients know, with the same text.
type ResponseMessage struct {
	Role             string     `json:"role"`
	Content          *string    `json:"content"` // null only beside tool calls
	Reasoning        string     `json:"reasoning,omitempty"`
	ReasoningContent string     `json:"reasoning_content,omitempty"`
	Refusal          *struct{}  `json:"refusal"` // as that of Logprobs
	ToolCalls        []ToolCall `json:"tool_calls,omitempty"`
	// FunctionCall stands in place of ToolCalls where the client gave functions, not tools.
	FunctionCall *FunctionCall `json:"function_call,omitempty"`
}

// ToolCall is a call that the model asks the client to make.
type ToolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"` // "function"
	Function FunctionCall `json:"function"`
}

// FunctionCall names a function; Arguments is the model's text, which is meant to be JSON but need not be.
type FunctionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// Usage counts tokens. Completion tokens include the hidden ones that frame messages, since they were generated too.
type Usage struct {
	PromptTokens            int               `json:"prompt_tokens"`
	CompletionTokens        int               `json:"completion_tokens"`
	TotalTokens             int               `json:"total_tokens"`
	PromptTokensDetails     PromptDetails     `json:"prompt_tokens_details"`
	CompletionTokensDetails CompletionDetails `json:"completion_tokens_details"`
}

// PromptDetails tells how many prompt tokens an earlier prompt with the same beginning had left in memory.
type PromptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// CompletionDetails splits completion tokens.
type CompletionDetails struct {
	ReasoningTokens int `json:"reasoning_tokens"`
}

// ChatChunk is one event of a stream.
type ChatChunk struct {
	ID      string        `json:"id"`
	Object  string        `json:"object"` // "chat.completion.chunk"
	Created int64         `json:"created"`
	Model   string        `json:"model"`
	Choices []ChunkChoice `json:"choices"` // empty, not null, in the usage chunk
	Usage   *ChunkUsage   `json:"usage,omitempty"`
	Origin
}

// ChunkChoice is what an event adds to a choice.
type ChunkChoice struct {
	Index        int           `json:"index"`
	Delta        Delta         `json:"delta"`
	Logprobs     *Logprobs     `json:"logprobs"` // null unless asked for, and in chunks that add no content
	FinishReason *FinishReason `json:"finish_reason"`
}

// Delta is the added part of a message; all of it is absent in the chunk that carries the finish reason.
type Delta struct {
	Role             string          `json:"role,omitempty"`
	Content          *string         `json:"content,omitempty"`
	Reasoning        string          `json:"reasoning,omitempty"`
	ReasoningContent string          `json:"reasoning_content,omitempty"`
	ToolCalls        []ToolCallDelta `json:"tool_calls,omitempty"`
	// FunctionCall stands in place of ToolCalls where the client gave functions, not tools.
	FunctionCall *FunctionCallDelta `json:"function_call,omitempty"`
}

// ToolCallDelta is the added part of a tool call: id, type and name come with its first delta only.
type ToolCallDelta struct {
	Index    int               `json:"index"`
	ID       string            `json:"id,omitempty"`
	Type     string            `json:"type,omitempty"`
	Function FunctionCallDelta `json:"function"`
}

// FunctionCallDelta is the added part of a FunctionCall.
type FunctionCallDelta struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// Legacy has a function called in the way of those who gave functions, not tools.
func (c Choice) Legacy() Choice {
	if calls := c.Message.ToolCalls; len(calls) > 0 {
		c.Message.FunctionCall, c.Message.ToolCalls = &calls[0].Function, nil
	}
	c.FinishReason = c.FinishReason.Legacy()
	return c
}

// Legacy is what Choice.Legacy is, for a part of an answer.
func (d Delta) Legacy() Delta {
	if len(d.ToolCalls) > 0 {
		d.FunctionCall, d.ToolCalls = &d.ToolCalls[0].Function, nil
	}
	return d
}

// Legacy is what Choice.Legacy is, for the end of an answer.
func (f FinishReason) Legacy() FinishReason {
	if f == FinishToolCalls {
		return FinishFunctionCall
	}
	return f
}

// ChunkUsage is null in every chunk but the last where the client asked for usage, and the field is absent where it did not.
type ChunkUsage struct{ Usage *Usage }

// MarshalJSON writes the usage or null.
func (u ChunkUsage) MarshalJSON() ([]byte, error) { return json.Marshal(u.Usage) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (u *ChunkUsage) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &u.Usage) }

// ModelList is the answer of GET /v1/models.
type ModelList struct {
	Object string  `json:"object"` // "list"
	Data   []Model `json:"data"`
}

// Model describes a served model, in OpenAI's fields and this product's own.
type Model struct {
	ID               string   `json:"id"`
	Object           string   `json:"object"` // "model"
	Created          int64    `json:"created"`
	OwnedBy          string   `json:"owned_by"`
	Permission       []string `json:"permission"` // always empty, never null
	Root             string   `json:"root"`
	Parent           *string  `json:"parent"`
	MaxInputTokens   int      `json:"max_input_tokens"`
	Architecture     string   `json:"architecture"`
	ActiveParameters int64    `json:"active_parameters"`
	TotalParameters  int64    `json:"total_parameters"`
}

// Health is the answer of GET /v1/health.
type Health struct {
	Status         string  `json:"status"`           // healthy, degraded or unavailable
	Reason         string  `json:"reason,omitempty"` // why it is not healthy
	Model          string  `json:"model"`
	Version        string  `json:"version"`
	Timestamp      string  `json:"timestamp"` // RFC 3339 in UTC
	MemoryUsageGB  float64 `json:"memory_usage_gb"`
	ActiveRequests int     `json:"active_requests"`
}
