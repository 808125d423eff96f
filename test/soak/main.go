package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `soak keeps a gptoss-server with the demo model busy for minutes, on this machine only.

  go run ./test/soak [flags]

  rotate  keys change every second under concurrent streams: no request with a valid key fails, none with a revoked key
          succeeds a second later, and streams that have begun go on
  load    a crowd of streaming clients, of which some leave in the middle: no error but 429, health quick meanwhile, and
          afterwards as much memory and as many goroutines as before

`

// settings are the flags.
type settings struct {
	server string
	parts  []string
	report string
	probe  string // hidden: this process is the one that asks for health

	rotate struct {
		streams  int
		duration time.Duration
		every    time.Duration
	}
	load struct {
		clients  int
		duration time.Duration
		warm     time.Duration
		leave    float64
		health   time.Duration
		memory   float64
		settle   time.Duration
		flags    string
	}
}

func main() {
	os.Exit(start(os.Args[1:]))
}

// start is main with an exit status: 1 when the server broke a promise, 2 when something else failed.
func start(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s, err := parse(args, os.Stderr)
	kept := true
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil && s.probe != "":
		err = probe(ctx, s.probe, os.Stdin, os.Stdout)
	case err == nil:
		kept, err = run(ctx, s, os.Stdout)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 2
	case !kept:
		return 1
	}
	return 0
}

func parse(args []string, out io.Writer) (settings, error) {
	s := settings{}
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, usage)
		f.VisitAll(func(x *flag.Flag) {
			if x.Usage != "" {
				fmt.Fprintf(out, "  --%-22s %s (default %s)\n", x.Name, x.Usage, x.DefValue)
			}
		})
	}
	f.StringVar(&s.server, "server", "bin/gptoss-server", "the program to test")
	only := f.String("only", "rotate,load", "which parts to run")
	f.StringVar(&s.report, "json", "", "file for the report")
	f.StringVar(&s.probe, "probe", "", "")
	f.IntVar(&s.rotate.streams, "rotate-streams", 50, "concurrent streams while keys rotate")
	f.DurationVar(&s.rotate.duration, "rotate-duration", 2*time.Minute, "how long keys rotate")
	f.DurationVar(&s.rotate.every, "rotate-every", time.Second, "time between two rotations")
	f.IntVar(&s.load.clients, "clients", 1000, "concurrent clients of the load")
	f.DurationVar(&s.load.duration, "duration", 5*time.Minute, "how long the load lasts")
	f.DurationVar(&s.load.warm, "warm", 20*time.Second, "load before the start is measured: buffers and caches fill once")
	f.Float64Var(&s.load.leave, "leave", 0.3, "share of the streams that their client leaves")
	f.DurationVar(&s.load.health, "health", 50*time.Millisecond, "how long health may take, 99 times out of 100")
	f.Float64Var(&s.load.memory, "memory", 0.1, "how much more memory the server may have afterwards, as a share of the start")
	f.DurationVar(&s.load.settle, "settle", 3*time.Minute, "how long memory and goroutines may take to come back")
	f.StringVar(&s.load.flags, "server-flags", "--max-sequences=16 --max-queue=512", "flags of the server under load")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.parts = strings.Split(*only, ",")
	for _, part := range s.parts {
		if part != "rotate" && part != "load" {
			return s, fmt.Errorf("there is no part %q", part)
		}
	}
	switch {
	case f.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case s.rotate.streams < 1 || s.load.clients < 1 || s.rotate.streams > maxClients || s.load.clients > maxClients:
		return s, fmt.Errorf("clients and streams must be 1 to %d", maxClients)
	case s.rotate.duration > maxDuration || s.load.duration > maxDuration || s.load.warm > maxDuration || s.load.settle > maxDuration:
		return s, fmt.Errorf("no part may take longer than %s", maxDuration)
	case s.rotate.every < 100*time.Millisecond:
		return s, errors.New("keys rotate every 100 ms at most")
	case math.IsNaN(s.load.leave) || s.load.leave < 0 || s.load.leave > 1:
		return s, errors.New("the share that leaves must be 0 to 1")
	}
	return s, nil
}

// What a typing error must not exceed.
const (
	maxClients  = 10_000
	maxDuration = time.Hour
)

// findings are the results of all parts, and what the server broke.
type findings struct {
	Rotation *rotation `json:"rotation,omitempty"`
	Load     *load     `json:"load,omitempty"`
	Broken   []string  `json:"broken"`
}

func run(ctx context.Context, s settings, out io.Writer) (ok bool, err error) {
	all := findings{Broken: []string{}}
	if slices.Contains(s.parts, "rotate") {
		if all.Rotation, err = rotateKeys(ctx, s, out); err != nil {
			return false, err
		}
		all.Broken = append(all.Broken, all.Rotation.broken()...)
	}
	if slices.Contains(s.parts, "load") {
		if all.Load, err = underLoad(ctx, s, out); err != nil {
			return false, err
		}
		all.Broken = append(all.Broken, all.Load.broken(s)...)
	}
	if ctx.Err() != nil {
		return false, errors.New("interrupted")
	}
	for _, b := range all.Broken {
		fmt.Fprintln(out, "broken:", b)
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return false, err
	}
	if s.report != "" {
		err = os.WriteFile(s.report, append(data, '\n'), 0o644)
	} else {
		fmt.Fprintln(out, string(data))
	}
	if len(all.Broken) == 0 {
		fmt.Fprintln(out, "soak: all promises kept")
	}
	return len(all.Broken) == 0, err
}
