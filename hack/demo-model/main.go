// Command demo-eval asks the demo model the questions that were kept from its training and counts the right answers.
//
// An answer is right if it is word for word the wanted one; a call, if tool and arguments are byte for byte. Besides, every
// output is checked against the grammar of Harmony, token by token. With --divergence it compares the engine with the float32
// reference instead. How the questions come about: train/questions.py.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/demo"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/engine/sample"
	"github.com/gptoss/gptoss-operator/engine/tokenizer"
	"github.com/gptoss/gptoss-operator/engine/weights"
)

// The aims: shares of right answers and calls, in percent. Every output must be Harmony.
const aim = 95

const usage = `Usage: demo-eval [flags]

Asks the demo model held-out questions and prints a table of right answers. Ends with status 1 where it misses its aims:
95 % of the answers, 95 % of the calls, and all outputs valid Harmony. With --divergence it lets the float32 reference
answer and compares the engine's next-token distributions with its: status 1 if they are 1e-3 nats off on average.

Examples:
  go run . --questions evaluation.jsonl.gz --model ../../engine/demo/files --wrong
  go run . --divergence --kernel generic

Flags:
`

func main() {
	os.Exit(run())
}

func run() int {
	var o struct {
		questions, model, kernel string
		limit, positions         int
		wrong, sampled, diverge  bool
	}
	flags := flag.NewFlagSet("demo-eval", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.questions, "questions", "evaluation.jsonl.gz", "questions and answers, one JSON object a line, gzip")
	flags.StringVar(&o.model, "model", "", "folder of the model (default: the one inside the server)")
	flags.IntVar(&o.limit, "limit", 0, "ask only every n-th question, so that at most so many are asked; 0 asks all")
	flags.BoolVar(&o.wrong, "wrong", false, "print the questions that were answered wrongly")
	flags.BoolVar(&o.sampled, "sampled", false, "sample with the server's defaults (temperature 0.7, top_p 0.9) instead of taking the likeliest token")
	flags.BoolVar(&o.diverge, "divergence", false, "compare the engine with the float32 reference instead")
	flags.IntVar(&o.positions, "positions", 10_000, "with --divergence: how many positions of answers are compared at least")
	flags.StringVar(&o.kernel, "kernel", "", "with --divergence: the engine's kernels, such as generic; all have the same results (default: the best)")
	_ = flags.Parse(os.Args[1:]) // ends the process on an error

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if o.diverge {
		d, err := diverge(ctx, o.questions, o.model, o.kernel, o.positions)
		return conclude(d, err)
	}
	params := sample.Params{TopP: 1}
	if o.sampled {
		params = sample.Params{Temperature: 0.7, TopP: 0.9}
	}
	s, err := evaluate(ctx, o.questions, o.model, o.limit, params)
	if err == nil && o.wrong {
		s.printWrong(os.Stdout)
	}
	return conclude(s, err)
}

// finding is what was found out about the model.
type finding interface {
	print(w io.Writer)
	reached() bool // its aims
}

// conclude prints a finding and returns the exit status.
func conclude(found finding, err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo-eval:", err)
		return 1
	}
	found.print(os.Stdout)
	if !found.reached() {
		return 1
	}
	return 0
}

func evaluate(ctx context.Context, questionsFile, folder string, limit int, params sample.Params) (*scores, error) {
	questions, err := readQuestions(questionsFile)
	if err != nil {
		return nil, err
	}
	questions = thin(questions, limit)
	m, err := open(folder)
	if err != nil {
		return nil, err
	}
	defer m.close()
	s := &scores{}
	for i, q := range questions {
		a, err := m.ask(ctx, q, params, uint64(i))
		if err != nil {
			return nil, fmt.Errorf("question %d: %w", i+1, err)
		}
		s.add(q, a)
		fmt.Fprintf(os.Stderr, "\r%d of %d, %d right", i+1, len(questions), s.right())
	}
	fmt.Fprintln(os.Stderr)
	return s, nil
}

// asked is the model with what is needed to talk to it.
type asked struct {
	checkpoint *weights.Checkpoint
	engine     *engine.Engine
	encoding   *harmony.Encoding
	grammar    grammar
}

func open(folder string) (*asked, error) {
	files := demo.Files()
	if folder != "" {
		files = os.DirFS(folder)
	}
	c, err := weights.OpenFS(files)
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(files, "tokenizer.json")
	if err != nil {
		return nil, err
	}
	words, err := tokenizer.Parse(data)
	if err != nil {
		return nil, err
	}
	encoding, err := harmony.New(words)
	if err != nil {
		return nil, err
	}
	g, err := newGrammar(words)
	if err != nil {
		return nil, err
	}
	e, err := engine.New(engine.Options{Checkpoint: c, VocabularyLimit: words.Size()})
	if err != nil {
		return nil, err
	}
	return &asked{c, e, encoding, g}, nil
}

func (m *asked) close() {
	_ = m.engine.Close()     // nothing runs any more
	_ = m.checkpoint.Close() // was only read
}
