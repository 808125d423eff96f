// Command kubectl-gptoss is the hand tool for GptOssModels: put it on the PATH, and `kubectl gptoss` runs it. It only wires.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/gptoss/gptoss-operator/plugin"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := plugin.Run(ctx, os.Args[1:], plugin.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Getenv, version)
	stop()
	os.Exit(status)
}
