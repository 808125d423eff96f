package server

import (
	"bytes"
	"math"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// stuckStep is how long one forward pass may take before the server calls itself unavailable, which makes Kubernetes
// start the container anew. A chunk of prompt of the largest model on one slow core takes minutes, not more.
const stuckStep = 10 * time.Minute

// health answers without waiting for the engine: 200 for healthy and degraded, 503 for unavailable.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	now := s.now()
	status := s.status(now)
	code := http.StatusOK
	if status == "unavailable" {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, code, openai.Health{
		Status:         status,
		Model:          s.options.ModelName(),
		Version:        s.version,
		Timestamp:      now.UTC().Format(time.RFC3339),
		MemoryUsageGB:  math.Round(float64(residentBytes())/1e6) / 1e3,
		ActiveRequests: int(s.active.Load()),
	})
	return nil
}

// status is unavailable without a model, on the way down and when a step hangs, and degraded while at least half of the
// queue is taken: requests are served, but late.
func (s *Server) status(now time.Time) string {
	if s.leaving.Load() || s.model.Load() == nil {
		return "unavailable"
	}
	stats := s.stats()
	if !stats.StepStarted.IsZero() && now.Sub(stats.StepStarted) > stuckStep {
		return "unavailable"
	}
	if 2*stats.Waiting > s.options.MaxQueue {
		return "degraded"
	}
	return "healthy"
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
