package pull

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestWrongFlags(t *testing.T) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"no source":             {nil, "needs one SOURCE, such as openai/gpt-oss-20b, and has 0; --help shows examples"},
		"two sources":           {[]string{"a/b", "c/d"}, "needs one SOURCE, such as openai/gpt-oss-20b, and has 2; --help shows examples"},
		"unknown flag":          {[]string{"a/b", "--token=x"}, "flag provided but not defined: -token; --help lists the flags"},
		"a folder":              {[]string{"./models"}, `SOURCE "./models" must be a repository such as openai/gpt-oss-20b, or an http(s) URL of one file`},
		"another scheme":        {[]string{"ftp://x/y"}, `SOURCE "ftp://x/y" must be a repository such as openai/gpt-oss-20b, or an http(s) URL of one file`},
		"no host":               {[]string{"http:///x"}, "SOURCE is a URL without a host"},
		"two revisions":         {[]string{"a/b@v1", "--revision=v2"}, `SOURCE names revision "v1", --revision another`},
		"empty revision":        {[]string{"a/b@"}, `revision "" must be a branch, a tag or a commit`},
		"revision with a space": {[]string{"a/b", "--revision=a b"}, `revision "a b" must be a branch, a tag or a commit`},
		"revision of a URL":     {[]string{"https://x/y", "--revision=v2"}, "--revision goes with a repository, not with the URL of a file"},
		"checksum of a repo":    {[]string{"a/b", "--sha256", strings.Repeat("0", 64)}, "--sha256 must be 64 hex digits, and goes with the URL of a file"},
		"short checksum":        {[]string{"https://x/y", "--sha256=00"}, "--sha256 must be 64 hex digits, and goes with the URL of a file"},
		"globs for a URL":       {[]string{"https://x/y", "--include=*"}, "--include and --exclude go with a repository, not with the URL of a file"},
		"empty glob":            {[]string{"a/b", "--include="}, `invalid value "" for flag -include: must have 1 to 1024 bytes; --help lists the flags`},
		"endpoint with a user":  {[]string{"a/b", "--endpoint=https://u:p@x"}, "--endpoint must be an http(s) URL without user and query, such as https://huggingface.co"},
		"too parallel":          {[]string{"a/b", "--parallel=65"}, "--parallel 65: must be from 1 to 64"},
		"too patient":           {[]string{"a/b", "--retries=101"}, "--retries 101: must be from 0 to 100"},
		"no stall timeout":      {[]string{"a/b", "--stall-timeout=0s"}, "--stall-timeout 0s: must be from 1s to 1h"},
		"unknown output":        {[]string{"a/b", "--output=xml"}, `--output "xml": must be text or json`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := Run(t.Context(), tc.args, environment(nil), &stdout, &stderr)
			if want := "gptoss-server pull: " + tc.want + "\n"; status != 2 || stderr.String() != want || stdout.Len() > 0 {
				t.Errorf("status %d, stdout %q\ngot  %swant %s", status, stdout.String(), stderr.String(), want)
			}
		})
	}
	var help bytes.Buffer
	if status := Run(t.Context(), []string{"--help"}, environment(nil), &help, io.Discard); status != 0 || !strings.Contains(help.String(), "Examples:") {
		t.Errorf("--help: status %d, %q", status, help.String())
	}
}

// TestUsageNamesEveryFlag reads the usage text back: each flag in it is one that parse knows.
func TestUsageNamesEveryFlag(t *testing.T) {
	values := map[string]string{"DIR": "x", "REV": "x", "URL": "x", "PATH": "x", "GLOB": "x", "HEX": "x", "N": "1", "DURATION": "2s", "text|json": "json"}
	n := 0
	for line := range strings.Lines(usage) {
		line, flag := strings.CutPrefix(strings.TrimRight(line, "\n"), "  --")
		name, value, _ := strings.Cut(line, " ")
		if !flag || name == "help" {
			continue
		}
		n++
		arg := "--" + name
		if value != "" {
			arg += "=" + values[value]
		}
		if _, err := parse([]string{"a/b", arg}, environment(nil)); err != nil {
			t.Errorf("%s: %v", arg, err)
		}
	}
	if n != 14 {
		t.Errorf("the usage text names %d flags, want 14", n)
	}
}

// TestRun pulls, once with each way of reporting, and looks for the token in all that was written.
func TestRun(t *testing.T) {
	cases := map[string]struct {
		args    []string
		wantOut string // DIR stands for the folder
	}{
		"text":  {nil, "DIR is complete: 5 files, 10.2 kB, 10.2 kB of it downloaded now, all verified.\nServe it with: gptoss-server --model=DIR\n"},
		"quiet": {[]string{"--quiet"}, ""},
		"json":  {[]string{"--output=json"}, `{"event":"done","bytes_done":10236,"bytes_total":10236,"bytes_per_second":0,"seconds_left":0,"result":{"dir":"DIR","source":"openai/tiny","commit":"` + commit + `","files":["LICENSE","config.json","model-00000-of-00001.safetensors","model.safetensors.index.json","tokenizer.json"],"bytes":10236,"downloaded":10236}}` + "\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, small())
			dir := filepath.Join(t.TempDir(), "tiny")
			env := environment(map[string]string{"HF_TOKEN": " " + secret + "\n", "HF_ENDPOINT": h.api.URL + "/"})
			var stdout, stderr bytes.Buffer
			status := Run(t.Context(), append(tc.args, "openai/tiny", "--to", dir), env, &stdout, &stderr)
			// On a slow machine lines about progress come before the last ones.
			if want := strings.ReplaceAll(tc.wantOut, "DIR", dir); status != 0 || !strings.HasSuffix(stdout.String(), want) || name == "quiet" && stdout.Len()+stderr.Len() > 0 {
				t.Errorf("status %d, stderr %q, stdout\ngot  %swant %s", status, stderr.String(), stdout.String(), want)
			}
			if !h.tokens["api"] || h.tokens["cdn"] {
				t.Errorf("the token arrived at %v, want the api alone", h.tokens)
			}
			said := tree(t, dir)
			said["stdout"], said["stderr"] = stdout.String(), stderr.String()
			for name, content := range said {
				if strings.Contains(content, secret) {
					t.Errorf("%s holds the token", name)
				}
			}
			offline := environment(map[string]string{"HF_HUB_OFFLINE": "1"})
			if status := Run(t.Context(), []string{"openai/tiny", "--to", dir}, offline, io.Discard, &stderr); status != 0 {
				t.Errorf("offline: status %d, %s", status, stderr.String())
			}
		})
	}
}

func TestRunFails(t *testing.T) {
	h := newHub(t, small())
	h.misbehave = once(1, "LICENSE", status(404, "X-Error-Code", "EntryNotFound"))
	args := []string{"openai/tiny", "--to", t.TempDir(), "--parallel=1", "--endpoint", h.api.URL, "--output=json"}
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), args, environment(map[string]string{"HF_TOKEN": secret}), &stdout, &stderr)
	const want = "pull: openai/tiny has no LICENSE (HTTP 404)"
	if code != 1 || stderr.String() != "gptoss-server "+want+"\n" {
		t.Errorf("status %d, %q", code, stderr.String())
	}
	var event Event
	if err := json.Unmarshal(stdout.Bytes(), &event); err != nil || event.Event != "error" || event.Message != want {
		t.Errorf("%v in %s", err, stdout.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stderr.Reset()
	if code := Run(ctx, args, environment(nil), io.Discard, &stderr); code != 1 || stderr.String() != "gptoss-server pull: interrupted\n" {
		t.Errorf("interrupted: status %d, %q", code, stderr.String())
	}
}

func TestReadToken(t *testing.T) {
	home := t.TempDir()
	login := filepath.Join(home, ".cache", "huggingface", "token")
	if err := os.MkdirAll(filepath.Dir(login), 0o755); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(home, "bad")
	for name, content := range map[string]string{login: "hf_login\n", bad: "two words"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		file, endpoint string
		env            map[string]string
		want           Token
		wantErr        string
	}{
		"the file before the environment": {login, "", map[string]string{"HF_TOKEN": "hf_env"}, "hf_login", ""},
		"the environment":                 {"", "https://mirror.example", map[string]string{"HF_TOKEN": "hf_env", "HOME": home}, "hf_env", ""},
		"the login":                       {"", "", map[string]string{"HOME": home}, "hf_login", ""},
		"the login, for another server":   {"", "https://mirror.example", map[string]string{"HOME": home}, "", ""},
		"the login, switched off":         {"", "", map[string]string{"HOME": home, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, "", ""},
		"no login":                        {"", "", map[string]string{"HF_HOME": home}, "", ""},
		"nothing":                         {"", "", nil, "", ""},
		"a missing file":                  {home + "/none", "", nil, "", "--token-file: open HOME/none: no such file or directory"},
		"a bad file":                      {bad, "", nil, "", "--token-file: HOME/bad must be 1 to 4096 visible ASCII characters without spaces"},
		"a bad variable":                  {"", "", map[string]string{"HF_TOKEN": "two words"}, "", "the environment variable HF_TOKEN must be 1 to 4096 visible ASCII characters without spaces"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := readToken(tc.file, tc.endpoint, environment(tc.env))
			want := strings.ReplaceAll(tc.wantErr, "HOME", home)
			if string(got) != string(tc.want) || (err == nil) != (want == "") || err != nil && err.Error() != want {
				t.Errorf("got %q, %v", string(got), err)
			}
		})
	}
}

// TestMeter lets bytes come at a known pace.
func TestMeter(t *testing.T) {
	clock := newClock()
	m := &meter{clock: clock, total: 100_000}
	var got []string
	for _, step := range []int64{0, 1000, 1000, 4000, 4000} {
		clock.advance(10 * time.Second)
		m.add(step)
		m.moved(step)
		got = append(got, m.event().text())
	}
	want := []string{
		"0 B of 100.0 kB, 0 %",
		"1.0 kB of 100.0 kB, 1 %, 100 B/s, 16m30s left",
		"2.0 kB of 100.0 kB, 2 %, 100 B/s, 16m20s left",
		"6.0 kB of 100.0 kB, 6 %, 250 B/s, 6m16s left",
		"10.0 kB of 100.0 kB, 10 %, 400 B/s, 3m45s left",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want,+got):\n%s", diff)
	}
}

// TestPrinter shows the same events in all ways.
func TestPrinter(t *testing.T) {
	left := int64(90)
	event := Event{Event: "progress", File: "a/very/long/name/of/a/file/model-00000-of-00002.safetensors", BytesDone: 5e9, BytesTotal: 13e9, BytesPerSecond: 88e6, SecondsLeft: &left}
	retry := Event{Event: "retry", File: "config.json", Message: "hub broke off; trying again in 1s"}
	const text = "5.0 GB of 13.0 GB, 38 %, 88.0 MB/s, 1m30s left  …-00000-of-00002.safetensors"
	cases := map[string]struct {
		printer         printer
		wantOut, wantOn string
	}{
		"terminal": {printer{live: true}, "", "\r" + text + "\x1b[K\r" + text + "\x1b[K\r\x1b[Kconfig.json: hub broke off; trying again in 1s\n"},
		"log":      {printer{}, "", text + "\nconfig.json: hub broke off; trying again in 1s\n"},
		"quiet":    {printer{quiet: true, live: true}, "", ""},
		"json": {printer{json: true, live: true}, `{"event":"progress","file":"a/very/long/name/of/a/file/model-00000-of-00002.safetensors","bytes_done":5000000000,"bytes_total":13000000000,"bytes_per_second":88000000,"seconds_left":90}
{"event":"retry","file":"config.json","bytes_done":0,"bytes_total":0,"bytes_per_second":0,"seconds_left":null,"message":"hub broke off; trying again in 1s"}
`, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			tc.printer.stdout, tc.printer.stderr = &stdout, &stderr
			for _, e := range []Event{event, event, retry} {
				tc.printer.event(e)
			}
			if stdout.String() != tc.wantOut || stderr.String() != tc.wantOn {
				t.Errorf("stdout %q\nstderr %q", stdout.String(), stderr.String())
			}
		})
	}
}
