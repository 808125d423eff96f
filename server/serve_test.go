package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serving runs Serve on a real listener; stop is what SIGTERM does, ended gives Serve's error.
func serving(t *testing.T, g Generator, grace time.Duration) (f *fixture, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	f = newFixture(t, g, func(c *Config) { c.Options.ShutdownGrace = grace })
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, listener) }()
	t.Cleanup(stop)
	return f, stop, done
}

// awaitDraining polls health, which answers throughout, until it says unavailable.
func awaitDraining(t *testing.T, f *fixture) {
	t.Helper()
	for f.do(t, http.MethodGet, "/v1/health", "").status != http.StatusServiceUnavailable {
		if t.Context().Err() != nil {
			t.Fatal("health stayed healthy")
		}
	}
}

func TestRunningStreamsFinish(t *testing.T) {
	g := says(hello)
	g.gate = make(chan struct{})
	f, stop, ended := serving(t, g, time.Minute)
	response := openStream(t, f)
	defer response.Body.Close()
	g.gate <- struct{}{}
	stop()
	awaitDraining(t, f)
	if got := f.chat(t, ask("")); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("new work gets %d: %s", got.status, got.body)
	}
	close(g.gate)
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(rest), `"finish_reason":"stop"`) || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func TestGracePeriodEnds(t *testing.T) {
	g := says(hello)
	g.gate = make(chan struct{})
	f, stop, ended := serving(t, g, time.Millisecond)
	response := openStream(t, f)
	defer response.Body.Close()
	g.gate <- struct{}{}
	stop()
	rest, err := io.ReadAll(response.Body)
	want := `data: {"error":{"message":"The server is shutting down; send the request again.","type":"unavailable_error","param":null,"code":"shutting_down"}}` + "\n\ndata: [DONE]\n\n"
	if err != nil || !strings.HasSuffix(string(rest), want) {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if !strings.Contains(f.log.String(), "grace period is over") {
		t.Errorf("the log is %s", f.log.String())
	}
}

func TestIdleServerEndsAtOnce(t *testing.T) {
	f, stop, ended := serving(t, says(hello), time.Hour)
	if got := f.chat(t, ask("")); got.status != 200 {
		t.Fatalf("status %d", got.status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func TestListenerFails(t *testing.T) {
	f := newFixture(t, nil)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(t.Context(), listener); err == nil {
		t.Error("Serve on a closed listener returned no error")
	}
}

// TestHeaderLimit sends more header than the server takes.
func TestHeaderLimit(t *testing.T) {
	f, _, _ := serving(t, nil, time.Second)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		// The server may hang up before all is sent.
		_, _ = io.WriteString(conn, "GET /v1/health HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 2*maxHeaderBytes)+"\r\n\r\n")
	}()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "431") {
		t.Errorf("the server answers %q, %v", line, err)
	}
}
