package options

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
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

	maxSequences   = 1 << 10 // each takes megabytes for its next token alone
	maxBatchTokens = 1 << 16 // as many rows as the forward pass can count
	maxThreads     = 1 << 10
	maxChoices     = 128 // as OpenAI
	maxSwap        = 1 << 44

	maxResponses   = 1 << 24
	maxResponseAge = 90 * 24 * time.Hour // OpenAI keeps them for 30 days
	// maxBatchWait bounds what a lone request waits for company.
	maxBatchWait = 10 * time.Second
)

// parameters lists all flags in the order in which Args renders them and the usage text shows them.
var parameters = slices.Concat(serving, accessParameters)

// serving are the flags about the model and the server itself.
var serving = []parameter{
	text("host", "ADDR", "address to listen on", func(o *Options) *string { return &o.Host }, checkHost),
	integer("port", "N", "TCP port; 0 picks a free one", func(o *Options) *int { return &o.Port }, 0, 65535),
	text("model", "demo|PATH", "the model inside the binary, a file that gptoss-server pack wrote, or what is packed into memory first: a directory in any layout (Hugging Face's safetensors, OpenAI's original/, GGUF) or a .gguf file",
		func(o *Options) *string { return &o.Model }, notEmpty),
	text("served-model-name", "NAME", "the model's id for clients (default: gpt-oss-demo, or the name of the directory or file)",
		func(o *Options) *string { return &o.ServedModelName }, checkName),
	keys("api-key", "KEY", "accepted Bearer key; may be repeated; also from the environment variable OPENAI_API_KEY"),
	text("api-key-file", "PATH", "file of accepted keys, a key a line or JSON with rights and limits (docs/access.md), read again when it changes",
		func(o *Options) *string { return &o.APIKeyFile }, nil),
	integer("context-length", "N", "most tokens of prompt and answer together (default 0: 8192, or less where the model has less)",
		func(o *Options) *int { return &o.ContextLength }, 0, maxTokens),
	integer("max-tokens", "N", "default of the request parameter max_tokens", func(o *Options) *int { return &o.MaxTokens }, 1, maxTokens),
	number("temperature", "default of the request parameter temperature", func(o *Options) *float64 { return &o.Temperature }, 0, 2),
	number("top-p", "default of the request parameter top_p", func(o *Options) *float64 { return &o.TopP }, 0, 1),
	choice("reasoning-level", "default of the request parameter reasoning_level",
		func(o *Options) *string { return &o.ReasoningLevel }, "low", "medium", "high"),
	integer("max-sequences", "N", "how many requests may run at the same time; memory is planned for so many",
		func(o *Options) *int { return &o.MaxSequences }, 1, maxSequences),
	integer("batch-size", "N", "how many of them are computed together (default 0: all)",
		func(o *Options) *int { return &o.BatchSize }, 0, maxSequences),
	batchTokens("max-batch-tokens", "N", "how many tokens are computed together; a longer prompt takes several steps"),
	duration("batch-timeout", "how long the first request of an idle server waits for others to be computed together with",
		func(o *Options) *time.Duration { return &o.BatchTimeout }, 0, maxBatchWait),
	boolean("prefix-caching", "whether a prompt goes on from what an earlier one with the same key and the same beginning has left in memory",
		func(o *Options) *bool { return &o.PrefixCaching }),
	size("swap-space", "room in TMPDIR for requests that have to make way when memory runs out; without, they are computed again",
		func(o *Options) *int64 { return &o.SwapSpace }, 0, maxSwap),
	integer("threads", "N", "how many cores compute (default 0: all that the process may use)",
		func(o *Options) *int { return &o.Threads }, 0, maxThreads),
	choice("kernel", "instructions to compute with; also from the environment variable GPTOSS_KERNEL",
		func(o *Options) *string { return &o.Kernel }, KernelAuto, "generic", "avx2", "avx512", "neon", "dotprod"),
	choice("load", "where a packed file is read from: its mapping, which is there at once and shared by all processes of a machine, or a copy in huge pages, which some machines read faster; auto measures both and copies if that is at least 10 % faster and memory has room; a model in another layout is packed into memory anyway",
		func(o *Options) *string { return &o.Load }, LoadAuto, LoadMap, LoadCopy),
	integer("max-choices", "N", "most answers that one request may ask for", func(o *Options) *int { return &o.MaxChoices }, 1, maxChoices),
	boolean("generate-raw", "whether /generate continues its inputs as they are, rather than answering them as a user's message",
		func(o *Options) *bool { return &o.GenerateRaw }),
	text("ticket-key-file", "PATH", "file with a secret of at least 32 bytes that all replicas share, for the tickets of EventSource (default: a secret of its own)",
		func(o *Options) *string { return &o.TicketKeyFile }, nil),
	integer("max-queue", "N", "how many requests may wait before new ones get 429", func(o *Options) *int { return &o.MaxQueue }, 1, maxQueue),
	integer("max-body-bytes", "N", "largest request body", func(o *Options) *int64 { return &o.MaxBodyBytes }, minBodyBytes, maxBodyBytes),
	integer("response-store-count", "N", "how many responses of the Responses API are kept in memory for retrieval and previous_response_id; 0 keeps none",
		func(o *Options) *int { return &o.ResponseStoreCount }, 0, maxResponses),
	size("response-store-bytes", "how much memory they may take; the oldest go first, those of the key with the most of them",
		func(o *Options) *int64 { return &o.ResponseStoreBytes }, 0, maxSwap),
	duration("response-store-age", "how long they are kept", func(o *Options) *time.Duration { return &o.ResponseStoreAge }, 0, maxResponseAge),
	integer("max-background-responses", "N", "how many background responses may be under way before new ones get 429",
		func(o *Options) *int { return &o.MaxBackgroundResponses }, 0, maxQueue),
	duration("shutdown-delay", "how long new requests are still taken after SIGTERM, until every load balancer has seen health turn unavailable",
		func(o *Options) *time.Duration { return &o.ShutdownDelay }, 0, maxGrace),
	duration("shutdown-grace", "how long running requests may take to finish after SIGTERM, the delay included",
		func(o *Options) *time.Duration { return &o.ShutdownGrace }, 0, maxGrace),
	boolean("page", "whether a chat page is served at /; it needs no key, its requests do", func(o *Options) *bool { return &o.Page }),
	text("termination-log", "PATH", "file that gets the one sentence why the model cannot be served",
		func(o *Options) *string { return &o.TerminationLog }, nil),
	choice("log-level", "least severe log line that is written", func(o *Options) *string { return &o.LogLevel }, "debug", "info", "warn", "error"),
	choice("log-format", "shape of a log line", func(o *Options) *string { return &o.LogFormat }, "json", "text"),

	duration("slow-request", "how long a request may take before the log tells where its time went; 0 never does",
		func(o *Options) *time.Duration { return &o.SlowRequest }, 0, 24*time.Hour),
	text("otlp-endpoint", "URL", "OpenTelemetry collector that gets traces over HTTP, such as http://collector:4318; also from OTEL_EXPORTER_OTLP_ENDPOINT",
		func(o *Options) *string { return &o.OTLPEndpoint }, checkURL),
	text("audit-log", "stdout|PATH", "where one JSON line a request says who asked for what, without its content; PATH is a file that rotates",
		func(o *Options) *string { return &o.AuditLog }, nil),
	boolean("audit-content", "whether the audit log has the bodies of requests and answers, up to 64 KiB each", func(o *Options) *bool { return &o.AuditContent }),
	size("audit-max-size", "size at which the audit log's file is set aside", func(o *Options) *int64 { return &o.AuditMaxSize }, 1<<20, 1<<40),
	integer("audit-files", "N", "how many older files of the audit log are kept", func(o *Options) *int { return &o.AuditFiles }, 0, 1000),
	boolean("sanitize-input", "whether script elements and invisible characters are removed from what users say, and HTML is escaped",
		func(o *Options) *bool { return &o.SanitizeInput }),
	text("cors-origins", "LIST", "origins whose web pages may call, separated by commas, such as https://chat.example.com, or * for all",
		func(o *Options) *string { return &o.CORSOrigins }, checkOrigins),
	text("tls-cert", "PATH", "certificate chain in PEM; read again when it changes", func(o *Options) *string { return &o.TLSCert }, nil),
	tlsKey("tls-key", "PATH", "private key of the certificate in PEM"),
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
