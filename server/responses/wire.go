package responses

import (
	"encoding/json"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// Response is the response object. Fields of OpenAI's that are not here belong to what is not served.
type Response struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"` // "response"
	CreatedAt          int64             `json:"created_at"`
	Status             Status            `json:"status"`
	Background         bool              `json:"background"`
	CompletedAt        *int64            `json:"completed_at"` // null unless completed
	Error              *Failure          `json:"error"`
	IncompleteDetails  *Incomplete       `json:"incomplete_details"`
	Instructions       *string           `json:"instructions"`
	MaxOutputTokens    *int64            `json:"max_output_tokens"`
	MaxToolCalls       *int64            `json:"max_tool_calls"`
	Metadata           map[string]string `json:"metadata"`
	Model              string            `json:"model"`
	Output             []Item            `json:"output"`
	ParallelToolCalls  bool              `json:"parallel_tool_calls"`
	PreviousResponseID *string           `json:"previous_response_id"`
	PromptCacheKey     *string           `json:"prompt_cache_key"`
	Reasoning          Reasoning         `json:"reasoning"`
	SafetyIdentifier   *string           `json:"safety_identifier"`
	ServiceTier        string            `json:"service_tier"` // always "default"
	Store              bool              `json:"store"`
	Temperature        float64           `json:"temperature"`
	Text               TextConfig        `json:"text"`
	ToolChoice         json.RawMessage   `json:"tool_choice"`
	Tools              []Tool            `json:"tools"`
	TopLogprobs        int64             `json:"top_logprobs"`
	TopP               float64           `json:"top_p"`
	Truncation         string            `json:"truncation"`
	Usage              *Usage            `json:"usage"` // null until the end
	User               *string           `json:"user"`
}

// Failure is why a response failed after it was accepted.
type Failure struct {
	Code    string `json:"code"` // server_error, rate_limit_exceeded or invalid_prompt
	Message string `json:"message"`
}

// Incomplete is why a response is incomplete.
type Incomplete struct {
	Reason string `json:"reason"` // max_output_tokens
}

// Reasoning is how the model reasoned.
type Reasoning struct {
	Effort  *string `json:"effort"`
	Summary *string `json:"summary"` // always null: the reasoning itself is in the output
}

// TextConfig is the asked form of the text.
type TextConfig struct {
	Format    json.RawMessage `json:"format"`
	Verbosity string          `json:"verbosity"`
}

// Tool is a function as the client declared it.
type Tool struct {
	Type        string          `json:"type"` // "function"
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      bool            `json:"strict"`
}

// Usage counts tokens.
type Usage struct {
	InputTokens         int           `json:"input_tokens"`
	InputTokensDetails  InputDetails  `json:"input_tokens_details"`
	OutputTokens        int           `json:"output_tokens"`
	OutputTokensDetails OutputDetails `json:"output_tokens_details"`
	TotalTokens         int           `json:"total_tokens"`
}

// InputDetails tells how many input tokens were in memory already.
type InputDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// OutputDetails splits output tokens.
type OutputDetails struct {
	ReasoningTokens int `json:"reasoning_tokens"`
}

func usageOf(u openai.Usage) *Usage {
	return &Usage{
		InputTokens: u.PromptTokens, InputTokensDetails: InputDetails{u.PromptTokensDetails.CachedTokens},
		OutputTokens: u.CompletionTokens, OutputTokensDetails: OutputDetails{u.CompletionTokensDetails.ReasoningTokens},
		TotalTokens: u.TotalTokens,
	}
}

// Deleted is the answer to a deletion.
type Deleted struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "response"
	Deleted bool   `json:"deleted"`
}

// ItemList is a page of items. The ids are null where the page is empty.
type ItemList struct {
	Object  string  `json:"object"` // "list"
	Data    []Item  `json:"data"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore bool    `json:"has_more"`
}

// InputTokens is how long a prompt would be.
type InputTokens struct {
	Object      string `json:"object"` // "response.input_tokens"
	InputTokens int    `json:"input_tokens"`
}

// head begins every event of a stream.
type head struct {
	Type           string `json:"type"`
	SequenceNumber int    `json:"sequence_number"`
}

// place says which part of the output an event is about.
type place struct {
	ItemID       string `json:"item_id"`
	OutputIndex  int    `json:"output_index"`
	ContentIndex int    `json:"content_index"`
}

type responseEvent struct {
	head
	Response Response `json:"response"`
}

type itemEvent struct {
	head
	OutputIndex int  `json:"output_index"`
	Item        Item `json:"item"`
}

type partEvent struct {
	head
	place
	Part Part `json:"part"`
}

type textDelta struct {
	head
	place
	Delta       string    `json:"delta"`
	Logprobs    []Logprob `json:"logprobs"`
	Obfuscation string    `json:"obfuscation,omitempty"`
}

type textDone struct {
	head
	place
	Text     string    `json:"text"`
	Logprobs []Logprob `json:"logprobs"`
}

type reasoningDelta struct {
	head
	place
	Delta       string `json:"delta"`
	Obfuscation string `json:"obfuscation,omitempty"`
}

type reasoningDone struct {
	head
	place
	Text string `json:"text"`
}

type argumentsDelta struct {
	head
	ItemID      string `json:"item_id"`
	OutputIndex int    `json:"output_index"`
	Delta       string `json:"delta"`
	Obfuscation string `json:"obfuscation,omitempty"`
}

type argumentsDone struct {
	head
	ItemID      string `json:"item_id"`
	OutputIndex int    `json:"output_index"`
	Name        string `json:"name"`
	Arguments   string `json:"arguments"`
}

// errorEvent ends a stream whose response goes on or cannot be told about.
type errorEvent struct {
	head
	Code    *string `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
}
