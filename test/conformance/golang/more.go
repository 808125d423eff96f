package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/openai/openai-go/v3"
)

func (p *player) logprobs(ctx context.Context) error {
	given := func(a *openai.ChatCompletionNewParams) { a.Logprobs, a.TopLogprobs = openai.Bool(true), openai.Int(3) }
	verify := func(choice openai.ChatCompletionChoice) error {
		var text strings.Builder
		for _, t := range choice.Logprobs.Content {
			text.WriteString(t.Token)
			if err := errors.Join(same("alternatives", len(t.TopLogprobs), 3), check(t.Logprob <= 0, "logprob %g", t.Logprob)); err != nil {
				return err
			}
		}
		return same("the tokens", text.String(), choice.Message.Content)
	}
	c, err := p.complete(ctx, given)
	if err != nil {
		return err
	}
	all, _, err := p.read(ctx, given)
	if err != nil {
		return err
	}
	return errors.Join(verify(c.Choices[0]), verify(all.Choices[0]))
}

func (p *player) choices(ctx context.Context) error {
	given := func(a *openai.ChatCompletionNewParams) {
		a.N, a.Seed, a.Temperature = openai.Int(3), openai.Int(3), openai.Float(1)
	}
	c, err := p.complete(ctx, given)
	if err != nil {
		return err
	}
	all, _, err := p.read(ctx, given)
	if err != nil {
		return err
	}
	errs := []error{same("choices", len(c.Choices), 3), same("streamed choices", len(all.Choices), 3), checkUsage(c.Usage)}
	for i, choice := range c.Choices[:min(len(c.Choices), len(all.Choices))] {
		errs = append(errs, same("index", choice.Index, int64(i)), same("streamed content", all.Choices[i].Message.Content, choice.Message.Content))
	}
	return errors.Join(errs...)
}

func (p *player) sampling(ctx context.Context) error {
	_, err := p.complete(ctx, func(a *openai.ChatCompletionNewParams) {
		a.FrequencyPenalty, a.PresencePenalty, a.LogitBias = openai.Float(0.5), openai.Float(-0.5), map[string]int64{"40": -100}
		a.User, a.Store, a.Metadata = openai.String("u"), openai.Bool(false), map[string]string{"a": "b"}
	})
	if err != nil {
		return err
	}
	_, err = p.complete(ctx, func(a *openai.ChatCompletionNewParams) { a.FrequencyPenalty = openai.Float(2.5) })
	return refused(err, 400, "frequency_penalty", "")
}

func (p *player) completions(ctx context.Context) error {
	old := openai.CompletionNewParams{
		Model: openai.CompletionNewParamsModel(p.model), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("The capital of France is")},
		MaxTokens: openai.Int(8), Temperature: openai.Float(0),
	}
	c, err := p.client.Completions.New(ctx, old)
	if err != nil {
		return err
	}
	if len(c.Choices) != 1 {
		return fmt.Errorf("choices in %s", c.RawJSON())
	}
	stream := p.client.Completions.NewStreaming(ctx, old)
	defer func() { _ = stream.Close() }() // what matters is stream.Err
	var text strings.Builder
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			text.WriteString(choice.Text)
		}
	}
	return errors.Join(
		stream.Err(), same("object", string(c.Object), "text_completion"), same("streamed text", text.String(), c.Choices[0].Text),
		check(c.Usage.CompletionTokens > 0 && c.Usage.CompletionTokens <= 8, "usage %s", c.Usage.RawJSON()),
	)
}

func (p *player) embeddings(ctx context.Context) error {
	_, err := p.client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: p.model, Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String(question)},
	})
	return refused(err, 404, "", "")
}
