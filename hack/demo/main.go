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
  demo ask      one streamed answer from the demo model: demo ask "Say hello"
  demo chat     the client itself: demo chat --url http://HOST:8000/v1 --model NAME < prompt
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
	prompt := fs.String("prompt", "Hello! Who are you?", "what to ask")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return chat{url: *url, model: *model, key: os.Getenv("OPENAI_API_KEY")}.stream(ctx, *prompt, os.Stdout)
}
