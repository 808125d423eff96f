package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/demo"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// TestServeDemo runs the whole program on the demo model: the key comes from the environment, a stream is answered,
// and the end of the context ends it with status 0.
func TestServeDemo(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	logReader, logWriter := io.Pipe()
	var stderr bytes.Buffer
	exit := make(chan int, 1)
	go func() {
		status := run(ctx, []string{"--host=127.0.0.1", "--port=0", "--temperature=0", "--shutdown-delay=0s"}, environment(map[string]string{"OPENAI_API_KEY": "k"}), logWriter, &stderr)
		_ = logWriter.Close()
		exit <- status
	}()
	address := ""
	lines := bufio.NewScanner(logReader)
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("log line %q: %v", lines.Text(), err)
		}
		if line.Address != "" {
			address = line.Address
		}
		if line.Msg == "model loaded" {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, logReader) }()

	if got := post(t, address, "wrong"); !strings.Contains(got, "invalid_api_key") {
		t.Errorf("with a wrong key: %s", got)
	}
	got := post(t, address, "k")
	if !strings.Contains(got, `"delta":{"content":"`) || !strings.Contains(got, `"finish_reason":"stop"`) || !strings.HasSuffix(got, "data: [DONE]\n\n") {
		t.Errorf("the stream is %s", got)
	}
	stop()
	if status := <-exit; status != 0 || stderr.Len() > 0 {
		t.Errorf("status %d, stderr %q", status, stderr.String())
	}
}

func post(t *testing.T, address, key string) string {
	t.Helper()
	body := `{"model":"gpt-oss-demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// TestModelThatCannotBeLoaded expects one sentence that names the file, on stderr and in the termination log.
func TestModelThatCannotBeLoaded(t *testing.T) {
	cases := map[string]struct {
		change func(t *testing.T, dir string)
		more   string
		want   string // after "cannot serve model DIR: "
	}{
		"no config":           {func(t *testing.T, dir string) { remove(t, dir, "config.json") }, "", "config.json: missing: file does not exist"},
		"no tokenizer":        {func(t *testing.T, dir string) { remove(t, dir, "tokenizer.json") }, "", fmt.Sprintf("tokenizer.json: missing, and a vocabulary of %d tokens is not that of gpt-oss, which has 201088", vocabularySize(t))},
		"a foreign tokenizer": {func(t *testing.T, dir string) { write(t, dir, "tokenizer.json", []byte("{}")) }, "", `tokenizer.json: tokenizer: model type is "", only BPE is supported`},
		"context too long":    {func(*testing.T, string) {}, "--context-length=1000000", "--context-length 1000000: the model allows at most 8192 tokens"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, demo.Files()); err != nil {
				t.Fatal(err)
			}
			tc.change(t, dir)
			terminationLog := filepath.Join(t.TempDir(), "termination-log")
			args := []string{"--host=127.0.0.1", "--port=0", "--shutdown-delay=0s", "--model=" + dir, "--termination-log=" + terminationLog}
			if tc.more != "" {
				args = append(args, tc.more)
			}
			var stderr bytes.Buffer
			if status := run(t.Context(), args, environment(nil), io.Discard, &stderr); status != 1 {
				t.Errorf("status %d", status)
			}
			want := "cannot serve model " + dir + ": " + tc.want + "\n"
			if got := stderr.String(); got != "gptoss-server: "+want {
				t.Errorf("stderr\ngot  %s\nwant %s", got, "gptoss-server: "+want)
			}
			if got, err := os.ReadFile(terminationLog); err != nil || string(got) != want {
				t.Errorf("the termination log is %q, %v", got, err)
			}
		})
	}
}

// vocabularySize is what the demo's config.json says.
func vocabularySize(t *testing.T) int {
	t.Helper()
	data, err := fs.ReadFile(demo.Files(), "config.json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Size int `json:"vocab_size"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	return config.Size
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFlagsThatEndTheProgram(t *testing.T) {
	cases := map[string]struct {
		args               []string
		key                string
		status             int
		wantOut, wantError string
	}{
		"serve":       {[]string{"serve", "--version"}, "", 0, "gptoss-server dev\n", ""},
		"pull":        {[]string{"pull"}, "", 2, "", "gptoss-server pull: needs one SOURCE, such as openai/gpt-oss-20b, and has 0; --help shows examples\n"},
		"pack":        {[]string{"pack", "x"}, "", 2, "", "gptoss-server pack: want SOURCE and DEST, not 1 paths; see --help\n"},
		"synth":       {[]string{"synth"}, "", 2, "", "gptoss-server synth: want one DEST, not 0 paths; see --help\n"},
		"bench":       {[]string{"bench"}, "", 2, "", "gptoss-server bench: want one MODEL, not 0; see --help\n"},
		"a word":      {[]string{"download", "x"}, "", 2, "", "gptoss-server: unknown command \"download\": the commands are serve, pull, pack, cache, synth, bench and inspect\n"},
		"version":     {[]string{"--version"}, "", 0, "gptoss-server dev\n", ""},
		"wrong flag":  {[]string{"--port=x"}, "", 2, "", "gptoss-server: --port \"x\": must be a whole number from 0 to 65535\n"},
		"wrong key":   {nil, "se cret", 2, "", "gptoss-server: the environment variable OPENAI_API_KEY must be 1 to 4096 visible ASCII characters without spaces\n"},
		"kernel":      {[]string{"--kernel=mmx"}, "", 2, "", "gptoss-server: --kernel \"mmx\": must be one of auto, generic, avx2, avx512, neon, dotprod\n"},
		"no key file": {[]string{"--api-key-file=/none"}, "", 1, "", "gptoss-server: key file: open /none: no such file or directory\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), tc.args, environment(map[string]string{"OPENAI_API_KEY": tc.key}), &stdout, &stderr)
			if status != tc.status || stdout.String() != tc.wantOut || stderr.String() != tc.wantError {
				t.Errorf("status %d, stdout %q, stderr %q", status, stdout.String(), stderr.String())
			}
		})
	}
	var stderr bytes.Buffer
	status := run(t.Context(), nil, environment(map[string]string{"GPTOSS_KERNEL": "mmx"}), io.Discard, &stderr)
	if want := "gptoss-server: the environment variable GPTOSS_KERNEL is wrong: --kernel \"mmx\": must be one of auto, generic, avx2, avx512, neon, dotprod\n"; status != 2 || stderr.String() != want {
		t.Errorf("status %d, stderr %q", status, stderr.String())
	}
	var help bytes.Buffer
	status = run(t.Context(), []string{"--help"}, environment(nil), &help, io.Discard)
	for _, want := range []string{"Example:", "gptoss-server [serve]", "gptoss-server pull SOURCE", "gptoss-server pack SOURCE DEST", "gptoss-server synth DEST", "gptoss-server bench MODEL", "gptoss-server inspect PATH", "--model "} {
		if status != 0 || !strings.Contains(help.String(), want) {
			t.Errorf("--help: status %d, %q", status, help.String())
		}
	}
	var about bytes.Buffer
	if status := run(t.Context(), []string{"inspect", "demo"}, environment(nil), &about, io.Discard); status != 0 || about.Len() == 0 {
		t.Errorf("inspect demo: status %d, %q", status, about.String())
	}
	file := filepath.Join(t.TempDir(), "demo.gptoss")
	if status := run(t.Context(), []string{"pack", "demo", file, "--quiet"}, environment(nil), io.Discard, io.Discard); status != 0 {
		t.Errorf("pack demo: status %d", status)
	}
	if info, err := os.Stat(file); err != nil || info.Size() < 1<<20 {
		t.Errorf("pack demo made %v, %v", info, err)
	}
}
