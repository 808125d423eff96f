// Command cluster gives a real single-node Kubernetes on Linux, built from the
// Go module proxy and Debian packages alone, in namespaces of its own so that
// nothing reaches the host. See README.md beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses beside 0 and 1.
const (
	exitUsage       = 2
	exitImpossible  = 3 // this machine cannot run a node
	exitNotStarted  = 4 // nothing is up
	commandNameSize = 14
)

// command is one word that the program understands.
type command struct {
	name, args, summary, example string
	hidden                       bool // started by the program itself
	flags                        func(*flag.FlagSet)
	run                          func(ctx context.Context, args []string) error
}

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	err    error
}

func (e statusError) Error() string { return e.err.Error() }
func (e statusError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, commands(), os.Args[1:], os.Stderr)
	stop()
	if err == nil {
		return
	}
	status := 1
	if withStatus, ok := errors.AsType[statusError](err); ok {
		status = withStatus.status
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "cluster:", text)
	}
	os.Exit(status)
}

func dispatch(ctx context.Context, all []command, args []string, out io.Writer) error {
	if len(args) == 0 {
		usage(out, all)
		return statusError{exitUsage, errors.New("")}
	}
	if name := args[0]; name == "help" || name == "-h" || name == "--help" {
		usage(out, all)
		return nil
	}
	for _, c := range all {
		if c.name == args[0] {
			return c.start(ctx, args[1:], out)
		}
	}
	usage(out, all)
	return statusError{exitUsage, fmt.Errorf("no command %q", args[0])}
}

func (c command) start(ctx context.Context, args []string, out io.Writer) error {
	set := flag.NewFlagSet(c.name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	if c.flags != nil {
		c.flags(set)
	}
	help := func() {
		_, _ = fmt.Fprintf(out, "%s\n\nusage: cluster %s %s\n\nexample:\n  %s\n", c.summary, c.name, c.args, c.example)
		set.SetOutput(out)
		set.PrintDefaults()
	}
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		help()
		return nil
	}
	if err != nil {
		help()
		return statusError{exitUsage, err}
	}
	return c.run(ctx, set.Args())
}

func usage(out io.Writer, all []command) {
	_, _ = fmt.Fprint(out, "cluster: a real single-node Kubernetes in namespaces of its own\n\n"+
		"usage: cluster COMMAND [flags]; cluster COMMAND --help tells more\n\n")
	for _, c := range all {
		if !c.hidden {
			_, _ = fmt.Fprintf(out, "  %-*s %s\n", commandNameSize, c.name, c.summary)
		}
	}
}

// noArgs refuses words that a command would silently ignore.
func noArgs(run func(context.Context) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return statusError{exitUsage, fmt.Errorf("unexpected argument %q", args[0])}
		}
		return run(ctx)
	}
}
