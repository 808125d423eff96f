package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	content = `data: {"choices":[{"delta":{"content":"x"},"finish_reason":null}]}` + "\n\n"
	finish  = `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	done    = "data: [DONE]\n\n"
)

// TestStream tells whole answers from broken ones.
func TestStream(t *testing.T) {
	cases := map[string]struct {
		body  string
		leave int
		left  bool
		fails string
	}{
		"a whole answer":            {body: ": keep-alive\n\n" + content + finish + done},
		"one that the client left":  {body: content + content + finish + done, leave: 2, left: true},
		"one that breaks off":       {body: content, fails: "without [DONE]"},
		"one without a reason":      {body: content + done, fails: "without a finish reason"},
		"one with an error":         {body: content + `data: {"error":{"message":"oh"}}` + "\n\n" + done, fails: "error event: oh"},
		"one with a broken event":   {body: "data: {\n\n", fails: "no JSON"},
		"one that has nothing more": {body: "", fails: "without [DONE]"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, tc.body) // the test sees what arrives
			}))
			defer server.Close()
			at := newSite(server.URL, 1)
			defer at.close()
			a, err := at.stream(t.Context(), "k", rand.New(rand.NewPCG(1, 1)), tc.leave)
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("the error is %v, want %q", err, tc.fails)
			}
			if a.left != tc.left {
				t.Errorf("left is %t", a.left)
			}
		})
	}
}

func TestRefusedStream(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	a, err := newSite(server.URL, 1).stream(t.Context(), "k", rand.New(rand.NewPCG(1, 1)), 0)
	if err != nil || a.status != http.StatusTooManyRequests || a.retryAfter != 7*time.Second {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestBroken(t *testing.T) {
	s, err := parse([]string{"--health", "50ms"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	good := func() *load {
		return &load{
			Counts: map[string]int{"whole": 5, "429": 9, "left": 2}, Health: probes{Asked: 9, P99: 49},
			Start: sample{Memory: 100, Goroutines: 10}, End: sample{Memory: 109, Goroutines: 12},
		}
	}
	if broken := good().broken(s); broken != nil {
		t.Errorf("a good run is broken: %v", broken)
	}
	for name, change := range map[string]func(*load){
		"slow health":    func(l *load) { l.Health.P99 = 50 },
		"failing health": func(l *load) { l.Health.Failed = 1 },
		"memory":         func(l *load) { l.End.Memory = 111 },
		"goroutines":     func(l *load) { l.End.Goroutines = 14 },
		"active":         func(l *load) { l.End.Active = 1 },
		"an error":       func(l *load) { l.Counts["error: status 500"] = 1 },
		"no answer":      func(l *load) { l.Counts["whole"] = 0 },
	} {
		l := good()
		change(l)
		if broken := l.broken(s); len(broken) != 1 {
			t.Errorf("%s: broken is %v", name, broken)
		}
	}
	if broken := (&rotation{Counts: rotationSums{Whole: 1, Refused: 1}}).broken(); broken != nil {
		t.Errorf("a good rotation is broken: %v", broken)
	}
	if broken := (&rotation{Counts: rotationSums{Failed: 1, Wrong: 1}}).broken(); len(broken) != 3 {
		t.Errorf("a bad rotation is broken only by %v", broken)
	}
}

// TestProbe ends with its input and reports failures of health.
func TestProbe(t *testing.T) {
	asked := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		asked <- struct{}{}
	}))
	defer server.Close()
	in, end := io.Pipe()
	go func() {
		<-asked
		<-asked
		_ = end.Close() // never fails
	}()
	var out bytes.Buffer
	if err := probe(context.Background(), server.URL, in, &out); err != nil {
		t.Fatal(err)
	}
	var p probes
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Asked < 1 || p.Failed != p.Asked || !strings.Contains(p.First, "503") {
		t.Errorf("the probe found %+v", p)
	}
}

func TestFlagsAreBounded(t *testing.T) {
	for _, bad := range [][]string{
		{"--clients", "0"}, {"--clients", "1000000"}, {"--duration", "9h"}, {"--rotate-every", "1ms"}, {"--leave", "NaN"}, {"--leave", "2"}, {"--only", "x"}, {"more"},
	} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}
