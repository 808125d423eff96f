package openai

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
)

// unsupported is a parameter that would change the answer and is not served. It is refused unless its value is neutral:
// SDKs and frameworks send many parameters with the value that changes nothing.
type unsupported struct {
	name    string
	neutral func(raw json.RawMessage) bool
	hint    string
}

var unsupportedParameters = []unsupported{
	{"best_of", among("1"), "use n, or /v1/completions"},
	{"guided_grammar", never, "use response_format or guided_regex"},
	{"grammar", never, "use response_format or guided_regex"},
	{"json_schema", never, "use response_format"},
	{"modalities", among(`["text"]`), "the model writes text only"},
	{"audio", never, "the model writes text only"},
	{"web_search_options", never, "the server does not search the web"},
	{"moderation", never, "the server moderates nothing"},
	{"use_beam_search", among("false"), "use n"},
	{"length_penalty", among("1", "1.0"), "there is no beam search"},
	{"bad_words", among("[]"), "use logit_bias"},
	{"allowed_token_ids", never, "use logit_bias"},
	{"logits_processors", among("[]"), "use logit_bias"},
	{"prompt_logprobs", never, "log probabilities of the prompt are not measured"},
	{"truncate_prompt_tokens", never, "shorten the messages"},
	{"include_stop_str_in_output", among("false"), "a stop sequence is never part of the answer"},
	{"echo", among("false"), "use /v1/completions"},
	{"add_generation_prompt", among("true"), "the model always answers"},
	{"continue_final_message", among("false"), "the model always begins a message of its own"},
	{"chat_template", never, "the model has one format"},
	{"documents", among("[]"), "put them into a message"},
}

// accepted is a parameter that has no effect here, and does no harm by that. Its type is checked all the same.
type accepted struct {
	name  string
	check func(o object, name string)
}

var ignoredChatParameters = []accepted{
	{"store", isBool},
	{"metadata", isObject},
	{"user", isString},
	{"safety_identifier", isString},
	{"service_tier", isString},
	{"prompt_cache_key", isString},
	{"prompt_cache_retention", isString},
	{"prompt_cache_options", isObject},
	{"prediction", isObject},
	{"verbosity", isVerbosity},
	{"priority", isInteger},
	{"request_id", isString},
	{"session_id", isString},
}

func isBool(o object, name string)    { o.bool(name, false) }
func isString(o object, name string)  { _ = o.string(name) }
func isObject(o object, name string)  { _, _ = o.object(name) }
func isInteger(o object, name string) { _ = o.integer(name, math.MinInt64, math.MaxInt64) }

func isVerbosity(o object, name string) {
	if v := o.string(name); v != "" && !slices.Contains([]string{"low", "medium", "high"}, v) {
		o.d.fail(CodeInvalidValue, o.at(name), "Invalid value for '%s': must be low, medium or high.", o.at(name))
	}
}

// ignored names those of the list that are given.
func ignored(o object, list []accepted) (names []string) {
	for _, p := range list {
		if _, ok := o.get(p.name); ok {
			p.check(o, p.name)
			names = append(names, p.name)
		}
	}
	return names
}

// refuseUnsupported fails for the first parameter that would have to be ignored.
func refuseUnsupported(o object, list []unsupported) {
	for _, p := range list {
		if raw, ok := o.get(p.name); ok && !p.neutral(raw) {
			refuse(o, p.name, p.hint)
		}
	}
}

func refuse(o object, name, hint string) {
	o.d.fail(CodeUnsupported, o.at(name), "Unsupported parameter: '%s' is not supported with this value: %s.", o.at(name), hint)
}

// among compares without white space, which no neutral value has inside a string.
func among(values ...string) func(json.RawMessage) bool {
	return func(raw json.RawMessage) bool {
		return slices.Contains(values, strings.Join(strings.Fields(string(raw)), ""))
	}
}

func never(json.RawMessage) bool { return false }
