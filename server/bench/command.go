package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/engine/kernel"
	"github.com/gptoss/gptoss-operator/server/terminal"
)

const usage = `gptoss-server bench measures how fast this machine runs a model, and how fast it could.

Usage:
  gptoss-server bench MODEL [flags]

MODEL is a packed file, a folder with Hugging Face safetensors, OpenAI's folder "original", a GGUF file, or
"demo". It is fed with token ids drawn at random, so it needs no tokenizer; "gptoss-server synth" makes a
model of any shape with random weights, which is as fast as the real one.

Examples:
  gptoss-server bench demo
  gptoss-server bench gpt-oss-20b.gptoss
  gptoss-server bench gpt-oss-20b.gptoss --work=prefill,decode --prompt=128,512,2048 --output=json

Flags:
  --work LIST
        what to measure, all of it unless named:
        prefill  tokens per second of a prompt, read into an empty cache
        decode   tokens per second of one sequence
        batch    tokens per second of several sequences decoding together
        prefix   time to the first token of a prompt, and of a second one that begins alike
        latency  time between the tokens of running streams, alone and while a long prompt arrives
        memory   peak resident memory with the cache full of sequences
  --repetitions N
        how often each figure is taken (default 3)
  --threads N
        cores that compute; 0 means all that the process may use (default 0)
  --kernel NAME
        kernels to compute with, such as avx2 or generic; auto takes the best (default auto)
  --load HOW
        where a packed file is read from: map, its mapping, or copy, huge pages of this process alone, which
        some machines read faster; other models are packed into memory anyway (default map)
  --prompt LIST
        lengths of the prompts of prefill (default 512)
  --decode N
        tokens that decode and batch generate for each sequence, and latency while it is quiet (default 64)
  --context N
        tokens in the cache before decode and batch begin, and in the prompts of latency's streams (default 128)
  --sequences LIST
        numbers of sequences of batch (default 1,2,4,8,16)
  --max-batch-tokens N
        most tokens that one step computes (default 512)
  --prefix N
        tokens that the two prompts of prefix share (default 2000)
  --streams LIST
        numbers of running streams of latency (default 1,4)
  --long-prompt N
        tokens of the prompt that arrives beside them (default 4000)
  --memory-sequences N
        sequences of memory (default 8)
  --memory-context N
        tokens of each of them (default 4096)
  --output FORMAT
        text or json (default text)
  --quiet
        show no progress
  --help
        print this text and exit

Exit status: 0 complete, 1 failed, 2 wrong flags.
`

// demoPath stands for the model inside the program, as in --model=demo.
const demoPath = "demo"

// kernelAuto is the value of --kernel that leaves the choice to the processor.
const kernelAuto = "auto"

// The values of --load.
const (
	loadMap  = "map"
	loadCopy = "copy"
)

// The works, in the order in which they are done.
const (
	workPrefill = "prefill"
	workDecode  = "decode"
	workBatch   = "batch"
	workMemory  = "memory"
	workPrefix  = "prefix"
	workLatency = "latency"
)

var works = []string{workPrefill, workDecode, workBatch, workMemory, workPrefix, workLatency}

// command is the parsed command line.
type command struct {
	model           string
	work            []string
	repetitions     int
	threads         int
	kernel          string
	load            string
	prompts         []int
	decode, context int
	sequences       []int
	stepTokens      int
	prefix          int
	streams         []int
	longPrompt      int
	memorySequences int
	memoryContext   int
	output          string
	quiet           bool

	rooflineTime time.Duration // of a sample
	hugeBytes    int           // of memory to read
}

// Run executes the command and returns the exit status: 0 when all is measured, 1 after a failure, 2 for wrong flags. demo is
// the folder that MODEL "demo" stands for. GPTOSS_KERNEL names the kernels where no flag does. The end of ctx ends it after
// the step under way.
func Run(ctx context.Context, args []string, demo fs.FS, getenv func(string) string, stdout, stderr io.Writer) int {
	c, err := parse(args, getenv("GPTOSS_KERNEL"))
	if errors.Is(err, flag.ErrHelp) {
		terminal.Say(stdout, usage)
		return 0
	}
	if err != nil {
		terminal.Say(stderr, fmt.Sprintf("gptoss-server bench: %v; see --help\n", err))
		return 2
	}
	m := &terminal.Meter{Out: stderr, Now: time.Now, Live: terminal.Live(stderr, getenv("TERM")), Quiet: c.quiet}
	return c.execute(ctx, demo, m, stdout, stderr)
}

// execute runs a command that is parsed and returns the exit status.
func (c command) execute(ctx context.Context, demo fs.FS, m *terminal.Meter, stdout, stderr io.Writer) int {
	report, err := c.run(ctx, demo, m)
	m.Clear()
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err == nil {
		err = report.write(stdout, c.output)
	}
	if err != nil {
		terminal.Say(stderr, "gptoss-server bench: "+sentence(err)+"\n")
		return 1
	}
	return 0
}

// parse takes flags before and after the model.
func parse(args []string, environmentKernel string) (command, error) {
	c := command{
		work: works, repetitions: 3, kernel: kernelAuto, load: loadMap, prompts: []int{512}, decode: 64, context: 128,
		sequences: []int{1, 2, 4, 8, 16}, stepTokens: 512, prefix: 2000, streams: []int{1, 4}, longPrompt: 4000,
		memorySequences: 8, memoryContext: 4096, output: "text", rooflineTime: rooflineTime, hugeBytes: anonymousBytes,
	}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Func("work", "", func(s string) (err error) {
		c.work, err = parseWork(s)
		return err
	})
	number := func(name string, to *int, least, most int) {
		set.Func(name, "", func(s string) (err error) {
			*to, err = parseNumber(s, least, most)
			return err
		})
	}
	list := func(name string, to *[]int, most int) {
		set.Func(name, "", func(s string) (err error) {
			*to, err = parseNumbers(s, most)
			return err
		})
	}
	const maxTokens, maxSequences = 1 << 20, 256
	number("repetitions", &c.repetitions, 1, 1000)
	number("threads", &c.threads, 0, 1024)
	number("decode", &c.decode, 1, maxTokens)
	number("context", &c.context, 1, maxTokens)
	number("max-batch-tokens", &c.stepTokens, 1, 1<<16)
	number("prefix", &c.prefix, 1, maxTokens)
	number("long-prompt", &c.longPrompt, 1, maxTokens)
	number("memory-sequences", &c.memorySequences, 1, maxSequences)
	number("memory-context", &c.memoryContext, 1, maxTokens)
	list("prompt", &c.prompts, maxTokens)
	list("sequences", &c.sequences, maxSequences)
	list("streams", &c.streams, maxSequences)
	set.StringVar(&c.kernel, "kernel", c.kernel, "")
	set.StringVar(&c.load, "load", c.load, "")
	set.StringVar(&c.output, "output", c.output, "")
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
	if c.kernel == kernelAuto {
		c.kernel = environmentKernel
	}
	if c.kernel == kernelAuto {
		c.kernel = ""
	}
	return c, c.check(paths)
}

// check completes the command by its one path.
func (c *command) check(paths []string) error {
	if _, err := kernel.Select(c.kernel); err != nil {
		return errors.New(sentence(err))
	}
	switch {
	case len(paths) != 1 || paths[0] == "":
		return fmt.Errorf("want one MODEL, not %d", len(paths))
	case c.output != "text" && c.output != "json":
		return fmt.Errorf("--output is %.40q, want text or json", c.output)
	case c.load != loadMap && c.load != loadCopy:
		return fmt.Errorf("--load is %.40q, want map or copy", c.load)
	case slices.Max(c.sequences) > c.stepTokens:
		return fmt.Errorf("--sequences %d do not fit into steps of --max-batch-tokens %d", slices.Max(c.sequences), c.stepTokens)
	case slices.Max(c.streams) >= c.stepTokens:
		return fmt.Errorf("--streams %d leave no room for prompts in steps of --max-batch-tokens %d", slices.Max(c.streams), c.stepTokens)
	case c.memorySequences > c.stepTokens:
		return fmt.Errorf("--memory-sequences %d do not fit into steps of --max-batch-tokens %d", c.memorySequences, c.stepTokens)
	}
	c.model = paths[0]
	return nil
}

func parseWork(s string) ([]string, error) {
	var wanted []string
	for name := range strings.SplitSeq(s, ",") {
		if !slices.Contains(works, name) {
			return nil, fmt.Errorf("unknown work %.40q, want some of %s", name, strings.Join(works, ", "))
		}
		wanted = append(wanted, name)
	}
	return wanted, nil
}

func parseNumber(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("want a number from %d to %d", least, most)
	}
	return n, nil
}

func parseNumbers(s string, most int) ([]int, error) {
	const maxNumbers = 32
	var all []int
	for part := range strings.SplitSeq(s, ",") {
		n, err := parseNumber(part, 1, most)
		if err != nil {
			return nil, err
		}
		if all = append(all, n); len(all) > maxNumbers {
			return nil, fmt.Errorf("want at most %d numbers", maxNumbers)
		}
	}
	return all, nil
}

// has reports whether one of the works is wanted.
func (c *command) has(work ...string) bool {
	return slices.ContainsFunc(c.work, func(w string) bool { return slices.Contains(work, w) })
}

// needs returns the most positions that a sequence of the wanted works has.
func (c *command) needs() (positions int, by string) {
	for _, n := range []struct {
		work   string
		tokens int
		by     string
	}{
		{workPrefill, slices.Max(c.prompts), "--prompt"},
		{workDecode, c.context + c.decode, "--context and --decode"},
		{workBatch, c.context + c.decode, "--context and --decode"},
		{workMemory, c.memoryContext, "--memory-context"},
		{workPrefix, c.prefix + tailTokens + 1, "--prefix"},
		{workLatency, c.streamTokens(), "--context, --decode and --long-prompt"},
	} {
		if c.has(n.work) && n.tokens > positions {
			positions, by = n.tokens, n.by
		}
	}
	return positions, by
}

// sentence makes one line of an error, without the packages that it came through.
func sentence(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, name := range []string{"packed: ", "cpu: ", "kernel: ", "engine: ", "weights: "} {
		text = strings.ReplaceAll(strings.TrimPrefix(text, name), ": "+name, ": ")
	}
	return text
}

// round keeps so many significant digits, more than any measurement has, so that reports are readable.
func round(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0
	}
	scale := math.Pow(10, 5-math.Ceil(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}
