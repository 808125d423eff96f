package openai

import (
	"encoding/json"
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
	{"n", among("1"), "one answer is made for each request; send several requests"},
	{"best_of", among("1"), "one answer is made for each request"},
	{"logit_bias", among("{}"), "not available yet"},
	{"frequency_penalty", zero, "not available yet"},
	{"presence_penalty", zero, "not available yet"},
	{"repetition_penalty", among("1", "1.0"), "not available yet"},
	{"top_k", among("0", "-1"), "not available yet; use top_p"},
	{"min_p", zero, "not available yet; use top_p"},
	{"min_tokens", among("0"), "not available yet"},
	{"ignore_eos", among("false"), "an answer ends where the model ends it"},
	{"stop_token_ids", among("[]"), "use stop"},
	{"guided_grammar", never, "use response_format or guided_regex"},
	{"grammar", never, "use response_format or guided_regex"},
	{"json_schema", never, "use response_format"},
	{"functions", among("[]"), "use tools"},
	{"function_call", among(`"none"`, `"auto"`), "use tool_choice"},
	{"modalities", among(`["text"]`), "the model writes text only"},
	{"audio", never, "the model writes text only"},
	{"web_search_options", never, "the server does not search the web"},
}

// refuseUnsupported fails for the first parameter that would have to be ignored.
func refuseUnsupported(o object) {
	for _, p := range unsupportedParameters {
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

func zero(raw json.RawMessage) bool {
	var x float64
	return json.Unmarshal(raw, &x) == nil && x == 0
}
