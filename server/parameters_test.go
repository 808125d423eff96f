package server

import (
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// parameter is what docs/api-parameters.md says of a parameter of chat completions, and how that shows.
type parameter struct {
	says string // works, no effect or refused
	// more is the parameter with a value that is not its default.
	more string
	// asked shows that a working one reaches the engine, seen that it changes the answer; one of them is enough.
	asked func(engine.Request) bool
	seen  func(openai.ChatCompletion) bool
}

func prompts(text string) func(engine.Request) bool {
	return func(r engine.Request) bool { return strings.Contains(named(r.Prompt), text) }
}

func content(text string) func(openai.ChatCompletion) bool {
	return func(c openai.ChatCompletion) bool { return value(c.Choices[0].Message.Content) == text }
}

// parameters are all those of OpenAI's API, as its Go client has them, and those that the servers of this model add. What
// forces an answer into a form has tests of its own.
var parameters = map[string]parameter{
	"frequency_penalty":      {"works", `"frequency_penalty":1.5`, func(r engine.Request) bool { return r.Sampling.FrequencyPenalty == 1.5 }, nil},
	"logit_bias":             {"works", `"logit_bias":{"97":-100,"98":5}`, func(r engine.Request) bool { return r.Sampling.LogitBias[97] == -100 && r.Sampling.LogitBias[98] == 5 }, nil},
	"logprobs":               {"works", `"logprobs":true`, nil, func(c openai.ChatCompletion) bool { return len(c.Choices[0].Logprobs.Content) == 6 }},
	"top_logprobs":           {"works", `"logprobs":true,"top_logprobs":2`, nil, func(c openai.ChatCompletion) bool { return len(c.Choices[0].Logprobs.Content[0].TopLogprobs) == 2 }},
	"max_completion_tokens":  {"works", `"max_tokens":5,"max_completion_tokens":7`, func(r engine.Request) bool { return r.MaxTokens == 7 }, nil},
	"max_tokens":             {"works", `"max_tokens":5`, func(r engine.Request) bool { return r.MaxTokens == 5 }, nil},
	"messages":               {"works", `"user":""`, prompts("<|message|>hi<|end|>"), nil},
	"model":                  {"works", `"user":""`, nil, func(c openai.ChatCompletion) bool { return c.Model == "gpt-oss-demo" }},
	"n":                      {"works", `"n":3`, nil, func(c openai.ChatCompletion) bool { return len(c.Choices) == 3 }},
	"parallel_tool_calls":    {"works", `"parallel_tool_calls":false`, nil, content("Hello!")}, // TestReportedSeveralCallsOfATurn
	"presence_penalty":       {"works", `"presence_penalty":-2`, func(r engine.Request) bool { return r.Sampling.PresencePenalty == -2 }, nil},
	"reasoning_effort":       {"works", `"reasoning_effort":"high"`, prompts("Reasoning: high"), nil},
	"seed":                   {"works", `"seed":-1`, func(r engine.Request) bool { return *r.Sampling.Seed == math.MaxUint64 }, nil},
	"stop":                   {"works", `"stop":["l"]`, nil, content("He")},
	"stream":                 {"works", `"stream":false`, nil, content("Hello!")},        // TestAnswerAsAStream
	"stream_options":         {"works", `"stream_options":null`, nil, content("Hello!")}, // TestStreamUsage
	"temperature":            {"works", `"temperature":0`, func(r engine.Request) bool { return r.Sampling.Temperature == 0 }, nil},
	"tools":                  {"works", `"tools":[{"type":"function","function":{"name":"zz"}}]`, prompts("type zz = "), nil},
	"tool_choice":            {"works", `"tools":[{"type":"function","function":{"name":"zz"}}],"tool_choice":"none"`, func(r engine.Request) bool { return !strings.Contains(named(r.Prompt), "zz") }, nil},
	"functions":              {"works", `"functions":[{"name":"zz"}]`, prompts("type zz = "), nil},
	"function_call":          {"works", `"functions":[{"name":"zz"}],"function_call":"none"`, func(r engine.Request) bool { return !strings.Contains(named(r.Prompt), "zz") }, nil},
	"top_p":                  {"works", `"top_p":0.25`, func(r engine.Request) bool { return r.Sampling.TopP == 0.25 }, nil},
	"response_format":        {"works", `"response_format":{"type":"text"}`, nil, content("Hello!")},
	"service_tier":           {"no effect", `"service_tier":"flex"`, nil, func(c openai.ChatCompletion) bool { return c.ServiceTier == "default" }},
	"metadata":               {"no effect", `"metadata":{"a":"b"}`, nil, nil},
	"prediction":             {"no effect", `"prediction":{"type":"content","content":"x"}`, nil, nil},
	"prompt_cache_key":       {"no effect", `"prompt_cache_key":"k"`, nil, nil},
	"prompt_cache_options":   {"no effect", `"prompt_cache_options":{}`, nil, nil},
	"prompt_cache_retention": {"no effect", `"prompt_cache_retention":"24h"`, nil, nil},
	"safety_identifier":      {"no effect", `"safety_identifier":"s"`, nil, nil},
	"store":                  {"no effect", `"store":true`, nil, nil},
	"user":                   {"no effect", `"user":"u"`, nil, nil},
	"verbosity":              {"no effect", `"verbosity":"high"`, nil, nil},
	"audio":                  {"refused", `"audio":{"voice":"x"}`, nil, nil},
	"modalities":             {"refused", `"modalities":["text","audio"]`, nil, nil},
	"moderation":             {"refused", `"moderation":{}`, nil, nil},
	"web_search_options":     {"refused", `"web_search_options":{}`, nil, nil},

	"cache_salt":                 {"works", `"cache_salt":"s"`, func(r engine.Request) bool { return r.Salt == "s" }, nil},
	"chat_template_kwargs":       {"works", `"chat_template_kwargs":{"reasoning_effort":"low"}`, prompts("Reasoning: low"), nil},
	"ignore_eos":                 {"works", `"ignore_eos":true`, func(r engine.Request) bool { return len(r.StopTokens) == 0 }, nil},
	"include_reasoning":          {"works", `"include_reasoning":false`, nil, func(c openai.ChatCompletion) bool { return c.Choices[0].Message.Reasoning == "" }},
	"min_p":                      {"works", `"min_p":0.5`, func(r engine.Request) bool { return r.Sampling.MinP == 0.5 }, nil},
	"min_tokens":                 {"works", `"min_tokens":4`, func(r engine.Request) bool { return r.MinTokens == 4 }, nil},
	"reasoning":                  {"works", `"reasoning":{"effort":"low"}`, prompts("Reasoning: low"), nil},
	"reasoning_level":            {"works", `"reasoning_level":"low"`, prompts("Reasoning: low"), nil},
	"repetition_penalty":         {"works", `"repetition_penalty":1.25`, func(r engine.Request) bool { return r.Sampling.RepetitionPenalty == 1.25 }, nil},
	"stop_token_ids":             {"works", `"stop_token_ids":[33]`, nil, content("Hello")},
	"top_k":                      {"works", `"top_k":7`, func(r engine.Request) bool { return r.Sampling.TopK == 7 }, nil},
	"priority":                   {"no effect", `"priority":-3`, nil, nil},
	"request_id":                 {"no effect", `"request_id":"r"`, nil, nil},
	"session_id":                 {"no effect", `"session_id":"s"`, nil, nil},
	"add_generation_prompt":      {"refused", `"add_generation_prompt":false`, nil, nil},
	"allowed_token_ids":          {"refused", `"allowed_token_ids":[1]`, nil, nil},
	"bad_words":                  {"refused", `"bad_words":["x"]`, nil, nil},
	"best_of":                    {"refused", `"best_of":2`, nil, nil},
	"chat_template":              {"refused", `"chat_template":"x"`, nil, nil},
	"continue_final_message":     {"refused", `"continue_final_message":true`, nil, nil},
	"documents":                  {"refused", `"documents":[{}]`, nil, nil},
	"echo":                       {"refused", `"echo":true`, nil, nil},
	"include_stop_str_in_output": {"refused", `"include_stop_str_in_output":true`, nil, nil},
	"length_penalty":             {"refused", `"length_penalty":2`, nil, nil},
	"logits_processors":          {"refused", `"logits_processors":["x"]`, nil, nil},
	"prompt_logprobs":            {"refused", `"prompt_logprobs":1`, nil, nil},
	"truncate_prompt_tokens":     {"refused", `"truncate_prompt_tokens":5`, nil, nil},
	"use_beam_search":            {"refused", `"use_beam_search":true`, nil, nil},
}

func TestEveryParameter(t *testing.T) {
	for name, p := range parameters {
		t.Run(name, func(t *testing.T) {
			g := &several{answers: []string{hello}}
			f := newFixture(t, g)
			got := f.chat(t, ask(","+p.more))
			if p.says == "refused" {
				if e := got.error(t); e.Status != 400 || *e.Code != openai.CodeUnsupported || *e.Param != name {
					t.Errorf("status %d: %s", got.status, got.body)
				}
				return
			}
			if got.status != 200 {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			if p.asked != nil && !p.asked(g.asked[0]) {
				t.Errorf("the engine was asked %+v", g.asked[0])
			}
			if answer := decode[openai.ChatCompletion](t, got.body); p.seen != nil && !p.seen(answer) {
				t.Errorf("the answer is %s", got.body)
			} else if p.says == "no effect" && value(answer.Choices[0].Message.Content) != "Hello!" {
				t.Errorf("the answer is %s", got.body)
			}
			if metrics := f.do(t, "GET", "/v1/metrics", "").body; p.says == "no effect" && !strings.Contains(metrics, `gpt_oss_ignored_parameters_total{parameter="`+name+`"} 1`) {
				t.Error("it is not counted")
			}
		})
	}
}

// TestParametersAreDocumented compares with the table that users read.
func TestParametersAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/api-parameters.md")
	if err != nil {
		t.Fatal(err)
	}
	chat, _, _ := strings.Cut(string(page), "\n## POST /v1/completions")
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (works|no effect|refused)").FindAllStringSubmatch(chat, -1) {
		documented[row[1]] = row[2]
	}
	for name, p := range parameters {
		if documented[name] != p.says {
			t.Errorf("%s: the page says %q, the server %q", name, documented[name], p.says)
		}
	}
}
