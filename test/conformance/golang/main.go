// Command golang plays the conformance scenarios through the official OpenAI client for Go. Its arguments name them, and
// it prints a JSON line for each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// scenarioTimeout is how long one may take.
const scenarioTimeout = time.Minute

// player has what scenarios need.
type player struct {
	url, limited, key, model string
	client                   openai.Client
}

func main() {
	p := player{
		url: os.Getenv("CONFORMANCE_URL"), limited: os.Getenv("CONFORMANCE_LIMITED_URL"),
		key: os.Getenv("CONFORMANCE_KEY"), model: os.Getenv("CONFORMANCE_MODEL"),
	}
	p.client = p.to(p.url, p.key, 0)
	scenarios := p.scenarios()
	out := json.NewEncoder(os.Stdout)
	for _, name := range os.Args[1:] {
		begun := time.Now()
		err := errors.New("this client has no such scenario")
		if play := scenarios[name]; play != nil {
			ctx, cancel := context.WithTimeout(context.Background(), scenarioTimeout)
			err = play(ctx)
			cancel()
		}
		line := struct {
			Scenario string  `json:"scenario"`
			OK       bool    `json:"ok"`
			Seconds  float64 `json:"seconds"`
			Error    string  `json:"error,omitempty"`
		}{Scenario: name, OK: err == nil, Seconds: time.Since(begun).Seconds()}
		if err != nil {
			line.Error = err.Error()
			if e, ok := errors.AsType[*openai.Error](err); ok { // which says only the status
				line.Error += ": " + e.Message
			}
		}
		if err := out.Encode(line); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// to makes a client.
func (p *player) to(url, key string, retries int) openai.Client {
	return openai.NewClient(option.WithBaseURL(url), option.WithAPIKey(key), option.WithMaxRetries(retries))
}

func (p *player) scenarios() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"models": p.models, "model": p.oneModel, "chat": p.chat, "stream": p.stream, "roles": p.roles, "reasoning": p.reasoning, "turns": p.turns,
		"stop": p.stop, "length": p.length, "seed": p.seed, "logprobs": p.logprobs, "choices": p.choices, "sampling": p.sampling,
		"tools": p.tools, "tools-stream": p.toolsStream, "tool-required": p.toolRequired, "tool-named": p.toolNamed, "tool-none": p.toolNone,
		"tool-strict": p.toolStrict, "json-object": p.jsonObject, "json-schema": p.jsonSchema,
		"error-key": p.errorKey, "error-model": p.errorModel, "error-param": p.errorParam, "error-limit": p.errorLimit, "cancel": p.cancel, "timeout": p.timeout,
		"responses": p.responses, "responses-stream": p.responsesStream, "responses-tools": p.responsesTools, "responses-turns": p.responsesTurns,
		"responses-json": p.responsesJSON, "responses-length": p.responsesLength, "completions": p.completions, "embeddings": p.embeddings,
	}
}

// check is an error unless ok.
func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// same compares what can be compared.
func same[T comparable](what string, got, want T) error {
	return check(got == want, "%s is %v, want %v", what, got, want)
}
