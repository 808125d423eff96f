package options

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// DefaultContextLength is the context window in tokens where --context-length is 0 and the model allows as much. It is
// the 8192 that the specification's model listing shows: gpt-oss' own 131072 tokens would need gigabytes of KV cache
// on every pod, for prompts that few clients send.
const DefaultContextLength = 8192

// KernelAuto is the value of --kernel that leaves the choice to the processor.
const KernelAuto = "auto"

// The values of --load.
const (
	LoadAuto = "auto" // what measures better, if there is room for a copy
	LoadMap  = "map"
	LoadCopy = "copy"
)

// Options is the whole configuration of gptoss-server.
type Options struct {
	// Host is the address to listen on.
	Host string
	// Port is the TCP port to listen on; 0 picks a free one.
	Port int
	// Model is "demo" for the model inside the binary, a file of packed weights, a directory in any layout (Hugging Face's
	// safetensors, OpenAI's original/, GGUF) or a .gguf file.
	Model string
	// ServedModelName is the model's id for clients; empty means a name made from Model.
	ServedModelName string
	// APIKeys are the accepted Bearer keys. Args renders them in the clear, so who starts a process for others uses APIKeyFile.
	APIKeys Keys
	// APIKeyFile is a file of keys, a key a line or JSON with rights and limits, read again when it changes.
	APIKeyFile string
	// ContextLength is the most tokens of prompt and answer together; 0 leaves it to [Options.ContextFor].
	ContextLength int
	// MaxTokens is the default of the request parameter max_tokens.
	MaxTokens int
	// Temperature is the default of the request parameter temperature.
	Temperature float64
	// TopP is the default of the request parameter top_p.
	TopP float64
	// ReasoningLevel is the default of the request parameter reasoning_level: low, medium or high.
	ReasoningLevel string
	// MaxSequences is how many requests may run at the same time; memory is planned for so many.
	MaxSequences int
	// BatchSize is how many of them are computed together; 0 means all.
	BatchSize int
	// MaxBatchTokens is how many tokens are computed together; it is not less than BatchSize.
	MaxBatchTokens int
	// BatchTimeout is how long the first request of an idle server waits for others to be computed together with.
	BatchTimeout time.Duration
	// PrefixCaching: a prompt goes on from what an earlier one with the same key and the same beginning has left in memory.
	PrefixCaching bool
	// SwapSpace is the size in bytes of a temporary file for requests that have to make way when memory runs out.
	SwapSpace int64
	// Threads is how many cores compute; 0 means all that the process may use.
	Threads int
	// Kernel names the instructions to compute with: auto, generic, avx2, avx512, neon or dotprod.
	Kernel string
	// Load says where a packed file is computed with: LoadMap where it lies, LoadCopy in memory of this process alone, or
	// LoadAuto. Other models are packed into memory anyway.
	Load string
	// MaxChoices is the most answers that one request may ask for with n or best_of, or with several prompts.
	MaxChoices int
	// GenerateRaw has /generate continue its inputs as they are; else they are answered as a user's message.
	GenerateRaw bool
	// TicketKeyFile is a file with a secret of at least 32 bytes that all replicas share, so that each takes the tickets for
	// EventSource of the others; empty means a secret of the process's own.
	TicketKeyFile string
	// MaxQueue is how many requests may wait for their turn before new ones get 429.
	MaxQueue int
	// MaxBodyBytes is the largest request body.
	MaxBodyBytes int64
	// ResponseStoreCount, ResponseStoreBytes and ResponseStoreAge bound how many responses of the Responses API are kept in
	// memory for retrieval and for conversations that go on, how much memory they take, and for how long they are kept. A
	// count of 0 keeps none.
	ResponseStoreCount int
	ResponseStoreBytes int64
	ResponseStoreAge   time.Duration
	// MaxBackgroundResponses is how many background responses may be under way before new ones get 429.
	MaxBackgroundResponses int
	// ShutdownDelay is how long new requests are still taken after SIGTERM: health is unavailable from the first moment, but
	// it takes seconds until every load balancer has seen that.
	ShutdownDelay time.Duration
	// ShutdownGrace is how long running requests may take to finish after SIGTERM. It includes ShutdownDelay, which it
	// cuts short where it is shorter.
	ShutdownGrace time.Duration
	// Page: a chat page is served at "/".
	Page bool
	// TerminationLog is a file that gets the one sentence why the model cannot be served; empty means none.
	TerminationLog string
	// LogLevel is debug, info, warn or error.
	LogLevel string
	// LogFormat is json or text.
	LogFormat string

	// JWTIssuer is the issuer whose tokens are accepted beside keys, JWTAudience are audiences of which a token must name one.
	JWTIssuer   string
	JWTAudience []string
	// JWTJWKSURL is where the issuer's public keys are, trusted by the certificates in JWTCAFile or the system's;
	// JWTSecretFile has the secret that it signs with instead. Without either no tokens are accepted.
	JWTJWKSURL, JWTCAFile, JWTSecretFile string
	// JWTAlgorithms are the accepted signatures; empty means RS256 and ES256, or HS256 with a secret.
	JWTAlgorithms []string
	// JWTIdentityClaim says who a token is for; JWTClaimPrefix begins the names of the claims models and limits.
	JWTIdentityClaim, JWTClaimPrefix string
	// MetricsAuth: the metrics need a key with the scope metrics.
	MetricsAuth bool
	// IPAllow and IPBlock are the networks that clients may and may not come from; an empty IPAllow means any.
	IPAllow, IPBlock []string
	// TrustedProxies are networks of proxies that are believed about their client's address, in ForwardedHeader.
	TrustedProxies  []string
	ForwardedHeader string
	// RateLimitRPS and RateLimitBurst limit the requests of each identity without limits of its own, RateLimitTPM its tokens
	// per minute, MaxConcurrentPerKey its requests at the same time; 0 means no limit, and for the burst one second's worth.
	RateLimitRPS        float64
	RateLimitBurst      int
	RateLimitTPM        int64
	MaxConcurrentPerKey int
	// RateLimitReplicas is how many share the limits while Redis is away; 0 means as many as it has counted.
	RateLimitReplicas int
	// RedisAddress is where the limits of all replicas are kept; empty means each keeps its own.
	RedisAddress, RedisUsername, RedisPasswordFile string
	RedisDB                                        int
	// RedisPrefix begins names in Redis; empty means one with the model's name.
	RedisPrefix string
	// RedisTimeout is how long Redis may take before a replica goes on alone.
	RedisTimeout                                      time.Duration
	RedisTLS                                          bool
	RedisTLSCAFile, RedisTLSCertFile, RedisTLSKeyFile string
	// SlowRequest is how long a request may take before the log tells where its time went; 0 never does.
	SlowRequest time.Duration
	// OTLPEndpoint is the URL of an OpenTelemetry collector; empty leaves it to OTEL_EXPORTER_OTLP_ENDPOINT.
	OTLPEndpoint string
	// AuditLog is "stdout" or a file for the record of who asked for what; empty means none.
	AuditLog string
	// AuditContent puts the bodies of requests and answers into it.
	AuditContent bool
	// AuditMaxSize is the size in bytes at which the file is set aside, and AuditFiles how many older ones are kept.
	AuditMaxSize int64
	AuditFiles   int
	// SanitizeInput removes script elements and invisible characters from what users say, and escapes HTML.
	SanitizeInput bool
	// CORSOrigins is a comma-separated list of the origins whose web pages may call, or *.
	CORSOrigins string
	// TLSCert and TLSKey are PEM files, both or none; they are read again when they change.
	TLSCert, TLSKey string
}

// Default returns what Parse gives for no arguments.
func Default() Options {
	return Options{
		Host: "0.0.0.0", Port: 8000, Model: "demo",
		MaxTokens: 2048, Temperature: 0.7, TopP: 0.9, ReasoningLevel: "medium",
		// What a node with 16 GiB has room for beside gpt-oss-20b; most of its experts are then read in every step anyway.
		MaxSequences: 8,
		// With 512 tokens an expert of gpt-oss-20b meets 64 of them, enough that reading it is not what takes the time.
		MaxBatchTokens: 512, PrefixCaching: true, Kernel: KernelAuto, Load: LoadAuto,
		// As many as run at once on the default settings.
		MaxChoices: 8,
		// One answer takes seconds, so a client that is 64th in line has long been served better by another pod.
		MaxQueue: 64,
		// A full window of 131072 tokens is about 600 kB of text; escaping, tools and replayed reasoning multiply it.
		MaxBodyBytes: 4 << 20,
		// A response with its conversation takes about 10 kB, and memory is planned for the model.
		ResponseStoreCount: 4096, ResponseStoreBytes: 64 << 20, ResponseStoreAge: 24 * time.Hour, MaxBackgroundResponses: 16,
		// What kube-proxy and ingress controllers need to take an endpoint out, with a margin.
		ShutdownDelay: 5 * time.Second,
		// Ends within the 30 seconds that Kubernetes gives a pod by default.
		ShutdownGrace: 25 * time.Second,
		Page:          true,
		LogLevel:      "info", LogFormat: "json",
		JWTIdentityClaim: "sub", JWTClaimPrefix: "gptoss_", ForwardedHeader: "x-forwarded-for",
		// Many times what Redis takes, and not yet felt by a person.
		RedisTimeout: 250 * time.Millisecond,
		AuditMaxSize: 100 << 20, AuditFiles: 10,
	}
}

// ContextFor returns the context window for a model that allows modelMax tokens: ContextLength, or the lesser of
// DefaultContextLength and modelMax where ContextLength is 0. Asking for more than the model has is an error.
func (o Options) ContextFor(modelMax int) (int, error) {
	if o.ContextLength > modelMax {
		return 0, fmt.Errorf("--context-length %d: the model allows at most %d tokens", o.ContextLength, modelMax)
	}
	if o.ContextLength == 0 {
		return min(DefaultContextLength, modelMax), nil
	}
	return o.ContextLength, nil
}

// ModelName returns the id that clients use: ServedModelName, or gpt-oss-demo for the demo, or the name of the directory
// or file, without .gguf or .gptoss.
func (o Options) ModelName() string {
	if o.ServedModelName != "" {
		return o.ServedModelName
	}
	if o.Model == "demo" {
		return "gpt-oss-demo"
	}
	name := strings.TrimRight(o.Model, "/")
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gguf"), ".gptoss")
	if name == "" || name == "." || name == ".." {
		return "gpt-oss"
	}
	return name
}

// Keys are secrets: every way of printing them shows only how many there are.
type Keys []string

// String says how many keys there are.
func (k Keys) String() string { return fmt.Sprintf("[%d redacted]", len(k)) }

// GoString is String, for %#v.
func (k Keys) GoString() string { return k.String() }

// LogValue is String, for slog.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is String, for JSON loggers and dumps.
func (k Keys) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// String renders the arguments that differ from the defaults, without the keys.
func (o Options) String() string {
	keys := len(o.APIKeys)
	o.APIKeys = nil
	args := o.Args()
	if keys > 0 {
		args = append(args, fmt.Sprintf("--api-key=[%d redacted]", keys))
	}
	return strings.Join(args, " ")
}

// GoString is String, for %#v.
func (o Options) GoString() string { return "options.Options{" + o.String() + "}" }

// LogValue is String, for slog.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }
