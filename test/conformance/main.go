// Command conformance plays written scenarios through the clients that people use against an OpenAI-compatible server: a
// gptoss-server of its own with the demo model, or any other that a URL names. It prints a table of scenarios and clients
// and ends with status 1 when one of them failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// keyVariable is the environment variable with the key of --endpoint, which an argument would show to every process.
const keyVariable = "CONFORMANCE_KEY"

const usage = `conformance plays scenarios through real clients against an OpenAI-compatible server.

  go run ./test/conformance [flags]

The key of --endpoint comes from the environment variable ` + keyVariable + `. Libraries are installed into $GPTOSS_CACHE once.

`

// settings are the flags.
type settings struct {
	server, endpoint, key, model string
	clients, only                []string
	list                         bool
	report                       string
	timeout                      time.Duration
}

func main() {
	os.Exit(start(os.Args[1:]))
}

// start is main with an exit status: 1 when a scenario failed, 2 when something else did.
func start(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s, err := parse(args, os.Stderr)
	failed := 0
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil && s.list:
		printList(os.Stdout)
	case err == nil:
		failed, err = run(ctx, s, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		return 2
	}
	return min(failed, 1)
}

func parse(args []string, out io.Writer) (settings, error) {
	s := settings{key: os.Getenv(keyVariable)}
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() { fmt.Fprint(out, usage); f.PrintDefaults() }
	f.StringVar(&s.server, "server", "bin/gptoss-server", "the program to test, where no endpoint is given")
	f.StringVar(&s.endpoint, "endpoint", "", "`URL` of a running server, with or without /v1; what needs a server of its own is left out then")
	f.StringVar(&s.model, "model", "", "model to ask (default: the first that the server lists)")
	names := func(list *[]string, known func(string) bool) func(string) error {
		return func(text string) error {
			for name := range strings.SplitSeq(text, ",") {
				if !known(name) {
					return fmt.Errorf("there is no %q; --list shows all", name)
				}
				*list = append(*list, name)
			}
			return nil
		}
	}
	f.Func("clients", "only these clients, separated by commas", names(&s.clients, func(name string) bool {
		return slices.ContainsFunc(clients, func(c client) bool { return c.name == name || c.kind == name })
	}))
	f.Func("only", "only these scenarios, separated by commas", names(&s.only, func(name string) bool { _, ok := find(name); return ok }))
	f.BoolVar(&s.list, "list", false, "list the scenarios and end")
	f.StringVar(&s.report, "json", "", "also write the results to this `file`")
	f.DurationVar(&s.timeout, "timeout", 5*time.Minute, "how long one client may take for all its scenarios")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return s, nil
}

// wants reports whether a client was chosen, by its name or by what it runs on.
func (s *settings) wants(c client) bool {
	return len(s.clients) == 0 || slices.Contains(s.clients, c.name) || slices.Contains(s.clients, c.kind)
}

func printList(out io.Writer) {
	for _, s := range scenarios {
		fmt.Fprintf(out, "%-17s %s\n", s.name, s.tells)
	}
}

// run plays everything and returns how many scenarios failed.
func run(ctx context.Context, s settings, out io.Writer) (failed int, err error) {
	t, err := open(ctx, s)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	fmt.Fprintf(out, "server %s, model %s\n", t.url, t.model)
	scratch, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	var results []result
	for _, c := range clients {
		names := plan(c, s.only, t.own())
		if !s.wants(c) || len(names) == 0 {
			continue
		}
		command, missing, err := prepare(ctx, c, scratch, out)
		if missing != "" {
			fmt.Fprintf(out, "%s does not run here: %s\n", c.name, missing)
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("%s cannot be installed: %w", c.name, err)
		}
		begun := time.Now()
		results = append(results, play(ctx, c, command, names, t, s.timeout)...)
		fmt.Fprintf(out, "%s played %d scenarios in %.1f s\n", c.name, len(names), time.Since(begun).Seconds())
	}
	if len(results) == 0 {
		return 0, errors.New("nothing was played")
	}
	failed = printTable(out, results)
	if s.report != "" {
		err = writeReport(s.report, t, results)
	}
	return failed, err
}
