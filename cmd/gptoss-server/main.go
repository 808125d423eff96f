// Command gptoss-server serves a gpt-oss model over the OpenAI API: it listens at once, loads the model meanwhile and
// answers until it is asked to end. Its other commands download models, pack them and tell what they are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/gptoss/gptoss-operator/server"
	"github.com/gptoss/gptoss-operator/server/options"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// runServe answers requests until ctx ends.
func runServe(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := options.Parse(args)
	if err == nil {
		err = addEnvironment(&o, getenv)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		terminal.Say(stdout, commands+options.Usage())
		return 0
	case errors.Is(err, options.ErrVersion):
		terminal.Say(stdout, "gptoss-server "+version+"\n")
		return 0
	case err != nil:
		terminal.Say(stderr, "gptoss-server: "+sentence(err)+"\n")
		return 2
	}
	if err := serve(ctx, o, newLogger(o, stdout), stdout); err != nil {
		terminal.Say(stderr, "gptoss-server: "+sentence(err)+"\n")
		writeTerminationLog(o.TerminationLog, sentence(err), stderr)
		return 1
	}
	return 0
}

// serve runs the server until ctx ends or the model turns out not to be loadable.
func serve(ctx context.Context, o options.Options, log *slog.Logger, stdout io.Writer) error {
	plain := o
	plain.ServedModelName = ""
	s, err := server.New(server.Config{Options: o, Version: version, Logger: log, Aliases: []string{plain.ModelName()}, Stdout: stdout})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
	if err != nil {
		return err
	}
	log.Info("listening", "address", listener.Addr().String(), "version", version, "model", o.ModelName())

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := make(chan *loaded, 1)
	go func() {
		m, err := load(ctx, o, log)
		if err != nil {
			cancel(loadError{fmt.Errorf("cannot serve model %s: %w", o.Model, err)})
			return
		}
		ready <- m
		s.SetModel(m.Model)
		log.Info("model loaded", "model", o.ModelName(), "context_length", m.ContextLength, "parameters", m.TotalParameters)
	}()
	err = s.Serve(ctx, listener)
	select {
	case m := <-ready:
		err = errors.Join(err, m.close())
	default: // still loading, or failed
	}
	if failed, ok := errors.AsType[loadError](context.Cause(ctx)); ok {
		return failed
	}
	return err
}

// loadError tells a model that cannot be loaded from a signal, both of which end the context.
type loadError struct{ error }

func newLogger(o options.Options, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	handler := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, handler))
	}
	return slog.New(slog.NewJSONHandler(w, handler))
}

// writeTerminationLog leaves the reason where the kubelet picks it up.
func writeTerminationLog(path, reason string, stderr io.Writer) {
	if path == "" {
		return
	}
	if err := os.WriteFile(path, []byte(reason+"\n"), 0o644); err != nil {
		terminal.Say(stderr, "gptoss-server: termination log: "+sentence(err)+"\n")
	}
}

// sentence makes one line of an error, short enough for the 4096 bytes that the kubelet reads.
func sentence(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 2000 {
		text = strings.ToValidUTF8(text[:2000], "") + "…"
	}
	return text
}
