package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/server/bench"
	"github.com/gptoss/gptoss-operator/server/cache"
	"github.com/gptoss/gptoss-operator/server/inspect"
	"github.com/gptoss/gptoss-operator/server/pack"
	"github.com/gptoss/gptoss-operator/server/pull"
	"github.com/gptoss/gptoss-operator/server/synth"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

// commands is what --help shows before the flags of serve.
const commands = `Commands:
  gptoss-server [serve] [flags]        answer the OpenAI API; its flags are below
  gptoss-server pull SOURCE [flags]    download a model and verify it
  gptoss-server pack SOURCE DEST       rewrite a model into a file that is mapped and computed with as it is
  gptoss-server cache [flags]          pull and pack into a volume that pods share; the operator's Jobs run it
  gptoss-server synth DEST [flags]     make a model with random weights, to measure with
  gptoss-server bench MODEL [flags]    measure how fast this machine runs a model
  gptoss-server inspect PATH [flags]   tell what a model is and how much memory it takes

gptoss-server COMMAND --help tells more about a command.

`

// run is main without the process: it returns the exit status, 0 for a normal end, 1 for a failure, 2 for wrong flags.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return runServe(ctx, args, getenv, stdout, stderr)
	}
	switch command, rest := args[0], args[1:]; command {
	case "serve":
		return runServe(ctx, rest, getenv, stdout, stderr)
	case "pull":
		return pull.Run(ctx, rest, getenv, stdout, stderr)
	case "pack":
		return pack.Run(ctx, rest, demo.Files(), getenv, stdout, stderr)
	case "cache":
		return cache.Run(ctx, rest, getenv, stdout, stderr)
	case "synth":
		return synth.Run(ctx, rest, getenv, stdout, stderr)
	case "bench":
		return bench.Run(ctx, rest, demo.Files(), getenv, stdout, stderr)
	case "inspect":
		return inspect.Run(ctx, rest, demo.Files(), stdout, stderr)
	default:
		terminal.Say(stderr, fmt.Sprintf("gptoss-server: unknown command %.100q: the commands are serve, pull, pack, cache, synth, bench and inspect\n", command))
		return 2
	}
}
