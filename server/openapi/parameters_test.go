package openapi

// parameter is a property of a request.
type parameter struct {
	name, about string
	schema      object
	example     any // that the decoder takes
}

func number(low, high float64) object {
	return object{"type": []any{"number", "null"}, "minimum": low, "maximum": high}
}

func whole(low, high int64) object {
	return object{"type": []any{"integer", "null"}, "minimum": low, "maximum": high}
}

func kind(t string) object { return object{"type": []any{t, "null"}} }

func words(of ...any) object { return object{"enum": append(of, nil)} }

func listOf(items object) object { return object{"type": []any{"array", "null"}, "items": items} }

const (
	noEffect  = "Accepted without effect."
	extension = "An extension of OpenAI's API, as in vLLM. "
)

var (
	efforts = words("none", "minimal", "low", "medium", "high", "xhigh", "max")
	levels  = words("low", "medium", "high")
	name    = object{"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,64}$"}
	anyMap  = kind("object")
)

// function is a function as chat requests declare it.
var function = object{
	"type": "object", "required": []any{"name"},
	"properties": object{"name": name, "description": kind("string"), "parameters": anyMap, "strict": kind("boolean")},
}

// chatParameters are what chat requests may have, in the order in which people look for them. What the decoder knows and is
// not here is refused unless its value changes nothing.
var chatParameters = []parameter{
	{"model", "The id of the served model, as in GET /v1/models.", object{"type": "string"}, "m"},
	{"messages", "The conversation. Text parts only.", object{"type": "array", "minItems": 1, "items": ref("Message")}, []any{object{"role": "user", "content": "hi"}}},
	{"stream", "Whether the answer is sent as server-sent events while it is made.", kind("boolean"), true},
	{"stream_options", "include_usage asks for a last event with the usage, continuous_usage_stats for the usage in every event. Only with stream.", object{"type": []any{"object", "null"}, "properties": object{"include_usage": kind("boolean"), "continuous_usage_stats": kind("boolean")}}, nil},
	{"max_tokens", "The most tokens that the answer may have, reasoning included.", whole(1, 1<<31-1), 5},
	{"max_completion_tokens", "The same; it wins where both are given.", whole(1, 1<<31-1), 5},
	{"temperature", "0 always takes the most likely token.", number(0, 2), 0.5},
	{"top_p", "The probability that the tokens to choose from have together.", number(0, 1), 0.5},
	{"top_k", extension + "How many tokens to choose from; 0 or -1 for all.", whole(-1, 1<<31-1), 5},
	{"min_p", extension + "The least probability of a token, relative to the most likely one.", number(0, 1), 0.1},
	{"frequency_penalty", "Makes tokens less likely each time they have been used.", number(-2, 2), 0.5},
	{"presence_penalty", "Makes tokens less likely once they have been used.", number(-2, 2), 0.5},
	{"repetition_penalty", extension + "Divides the logits of used tokens.", number(0.01, 10), 1.1},
	{"logit_bias", "Token ids with what is added to their logits, -100 to 100.", object{"type": []any{"object", "null"}, "additionalProperties": object{"type": "number"}}, object{"5": 1}},
	{"seed", "Makes answers repeatable.", kind("integer"), 4},
	{"n", "How many answers are made.", whole(1, 128), 1},
	{"stop", "Up to four texts that end the visible answer and are no part of it.", object{"oneOf": []any{object{"type": "string"}, object{"type": "array", "items": object{"type": "string"}, "maxItems": 4}, object{"type": "null"}}}, "END"},
	{"stop_token_ids", extension + "Token ids that end the answer.", listOf(object{"type": "integer"}), []any{5}},
	{"min_tokens", extension + "How many tokens come before the answer may end.", whole(0, 1<<31-1), 1},
	{"ignore_eos", extension + "Goes on past the model's end.", kind("boolean"), false},
	{"logprobs", "Whether the log probabilities of the visible content's tokens are reported.", kind("boolean"), true},
	{"top_logprobs", "How many alternatives are reported with each. Only with logprobs.", whole(0, 20), 0},
	{"reasoning_level", "How much the model reasons. Wins over all other ways to say it.", levels, "high"},
	{"reasoning_effort", "The same in OpenAI's words: none and minimal are low, xhigh and max are high.", efforts, "minimal"},
	{"reasoning", "The same in the Responses API's place.", object{"type": []any{"object", "null"}, "properties": object{"effort": efforts}}, object{"effort": "low"}},
	{"chat_template_kwargs", "The same in vLLM's place.", object{"type": []any{"object", "null"}, "properties": object{"reasoning_effort": efforts}}, object{"reasoning_effort": "low"}},
	{"include_reasoning", extension + "Whether the reasoning is part of the answer.", kind("boolean"), false},
	{"tools", "Functions that the model may ask to call.", listOf(object{"type": "object", "required": []any{"type", "function"}, "properties": object{"type": object{"const": "function"}, "function": function}}), []any{object{"type": "function", "function": object{"name": "f"}}}},
	{"tool_choice", "Whether the model may, must or must not call, or which function.", object{"oneOf": []any{words("none", "auto", "required"), object{"type": "object"}}}, "auto"},
	{"parallel_tool_calls", "Whether an answer may have more than one call.", kind("boolean"), false},
	{"functions", "The old form of tools.", listOf(function), []any{object{"name": "f"}}},
	{"function_call", "The old form of tool_choice.", object{"oneOf": []any{words("none", "auto"), object{"type": "object", "properties": object{"name": name}}}}, nil},
	{"response_format", "The form of the answer: plain text, any JSON object, or JSON of a schema.", object{"type": []any{"object", "null"}, "required": []any{"type"}, "properties": object{"type": object{"enum": []any{"text", "json_object", "json_schema"}}, "json_schema": anyMap}}, object{"type": "text"}},
	{"guided_json", extension + "A JSON Schema that the content validates against.", object{"type": []any{"object", "string", "null"}}, object{"type": "object"}},
	{"guided_regex", extension + "A regular expression that the whole content matches.", kind("string"), "a+"},
	{"guided_choice", extension + "The texts that the content may be.", listOf(object{"type": "string"}), []any{"yes", "no"}},
	{"structured_outputs", extension + "One of json, regex, choice and json_object, which ask for the same.", object{"type": []any{"object", "null"}, "properties": object{"json": object{"type": []any{"object", "string"}}, "regex": object{"type": "string"}, "choice": listOf(object{"type": "string"}), "json_object": kind("boolean")}}, object{"json_object": true}},
	{"cache_salt", extension + "Keeps the prompt's memory apart from that of prompts with another salt.", kind("string"), "s"},
	{"service_tier", noEffect + " It is given back as \"default\".", kind("string"), "auto"},
	{"user", noEffect, kind("string"), "u"},
	{"metadata", noEffect, anyMap, object{}},
	{"store", noEffect, kind("boolean"), false},
	{"safety_identifier", noEffect, kind("string"), "s"},
	{"prompt_cache_key", noEffect, kind("string"), "p"},
	{"prompt_cache_retention", noEffect, kind("string"), "24h"},
	{"prompt_cache_options", noEffect, anyMap, object{}},
	{"prediction", noEffect, anyMap, object{}},
	{"verbosity", noEffect, levels, "low"},
	{"priority", noEffect, kind("integer"), 0},
	{"request_id", noEffect, kind("string"), "r"},
	{"session_id", noEffect, kind("string"), "s"},
}

// responseParameters are what create requests of the Responses API may have, beside the extensions of chat requests.
var responseParameters = []parameter{
	{"model", "The id of the served model.", object{"type": "string"}, "m"},
	{"input", "What is added to the conversation: a text, or items. May be left out with previous_response_id.", object{"oneOf": []any{object{"type": "string"}, object{"type": "array", "maxItems": 4096, "items": ref("InputItem")}}}, "hi"},
	{"instructions", "Instructions at the beginning. They are not carried over to later responses.", kind("string"), "Be brief."},
	{"previous_response_id", "A stored response whose conversation goes on.", kind("string"), nil},
	{"store", "Whether the response is kept. Default true.", kind("boolean"), false},
	{"background", "Whether the response is made apart from the connection.", kind("boolean"), true},
	{"stream", "Whether the response is sent as server-sent events while it is made.", kind("boolean"), true},
	{"stream_options", "include_obfuscation pads the deltas. Only with stream.", object{"type": []any{"object", "null"}, "properties": object{"include_obfuscation": kind("boolean")}}, nil},
	{"max_output_tokens", "The most tokens that the response may have, reasoning included.", whole(1, 1<<31-1), 5},
	{"max_tool_calls", "Accepted without effect: it bounds calls of tools that a server runs itself.", whole(1, 1<<31-1), 5},
	{"temperature", "0 always takes the most likely token.", number(0, 2), 0.5},
	{"top_p", "The probability that the tokens to choose from have together.", number(0, 1), 0.5},
	{"top_logprobs", "How many alternatives are reported with each token's log probability.", whole(0, 20), 1},
	{"include", "reasoning.encrypted_content and message.output_text.logprobs have an effect.", listOf(object{"type": "string"}), []any{"reasoning.encrypted_content"}},
	{"reasoning", "effort is how much the model reasons. summary has no effect: the reasoning itself is in the output.", object{"type": []any{"object", "null"}, "properties": object{"effort": efforts, "summary": words("auto", "concise", "detailed")}}, object{"effort": "low"}},
	{"text", "The form of the text. verbosity has no effect.", object{"type": []any{"object", "null"}, "properties": object{"format": object{"type": "object", "required": []any{"type"}, "properties": object{"type": object{"enum": []any{"text", "json_object", "json_schema"}}, "name": name, "schema": anyMap, "strict": kind("boolean")}}, "verbosity": levels}}, object{"format": object{"type": "text"}}},
	{"tools", "Functions that the model may ask to call. The server runs no tools of its own.", listOf(object{"type": "object", "required": []any{"type", "name"}, "properties": object{"type": object{"const": "function"}, "name": name, "description": kind("string"), "parameters": anyMap, "strict": kind("boolean")}}), []any{object{"type": "function", "name": "f"}}},
	{"tool_choice", "Whether the model may, must or must not call, or which function.", object{"oneOf": []any{words("none", "auto", "required"), object{"type": "object"}}}, "auto"},
	{"parallel_tool_calls", "Whether a response may have more than one call.", kind("boolean"), false},
	{"truncation", "auto leaves out the beginning of a conversation that is too long.", words("auto", "disabled"), "auto"},
	{"metadata", "Up to 16 pairs, which the response repeats.", object{"type": []any{"object", "null"}, "maxProperties": 16, "additionalProperties": object{"type": "string", "maxLength": 512}}, object{"a": "b"}},
	{"user", "Repeated in the response.", kind("string"), "u"},
	{"safety_identifier", "Repeated in the response.", kind("string"), "s"},
	{"prompt_cache_key", "Repeated in the response.", kind("string"), "p"},
	{"prompt_cache_retention", noEffect, kind("string"), "24h"},
	{"service_tier", noEffect, kind("string"), "auto"},
}

// textParameters are what raw completions have beside what they share with chat requests.
var textParameters = []parameter{
	{"prompt", "A text, token ids, or several of either.", object{"oneOf": []any{object{"type": "string"}, object{"type": "array"}}}, "hi"},
	{"best_of", "How many answers are made, of which the n likeliest are given.", whole(1, 128), 1},
	{"echo", "Puts the prompt before the answer.", kind("boolean"), false},
	{"logprobs", "Asks for the log probabilities of the tokens and of so many alternatives.", whole(0, 20), 1},
	{"skip_special_tokens", extension + "Whether control tokens are left out of the answer.", kind("boolean"), true},
}

// shared are the chat parameters that raw completions have too.
var shared = []string{
	"model", "stream", "stream_options", "max_tokens", "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty",
	"repetition_penalty", "logit_bias", "seed", "n", "stop", "stop_token_ids", "min_tokens", "ignore_eos", "cache_salt", "user",
	"response_format", "guided_json", "guided_regex", "guided_choice", "structured_outputs",
}
