//go:build e2e

package page

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const binary = "../../bin/gptoss-server"

// process is a real server.
type process struct {
	address string
	// end stops it and returns all that it has written.
	end func() string
}

// startServer starts a real server with the demo model and returns its address once it can answer.
func startServer(t *testing.T, arguments ...string) string {
	t.Helper()
	return startProcess(t, arguments...).address
}

func startProcess(t *testing.T, arguments ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	server := exec.CommandContext(ctx, binary, append([]string{"--host=127.0.0.1", "--port=0", "--temperature=0", "--shutdown-delay=0s", "--shutdown-grace=1s"}, arguments...)...)
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.WaitDelay = 10 * time.Second
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var written strings.Builder
	server.Stderr = &written // read when the process has ended
	if err := server.Start(); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	lines := bufio.NewReader(out)
	address, before := awaitModel(t, lines)
	var rest strings.Builder
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(&rest, lines) // the pipe ends with the process
	}()
	p := &process{address: address}
	p.end = sync.OnceValue(func() string {
		cancel()
		<-drained
		_ = server.Wait() // it was told to end
		return before + rest.String() + written.String()
	})
	t.Cleanup(func() { p.end() })
	return p
}

// awaitModel reads a server's log until it can answer.
func awaitModel(t *testing.T, lines *bufio.Reader) (address, read string) {
	t.Helper()
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatalf("the server ended before it was ready: %v", err)
		}
		read += string(line)
		var entry struct{ Msg, Address string }
		if json.Unmarshal(line, &entry) != nil {
			continue
		}
		switch entry.Msg {
		case "listening":
			address = "http://" + entry.Address
		case "model loaded":
			return address, read
		}
	}
}

// front stands between the browser and a real server. It can answer in its place and hold streams back.
type front struct {
	address string
	// stop cuts all connections and takes no more.
	stop func()

	mu sync.Mutex
	// answer takes a request's place, for as long as it returns true.
	answer func(w http.ResponseWriter, r *http.Request) bool
	bodies []string
	// hold, when set, lets one event of an answer pass for each value.
	hold chan struct{}
	// left is closed when the browser left a held answer.
	left chan struct{}
}

func startFront(t *testing.T, server string) *front {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{left: make(chan struct{})}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval:  -1,
		ModifyResponse: f.modify,
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.intercepts(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	f.stop = sync.OnceFunc(func() {
		web.Listener.Close() // else a browser connects anew
		web.CloseClientConnections()
		web.Close()
	})
	t.Cleanup(f.stop)
	f.address = web.URL
	return f
}

func (f *front) intercepts(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	answer := f.answer
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			f.mu.Unlock()
			return true
		}
		f.bodies = append(f.bodies, string(body))
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	f.mu.Unlock()
	return answer != nil && answer(w, r)
}

// tear sends the first parts of an answer and, when it may, cuts the connection.
func tear(deltas []map[string]any, cut <-chan struct{}) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		scripted(deltas, "", cut)(w, r)
		panic(http.ErrAbortHandler)
	}
}

// intercept sets what answers instead of the server; nil is nobody.
func (f *front) intercept(answer func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// sent decodes the last body that the page has sent.
func (f *front) sent(t *testing.T) map[string]any {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.bodies) == 0 {
		t.Fatal("the page sent nothing")
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(f.bodies[len(f.bodies)-1]), &body); err != nil {
		t.Fatal(err)
	}
	return body
}

// gate holds answers back and returns what lets one event pass.
func (f *front) gate() chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hold = make(chan struct{})
	return f.hold
}

func (f *front) modify(r *http.Response) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hold != nil && strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		r.Body = &gated{ctx: r.Request.Context(), body: r.Body, lines: bufio.NewReader(r.Body), pass: f.hold, left: f.left}
	}
	return nil
}

// gated is a body whose events pass one at a time.
type gated struct {
	ctx   context.Context
	body  io.Closer
	lines *bufio.Reader
	rest  []byte
	pass  chan struct{}
	left  chan struct{}
}

func (g *gated) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		select {
		case <-g.pass:
		case <-g.ctx.Done():
			close(g.left)
			return 0, g.ctx.Err()
		}
		for {
			line, err := g.lines.ReadBytes('\n')
			g.rest = append(g.rest, line...)
			if err != nil {
				return copy(p, g.take(len(p))), err
			}
			if len(line) == 1 {
				break
			}
		}
	}
	return copy(p, g.take(len(p))), nil
}

func (g *gated) take(n int) []byte {
	n = min(n, len(g.rest))
	out := g.rest[:n]
	g.rest = g.rest[n:]
	return out
}

func (g *gated) Close() error { return g.body.Close() }

// refuse answers chat completions with a status and an error.
func refuse(status int, header map[string]string, code, param, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		body := map[string]any{"error": map[string]any{"message": message, "type": "error", "code": code, "param": param}}
		if err := json.NewEncoder(w).Encode(body); err != nil {
			return true
		}
		return true
	}
}

// scripted answers chat completions with deltas, in events that are cut at odd places. After the last it waits for more,
// if that is set, or until the browser leaves.
func scripted(deltas []map[string]any, finish string, more <-chan struct{}) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		w.Header().Set("Content-Type", "text/event-stream")
		send := func(v any) {
			data, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(w, ": keep-alive\r\n\r\ndata: %s\n\n", data)
			w.(http.Flusher).Flush()
		}
		chunk := func(delta map[string]any, finish any) map[string]any {
			return map[string]any{"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}}}
		}
		for _, d := range deltas {
			send(chunk(d, nil))
		}
		if more != nil {
			select {
			case <-more:
			case <-r.Context().Done():
				return true
			}
		}
		if finish == "" {
			return true
		}
		send(chunk(map[string]any{}, finish))
		send(map[string]any{"choices": []any{}, "usage": map[string]any{"prompt_tokens": 812, "completion_tokens": 431, "total_tokens": 1243}})
		fmt.Fprint(w, "data: [DONE]\n\n")
		return true
	}
}

// says makes deltas of an answer's parts: its reasoning, then its content, some letters at a time.
func says(reasoning, content string) []map[string]any {
	var deltas []map[string]any
	deltas = append(deltas, pieces("reasoning", reasoning)...)
	return append(deltas, pieces("content", content)...)
}

func pieces(field, text string) []map[string]any {
	var deltas []map[string]any
	letters := []rune(text)
	for len(letters) > 0 {
		n := min(7, len(letters))
		deltas = append(deltas, map[string]any{field: string(letters[:n])})
		letters = letters[n:]
	}
	return deltas
}
