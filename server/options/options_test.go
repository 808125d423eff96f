package options

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	with := func(change func(*Options)) Options {
		o := Default()
		change(&o)
		return o
	}
	cases := map[string]struct {
		args []string
		want Options
	}{
		"no arguments give the defaults": {want: Default()},
		"the model's directory": {
			args: []string{"--model=/models/gpt-oss-20b"},
			want: with(func(o *Options) { o.Model = "/models/gpt-oss-20b" }),
		},
		"value as the next argument, one dash": {
			args: []string{"-port", "9000"},
			want: with(func(o *Options) { o.Port = 9000 }),
		},
		"several keys in their order": {
			args: []string{"--api-key=a", "--api-key=b"},
			want: with(func(o *Options) { o.APIKeys = Keys{"a", "b"} }),
		},
		"everything": {
			args: []string{
				"--host=::1", "--port=0", "--model=/m", "--served-model-name=chat", "--api-key=k", "--api-key-file=/k", "--context-length=4096",
				"--max-tokens=7", "--temperature=0", "--top-p=1", "--reasoning-level=high",
				"--max-sequences=16", "--batch-size=4", "--max-batch-tokens=64", "--batch-timeout=10ms", "--prefix-caching=false",
				"--swap-space=4Gi", "--threads=3", "--kernel=generic", "--load=copy", "--max-choices=3", "--generate-raw=true", "--ticket-key-file=/s", "--max-queue=1", "--max-body-bytes=1024",
				"--response-store-count=0", "--response-store-bytes=1Mi", "--response-store-age=1h", "--max-background-responses=2",
				"--shutdown-delay=2s", "--shutdown-grace=1m", "--page=false", "--termination-log=/t", "--log-level=debug", "--log-format=text",
				"--slow-request=3s", "--otlp-endpoint=http://c:4318", "--audit-log=/a", "--audit-content=true", "--audit-max-size=2Mi",
				"--audit-files=3", "--sanitize-input=true", "--cors-origins=https://a.example, https://b.example:8443", "--tls-cert=/c", "--tls-key=/k",
			},
			want: Options{
				Host: "::1", Model: "/m", ServedModelName: "chat", APIKeys: Keys{"k"}, APIKeyFile: "/k", ContextLength: 4096,
				MaxTokens: 7, TopP: 1, ReasoningLevel: "high",
				MaxSequences: 16, BatchSize: 4, MaxBatchTokens: 64, BatchTimeout: 10 * time.Millisecond,
				SwapSpace: 4 << 30, Threads: 3, Kernel: "generic", Load: "copy", MaxChoices: 3, GenerateRaw: true, TicketKeyFile: "/s", MaxQueue: 1, MaxBodyBytes: 1024,
				ResponseStoreBytes: 1 << 20, ResponseStoreAge: time.Hour, MaxBackgroundResponses: 2,
				ShutdownDelay: 2 * time.Second, ShutdownGrace: time.Minute, TerminationLog: "/t",
				LogLevel: "debug", LogFormat: "text",
				JWTIdentityClaim: "sub", JWTClaimPrefix: "gptoss_", ForwardedHeader: "x-forwarded-for", RedisTimeout: 250 * time.Millisecond,
				SlowRequest: 3 * time.Second, OTLPEndpoint: "http://c:4318", AuditLog: "/a", AuditContent: true, AuditMaxSize: 2 << 20,
				AuditFiles: 3, SanitizeInput: true, CORSOrigins: "https://a.example, https://b.example:8443", TLSCert: "/c", TLSKey: "/k",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tc.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plain(tc.want), plain(got)); diff != "" {
				t.Errorf("Parse(%q) (-want,+got):\n%s", tc.args, diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"port out of range":          {[]string{"--port=65536"}, `--port "65536": must be a whole number from 0 to 65535`},
		"port not a number":          {[]string{"--port=http"}, `--port "http": must be a whole number from 0 to 65535`},
		"temperature too high":       {[]string{"--temperature=2.1"}, `--temperature "2.1": must be a number from 0 to 2`},
		"temperature not a number":   {[]string{"--temperature=NaN"}, `--temperature "NaN": must be a number from 0 to 2`},
		"top-p negative":             {[]string{"--top-p=-0.1"}, `--top-p "-0.1": must be a number from 0 to 1`},
		"unknown reasoning level":    {[]string{"--reasoning-level=extreme"}, `--reasoning-level "extreme": must be one of low, medium, high`},
		"no tokens":                  {[]string{"--max-tokens=0"}, `--max-tokens "0": must be a whole number from 1 to 1048576`},
		"grace not a duration":       {[]string{"--shutdown-grace=25"}, `--shutdown-grace "25": must be a duration from 0s to 1h0m0s, such as 25s`},
		"delay below 0":              {[]string{"--shutdown-delay=-1s"}, `--shutdown-delay "-1s": must be a duration from 0s to 1h0m0s, such as 25s`},
		"body limit too small":       {[]string{"--max-body-bytes=1"}, `--max-body-bytes "1": must be a whole number from 1024 to 1073741824`},
		"empty model":                {[]string{"--model="}, `--model: must not be empty`},
		"host with a path":           {[]string{"--host=a/b"}, `--host "a/b": must be an IP address or a host name`},
		"model name with a space":    {[]string{"--served-model-name=a b"}, `--served-model-name "a b": must be visible ASCII characters without spaces, quotes and backslashes`},
		"key with a space, unquoted": {[]string{"--api-key=secret key"}, `--api-key: a key must be 1 to 4096 printable ASCII characters without spaces`},
		"no sequences":               {[]string{"--max-sequences=0"}, `--max-sequences "0": must be a whole number from 1 to 1024`},
		"more rows than tokens":      {[]string{"--max-batch-tokens=8", "--batch-size=9"}, `--max-batch-tokens 8: must not be less than --batch-size, which is 9`},
		"a swap space without unit":  {[]string{"--swap-space=4GB"}, `--swap-space "4GB": must be a number of bytes from 0 to 16Ti, such as 512Mi or 4Gi`},
		"a swap space too large":     {[]string{"--swap-space=17Ti"}, `--swap-space "17Ti": must be a number of bytes from 0 to 16Ti, such as 512Mi or 4Gi`},
		"a negative swap space":      {[]string{"--swap-space=-1Gi"}, `--swap-space "-1Gi": must be a number of bytes from 0 to 16Ti, such as 512Mi or 4Gi`},
		"prefix caching perhaps":     {[]string{"--prefix-caching=maybe"}, `--prefix-caching "maybe": must be true or false`},
		"an unknown kernel":          {[]string{"--kernel=mmx"}, `--kernel "mmx": must be one of auto, generic, avx2, avx512, neon, dotprod`},
		"an unknown place":           {[]string{"--load=disk"}, `--load "disk": must be one of auto, map, copy`},
		"a collector without scheme": {[]string{"--otlp-endpoint=collector:4318"}, "--otlp-endpoint: must be an https or http URL without a password"},
		"an origin with a path":      {[]string{"--cors-origins=https://a.example/x"}, `--cors-origins: "https://a.example/x" is not an origin, such as https://chat.example.com`},
		"half of an origin":          {[]string{"--cors-origins=https://*.example"}, `--cors-origins: "https://*.example" is not an origin, such as https://chat.example.com`},
		"a certificate without key":  {[]string{"--tls-cert=/c"}, `--tls-cert and --tls-key go together`},
		"a key without certificate":  {[]string{"--tls-key=/k"}, `--tls-cert and --tls-key go together`},
		"a tiny audit log":           {[]string{"--audit-max-size=1Ki"}, `--audit-max-size "1Ki": must be a number of bytes from 1Mi to 1Ti, such as 512Mi or 4Gi`},
		"unknown flag":               {[]string{"--gpu=1"}, `flag provided but not defined: -gpu; --help lists the flags`},
		"missing value":              {[]string{"--port"}, `flag needs an argument: -port; --help lists the flags`},
		"positional argument":        {[]string{"serve"}, `unexpected argument "serve": every setting is a flag; --help lists them`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(tc.args)
			if err == nil || err.Error() != tc.want {
				t.Errorf("Parse(%q) = %v, want %s", tc.args, err, tc.want)
			}
		})
	}
	if _, err := Parse([]string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help gives %v", err)
	}
	if _, err := Parse([]string{"--version"}); !errors.Is(err, ErrVersion) {
		t.Errorf("--version gives %v", err)
	}
}

// TestRoundTrip is the contract of the package, on generated options.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		want := generate(r)
		args := want.Args()
		got, err := Parse(args)
		if err != nil {
			t.Fatalf("Parse(%q): %v", args, err)
		}
		if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
			t.Fatalf("Parse(%q) (-want,+got):\n%s", args, diff)
		}
		if again := got.Args(); !cmp.Equal(args, again) {
			t.Fatalf("Args() differ after a round trip: %q, then %q", args, again)
		}
	}
	if args := Default().Args(); len(args) != 0 {
		t.Errorf("the defaults render as %q", args)
	}
}

// generate makes valid options; each field keeps its default half of the time.
func generate(r *rand.Rand) Options {
	o := Default()
	maybe := func(set func()) {
		if r.IntN(2) == 0 {
			set()
		}
	}
	word := func() string {
		const letters = "abcXYZ019-_./:=@+,"
		b := make([]byte, 1+r.IntN(20))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	maybe(func() { o.Host = pick("127.0.0.1", "::", "localhost", "-") })
	maybe(func() { o.Port = r.IntN(65536) })
	maybe(func() { o.Page = false })
	maybe(func() { o.Model = word() + pick("", " with space", "\n", "=--port=1") })
	maybe(func() { o.ServedModelName = word() })
	maybe(func() {
		for range r.IntN(4) {
			o.APIKeys = append(o.APIKeys, word())
		}
	})
	maybe(func() { o.APIKeyFile = word() })
	maybe(func() { o.ContextLength = r.IntN(maxTokens + 1) })
	maybe(func() { o.MaxTokens = 1 + r.IntN(maxTokens) })
	maybe(func() { o.Temperature = 2 * r.Float64() })
	maybe(func() { o.TopP = math.Nextafter(1, 0) * r.Float64() })
	maybe(func() { o.ReasoningLevel = pick("low", "medium", "high") })
	maybe(func() { o.MaxSequences = 1 + r.IntN(maxSequences) })
	maybe(func() { o.MaxBatchTokens = 1 + r.IntN(maxBatchTokens) })
	maybe(func() { o.BatchSize = r.IntN(min(maxSequences, o.MaxBatchTokens) + 1) })
	maybe(func() { o.BatchTimeout = time.Duration(r.Int64N(int64(maxBatchWait) + 1)) })
	maybe(func() { o.PrefixCaching = !o.PrefixCaching })
	maybe(func() { o.SwapSpace = r.Int64N(1<<10) << r.IntN(35) })
	maybe(func() { o.Threads = r.IntN(maxThreads + 1) })
	maybe(func() { o.Kernel = pick("auto", "generic", "avx2", "avx512", "neon", "dotprod") })
	maybe(func() { o.Load = pick("auto", "map", "copy") })
	maybe(func() { o.MaxQueue = 1 + r.IntN(maxQueue) })
	maybe(func() { o.MaxBodyBytes = minBodyBytes + r.Int64N(maxBodyBytes-minBodyBytes+1) })
	maybe(func() { o.ShutdownDelay = time.Duration(r.Int64N(int64(maxGrace) + 1)) })
	maybe(func() { o.ShutdownGrace = time.Duration(r.Int64N(int64(maxGrace) + 1)) })
	maybe(func() { o.TerminationLog = word() })
	maybe(func() { o.LogLevel = pick("debug", "info", "warn", "error") })
	maybe(func() { o.LogFormat = pick("json", "text") })
	generateAccess(&o, r, maybe, word, pick)
	maybe(func() { o.SlowRequest = time.Duration(r.Int64N(int64(24*time.Hour) + 1)) })
	maybe(func() { o.OTLPEndpoint = pick("http://collector:4318", "https://c.example/otlp") })
	maybe(func() { o.AuditLog = pick("stdout", word()) })
	maybe(func() { o.AuditContent = !o.AuditContent })
	maybe(func() { o.AuditMaxSize = 1<<20 + r.Int64N(1<<40-1<<20+1) })
	maybe(func() { o.AuditFiles = r.IntN(1001) })
	maybe(func() { o.SanitizeInput = !o.SanitizeInput })
	maybe(func() { o.CORSOrigins = pick("*", "https://a.example", "http://localhost:3000,https://b.example") })
	maybe(func() { o.TLSCert, o.TLSKey = word(), word() })
	return o
}

func TestKeysAreNeverPrinted(t *testing.T) {
	const secret = "sk-very-secret"
	o := Default()
	o.APIKeys = Keys{secret}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("options", "options", o, "keys", o.APIKeys)
	asJSON, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	bad := o
	bad.APIKeys = Keys{secret + " "}
	printed := map[string]string{
		"String": o.String(), "%v": fmt.Sprintf("%v", o), "%+v": fmt.Sprintf("%+v", o), "%#v": fmt.Sprintf("%#v", o),
		"pointer": fmt.Sprintf("%+v", &o), "keys": fmt.Sprintf("%v %+v %#v %s", o.APIKeys, o.APIKeys, o.APIKeys, o.APIKeys),
		"slog": log.String(), "json": string(asJSON), "error": fmt.Sprint(bad.Validate()),
	}
	for how, text := range printed {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the key: %s", how, text)
		}
		if how != "error" && !strings.Contains(text, "1 redacted") {
			t.Errorf("%s does not say that there is a key: %s", how, text)
		}
	}
}

func TestContextFor(t *testing.T) {
	cases := map[string]struct {
		length, modelMax, want int
		wantErr                string
	}{
		"default on a large model": {0, 131072, 8192, ""},
		"default on a small model": {0, 512, 512, ""},
		"asked for":                {16384, 131072, 16384, ""},
		"more than the model has":  {16384, 512, 0, "--context-length 16384: the model allows at most 512 tokens"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := Default()
			o.ContextLength = tc.length
			got, err := o.ContextFor(tc.modelMax)
			if got != tc.want || (err == nil) != (tc.wantErr == "") || (err != nil && err.Error() != tc.wantErr) {
				t.Errorf("ContextFor(%d) = %d, %v", tc.modelMax, got, err)
			}
		})
	}
}

func TestModelName(t *testing.T) {
	cases := map[string]struct{ model, served, want string }{
		"demo":              {"demo", "", "gpt-oss-demo"},
		"directory":         {"/models/gpt-oss-20b/", "", "gpt-oss-20b"},
		"named":             {"demo", "chat", "chat"},
		"a file":            {"/models/gpt-oss-20b-mxfp4.gguf", "", "gpt-oss-20b-mxfp4"},
		"a packed file":     {"/models/gpt-oss-20b.gptoss", "", "gpt-oss-20b"},
		"a nameless file":   {"/models/.gguf", "", "gpt-oss"},
		"the root":          {"/", "", "gpt-oss"},
		"current directory": {".", "", "gpt-oss"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := Default()
			o.Model, o.ServedModelName = tc.model, tc.served
			if got := o.ModelName(); got != tc.want {
				t.Errorf("ModelName() = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestUsageNamesEveryFlag(t *testing.T) {
	usage := Usage()
	for _, p := range parameters {
		if !strings.Contains(usage, "  --"+p.name+" ") {
			t.Errorf("--%s is missing in the usage text", p.name)
		}
	}
	if !strings.Contains(usage, "Example:") {
		t.Error("the usage text has no example")
	}
}

// plain gives Options without their redacting methods, so that differences are seen field by field.
func plain(o Options) any {
	type bare Options
	b := bare(o)
	b.APIKeys = nil
	return struct {
		Options bare
		Keys    []string
	}{b, o.APIKeys}
}
