package plugin

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gptoss/gptoss-operator/plugin/cluster"
	"github.com/gptoss/gptoss-operator/plugin/screen"
	"github.com/gptoss/gptoss-operator/plugin/talk"
)

// Bounds of a load: this measures a model, it does not break one.
const (
	maxRequests    = 10_000
	maxConcurrency = 64
	maxDuration    = 10 * time.Minute
)

type benchFlags struct {
	requests, concurrency, maxTokens int
	duration                         time.Duration
	prompt, keyFile                  string
}

func (a *app) bench() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench NAME",
		Short: "Measure a model with a small load",
		Long: `Measure a model with a small load, spread over its pods: time to the first token, time between tokens, tokens per second.
The requests go through the API server, which adds to every figure; inside of the cluster the model is faster.`,
		Example: "  kubectl gptoss bench chat\n  kubectl gptoss bench chat --concurrency 16 --requests 200 --max-tokens 128 -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case f.requests < 1 || f.requests > maxRequests:
				return usage("--requests must be from 1 to %d", maxRequests)
			case f.concurrency < 1 || f.concurrency > maxConcurrency:
				return usage("--concurrency must be from 1 to %d", maxConcurrency)
			case f.duration <= 0 || f.duration > maxDuration:
				return usage("--duration must be more than 0 and at most %s", maxDuration)
			case f.maxTokens < 1:
				return usage("--max-tokens must be at least 1")
			}
			return a.measure(c.Context(), args[0], f)
		},
	}
	flags := c.Flags()
	flags.IntVar(&f.requests, "requests", 32, "how many requests")
	flags.IntVar(&f.concurrency, "concurrency", 4, "how many at once")
	flags.IntVar(&f.maxTokens, "max-tokens", 64, "most tokens of an answer")
	flags.DurationVar(&f.duration, "duration", time.Minute, "end after this time, whatever is left")
	flags.StringVar(&f.prompt, "prompt", "Tell me about the capital of Japan.", "what is asked")
	flags.StringVar(&f.keyFile, "key-file", "", "file with the API key, instead of the model's Secret")
	return c
}

func (a *app) measure(ctx context.Context, name string, f benchFlags) error {
	to, err := a.reach(ctx, name, f.keyFile)
	if err != nil {
		return err
	}
	temperature := 0.0
	load := talk.Load{
		Request: talk.Request{
			Model: cmp.Or(to.model.Status.Model, to.model.ModelName()), MaxTokens: f.maxTokens, Temperature: &temperature,
			Messages: []talk.Message{{Role: "user", Content: f.prompt}},
		},
		Requests: f.requests, Concurrency: f.concurrency, Now: a.now,
	}
	for i := range to.pods {
		var t *cluster.Tunnel
		if t, err = to.cluster.Tunnel(ctx, &to.pods[i]); err != nil {
			return err
		}
		defer t.Close()
		load.Servers = append(load.Servers, talk.Server{HTTP: t.HTTP, Base: t.URL(""), Key: to.key})
	}
	shown := a.now()
	load.Done = func(finished int) {
		if a.screen.ErrTerminal && a.now().Sub(shown) > pollInterval/5 {
			shown = a.now()
			a.screen.Progress("%d of %d requests", finished, f.requests)
		}
	}
	ctx, cancel := withTimeout(ctx, f.duration)
	defer cancel()
	return a.showFigures(load.Run(ctx), len(to.pods), f)
}

func (a *app) showFigures(got talk.Figures, pods int, f benchFlags) error {
	a.screen.End()
	if a.wantsJSON() {
		if err := a.json(got); err != nil {
			return err
		}
	} else {
		plain := func(words ...string) []screen.Cell {
			cells := make([]screen.Cell, len(words))
			for i := range words {
				cells[i].Text = words[i]
			}
			return cells
		}
		fmt.Fprintf(a.Out, "%d requests in %s, %d at once, %d failed, pods: %d\n", got.Requests, got.Duration.Round(time.Millisecond), f.concurrency, got.Failed, pods)
		fmt.Fprintf(a.Out, "%d prompt tokens, %d generated tokens, %.1f tokens per second\n", got.PromptTokens, got.Tokens, got.TokensPerSecond)
		a.screen.Table([][]screen.Cell{
			plain("", "P50", "P95", "MAX"),
			plain("time to first token", short(got.FirstToken.P50), short(got.FirstToken.P95), short(got.FirstToken.Max)),
			plain("between tokens", short(got.BetweenTokens.P50), short(got.BetweenTokens.P95), short(got.BetweenTokens.Max)),
		})
	}
	if got.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed, the first with: %s", got.Failed, got.Failed+got.Requests, got.FirstError)
	}
	return nil
}

func short(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
