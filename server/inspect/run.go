package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/gptoss/gptoss-operator/engine/cpu"
	"github.com/gptoss/gptoss-operator/engine/model"
	"github.com/gptoss/gptoss-operator/engine/weights"
	"github.com/gptoss/gptoss-operator/engine/weights/packed"
)

// demoPath stands for the model inside the program, as in --model=demo.
const demoPath = "demo"

const usage = `gptoss-server inspect tells what a model is, without reading its tensors.

Usage:
  gptoss-server inspect PATH [flags]
  gptoss-server inspect --preset NAME [flags]

PATH is a folder with Hugging Face safetensors, OpenAI's folder "original", a GGUF file, a file that gptoss-server pack
wrote, or "demo".

Example:
  gptoss-server inspect /models/gpt-oss-20b --context-length 32768 --sequences 4

Flags:
  --context-length N
        tokens of one sequence in the memory plan (default: all that the model can)
  --sequences N
        sequences at a time in the memory plan (default 1)
  --tensors
        list every tensor, not one layer for all of its kind
  --output text|json
        how to print (default text)
  --preset gpt-oss-20b|gpt-oss-120b
        describe a published model that is not at hand
  --help
        print this text and exit
`

// flags are what the command line says.
type flags struct {
	path          string
	preset        string
	output        string
	contextLength int
	sequences     int
	tensors       bool
}

// Run executes the command and returns the exit status: 0 for a model that can be served, 1 for one that cannot or is
// not there, 2 for wrong flags. demo is the folder that PATH "demo" stands for.
func Run(ctx context.Context, args []string, demo fs.FS, stdout, stderr io.Writer) int {
	f, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "gptoss-server inspect: %v; see --help\n", err)
		return 2
	}
	if err := inspect(ctx, f, demo, stdout); err != nil {
		fmt.Fprintf(stderr, "gptoss-server inspect: %v\n", err)
		return 1
	}
	return 0
}

// parse takes flags before and after the path.
func parse(args []string) (flags, error) {
	f := flags{sequences: 1, output: "text"}
	set := flag.NewFlagSet("inspect", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	set.IntVar(&f.contextLength, "context-length", f.contextLength, "")
	set.IntVar(&f.sequences, "sequences", f.sequences, "")
	set.BoolVar(&f.tensors, "tensors", f.tensors, "")
	set.StringVar(&f.output, "output", f.output, "")
	set.StringVar(&f.preset, "preset", f.preset, "")
	var paths []string
	for {
		if err := set.Parse(args); err != nil {
			return f, err
		}
		if set.NArg() == 0 {
			break
		}
		paths = append(paths, set.Arg(0))
		args = set.Args()[1:]
	}
	switch {
	case len(paths) == 0 && f.preset == "":
		return f, errors.New("want the path of a model")
	case len(paths) > 1:
		return f, fmt.Errorf("want one path, not %d", len(paths))
	case len(paths) == 1 && f.preset != "":
		return f, errors.New("want a path or --preset, not both")
	case f.output != "text" && f.output != "json":
		return f, fmt.Errorf("--output is %.40q, want text or json", f.output)
	case f.contextLength < 0:
		return f, fmt.Errorf("--context-length is %d, want 1 or more", f.contextLength)
	case f.sequences < 1:
		return f, fmt.Errorf("--sequences is %d, want 1 or more", f.sequences)
	}
	f.path = strings.Join(paths, "")
	return f, nil
}

func inspect(ctx context.Context, f flags, demo fs.FS, stdout io.Writer) error {
	d, digest, err := find(f, demo)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := newReport(f, d, digest)
	if err != nil {
		return err
	}
	if f.output == "json" {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		_, err = io.WriteString(stdout, r.text(f.tensors))
	}
	if err != nil {
		return err
	}
	return d.Problem
}

// find describes the model; digest is that of a packed file.
func find(f flags, demo fs.FS) (d *weights.Description, digest string, err error) {
	switch {
	case f.preset != "":
		c, ok := model.Preset(f.preset)
		if !ok {
			return nil, "", fmt.Errorf("no preset %.40q, want gpt-oss-20b or gpt-oss-120b", f.preset)
		}
		return published(c), "", nil
	case f.path == demoPath:
		d, err = weights.DescribeFS(demo)
	case packed.Is(f.path):
		return findPacked(f.path)
	default:
		d, err = weights.Describe(f.path)
	}
	return d, "", err
}

func findPacked(path string) (d *weights.Description, digest string, err error) {
	file, err := packed.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if d, err = cpu.Describe(file); err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	d.Files = []weights.FileInfo{{Name: filepath.Base(path), Size: file.Size()}}
	return d, file.Digest(), nil
}

// published describes the tensors that a model of Hugging Face's layout would have.
func published(c model.Config) *weights.Description {
	d := &weights.Description{Config: c}
	for _, t := range c.Tensors() {
		info := weights.TensorInfo{Name: t.Name, Type: t.DType, Bytes: 1}
		if t.DType == model.BF16 {
			info.Bytes = 2
		}
		for _, n := range t.Shape {
			info.Shape = append(info.Shape, int64(n))
			info.Bytes *= int64(n)
		}
		d.Tensors = append(d.Tensors, info)
	}
	return d
}
