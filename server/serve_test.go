package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// serving runs Serve on a real listener; stop is what SIGTERM does, the shutdown delay ends with closing delayed, the silence
// after it with closing silent, and ended gives Serve's error.
type serving struct {
	*fixture
	stop            context.CancelFunc
	delay           atomic.Int64 // asked for, in nanoseconds
	delayed, silent chan time.Time
	ended           chan error
}

func serve(t *testing.T, g Generator, change ...func(*Config)) *serving {
	t.Helper()
	s := &serving{fixture: newFixture(t, g, change...), delayed: make(chan time.Time), silent: make(chan time.Time), ended: make(chan error, 1)}
	s.after = func(d time.Duration) <-chan time.Time {
		if d == lingerTime {
			return s.silent
		}
		s.delay.Store(int64(d))
		return s.delayed
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	t.Cleanup(stop)
	go func() { s.ended <- s.Serve(ctx, listener) }()
	return s
}

// awaitLeaving polls health, which answers throughout, until it says unavailable.
func (s *serving) awaitLeaving(t *testing.T) {
	t.Helper()
	for s.do(t, http.MethodGet, "/v1/health", "").status != http.StatusServiceUnavailable {
		if t.Context().Err() != nil {
			t.Fatal("health stayed healthy")
		}
	}
}

func (s *serving) awaitEnd(t *testing.T) {
	t.Helper()
	if err := <-s.ended; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://")); err == nil {
		t.Error("the listener is still open")
	}
}

// wire is a client that keeps its connection until it is told to close it, and sends nothing twice.
type wire struct {
	conn   net.Conn
	reader *bufio.Reader
	dials  int
}

// send makes a request and returns the answer, without having read its body. Any failure of the connection is the test's.
func (w *wire) send(t *testing.T, s *serving, method, path, body string) *http.Response {
	t.Helper()
	if w.conn == nil {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		w.conn, w.reader = conn, bufio.NewReader(conn)
		w.dials++
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := request.Write(w.conn); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(w.reader, request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response
}

// receive reads the body, and hangs up if the server wants that.
func (w *wire) receive(t *testing.T, response *http.Response) reply {
	t.Helper()
	got := readReply(t, response)
	if response.Close {
		if n, err := w.reader.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("behind the last answer: %d bytes, %v", n, err)
		}
		_ = w.conn.Close()
		w.conn = nil
	}
	return got
}

// TestLeavingWithoutAFailure is a rolling change as a client sees it that keeps its connection and does not try again.
func TestLeavingWithoutAFailure(t *testing.T) {
	s := serve(t, says(hello))
	var client, idle wire
	ask := func(stream string) (closed bool) {
		t.Helper()
		response := client.send(t, s, http.MethodPost, "/v1/chat/completions", ask(stream))
		if got := client.receive(t, response); got.status != 200 || !strings.Contains(got.body, `"finish_reason":"stop"`) {
			t.Errorf("status %d: %s", got.status, got.body)
		}
		return response.Close
	}
	for range 3 {
		if ask("") || ask(`,"stream":true`) {
			t.Error("the connection was closed before the end")
		}
	}
	models := idle.send(t, s, http.MethodGet, "/v1/models", "")
	defer models.Body.Close()
	idle.receive(t, models)
	s.stop()
	s.awaitLeaving(t)
	for range 3 {
		if !ask("") || !ask(`,"stream":true`) {
			t.Error("the connection was kept on the way down")
		}
	}
	if want := 1 + 5; client.dials != want {
		t.Errorf("%d connections, want %d", client.dials, want)
	}
	response := client.send(t, s, http.MethodGet, "/v1/health", "")
	if got := client.receive(t, response); got.status != 503 || !response.Close {
		t.Errorf("health is %d, close %v: %s", got.status, response.Close, got.body)
	}
	close(s.delayed)
	close(s.silent)
	s.awaitEnd(t)
	if got := time.Duration(s.delay.Load()); got != 5*time.Second {
		t.Errorf("the delay is %v", got)
	}
	if _, err := idle.reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection ends with %v", err)
	}
}

// TestRunningRequestsFinish has a stream and a waiting answer outlive the delay.
func TestRunningRequestsFinish(t *testing.T) {
	g := says(hello)
	g.gate = make(chan struct{})
	s := serve(t, g)
	response := openStream(t, s.fixture)
	defer response.Body.Close()
	g.gate <- struct{}{}
	s.stop()
	s.awaitLeaving(t)
	late := make(chan reply)
	go func() { late <- s.chat(t, ask("")) }()
	for s.active.Load() != 2 {
		runtime.Gosched()
	}
	close(s.delayed)
	close(s.silent)
	close(g.gate)
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(rest), `"finish_reason":"stop"`) || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	if got := <-late; got.status != 200 || !strings.Contains(got.body, "Hello!") {
		t.Errorf("the late request gets %d: %s", got.status, got.body)
	}
	s.awaitEnd(t)
}

// TestGoingOnAfterAStream has a client ask at once when its stream ends, which began before the server knew that it would
// leave and ended after the delay: on that connection it has not been told to close.
func TestGoingOnAfterAStream(t *testing.T) {
	g := says(hello)
	g.gate = make(chan struct{})
	s := serve(t, g)
	var client wire
	stream := client.send(t, s, http.MethodPost, "/v1/chat/completions", ask(`,"stream":true`))
	g.gate <- struct{}{}
	s.stop()
	s.awaitLeaving(t)
	close(s.delayed)
	for { // the listener is closed, and closes what it has accepted and nobody serves
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(g.gate)
	if got := client.receive(t, stream); stream.Close || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
		t.Errorf("close %v, the stream is %q", stream.Close, got.body)
	}
	next := client.send(t, s, http.MethodPost, "/v1/chat/completions", ask(""))
	if got := client.receive(t, next); got.status != 200 || !next.Close || client.dials != 1 {
		t.Errorf("the next request gets %d, close %v: %s", got.status, next.Close, got.body)
	}
	close(s.silent)
	s.awaitEnd(t)
}

func TestGracePeriodEnds(t *testing.T) {
	g := says(hello)
	g.gate = make(chan struct{})
	s := serve(t, g, func(c *Config) { c.Options.ShutdownGrace = time.Millisecond })
	response := openStream(t, s.fixture)
	defer response.Body.Close()
	g.gate <- struct{}{}
	s.stop()
	close(s.delayed)
	rest, err := io.ReadAll(response.Body)
	want := `data: {"error":{"message":"The server is shutting down; send the request again.","type":"unavailable_error","param":null,"code":"shutting_down"}}` + "\n\ndata: [DONE]\n\n"
	if err != nil || !strings.HasSuffix(string(rest), want) {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	s.awaitEnd(t)
	if got := time.Duration(s.delay.Load()); got != time.Millisecond {
		t.Errorf("the delay is %v, longer than the grace period", got)
	}
	if !strings.Contains(s.log.String(), "grace period is over") {
		t.Errorf("the log is %s", s.log.String())
	}
}

// TestLateRequestsAreRefused sends a request on a connection that a cut-off stream has left open.
func TestLateRequestsAreRefused(t *testing.T) {
	f := newFixture(t, says(hello))
	ctx, cut := context.WithCancelCause(t.Context())
	cut(errShutdown)
	rec := httptest.NewRecorder()
	f.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(ask(""))))
	if body := rec.Body.String(); rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(body, openai.CodeShuttingDown) {
		t.Errorf("status %d: %s", rec.Code, body)
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
// sleeper is a listener whose Accept notices only the second time that it is closed.
type sleeper struct {
	net.Listener
	closed       atomic.Int32
	asleep, wake chan struct{}
}

func (l *sleeper) Accept() (net.Conn, error) {
	close(l.asleep)
	<-l.wake
	return nil, net.ErrClosed
}

func (l *sleeper) Close() error {
	if l.closed.Add(1) == 2 {
		close(l.wake)
	}
	return l.Listener.Close()
}

// TestListenerNoticesLate has Serve leave before the accepting goroutine has seen that its listener is closed.
func TestListenerNoticesLate(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newFixture(t, says(hello))
	s.after = func(time.Duration) <-chan time.Time {
		now := make(chan time.Time)
		close(now)
		return now
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	l := &sleeper{Listener: listener, asleep: make(chan struct{}), wake: make(chan struct{})}
	go func() { ended <- s.Serve(ctx, l) }()
	<-l.asleep
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func TestHeaderLimit(t *testing.T) {
	f := serve(t, nil)
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
