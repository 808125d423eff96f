package synth

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/server/terminal"
)

const usage = `gptoss-server synth makes a model with seeded random weights, to measure speed and memory with.
It has the shape and the types of a real one and takes as long, but its answers are noise.

Usage:
  gptoss-server synth DEST [flags]

DEST is the file to make: a GGUF file if its name ends in .gguf, else a packed file that the server
maps. It gets its name when it is whole and on the disk; whatever ends the command before, nothing
but DEST.gptoss-part is left, which the next run takes over.

Examples:
  gptoss-server synth /models/synth-20b.gptoss
  gptoss-server synth synth-20b.gguf
  gptoss-server synth --model=gpt-oss-120b --layers=2 short.gptoss
  gptoss-server synth --config=my/config.json mine.gptoss

Flags:
  --model NAME
        the model whose shape it has: gpt-oss-20b, gpt-oss-120b or gpt-oss-demo (default gpt-oss-20b)
  --config FILE
        a config.json of Hugging Face's layout to take the shape from instead
  --layers N
        make N layers instead of as many as the model has
  --format FORMAT
        packed or gguf, whatever DEST is called
  --seed N
        another seed makes other weights; the same makes the same on every machine (default 1)
  --force
        replace DEST if it is a file of the same format already
  --quiet
        say nothing but errors
  --help
        print this text and exit

The file of gpt-oss-20b has 12.7 GB, that of gpt-oss-120b 64.0 GB; making them takes 1 and 2 GB of memory.
Exit status: 0 complete, 1 failed, 2 wrong flags.
`

// The formats of a file.
const (
	formatPacked = "packed"
	formatGGUF   = "gguf"
)

// command is the parsed command line.
type command struct {
	dest, model, config, format string
	layers                      int // 0 for as many as the model has
	seed                        uint64
	force, quiet                bool
}

// Run executes the command and returns the exit status: 0 when the file is complete, 1 after a failure, 2 for wrong flags.
// The end of ctx leaves nothing.
func Run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		terminal.Say(stdout, usage)
		return 0
	}
	if err != nil {
		terminal.Say(stderr, fmt.Sprintf("gptoss-server synth: %v; see --help\n", err))
		return 2
	}
	m := &terminal.Meter{Out: stderr, Now: time.Now, Live: terminal.Live(stderr, getenv("TERM")), Quiet: c.quiet}
	summary, err := c.run(ctx, m)
	m.Clear()
	if err != nil {
		terminal.Say(stderr, fmt.Sprintf("gptoss-server synth: %s\n", sentence(err)))
		return 1
	}
	if !c.quiet {
		terminal.Say(stdout, summary)
	}
	return 0
}

// parse takes flags before and after the path.
func parse(args []string) (command, error) {
	var c command
	set := flag.NewFlagSet("synth", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&c.model, "model", "", "")
	set.StringVar(&c.config, "config", "", "")
	set.StringVar(&c.format, "format", "", "")
	set.IntVar(&c.layers, "layers", 0, "")
	set.Uint64Var(&c.seed, "seed", 1, "")
	set.BoolVar(&c.force, "force", false, "")
	set.BoolVar(&c.quiet, "quiet", false, "")
	var paths []string
	for {
		if err := set.Parse(args); err != nil {
			return c, err
		}
		if set.NArg() == 0 {
			break
		}
		paths = append(paths, set.Arg(0))
		args = set.Args()[1:]
	}
	layersGiven := false
	set.Visit(func(f *flag.Flag) { layersGiven = layersGiven || f.Name == "layers" })
	switch {
	case len(paths) != 1:
		return c, fmt.Errorf("want one DEST, not %d paths", len(paths))
	case paths[0] == "":
		return c, errors.New("want a path that is not empty")
	case c.model != "" && c.config != "":
		return c, errors.New("want --model or --config, not both")
	case layersGiven && c.layers < 1:
		return c, fmt.Errorf("--layers %d: must be at least 1", c.layers)
	}
	c.dest = paths[0]
	switch {
	case c.format == "" && strings.HasSuffix(c.dest, ".gguf"):
		c.format = formatGGUF
	case c.format == "":
		c.format = formatPacked
	case c.format != formatPacked && c.format != formatGGUF:
		return c, fmt.Errorf("--format %.40q: must be packed or gguf", c.format)
	}
	if c.model == "" {
		c.model = "gpt-oss-20b"
	}
	return c, nil
}

// sentence makes one line of an error, without the packages that it came through.
func sentence(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, name := range []string{"packed: ", "cpu: ", "synth: "} {
		text = strings.ReplaceAll(strings.TrimPrefix(text, name), ": "+name, ": ")
	}
	return text
}
