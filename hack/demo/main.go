// Command demo takes a newcomer the whole way: a local Kubernetes, the operator
// running in it, a seven-line GptOssModel, and a streamed answer from its pod.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `demo runs gptoss-operator on a local Kubernetes.

Usage:
  demo up       cluster, operator, demo model, one streamed answer
  demo install  cluster and operator only
  demo ask      one streamed answer from the demo model: demo ask [--reasoning high] [--weather] "Explain gravity"
  demo chat     the client itself: demo chat --url http://HOST:8000/v1 --model NAME "Hello"
                (the key comes from OPENAI_API_KEY)
  demo down     stop everything again

Example:
  make demo
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	switch args[0] {
	case "up":
		return up(ctx)
	case "install":
		_, err := install(ctx, newProgress(os.Stdout))
		return err
	case "ask":
		return ask(ctx, args[1:])
	case "chat":
		return chatCommand(ctx, args[1:])
	case "down":
		return down(ctx)
	case "-h", "--help", "help":
		fmt.Print(usage)
		return nil
	}
	return fmt.Errorf("unknown command %q; see demo --help", args[0])
}

// chatCommand is the OpenAI client: it runs wherever the model can be reached.
func chatCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("chat", flag.ContinueOnError)
	url := fs.String("url", "http://127.0.0.1:8000/v1", "base URL of the API, with /v1")
	model := fs.String("model", "gpt-oss-demo", "model id")
	q, err := parseQuestion(fs, args)
	if err != nil {
		return err
	}
	return chat{url: *url, model: *model, key: os.Getenv("OPENAI_API_KEY")}.ask(ctx, q, os.Stdout)
}

// parseQuestion reads the flags of a question, and the question.
func parseQuestion(fs *flag.FlagSet, args []string) (question, error) {
	var q question
	fs.StringVar(&q.reasoning, "reasoning", "", "low, medium or high (default: the server's)")
	fs.BoolVar(&q.weather, "weather", false, "offer the model a weather tool")
	if err := fs.Parse(args); err != nil {
		return q, err
	}
	if fs.NArg() != 1 {
		return q, fmt.Errorf(`give one question: demo %s "Explain gravity"`, fs.Name())
	}
	q.prompt = fs.Arg(0)
	return q, nil
}

// args is what parseQuestion reads.
func (q question) args() []string {
	var args []string
	if q.reasoning != "" {
		args = append(args, "--reasoning="+q.reasoning)
	}
	if q.weather {
		args = append(args, "--weather")
	}
	return append(args, "--", q.prompt)
}
