package pack

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/server/terminal"
)

const usage = `gptoss-server pack rewrites a model, once, into a file that the server maps and computes with as it is.

Usage:
  gptoss-server pack SOURCE DEST [flags]
  gptoss-server pack --verify FILE

SOURCE is a folder with Hugging Face safetensors, OpenAI's folder "original", a GGUF file, or "demo".
DEST is the file to make. It gets its name when it is whole and on the disk; whatever ends the
command before, nothing but DEST.gptoss-part is left, which the next run takes over.

Examples:
  gptoss-server pack /models/gpt-oss-20b /models/gpt-oss-20b.gptoss
  gptoss-server pack gpt-oss-20b-mxfp4.gguf gpt-oss-20b.gptoss
  gptoss-server pack --verify /models/gpt-oss-20b.gptoss

Flags:
  --force
        replace DEST if it is a packed file already
  --verify
        make nothing: read all of FILE and compare it with its checksums
  --quiet
        say nothing but errors
  --help
        print this text and exit

The file of gpt-oss-20b has 12.7 GB, that of gpt-oss-120b 64.0 GB.
Experts stay as they are, in MXFP4; attention and lm_head are rounded to 8 bits.
Exit status: 0 complete, 1 failed, 2 wrong flags.
`

// demoPath stands for the model inside the program, as in --model=demo.
const demoPath = "demo"

// command is the parsed command line.
type command struct {
	source, dest         string // dest alone with verify
	force, verify, quiet bool
}

// Run executes the command and returns the exit status: 0 when the file is complete, 1 after a failure, 2 for wrong flags.
// demo is the folder that SOURCE "demo" stands for. The end of ctx leaves nothing.
func Run(ctx context.Context, args []string, demo fs.FS, getenv func(string) string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "gptoss-server pack: %v; see --help\n", err)
		return 2
	}
	m := &terminal.Meter{Out: stderr, Now: time.Now, Live: terminal.Live(stderr, getenv("TERM")), Quiet: c.quiet}
	summary, err := c.run(ctx, demo, m)
	m.Clear()
	if err != nil {
		fmt.Fprintf(stderr, "gptoss-server pack: %s\n", sentence(err))
		return 1
	}
	if !c.quiet {
		fmt.Fprint(stdout, summary)
	}
	return 0
}

// parse takes flags before, between and after the paths.
func parse(args []string) (command, error) {
	var c command
	set := flag.NewFlagSet("pack", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolVar(&c.force, "force", false, "")
	set.BoolVar(&c.verify, "verify", false, "")
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
	switch {
	case c.verify && c.force:
		return c, errors.New("want --verify or --force, not both")
	case c.verify && len(paths) != 1:
		return c, fmt.Errorf("want one FILE to verify, not %d", len(paths))
	case c.verify:
		c.dest = paths[0]
	case len(paths) != 2:
		return c, fmt.Errorf("want SOURCE and DEST, not %d paths", len(paths))
	default:
		c.source, c.dest = paths[0], paths[1]
	}
	if c.dest == "" {
		return c, errors.New("want a path that is not empty")
	}
	return c, nil
}

// sentence makes one line of an error, without the packages that it came through.
func sentence(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, name := range []string{"packed: ", "cpu: "} {
		text = strings.ReplaceAll(strings.TrimPrefix(text, name), ": "+name, ": ")
	}
	return text
}
