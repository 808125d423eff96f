package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	headerTimeout  = 10 * time.Second // a client that dribbles its header holds a connection, nothing else
	idleTimeout    = 2 * time.Minute  // longer than the keep-alive of the usual proxies (Nginx 60 s, AWS 60 s)
	maxHeaderBytes = 64 << 10
	// endTimeout is what requests get to write their last event after they were cut off, and Shutdown to see them end.
	endTimeout = 3 * time.Second
	// drainInterval is how often the number of running completions is looked at during the grace period.
	drainInterval = 20 * time.Millisecond
)

// Serve answers on a listener until ctx ends. Then health turns unavailable and new work is refused, while running
// completions may finish within the grace period; what is still running after it gets an error event. The listener stays
// open meanwhile, so that probes and late clients get an answer instead of a refused connection.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errShutdown)
	h := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.log.Info("shutting down", "active", s.active.Load(), "grace", s.options.ShutdownGrace.String())
	if !s.drain() {
		s.log.Warn("grace period is over", "active", s.active.Load())
		cut(errShutdown)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := h.Shutdown(ending); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return h.Close()
}

// drain waits for the running completions and reports whether all ended within the grace period.
func (s *Server) drain() bool {
	deadline := time.NewTimer(s.options.ShutdownGrace)
	defer deadline.Stop()
	tick := time.NewTicker(drainInterval)
	defer tick.Stop()
	for s.active.Load() > 0 {
		select {
		case <-deadline.C:
			return s.active.Load() == 0
		case <-tick.C:
		}
	}
	return true
}
