package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// body makes a valid request and adds fields to it.
func body(extra string) string {
	return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + extra + `}`
}

func messages(list string) string { return `{"model":"m","messages":` + list + `}` }

func base(change func(*ChatRequest)) ChatRequest {
	r := ChatRequest{
		Model: "m", Messages: []Message{{Role: RoleUser, Content: "hi"}}, ToolChoice: ToolChoiceAuto, IncludeReasoning: true,
	}
	if change != nil {
		change(&r)
	}
	return r
}

func TestDecodeChatRequest(t *testing.T) {
	cases := map[string]struct {
		body string
		want ChatRequest
	}{
		"the least": {body(""), base(nil)},
		"null is absent": {
			body(`,"temperature":null,"stop":null,"tools":null,"stream":null,"stream_options":null,"logit_bias":null,"n":null,"response_format":null`),
			base(nil),
		},
		"sampling": {
			body(`,"temperature":0,"top_p":1.0,"seed":-5,"max_tokens":7`),
			base(func(r *ChatRequest) {
				r.Temperature, r.TopP, r.Seed, r.MaxTokens = new(0.0), new(1.0), new(int64(-5)), new(7)
			}),
		},
		"max_completion_tokens wins": {
			body(`,"max_completion_tokens":9,"max_tokens":7`),
			base(func(r *ChatRequest) { r.MaxTokens = new(9) }),
		},
		"stop as a string":  {body(`,"stop":"END"`), base(func(r *ChatRequest) { r.Stop = []string{"END"} })},
		"stop as a list":    {body(`,"stop":["a","b"]`), base(func(r *ChatRequest) { r.Stop = []string{"a", "b"} })},
		"log probabilities": {body(`,"logprobs":true`), base(func(r *ChatRequest) { r.Logprobs = true })},
		"with alternatives": {
			body(`,"logprobs":true,"top_logprobs":20`),
			base(func(r *ChatRequest) { r.Logprobs, r.TopLogprobs = true, 20 }),
		},
		"stream with usage": {
			body(`,"stream":true,"stream_options":{"include_usage":true}`),
			base(func(r *ChatRequest) { r.Stream, r.IncludeUsage = true, true }),
		},
		"four spellings of the reasoning level": {
			body(`,"reasoning_level":"low","reasoning_effort":"minimal","reasoning":{"effort":"xhigh"},"chat_template_kwargs":{"reasoning_effort":"medium"},"include_reasoning":false`),
			base(func(r *ChatRequest) {
				r.ReasoningLevel, r.ReasoningEffort, r.ReasoningObjectEffort, r.ReasoningTemplateEffort = "low", "low", "high", "medium"
				r.IncludeReasoning = false
			}),
		},
		"neutral values of what is not served": {
			body(`,"n":1,"logprobs":false,"top_logprobs":0,"logit_bias":{ },"frequency_penalty":0.0,"presence_penalty":0,"response_format":{"type":"text"},"top_k":-1,"modalities":["text"],"functions":[]`),
			base(func(r *ChatRequest) { r.N = 1 }),
		},
		"harmless and unknown parameters": {
			body(`,"user":"u","metadata":{"a":1},"store":true,"service_tier":"auto","verbosity":"low","prediction":{},"parallel_tool_calls":false,"whatever":[1]`),
			base(func(r *ChatRequest) {
				r.ServiceTier, r.SingleToolCall = true, true
				r.Ignored = []string{"store", "metadata", "user", "service_tier", "prediction", "verbosity"}
			}),
		},
		"no tools": {body(`,"tools":[],"tool_choice":"none"`), base(func(r *ChatRequest) { r.ToolChoice = ToolChoiceNone })},
		"a tool keeps the order of its keys": {
			body(`,"tools":[{"type":"function","function":{"name":"get-weather","description":"d","parameters":{"z":1,"a":2},"strict":false}}],"tool_choice":"auto"`),
			base(func(r *ChatRequest) {
				r.Tools = []Tool{{Name: "get-weather", Description: "d", Parameters: json.RawMessage(`{"z":1,"a":2}`)}}
			}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeChatRequest([]byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
}

func TestDecodeToolLoop(t *testing.T) {
	got, err := DecodeChatRequest([]byte(messages(`[{"role":"developer","content":"d"},
				{"role":"user","name":"bob","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
				{"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[
					{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}},
					{"id":"call_2","function":{"name":"g","arguments":{"x":1}}}]},
				{"role":"tool","tool_call_id":"call_2","content":null},
				{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]`)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Message{
		{Role: RoleDeveloper, Content: "d"},
		{Role: RoleUser, Name: "bob", Content: "ab"},
		{Role: RoleAssistant, Reasoning: "r", ToolCalls: []ToolCall{
			{ID: "call_1", Type: "function", Function: FunctionCall{Name: "f", Arguments: "{}"}},
			{ID: "call_2", Type: "function", Function: FunctionCall{Name: "g", Arguments: `{"x":1}`}},
		}},
		{Role: RoleTool, ToolCallID: "call_2"},
		{Role: RoleAssistant, Content: "no"},
	}
	if diff := cmp.Diff(want, got.Messages); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
}

func TestDecodeChatRequestErrors(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)
	cases := map[string]struct{ body, code, param, message string }{
		"empty body":        {"", CodeInvalidJSON, "", "The request body is empty; it must be a JSON object."},
		"malformed":         {`{"model":}`, CodeInvalidJSON, "", "The request body is not valid JSON at byte 10: invalid character '}' looking for beginning of value."},
		"cut off":           {`{"model":"m"`, CodeInvalidJSON, "", "The request body is not valid JSON: it ends too early."},
		"an array":          {`[1]`, CodeInvalidJSON, "", "The request body must be a JSON object, not an array."},
		"null":              {`null`, CodeInvalidJSON, "", "The request body must be a JSON object, not null."},
		"two objects":       {`{"model":"m"} {}`, CodeInvalidJSON, "", "The request body must be a single JSON object, but something follows it."},
		"too deep":          {strings.Repeat("[", 20000), CodeInvalidJSON, "", "The request body is not valid JSON at byte 10001: invalid character '[' exceeded max depth."},
		"no model":          {`{"messages":[]}`, CodeMissingField, "model", "Missing required field: model"},
		"no messages":       {`{"model":"m"}`, CodeMissingField, "messages", "Missing required field: messages"},
		"model's case":      {`{"Model":"m"}`, CodeMissingField, "model", "Missing required field: model"},
		"model a number":    {`{"model":1}`, CodeInvalidType, "model", "Invalid type for 'model': expected a string, but got a number."},
		"empty model":       {`{"model":""}`, CodeInvalidValue, "model", "Invalid value for 'model': must not be empty."},
		"messages text":     {messages(`"hi"`), CodeInvalidType, "messages", "Invalid type for 'messages': expected an array of messages, but got a string."},
		"messages empty":    {messages(`[]`), CodeInvalidValue, "messages", "Invalid value for 'messages': must have at least one message."},
		"message null":      {messages(`[null]`), CodeInvalidType, "messages[0]", "Invalid type for 'messages[0]': expected an object, but got null."},
		"no role":           {messages(`[{"content":"x"}]`), CodeMissingField, "messages[0].role", "Missing required field: messages[0].role"},
		"unknown role":      {messages(`[{"role":"root","content":"x"}]`), CodeInvalidValue, "messages[0].role", `Invalid value for 'messages[0].role': must be system, developer, user, assistant or tool, not "root".`},
		"old role, no call": {messages(`[{"role":"function","name":"f","content":"x"}]`), CodeInvalidValue, "messages[0].name", `Invalid value for 'messages[0].name': no assistant message before it made the call "function:f".`},
		"no content":        {messages(`[{"role":"user"}]`), CodeMissingField, "messages[0].content", "Missing required field: messages[0].content"},
		"null content":      {messages(`[{"role":"user","content":null}]`), CodeInvalidType, "messages[0].content", "Invalid type for 'messages[0].content': expected a string or an array of text parts, but got null."},
		"content a number":  {messages(`[{"role":"user","content":5}]`), CodeInvalidType, "messages[0].content", "Invalid type for 'messages[0].content': expected a string or an array of text parts, but got a number."},
		"an image":          {messages(`[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]`), CodeUnsupported, "messages[0].content[0].type", `Unsupported content part 'messages[0].content[0]': the model reads text only, so its type must be "text".`},
		"result, no call":   {messages(`[{"role":"tool","tool_call_id":"x","content":"y"}]`), CodeInvalidValue, "messages[0].tool_call_id", `Invalid value for 'messages[0].tool_call_id': no assistant message before it made the call "x".`},
		"result, no id":     {messages(`[{"role":"tool","content":"y"}]`), CodeMissingField, "messages[0].tool_call_id", "Missing required field: messages[0].tool_call_id"},
		"temperature high":  {body(`,"temperature":2.01`), CodeInvalidValue, "temperature", "Invalid value for 'temperature': must be a number from 0 to 2."},
		"temperature huge":  {body(`,"temperature":1e999`), CodeInvalidValue, "temperature", "Invalid value for 'temperature': must be a number from 0 to 2."},
		"temperature text":  {body(`,"temperature":"1"`), CodeInvalidType, "temperature", "Invalid type for 'temperature': expected a number, but got a string."},
		"top_p negative":    {body(`,"top_p":-0.1`), CodeInvalidValue, "top_p", "Invalid value for 'top_p': must be a number from 0 to 1."},
		"no tokens":         {body(`,"max_tokens":0`), CodeInvalidValue, "max_tokens", "Invalid value for 'max_tokens': must be an integer from 1 to 2147483647."},
		"half a token":      {body(`,"max_tokens":1.5`), CodeInvalidType, "max_tokens", "Invalid type for 'max_tokens': expected an integer, but got a fraction or an exponent."},
		"endless tokens":    {body(`,"max_completion_tokens":99999999999999999999`), CodeInvalidValue, "max_completion_tokens", "Invalid value for 'max_completion_tokens': must be an integer from 1 to 2147483647."},
		"stream text":       {body(`,"stream":"yes"`), CodeInvalidType, "stream", "Invalid type for 'stream': expected a boolean, but got a string."},
		"usage, no stream":  {body(`,"stream_options":{"include_usage":true}`), CodeInvalidValue, "stream_options", "Invalid value for 'stream_options': it is only allowed when stream is true."},
		"bad level":         {body(`,"reasoning_level":"minimal"`), CodeInvalidValue, "reasoning_level", "Invalid value for 'reasoning_level': must be low, medium or high."},
		"bad effort":        {body(`,"reasoning":{"effort":"insane"}`), CodeInvalidValue, "reasoning.effort", "Invalid value for 'reasoning.effort': must be none, minimal, low, medium, high, xhigh or max."},
		"five stops":        {body(`,"stop":["a","b","c","d","e"]`), CodeInvalidValue, "stop", "Invalid value for 'stop': at most 4 sequences are allowed, not 5."},
		"an empty stop":     {body(`,"stop":""`), CodeInvalidValue, "stop", "Invalid value for 'stop': a sequence must have 1 to 1000 bytes."},
		"stop a number":     {body(`,"stop":[1]`), CodeInvalidType, "stop[0]", "Invalid type for 'stop[0]': expected a string, but got a number."},
		"too many answers":  {body(`,"n":129`), CodeInvalidValue, "n", "Invalid value for 'n': must be an integer from 1 to 128."},
		"top, no logprobs":  {body(`,"top_logprobs":3`), CodeInvalidValue, "top_logprobs", "Invalid value for 'top_logprobs': it is only allowed when logprobs is true."},
		"top, logprobs off": {body(`,"logprobs":false,"top_logprobs":1`), CodeInvalidValue, "top_logprobs", "Invalid value for 'top_logprobs': it is only allowed when logprobs is true."},
		"too many top":      {body(`,"logprobs":true,"top_logprobs":21`), CodeInvalidValue, "top_logprobs", "Invalid value for 'top_logprobs': must be an integer from 0 to 20."},
		"negative top":      {body(`,"logprobs":true,"top_logprobs":-1`), CodeInvalidValue, "top_logprobs", "Invalid value for 'top_logprobs': must be an integer from 0 to 20."},
		"half a top":        {body(`,"logprobs":true,"top_logprobs":1.5`), CodeInvalidType, "top_logprobs", "Invalid type for 'top_logprobs': expected an integer, but got a fraction or an exponent."},
		"old logprobs":      {body(`,"logprobs":5`), CodeInvalidType, "logprobs", "Invalid type for 'logprobs': expected a boolean, but got a number."},
		"logit_bias":        {body(`,"logit_bias":{"a":5}`), CodeInvalidValue, "logit_bias", "Invalid value for 'logit_bias': \"a\" is not the id of a token."},
		"tool, no name":     {body(`,"tools":[{"type":"function","function":{}}]`), CodeMissingField, "tools[0].function.name", "Missing required field: tools[0].function.name"},
		"tool's bad name":   {body(`,"tools":[{"type":"function","function":{"name":"a<|b"}}]`), CodeInvalidValue, "tools[0].function.name", "Invalid value for 'tools[0].function.name': must be 1 to 64 letters, digits, underscores, hyphens or dots."},
		"tool twice":        {body(`,"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"a"}}]`), CodeInvalidValue, "tools[1].function.name", `Invalid value for 'tools': two functions have the name "a".`},
		"tool's type":       {body(`,"tools":[{"type":"web_search"}]`), CodeInvalidValue, "tools[0].type", `Invalid value for 'tools[0].type': only "function" is supported.`},
		"deep parameters":   {body(`,"tools":[{"type":"function","function":{"name":"a","parameters":` + deep + `}}]`), CodeInvalidValue, "tools[0].function.parameters", "Invalid value for 'tools[0].function.parameters': nested more than 64 deep."},
		"required":          {body(`,"tool_choice":"required"`), CodeInvalidValue, "tool_choice", "Invalid value for 'tool_choice': a call is only possible where there are tools."},
		"unknown function":  {body(`,"tool_choice":{"type":"function","function":{"name":"x"}}`), CodeInvalidValue, "tool_choice", `Invalid value for 'tool_choice': there is no function "x" in tools.`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeChatRequest([]byte(tc.body))
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("the error is %v", err)
			}
			want := Invalid(tc.code, tc.param, "%s", tc.message)
			if diff := cmp.Diff(want, e); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
}

func TestErrorBody(t *testing.T) {
	got, err := json.Marshal(ErrorBody{Invalid(CodeMissingField, "messages", "Missing required field: messages")})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"error":{"message":"Missing required field: messages","type":"invalid_request_error","param":"messages","code":"missing_field"}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestChunkUsage(t *testing.T) {
	cases := map[string]struct {
		usage *ChunkUsage
		want  string
	}{
		"not asked for":     {nil, `{"id":"","object":"","created":0,"model":"","choices":[]}`},
		"asked for":         {&ChunkUsage{}, `{"id":"","object":"","created":0,"model":"","choices":[],"usage":null}`},
		"in the last chunk": {&ChunkUsage{&Usage{1, 2, 3, PromptDetails{0}, CompletionDetails{1}}}, `{"id":"","object":"","created":0,"model":"","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":1}}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(ChatChunk{Choices: []ChunkChoice{}, Usage: tc.usage})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// FuzzDecodeChatRequest looks for panics, for errors without a message, and for requests that break their own promises.
func FuzzDecodeChatRequest(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", "{}", body(""), body(`,"stop":["a"],"seed":1,"temperature":1.5,"stream":true,"stream_options":{}`),
		body(`,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":{"function":{"name":"f"}}`),
		messages(`[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":{}}}]},{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"\u0000"}]}]`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeChatRequest(data)
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Status != 400 || e.Message == "" || e.Code == nil {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if r.TopLogprobs < 0 || r.TopLogprobs > maxTopLogprobs || (r.TopLogprobs > 0 && !r.Logprobs) {
			t.Fatalf("log probabilities %v, %d", r.Logprobs, r.TopLogprobs)
		}
		if r.Model == "" || len(r.Messages) == 0 || r.ToolChoice == "" || len(r.Stop) > maxStops {
			t.Fatalf("accepted %+v", r)
		}
		if (r.MaxTokens != nil && *r.MaxTokens < 1) || (r.Temperature != nil && !(*r.Temperature >= 0 && *r.Temperature <= 2)) {
			t.Fatalf("out of range: %+v", r)
		}
		for _, m := range r.Messages {
			checkDecodedMessage(t, m)
		}
	})
}

func checkDecodedMessage(t *testing.T, m Message) {
	t.Helper()
	if m.Role == "" || (m.Role == RoleTool && m.ToolCallID == "") {
		t.Fatalf("accepted message %+v", m)
	}
	for _, c := range m.ToolCalls {
		if c.ID == "" || c.Function.Name == "" {
			t.Fatalf("accepted call %+v", c)
		}
	}
}
