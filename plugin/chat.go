package plugin

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gptoss/gptoss-operator/plugin/screen"
	"github.com/gptoss/gptoss-operator/plugin/talk"
)

// maxQuestion bounds what is read of standard input.
const maxQuestion = 4 << 20

type chatFlags struct {
	reasoning, system, keyFile string
	maxTokens                  int
	temperature                float64
	hide                       bool
}

func (a *app) chat() *cobra.Command {
	var f chatFlags
	c := &cobra.Command{
		Use:   "chat NAME [TEXT...]",
		Short: "Talk to a model",
		Long: `Talk to a model through the API server, so that neither an address nor a key has to be known: the key is read from the
model's Secret (or --key-file, or GPTOSS_API_KEY) and never shown. The answer is streamed, its reasoning dimmed on a
terminal and left out elsewhere. Without TEXT the question is read from standard input; on a terminal, a conversation.`,
		Example: "  kubectl gptoss chat demo \"What is the capital of Japan?\"\n  kubectl gptoss chat demo --reasoning high < question.txt\n  kubectl gptoss chat demo",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch f.reasoning {
			case "", "low", "medium", "high":
			default:
				return usage("--reasoning %q: must be low, medium or high", f.reasoning)
			}
			return a.converse(c.Context(), args[0], strings.Join(args[1:], " "), f, c.Flags().Changed("temperature"))
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.reasoning, "reasoning", "", "how long the model thinks: low, medium or high; empty for the model's default")
	flags.StringVar(&f.system, "system", "", "system message")
	flags.StringVar(&f.keyFile, "key-file", "", "file with the API key, instead of the model's Secret")
	flags.IntVar(&f.maxTokens, "max-tokens", 0, "most tokens of an answer; 0 for the model's default")
	flags.Float64Var(&f.temperature, "temperature", 0, "randomness, 0 to 2; left out for the model's default")
	flags.BoolVar(&f.hide, "no-reasoning", false, "do not show the reasoning")
	return c
}

func (a *app) converse(ctx context.Context, name, text string, f chatFlags, temperature bool) error {
	to, err := a.reach(ctx, name, f.keyFile)
	if err != nil {
		return err
	}
	tunnel, err := to.cluster.Tunnel(ctx, &to.pods[0])
	if err != nil {
		return err
	}
	defer tunnel.Close()
	server := talk.Server{HTTP: tunnel.HTTP, Base: tunnel.URL(""), Key: to.key}
	r := talk.Request{Model: cmp.Or(to.model.Status.Model, to.model.ModelName()), MaxTokens: f.maxTokens, ReasoningEffort: f.reasoning}
	if temperature {
		r.Temperature = &f.temperature
	}
	if f.system != "" {
		r.Messages = append(r.Messages, talk.Message{Role: "system", Content: f.system})
	}
	if text != "" {
		_, err := a.ask(ctx, server, &r, text, f.hide)
		return err
	}
	if in, ok := a.In.(*os.File); ok && term.IsTerminal(int(in.Fd())) && !a.wantsJSON() {
		return a.conversation(ctx, server, &r, f.hide)
	}
	question, err := io.ReadAll(io.LimitReader(a.In, maxQuestion+1))
	switch {
	case err != nil:
		return fmt.Errorf("standard input: %w", err)
	case len(question) > maxQuestion:
		return fmt.Errorf("standard input: more than %d bytes", maxQuestion)
	case len(strings.TrimSpace(string(question))) == 0:
		return errors.New("nothing to ask: give TEXT or write to standard input")
	}
	_, err = a.ask(ctx, server, &r, string(question), f.hide)
	return err
}

// conversation goes on until the input ends. An answer that failed leaves the conversation as it was before.
func (a *app) conversation(ctx context.Context, server talk.Server, r *talk.Request, hide bool) error {
	fmt.Fprintln(a.Err, "Ctrl-D ends the conversation.")
	lines := bufio.NewScanner(a.In)
	lines.Buffer(nil, maxQuestion)
	for {
		fmt.Fprint(a.Err, "> ")
		if !lines.Scan() {
			fmt.Fprintln(a.Err)
			return lines.Err()
		}
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		before := r.Messages
		if _, err := a.ask(ctx, server, r, lines.Text(), hide); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.Messages = before
			fmt.Fprintln(a.Err, "error:", screen.Line(err.Error()))
		}
	}
}

// ask puts one question, shows the answer as it comes, and keeps both in the conversation.
func (a *app) ask(ctx context.Context, server talk.Server, r *talk.Request, text string, hide bool) (talk.Answer, error) {
	r.Messages = append(r.Messages, talk.Message{Role: "user", Content: text})
	thinking := false
	answer, err := server.Ask(ctx, *r, func(p talk.Piece) error {
		if a.wantsJSON() {
			return nil
		}
		out := ""
		if p.Reasoning != "" && a.screen.OutTerminal && !hide {
			out, thinking = a.screen.Paint(screen.Dim, a.screen.Safe(p.Reasoning)), true
		}
		if p.Content != "" {
			if thinking {
				out, thinking = out+"\n\n", false
			}
			out += a.screen.Safe(p.Content)
		}
		_, err := io.WriteString(a.Out, out)
		return err
	})
	if a.wantsJSON() && err == nil {
		err = a.json(answer)
	} else if answer.Content != "" || thinking {
		fmt.Fprintln(a.Out)
	}
	if err != nil {
		return answer, err
	}
	if answer.FinishReason == "length" {
		fmt.Fprintln(a.Err, "(the answer was cut at its most tokens)")
	}
	r.Messages = append(r.Messages, talk.Message{Role: "assistant", Content: answer.Content})
	return answer, nil
}
