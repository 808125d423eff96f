package server

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// stuckStep is how long one forward pass may take before the server calls itself unavailable, which makes Kubernetes
// start the container anew. A chunk of prompt of the largest model on one slow core takes minutes, not more.
const stuckStep = 10 * time.Minute

// What health says.
const (
	stateHealthy     = "healthy"
	stateDegraded    = "degraded"    // requests are served, but late, or without something that they should have
	stateUnavailable = "unavailable" // they are not
)

// probes are the paths that kubelets, load balancers and Prometheus ask every few seconds, without a key unless the options
// say otherwise of the metrics.
func (s *Server) probes() map[string]handler {
	metrics := s.protected(s.serveMetrics)
	return map[string]handler{
		"/v1/health": s.health, "/health": s.health, "/readyz": s.health, "/livez": s.live, "/v1/metrics": metrics, "/metrics": metrics,
	}
}

// isProbe reports whether a path is one of them.
func isProbe(path string) bool {
	switch path {
	case "/v1/health", "/health", "/readyz", "/livez", "/v1/metrics", "/metrics":
		return true
	}
	return false
}

// isAsset reports whether a path is a file of the chat page. A browser asks for a dozen at once, so that they are logged as
// quietly as probes; that the page was opened is logged with "/".
func (s *Server) isAsset(path string) bool {
	return s.options.Page && strings.HasPrefix(path, "/assets/")
}

// health answers without waiting for the engine: 200 for healthy and degraded, 503 for unavailable.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	status, reason := s.status(s.now())
	s.writeHealth(w, status, reason, status != stateUnavailable)
	return nil
}

// live says whether the process is worth keeping: it is, while it loads and on its way down, unless a step is stuck.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	now := s.now()
	status, reason := s.status(now)
	s.writeHealth(w, status, reason, !s.stuck(now))
	return nil
}

func (s *Server) writeHealth(w http.ResponseWriter, status, reason string, good bool) {
	code := http.StatusOK
	if !good {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, code, openai.Health{
		Status:         status,
		Reason:         reason,
		Model:          s.options.ModelName(),
		Version:        s.version,
		Timestamp:      s.now().UTC().Format(time.RFC3339),
		MemoryUsageGB:  math.Round(float64(residentBytes())/1e6) / 1e3,
		ActiveRequests: int(s.active.Load()),
	})
}

// Concern adds a part of the server that may have a reason to call it degraded: f returns a sentence, or "" while all is
// well. It is called for every health check and must not wait. Concerns are added before the server serves.
func (s *Server) Concern(f func() string) { s.concerns = append(s.concerns, f) }

// status is unavailable without a model, on the way down and when a step hangs, and degraded while more than half of the
// queue is taken or somebody has a concern.
func (s *Server) status(now time.Time) (status, reason string) {
	switch {
	case s.leaving.Load():
		return stateUnavailable, "The server is shutting down."
	case s.model.Load() == nil:
		return stateUnavailable, "The model is being loaded."
	case s.stuck(now):
		return stateUnavailable, fmt.Sprintf("A forward pass has been running for more than %s.", stuckStep)
	}
	var reasons []string
	if waiting := s.stats().Waiting; 2*waiting > s.options.MaxQueue {
		reasons = append(reasons, fmt.Sprintf("%d of %d places in the queue are taken.", waiting, s.options.MaxQueue))
	}
	for _, f := range s.concerns {
		if reason := f(); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	if len(reasons) > 0 {
		return stateDegraded, strings.Join(reasons, " ")
	}
	return stateHealthy, ""
}

// stuck reports whether a forward pass takes longer than any should.
func (s *Server) stuck(now time.Time) bool {
	stats := s.stats()
	return !stats.StepStarted.IsZero() && now.Sub(stats.StepStarted) > stuckStep
}

func (s *Server) stats() engine.Stats {
	if m := s.model.Load(); m != nil {
		return m.Generator.Stats()
	}
	return engine.Stats{}
}

// models lists the one model that is served.
func (s *Server) models(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, openai.ModelList{Object: "list", Data: []openai.Model{s.describe()}})
	return nil
}

// describe is what there is to say about the model.
func (s *Server) describe() openai.Model {
	m, name := s.model.Load(), s.options.ModelName()
	return openai.Model{
		ID: name, Object: "model", Created: m.Created.Unix(), OwnedBy: "openai-community",
		Permission: []string{}, Root: name,
		MaxInputTokens: m.ContextLength, Architecture: "sparse-transformer",
		ActiveParameters: m.ActiveParameters, TotalParameters: m.TotalParameters,
	}
}

// residentBytes is the process's memory as the kernel counts it, mapped weights included; where the kernel does not
// tell, what the Go runtime has taken.
func residentBytes() uint64 {
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(data); len(fields) > 1 { // size, resident, … in pages
			if pages, err := strconv.ParseUint(string(fields[1]), 10, 64); err == nil {
				return pages * uint64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys
}
