package openai

import (
	"encoding/json"
	"net/url"
	"slices"
)

// StreamTicket is the answer of POST /v1/stream-tickets.
type StreamTicket struct {
	Object    string `json:"object"` // "stream.ticket"
	Ticket    string `json:"ticket"`
	ExpiresAt int64  `json:"expires_at"` // Unix seconds
	ExpiresIn int    `json:"expires_in"` // seconds
}

// textParameters are those of a chat request that are texts: their values stand in a query without quotes.
var textParameters = []string{
	"model", "reasoning_level", "reasoning_effort", "tool_choice", "function_call", "user", "safety_identifier", "prompt_cache_key",
	"prompt_cache_retention", "service_tier", "verbosity", "cache_salt", "stop",
}

// ChatQuery makes the body of a chat request of a query, for clients that can only ask for an address. Each parameter of the
// body is one of the query, in JSON where it is not a text. In place of messages there may be prompt, what the user says,
// and system, the instructions. The error is an *Error with status 400.
func ChatQuery(query url.Values) ([]byte, error) {
	if query.Get("stream") != "true" {
		return nil, Invalid(CodeInvalidValue, "stream", "Invalid value for 'stream': with GET the answer can only be streamed, so it must be true. Use POST for another.")
	}
	fields := map[string]json.RawMessage{}
	for name, values := range query {
		if len(values) > 1 {
			return nil, Invalid(CodeInvalidValue, clipName(name), "Invalid value for '%s': it is given %d times.", clipName(name), len(values))
		}
		raw := json.RawMessage(values[0])
		if isText(name, raw) {
			raw = quote(values[0])
		} else if !json.Valid(raw) {
			return nil, Invalid(CodeInvalidJSON, clipName(name), "Invalid value for '%s': in a query it must be JSON.", clipName(name))
		}
		fields[name] = raw
	}
	if err := promptToMessages(fields); err != nil {
		return nil, err
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, Invalid(CodeInvalidJSON, "", "The query is malformed.")
	}
	return body, nil
}

// isText reports whether a value is to be taken literally. Some parameters may be either, a text or more.
func isText(name string, raw json.RawMessage) bool {
	if name == "prompt" || name == "system" {
		return true
	}
	structured := len(raw) > 0 && (raw[0] == '{' || raw[0] == '[' || raw[0] == '"') && json.Valid(raw)
	return slices.Contains(textParameters, name) && !structured
}

// promptToMessages replaces prompt and system.
func promptToMessages(fields map[string]json.RawMessage) error {
	prompt, asked := fields["prompt"]
	system, instructed := fields["system"]
	delete(fields, "prompt")
	delete(fields, "system")
	if _, both := fields["messages"]; both && (asked || instructed) {
		return Invalid(CodeInvalidValue, "messages", "Invalid value for 'messages': it is given beside prompt or system, which stand in its place.")
	}
	if !asked {
		return nil
	}
	type message struct {
		Role    Role            `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	var messages []message
	if instructed {
		messages = append(messages, message{RoleSystem, system})
	}
	raw, err := json.Marshal(append(messages, message{RoleUser, prompt}))
	if err != nil {
		return Invalid(CodeInvalidJSON, "prompt", "The query is malformed.")
	}
	fields["messages"] = raw
	return nil
}

func quote(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil { // no text fails to be one
		panic(err)
	}
	return raw
}

// clipName bounds what an answer repeats of a name that the client made up.
func clipName(name string) string { return name[:min(len(name), 64)] }
