package pull

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/gptoss/gptoss-operator/server/terminal"
)

const maxTokenBytes = 4096 // more than any header that proxies let through

const usage = `gptoss-server pull downloads a model, checks every byte, and goes on where it was interrupted.

Usage:
  gptoss-server pull SOURCE [flags]

SOURCE is a repository of a Hugging-Face-compatible server (OWNER/NAME, or OWNER/NAME@REVISION),
or the http(s) URL of one file.

Examples:
  gptoss-server pull openai/gpt-oss-20b --to /models/gpt-oss-20b
  gptoss-server pull openai/gpt-oss-20b@main --include 'original/*'
  gptoss-server pull ggml-org/gpt-oss-20b-GGUF
  gptoss-server pull https://files.example.com/gpt-oss-20b-mxfp4.gguf --sha256 0123...cdef
  gptoss-server pull openai/gpt-oss-20b --offline      # is it there, whole and unchanged?

Flags:
  --to DIR
        folder to fill (default: one in the current folder, named after the source)
  --revision REV
        branch, tag or commit of the repository (default main)
  --endpoint URL
        server of the repository (default: HF_ENDPOINT, or https://huggingface.co)
  --token-file PATH
        file with an access token (default: HF_TOKEN, or the one of "hf auth login")
  --include GLOB
        fetch the files that match instead of the model's own; may be repeated; * matches slashes too
  --exclude GLOB
        leave out the files that match; may be repeated
  --sha256 HEX
        checksum that the file of a URL must have
  --parallel N
        connections at the same time, 1 to 64 (default 4)
  --retries N
        failures in a row, without progress, before giving up, 0 to 100 (default 8)
  --stall-timeout DURATION
        how long a connection may bring nothing (default 30s)
  --offline
        use no network: succeed only if everything is there and verified (also HF_HUB_OFFLINE=1)
  --verify
        read all files that are there again, instead of trusting size and time
  --output text|json
        progress as text, or as one JSON object a line on standard output (default text)
  --quiet
        say nothing but errors
  --help
        print this text and exit

Environment: HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE.
Without --include: safetensors, configuration and tokenizer at the top of the repository, or its GGUF file.
Exit status: 0 complete, 1 failed (what was downloaded is kept), 2 wrong flags.
`

// command is the parsed command line.
type command struct {
	Options
	tokenFile   string
	json, quiet bool
}

// Run is the sub-command: args are what follows the word pull. It returns the exit status: 0 when the target is
// complete, 1 after a failure, 2 for wrong flags. The end of ctx leaves a state to go on from.
func Run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	fail := func(status int, err error) int {
		terminal.Say(stderr, "gptoss-server pull: "+strings.TrimPrefix(err.Error(), "pull: ")+"\n")
		return status
	}
	c, err := parse(args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		terminal.Say(stdout, usage)
		return 0
	case err != nil:
		return fail(2, err)
	}
	if c.Token, err = readToken(c.tokenFile, c.Endpoint, getenv); err != nil {
		return fail(1, err)
	}
	p := &printer{stdout: stdout, stderr: stderr, json: c.json, quiet: c.quiet, live: terminal.Live(stderr, getenv("TERM"))}
	c.Report = p.event
	result, err := Fetch(ctx, c.Options)
	if err == nil {
		p.done(result)
		return 0
	}
	if errors.Is(err, ErrOption) {
		return fail(2, err)
	}
	if result.Kept > 0 {
		err = fmt.Errorf("%w; %s are kept: run the same command again to go on from there", err, terminal.Bytes(result.Kept))
	}
	p.failed(err)
	return fail(1, err)
}

// parse reads the command line; flags may stand before and after SOURCE.
func parse(args []string, getenv func(string) string) (command, error) {
	c := command{Options: Options{Endpoint: getenv("HF_ENDPOINT"), Proxy: proxy(getenv)}}
	output := "text"
	set := flag.NewFlagSet("pull", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&c.To, "to", "", "")
	set.StringVar(&c.Revision, "revision", "", "")
	set.StringVar(&c.Endpoint, "endpoint", c.Endpoint, "")
	set.StringVar(&c.tokenFile, "token-file", "", "")
	set.StringVar(&c.SHA256, "sha256", "", "")
	set.StringVar(&output, "output", output, "")
	set.IntVar(&c.Parallel, "parallel", 4, "")
	set.IntVar(&c.Retries, "retries", 8, "")
	set.DurationVar(&c.StallTimeout, "stall-timeout", 30*time.Second, "")
	set.BoolVar(&c.Offline, "offline", isTrue(getenv("HF_HUB_OFFLINE")), "")
	set.BoolVar(&c.Verify, "verify", false, "")
	set.BoolVar(&c.quiet, "quiet", false, "")
	for name, globs := range map[string]*[]string{"include": &c.Include, "exclude": &c.Exclude} {
		set.Func(name, "", func(glob string) error {
			if glob == "" || len(glob) > maxName {
				return fmt.Errorf("must have 1 to %d bytes", maxName)
			}
			*globs = append(*globs, glob)
			return nil
		})
	}
	var sources []string
	for rest := args; ; {
		if err := set.Parse(rest); errors.Is(err, flag.ErrHelp) {
			return c, err
		} else if err != nil {
			return c, fmt.Errorf("%w; --help lists the flags", err)
		}
		if set.NArg() == 0 {
			break
		}
		sources, rest = append(sources, set.Arg(0)), set.Args()[1:]
	}
	if len(sources) != 1 {
		return c, fmt.Errorf("needs one SOURCE, such as openai/gpt-oss-20b, and has %d; --help shows examples", len(sources))
	}
	c.Source, c.json = sources[0], output == "json"
	if c.tokenFile != "" && strings.Contains(c.Source, "://") {
		c.TokenOrigin = c.Source // named by the user for this very URL
	}
	switch {
	case output != "text" && output != "json":
		return c, fmt.Errorf("--output %q: must be text or json", output)
	case c.Parallel < 1 || c.Parallel > 64:
		return c, fmt.Errorf("--parallel %d: must be from 1 to 64", c.Parallel)
	case c.Retries < 0 || c.Retries > 100:
		return c, fmt.Errorf("--retries %d: must be from 0 to 100", c.Retries)
	case c.StallTimeout < time.Second || c.StallTimeout > time.Hour:
		return c, fmt.Errorf("--stall-timeout %s: must be from 1s to 1h", c.StallTimeout)
	}
	if c.Retries == 0 {
		c.Retries = -1 // 0 means the default in Options
	}
	return c, nil
}

// isTrue reads a variable as the Hub's own client does.
func isTrue(text string) bool {
	switch strings.ToUpper(text) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

// proxy chooses by the usual variables, in either case.
func proxy(getenv func(string) string) func(*http.Request) (*url.URL, error) {
	either := func(name string) string { return cmp.Or(getenv(name), getenv(strings.ToLower(name))) }
	config := httpproxy.Config{
		HTTPProxy:  cmp.Or(either("HTTP_PROXY"), either("ALL_PROXY")),
		HTTPSProxy: cmp.Or(either("HTTPS_PROXY"), either("ALL_PROXY")),
		NoProxy:    either("NO_PROXY"),
	}
	choose := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}

// readToken takes the token from the file that was named, from the environment, or from where the Hub's own client
// keeps it after a login; the last only for the Hub itself, since nobody named it for another server.
func readToken(file, endpoint string, getenv func(string) string) (Token, error) {
	if file != "" {
		token, err := readTokenFile(file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		return token, nil
	}
	if token := cmp.Or(getenv("HF_TOKEN"), getenv("HUGGING_FACE_HUB_TOKEN")); strings.TrimSpace(token) != "" {
		t, err := checkToken(token)
		if err != nil {
			return "", fmt.Errorf("the environment variable HF_TOKEN %w", err)
		}
		return t, nil
	}
	if (endpoint != "" && endpoint != DefaultEndpoint) || isTrue(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return "", nil
	}
	login := getenv("HF_TOKEN_PATH")
	switch {
	case login != "":
	case getenv("HF_HOME") != "":
		login = filepath.Join(getenv("HF_HOME"), "token")
	case getenv("XDG_CACHE_HOME") != "":
		login = filepath.Join(getenv("XDG_CACHE_HOME"), "huggingface", "token")
	case getenv("HOME") != "":
		login = filepath.Join(getenv("HOME"), ".cache", "huggingface", "token")
	}
	token, err := readTokenFile(login)
	if err != nil {
		return "", nil //nolint:nilerr // most users never logged in; a repository that needs a token says so
	}
	return token, nil
}

func readTokenFile(name string) (Token, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenBytes+2))
	if err != nil {
		return "", err
	}
	t, err := checkToken(string(data))
	if err != nil {
		return "", fmt.Errorf("%s %w", name, err)
	}
	return t, nil
}

// checkToken never shows what it refuses.
func checkToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxTokenBytes || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("must be 1 to %d visible ASCII characters without spaces", maxTokenBytes)
	}
	return Token(text), nil
}
