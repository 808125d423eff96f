package options

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrVersion is what Parse returns for --version; flag.ErrHelp is what it returns for --help.
var ErrVersion = errors.New("options: version requested")

const (
	maxTokens    = 1 << 20 // eight times gpt-oss' window; a guard against typing errors, not a model's limit
	maxQueue     = 1 << 16
	minBodyBytes = 1 << 10
	maxBodyBytes = 1 << 30
	maxGrace     = time.Hour
	maxKeyLength = 4096 // longer than any header that proxies let through
)

// parameter is one flag: how it looks in the usage text, how it is read, rendered and checked.
type parameter struct {
	name, value, help string
	set               func(o *Options, text string) error
	get               func(o *Options) []string // one text for each time the flag is given
	check             func(o *Options) error    // nil where every value that set accepts is valid
}

// parameters lists all flags in the order in which Args renders them and the usage text shows them.
var parameters = []parameter{
	text("host", "ADDR", "address to listen on", func(o *Options) *string { return &o.Host }, checkHost),
	integer("port", "N", "TCP port; 0 picks a free one", func(o *Options) *int { return &o.Port }, 0, 65535),
	text("model", "demo|PATH", "the model inside the binary, a directory in any layout (Hugging Face's safetensors, OpenAI's original/, GGUF) or a .gguf file",
		func(o *Options) *string { return &o.Model }, notEmpty),
	text("served-model-name", "NAME", "the model's id for clients (default: gpt-oss-demo, or the name of the directory or file)",
		func(o *Options) *string { return &o.ServedModelName }, checkName),
	keys("api-key", "KEY", "accepted Bearer key; may be repeated; also from the environment variable OPENAI_API_KEY"),
	text("api-key-file", "PATH", "file with one accepted key a line, read again when it changes",
		func(o *Options) *string { return &o.APIKeyFile }, nil),
	integer("context-length", "N", "most tokens of prompt and answer together (default 0: 8192, or less where the model has less)",
		func(o *Options) *int { return &o.ContextLength }, 0, maxTokens),
	integer("max-tokens", "N", "default of the request parameter max_tokens", func(o *Options) *int { return &o.MaxTokens }, 1, maxTokens),
	number("temperature", "default of the request parameter temperature", func(o *Options) *float64 { return &o.Temperature }, 0, 2),
	number("top-p", "default of the request parameter top_p", func(o *Options) *float64 { return &o.TopP }, 0, 1),
	choice("reasoning-level", "default of the request parameter reasoning_level",
		func(o *Options) *string { return &o.ReasoningLevel }, "low", "medium", "high"),
	integer("max-queue", "N", "how many requests may wait before new ones get 429", func(o *Options) *int { return &o.MaxQueue }, 1, maxQueue),
	integer("max-body-bytes", "N", "largest request body", func(o *Options) *int64 { return &o.MaxBodyBytes }, minBodyBytes, maxBodyBytes),
	duration("shutdown-delay", "how long new requests are still taken after SIGTERM, until every load balancer has seen health turn unavailable",
		func(o *Options) *time.Duration { return &o.ShutdownDelay }, 0, maxGrace),
	duration("shutdown-grace", "how long running requests may take to finish after SIGTERM, the delay included",
		func(o *Options) *time.Duration { return &o.ShutdownGrace }, 0, maxGrace),
	text("termination-log", "PATH", "file that gets the one sentence why the model cannot be served",
		func(o *Options) *string { return &o.TerminationLog }, nil),
	choice("log-level", "least severe log line that is written", func(o *Options) *string { return &o.LogLevel }, "debug", "info", "warn", "error"),
	choice("log-format", "shape of a log line", func(o *Options) *string { return &o.LogFormat }, "json", "text"),
}

// Parse reads command-line arguments, the program's name not among them. It returns flag.ErrHelp for --help and
// ErrVersion for --version; any other error is one sentence that names the flag and what it takes.
func Parse(args []string) (Options, error) {
	o := Default()
	set := flag.NewFlagSet("gptoss-server", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	var failed error // keeps our sentence from being wrapped in package flag's, which would repeat the value of a key
	for _, p := range parameters {
		set.Func(p.name, p.help, func(text string) error {
			failed = p.set(&o, text)
			return failed
		})
	}
	version := set.Bool("version", false, "")
	err := set.Parse(args)
	switch {
	case failed != nil:
		return Options{}, failed
	case errors.Is(err, flag.ErrHelp):
		return Options{}, flag.ErrHelp
	case err != nil:
		return Options{}, fmt.Errorf("%w; --help lists the flags", err)
	case *version:
		return Options{}, ErrVersion
	case set.NArg() > 0:
		return Options{}, fmt.Errorf("unexpected argument %q: every setting is a flag; --help lists them", set.Arg(0))
	}
	if err := o.Validate(); err != nil {
		return Options{}, err
	}
	return o, nil
}

// Validate reports the first setting that is out of range, as Parse would.
func (o Options) Validate() error {
	for _, p := range parameters {
		if p.check == nil {
			continue
		}
		if err := p.check(&o); err != nil {
			return err
		}
	}
	return nil
}

// Args renders the settings that differ from the defaults as arguments for Parse, in a fixed order.
func (o Options) Args() []string {
	var args []string
	base := Default()
	for _, p := range parameters {
		texts := p.get(&o)
		if slices.Equal(texts, p.get(&base)) {
			continue
		}
		for _, t := range texts {
			args = append(args, "--"+p.name+"="+t)
		}
	}
	return args
}

func text(name, value, help string, field func(*Options) *string, check func(name, text string) error) parameter {
	p := parameter{
		name: name, value: value, help: help,
		set: func(o *Options, text string) error { *field(o) = text; return nil },
		get: func(o *Options) []string { return []string{*field(o)} },
	}
	if check != nil {
		p.check = func(o *Options) error { return check(name, *field(o)) }
	}
	return p
}

func choice(name, help string, field func(*Options) *string, allowed ...string) parameter {
	return text(name, strings.Join(allowed, "|"), help, field, func(name, text string) error {
		if !slices.Contains(allowed, text) {
			return fmt.Errorf("--%s %q: must be one of %s", name, text, strings.Join(allowed, ", "))
		}
		return nil
	})
}

func integer[T int | int64](name, value, help string, field func(*Options) *T, low, high T) parameter {
	fail := func(text string) error {
		return fmt.Errorf("--%s %q: must be a whole number from %d to %d", name, text, low, high)
	}
	return parameter{
		name: name, value: value, help: help,
		set: func(o *Options, text string) error {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < int64(low) || n > int64(high) {
				return fail(text)
			}
			*field(o) = T(n)
			return nil
		},
		get: func(o *Options) []string { return []string{strconv.FormatInt(int64(*field(o)), 10)} },
		check: func(o *Options) error {
			if n := *field(o); n < low || n > high {
				return fail(strconv.FormatInt(int64(n), 10))
			}
			return nil
		},
	}
}

func number(name, help string, field func(*Options) *float64, low, high float64) parameter {
	render := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	fail := func(text string) error {
		return fmt.Errorf("--%s %q: must be a number from %g to %g", name, text, low, high)
	}
	outside := func(x float64) bool { return math.IsNaN(x) || x < low || x > high }
	return parameter{
		name: name, value: "X", help: help,
		set: func(o *Options, text string) error {
			x, err := strconv.ParseFloat(text, 64)
			if err != nil || outside(x) {
				return fail(text)
			}
			*field(o) = x
			return nil
		},
		get: func(o *Options) []string { return []string{render(*field(o))} },
		check: func(o *Options) error {
			if x := *field(o); outside(x) {
				return fail(render(x))
			}
			return nil
		},
	}
}

func duration(name, help string, field func(*Options) *time.Duration, low, high time.Duration) parameter {
	fail := func(text string) error {
		return fmt.Errorf("--%s %q: must be a duration from %s to %s, such as 25s", name, text, low, high)
	}
	return parameter{
		name: name, value: "DURATION", help: help,
		set: func(o *Options, text string) error {
			d, err := time.ParseDuration(text)
			if err != nil || d < low || d > high {
				return fail(text)
			}
			*field(o) = d
			return nil
		},
		get: func(o *Options) []string { return []string{field(o).String()} },
		check: func(o *Options) error {
			if d := *field(o); d < low || d > high {
				return fail(d.String())
			}
			return nil
		},
	}
}

func keys(name, value, help string) parameter {
	return parameter{
		name: name, value: value, help: help,
		set: func(o *Options, text string) error { o.APIKeys = append(o.APIKeys, text); return nil },
		get: func(o *Options) []string { return o.APIKeys },
		check: func(o *Options) error {
			for _, k := range o.APIKeys {
				if !ValidKey(k) {
					return fmt.Errorf("--%s: a key must be 1 to %d printable ASCII characters without spaces", name, maxKeyLength)
				}
			}
			return nil
		},
	}
}

// ValidKey reports whether a key can travel in an Authorization header: 1 to 4096 visible ASCII characters.
func ValidKey(key string) bool {
	if key == "" || len(key) > maxKeyLength {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

func notEmpty(name, text string) error {
	if text == "" {
		return fmt.Errorf("--%s: must not be empty", name)
	}
	return nil
}

func checkHost(name, text string) error {
	if text == "" || strings.ContainsAny(text, " \t\r\n/") {
		return fmt.Errorf("--%s %q: must be an IP address or a host name", name, text)
	}
	return nil
}

func checkName(name, text string) error {
	for _, r := range text {
		if r <= ' ' || r > '~' || r == '"' || r == '\\' {
			return fmt.Errorf("--%s %q: must be visible ASCII characters without spaces, quotes and backslashes", name, text)
		}
	}
	if len(text) > 256 {
		return fmt.Errorf("--%s: must be at most 256 characters, not %d", name, len(text))
	}
	return nil
}
