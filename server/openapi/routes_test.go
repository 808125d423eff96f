package openapi

import (
	"reflect"

	"github.com/gptoss/gptoss-operator/server/openai"
	"github.com/gptoss/gptoss-operator/server/responses"
	"github.com/gptoss/gptoss-operator/server/tgi"
)

// operation is a method of a path.
type operation struct {
	method, path, tag, about string
	request                  string       // schema of the body, "" for none
	answer                   reflect.Type // nil for a text
	events                   reflect.Type // of a stream, nil where there is none
	query                    []string
	open                     bool // needs no key
	tgi                      bool // fails in TGI's shape
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// event stands for the events of the Responses API, of which each has fields of its own.
type event struct {
	Type           string `json:"type"`
	SequenceNumber int    `json:"sequence_number"`
}

// operations are the API. TestRoutesAreDescribed in package server holds them against what is served.
var operations = []operation{
	{method: "post", path: "/v1/chat/completions", tag: "Chat", about: "Answer a conversation.", request: "ChatRequest", answer: typeOf[openai.ChatCompletion](), events: typeOf[openai.ChatChunk]()},
	{method: "get", path: "/v1/chat/completions", tag: "Chat", about: "Answer a conversation as a stream, for a browser's EventSource. The parameters of the body are those of the query.", events: typeOf[openai.ChatChunk](), query: []string{"stream", "model", "prompt", "system", "messages", "ticket"}},
	{method: "post", path: "/v1/chat/completions/render", tag: "Tokens", about: "Show the prompt that a chat request would become.", request: "ChatRequest", answer: typeOf[openai.Rendered]()},
	{method: "post", path: "/v1/stream-tickets", tag: "Chat", about: "Exchange the key for a ticket that a stream with GET may be opened with once.", answer: typeOf[openai.StreamTicket]()},
	{method: "post", path: "/v1/completions", tag: "Completions", about: "Continue a raw prompt.", request: "TextRequest", answer: typeOf[openai.TextCompletion](), events: typeOf[openai.TextCompletion]()},
	{method: "post", path: "/completions", tag: "Completions", about: "The same, where TGI has it.", request: "TextRequest", answer: typeOf[openai.TextCompletion](), events: typeOf[openai.TextCompletion]()},
	{method: "post", path: "/v1/responses", tag: "Responses", about: "Make a response.", request: "ResponseRequest", answer: typeOf[responses.Response](), events: typeOf[event]()},
	{method: "post", path: "/v1/responses/input_tokens", tag: "Responses", about: "Count the tokens of a response's prompt.", request: "ResponseRequest", answer: typeOf[responses.InputTokens]()},
	{method: "get", path: "/v1/responses/{id}", tag: "Responses", about: "Retrieve a stored response, or take its stream up again.", answer: typeOf[responses.Response](), events: typeOf[event](), query: []string{"stream", "starting_after", "include"}},
	{method: "delete", path: "/v1/responses/{id}", tag: "Responses", about: "Forget a stored response.", answer: typeOf[responses.Deleted]()},
	{method: "post", path: "/v1/responses/{id}/cancel", tag: "Responses", about: "End a background response.", answer: typeOf[responses.Response]()},
	{method: "get", path: "/v1/responses/{id}/input_items", tag: "Responses", about: "List what a response was made from.", answer: typeOf[responses.ItemList](), query: []string{"limit", "order", "after", "include"}},
	{method: "get", path: "/v1/models", tag: "Models", about: "List the served model.", answer: typeOf[openai.ModelList]()},
	{method: "get", path: "/v1/models/{id}", tag: "Models", about: "Describe a model.", answer: typeOf[openai.Model]()},
	{method: "post", path: "/tokenize", tag: "Tokens", about: "Turn a text or a conversation into token ids.", request: "TokenizeRequest", answer: typeOf[openai.Tokenized]()},
	{method: "post", path: "/detokenize", tag: "Tokens", about: "Turn token ids into text.", request: "DetokenizeRequest", answer: typeOf[openai.Detokenized]()},
	{method: "post", path: "/generate", tag: "TGI", about: "Generate text as TGI does.", request: "GenerateRequest", answer: typeOf[tgi.Response](), tgi: true},
	{method: "post", path: "/generate_stream", tag: "TGI", about: "Generate text as TGI does, as a stream.", request: "GenerateRequest", events: typeOf[tgi.Event](), tgi: true},
	{method: "get", path: "/info", tag: "TGI", about: "Describe the server as TGI does.", answer: typeOf[tgi.Info](), tgi: true},
	{method: "get", path: "/v1/health", tag: "Operation", about: "Tell how the server is: 503 while it is unavailable.", answer: typeOf[openai.Health](), open: true},
	{method: "get", path: "/health", tag: "Operation", about: "The same as /v1/health.", answer: typeOf[openai.Health](), open: true},
	{method: "get", path: "/livez", tag: "Operation", about: "Tell whether the process works: 503 while a step of the engine hangs.", answer: typeOf[openai.Health](), open: true},
	{method: "get", path: "/readyz", tag: "Operation", about: "Tell whether requests are taken: 503 while they are not.", answer: typeOf[openai.Health](), open: true},
	{method: "get", path: "/metrics", tag: "Operation", about: "The same as /v1/metrics.", open: true},
	{method: "get", path: "/v1/metrics", tag: "Operation", about: "Show the metrics in Prometheus' text format.", open: true},
	{method: "get", path: "/openapi.json", tag: "Operation", about: "Describe the API.", answer: typeOf[struct{}](), open: true},
}

// queryParameters are those of requests without a body.
var queryParameters = map[string]parameter{
	"stream":         {about: "Whether events are sent.", schema: object{"type": "boolean"}},
	"model":          {about: "The id of the served model.", schema: object{"type": "string"}},
	"prompt":         {about: "What the user says, in place of messages.", schema: object{"type": "string"}},
	"system":         {about: "The instructions, beside prompt.", schema: object{"type": "string"}},
	"messages":       {about: "The conversation as JSON.", schema: object{"type": "string"}},
	"ticket":         {about: "What POST /v1/stream-tickets gave, in place of a header with a key.", schema: object{"type": "string"}},
	"starting_after": {about: "The number of the last event that the client has.", schema: object{"type": "integer", "minimum": 0}},
	"include":        {about: "As in the request that makes a response.", schema: object{"type": "array", "items": object{"type": "string"}}},
	"limit":          {about: "How many items a page has.", schema: object{"type": "integer", "minimum": 1, "maximum": 100, "default": 20}},
	"order":          {about: "Oldest or newest first.", schema: object{"enum": []any{"asc", "desc"}, "default": "desc"}},
	"after":          {about: "The id of the item before the page.", schema: object{"type": "string"}},
}
