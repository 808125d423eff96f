package main

import "slices"

// client is a program that runs scenarios through one library.
type client struct {
	name  string // what the table calls it
	kind  string // node, python or go: what it needs to run
	entry string // its file in the kind's folder, or for Go the library's name
}

var clients = []client{
	{"openai-node", "node", "openai.mjs"},
	{"openai-python", "python", "openai_client.py"},
	{"openai-go", "go", "openai-go"},
	{"ai-sdk", "node", "ai-sdk.mjs"},
	{"langchain-js", "node", "langchain.mjs"},
	{"langchain-python", "python", "langchain_client.py"},
}

// The clients by what they can do. Frameworks hide parts of the API, so not every scenario can be played through each.
var (
	everyone   = []string{"openai-node", "openai-python", "openai-go", "ai-sdk", "langchain-js", "langchain-python"}
	official   = []string{"openai-node", "openai-python", "openai-go"}
	withoutSDK = []string{"openai-node", "openai-python", "openai-go", "langchain-js", "langchain-python"}
	loops      = []string{"openai-node", "ai-sdk"}
	helpers    = []string{"openai-node", "openai-python", "ai-sdk", "langchain-js", "langchain-python"}
)

// scenario is something that a user does with a server.
type scenario struct {
	name    string
	tells   string
	clients []string
	// own says that it needs a server started for it: one with a short queue, or one that serves no embeddings.
	own bool
}

var scenarios = []scenario{
	{"models", "the list of models holds the one that is asked", official, false},
	{"model", "a model is found by its id, an unknown one is 404", official, false},
	{"chat", "an answer has the shape, the text and the usage that it should", everyone, false},
	{"stream", "chunks share an id, begin with the role, end with reason and usage, and together are the same answer", everyone, false},
	{"roles", "system, developer and user messages, names and text parts are understood", everyone, false},
	{"reasoning", "more effort makes more reasoning, which is counted and shown apart from the answer", everyone, false},
	{"turns", "a question that leans on the turn before it is understood", everyone, false},
	{"stop", "an answer ends before a stop sequence, streamed or not", everyone, false},
	{"length", "max_completion_tokens and max_tokens cut an answer, with finish reason length", everyone, false},
	{"seed", "the same seed gives the same answer at temperature 1, streamed or not", everyone, false},
	{"logprobs", "token probabilities belong to the visible text, streamed or not", withoutSDK, false},
	{"choices", "n answers come with their indices, streamed or not", withoutSDK, false},
	{"sampling", "penalties and logit_bias work, and harmless parameters are accepted", official, false},
	{"tools", "a call with the right arguments, its result, and an answer from the result", everyone, false},
	{"tools-stream", "the same, with the call streamed in pieces", everyone, false},
	{"tools-loop", "the library's own loop calls the function and goes on", loops, false},
	{"tool-required", "tool_choice required makes a call where none is needed", everyone, false},
	{"tool-named", "tool_choice with a name calls that function", everyone, false},
	{"tool-none", "tool_choice none makes no call", everyone, false},
	{"tool-strict", "the arguments of a strict function validate", everyone, false},
	{"json-object", "response_format json_object gives a JSON object", withoutSDK, false},
	{"json-schema", "response_format json_schema, strict, gives what validates, streamed or not", official, false},
	{"json-parse", "the library's helper gives a typed object", helpers, false},
	{"json-stream", "the library's helper gives a typed object from a stream", []string{"openai-node", "openai-python", "ai-sdk"}, false},
	{"error-key", "a wrong key is 401 and the library's error for it, and the key is not repeated", everyone, false},
	{"error-model", "an unknown model is 404 with code model_not_found", everyone, false},
	{"error-param", "a bad value is 400 with the parameter's name", everyone, false},
	{"error-limit", "a full queue is 429 with Retry-After, and the library's retries get through", everyone, true},
	{"cancel", "a stream that is left in the middle ends on the server too", everyone, false},
	{"timeout", "the library's time limit ends the request on both sides", everyone, false},
	{"responses", "a response has the shape, the text and the usage that it should, and can be retrieved", official, false},
	{"responses-stream", "the events come in OpenAI's order, numbered, and end with the whole response", official, false},
	{"responses-chat", "the library speaks the Responses API as if it were chat, streamed or not", []string{"ai-sdk", "langchain-js", "langchain-python"}, false},
	{"responses-tools", "a function call, its output, and an answer from it", []string{"openai-node", "openai-python", "openai-go", "ai-sdk"}, false},
	{"responses-turns", "previous_response_id goes on with a conversation; an unknown one is refused", official, false},
	{"responses-json", "text.format json_schema gives what validates", []string{"openai-node", "openai-python", "openai-go", "ai-sdk"}, false},
	{"responses-length", "max_output_tokens makes a response incomplete, and says so", official, false},
	{"completions", "the old completions API continues a text, streamed or not", []string{"openai-node", "openai-python", "openai-go", "ai-sdk", "langchain-js"}, false},
	{"embeddings", "embeddings are refused with a sentence", []string{"openai-node", "openai-python", "openai-go", "ai-sdk", "langchain-js"}, true},
}

// find returns the scenario of a name.
func find(name string) (scenario, bool) {
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
	if i < 0 {
		return scenario{}, false
	}
	return scenarios[i], true
}

// plan lists what a client has to play, in the order of the table.
func plan(c client, only []string, ours bool) []string {
	var names []string
	for _, s := range scenarios {
		if slices.Contains(s.clients, c.name) && (len(only) == 0 || slices.Contains(only, s.name)) && (ours || !s.own) {
			names = append(names, s.name)
		}
	}
	return names
}
