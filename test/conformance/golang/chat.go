package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

const question = "What is the capital of France?"

// ask is the least that a chat completion needs, without chance in it.
func (p *player) ask(change func(*openai.ChatCompletionNewParams)) openai.ChatCompletionNewParams {
	a := openai.ChatCompletionNewParams{
		Model: p.model, Temperature: openai.Float(0), Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(question)},
	}
	if change != nil {
		change(&a)
	}
	return a
}

func (p *player) complete(ctx context.Context, change func(*openai.ChatCompletionNewParams), options ...option.RequestOption) (*openai.ChatCompletion, error) {
	c, err := p.client.Chat.Completions.New(ctx, p.ask(change), options...)
	if err == nil && len(c.Choices) == 0 {
		err = fmt.Errorf("no choices in %s", c.RawJSON())
	}
	return c, err
}

// read takes a stream to its end, with the library's accumulator, which refuses chunks that do not fit together.
func (p *player) read(ctx context.Context, change func(*openai.ChatCompletionNewParams)) (*openai.ChatCompletionAccumulator, []openai.ChatCompletionChunk, error) {
	stream := p.client.Chat.Completions.NewStreaming(ctx, p.ask(change))
	defer func() { _ = stream.Close() }() // what matters is stream.Err
	var all openai.ChatCompletionAccumulator
	var chunks []openai.ChatCompletionChunk
	for stream.Next() {
		chunk := stream.Current()
		if !all.AddChunk(chunk) {
			return nil, nil, fmt.Errorf("the library cannot add the chunk %s", chunk.RawJSON())
		}
		chunks = append(chunks, chunk)
	}
	if err := stream.Err(); err != nil {
		return nil, nil, err
	}
	if len(all.Choices) == 0 {
		return nil, nil, errors.New("a stream without choices")
	}
	return &all, chunks, nil
}

func checkUsage(u openai.CompletionUsage) error {
	return errors.Join(
		check(u.PromptTokens > 0 && u.CompletionTokens > 0, "usage %s", u.RawJSON()),
		same("total_tokens", u.TotalTokens, u.PromptTokens+u.CompletionTokens),
		check(u.PromptTokensDetails.JSON.CachedTokens.Valid(), "cached_tokens are missing"),
		check(u.CompletionTokensDetails.JSON.ReasoningTokens.Valid(), "reasoning_tokens are missing"),
	)
}

func has(what, text, part string) error {
	return check(strings.Contains(text, part), "%s is %q, want %q in it", what, text, part)
}

func (p *player) models(ctx context.Context) error {
	pages := p.client.Models.ListAutoPaging(ctx)
	for pages.Next() {
		if m := pages.Current(); m.ID == p.model {
			return errors.Join(same("object", string(m.Object), "model"), check(m.Created > 0 && m.OwnedBy != "", "the model is %s", m.RawJSON()))
		}
	}
	return errors.Join(pages.Err(), fmt.Errorf("%s is not listed", p.model))
}

func (p *player) oneModel(ctx context.Context) error {
	m, err := p.client.Models.Get(ctx, p.model)
	if err != nil {
		return err
	}
	_, err = p.client.Models.Get(ctx, "no-such-model")
	return errors.Join(same("id", m.ID, p.model), refused(err, 404, "", "model_not_found"))
}

func (p *player) chat(ctx context.Context) error {
	c, err := p.complete(ctx, nil)
	if err != nil {
		return err
	}
	choice := c.Choices[0]
	return errors.Join(
		check(strings.HasPrefix(c.ID, "chatcmpl-"), "id %q", c.ID), same("object", string(c.Object), "chat.completion"), same("model", c.Model, p.model),
		same("choices", len(c.Choices), 1), same("index", choice.Index, 0), same("finish_reason", choice.FinishReason, "stop"),
		same("role", string(choice.Message.Role), "assistant"), same("tool calls", len(choice.Message.ToolCalls), 0),
		has("content", choice.Message.Content, "Paris"), checkUsage(c.Usage),
	)
}

func (p *player) stream(ctx context.Context) error {
	whole, err := p.complete(ctx, nil)
	if err != nil {
		return err
	}
	all, chunks, err := p.read(ctx, func(a *openai.ChatCompletionNewParams) {
		a.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	})
	if err != nil {
		return err
	}
	errs := []error{
		same("content", all.Choices[0].Message.Content, whole.Choices[0].Message.Content), same("finish_reason", all.Choices[0].FinishReason, "stop"),
		same("role of the first chunk", chunks[0].Choices[0].Delta.Role, "assistant"),
		same("choices of the last chunk", len(chunks[len(chunks)-1].Choices), 0),
		checkUsage(chunks[len(chunks)-1].Usage), same("total_tokens", all.Usage.TotalTokens, whole.Usage.TotalTokens),
	}
	for _, c := range chunks {
		errs = append(errs, same("id", c.ID, chunks[0].ID), same("created", c.Created, chunks[0].Created), same("object", string(c.Object), "chat.completion.chunk"))
	}
	return errors.Join(errs...)
}

func (p *player) roles(ctx context.Context) error {
	parts := []openai.ChatCompletionContentPartUnionParam{openai.TextContentPart("What is the capital "), openai.TextContentPart("of France?")}
	for _, before := range []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Answer shortly."), openai.DeveloperMessage("Answer shortly.")} {
		c, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
			a.Messages = []openai.ChatCompletionMessageParamUnion{before, openai.UserMessage(parts)}
		})
		if err != nil {
			return err
		}
		if err := has("content", c.Choices[0].Message.Content, "Paris"); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) reasoning(ctx context.Context) error {
	var counts []int64
	for _, effort := range []shared.ReasoningEffort{shared.ReasoningEffortLow, shared.ReasoningEffortHigh} {
		c, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) { a.ReasoningEffort = effort })
		if err != nil {
			return err
		}
		if c.Choices[0].Message.JSON.ExtraFields["reasoning"].Raw() == "" {
			return fmt.Errorf("no reasoning in %s", c.RawJSON())
		}
		counts = append(counts, c.Usage.CompletionTokensDetails.ReasoningTokens)
	}
	return check(0 < counts[0] && counts[0] < counts[1], "reasoning tokens of low and high: %v", counts)
}

func (p *player) turns(ctx context.Context) error {
	first, err := p.complete(ctx, nil)
	if err != nil {
		return err
	}
	second, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		a.Messages = append(a.Messages, first.Choices[0].Message.ToParam(), openai.UserMessage("And of Japan?"))
	})
	if err != nil {
		return err
	}
	return has("content", second.Choices[0].Message.Content, "Tokyo")
}

func (p *player) stop(ctx context.Context) error {
	whole, err := p.complete(ctx, nil)
	if err != nil {
		return err
	}
	text := whole.Choices[0].Message.Content
	word := strings.Fields(text)[2]
	want, _, _ := strings.Cut(text, word)
	for _, stop := range []openai.ChatCompletionNewParamsStopUnion{{OfString: openai.String(word)}, {OfStringArray: []string{"never said", word}}} {
		given := func(a *openai.ChatCompletionNewParams) { a.Stop = stop }
		c, err := p.complete(ctx, given)
		if err != nil {
			return err
		}
		all, _, err := p.read(ctx, given)
		if err != nil {
			return err
		}
		if err := errors.Join(same("content", c.Choices[0].Message.Content, want), same("streamed content", all.Choices[0].Message.Content, want)); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) length(ctx context.Context) error {
	for name, given := range map[string]func(*openai.ChatCompletionNewParams){
		"max_tokens":            func(a *openai.ChatCompletionNewParams) { a.MaxTokens = openai.Int(5) },
		"max_completion_tokens": func(a *openai.ChatCompletionNewParams) { a.MaxCompletionTokens = openai.Int(5) },
	} {
		c, err := p.complete(ctx, given)
		if err != nil {
			return err
		}
		if err := errors.Join(same(name, c.Choices[0].FinishReason, "length"), same(name, c.Usage.CompletionTokens, 5)); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) seed(ctx context.Context) error {
	warm := func(a *openai.ChatCompletionNewParams) {
		a.Temperature, a.TopP, a.Seed = openai.Float(1), openai.Float(1), openai.Int(7)
		a.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Explain gravity in one sentence.")}
	}
	first, err := p.complete(ctx, warm)
	if err != nil {
		return err
	}
	second, err := p.complete(ctx, warm)
	if err != nil {
		return err
	}
	all, _, err := p.read(ctx, warm)
	if err != nil {
		return err
	}
	want := first.Choices[0].Message.Content
	return errors.Join(same("the second answer", second.Choices[0].Message.Content, want), same("the streamed answer", all.Choices[0].Message.Content, want))
}
