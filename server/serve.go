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
)

// Serve answers on a listener until ctx ends, and then leaves in three steps:
//
//   - For the shutdown delay everything goes on, but health is unavailable and every answer closes its connection. Load
//     balancers need that long to see it, and clients with a connection of their own learn of it without an error.
//   - Then nothing new is accepted, idle connections are closed and running requests may finish until the grace period,
//     counted from the beginning, is over.
//   - What is still running then ends with an error event.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errShutdown)
	defer s.closeLogged()
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
	s.leaving.Store(true)
	delay := min(s.options.ShutdownDelay, s.options.ShutdownGrace)
	if s.model.Load() == nil { // never ready: no endpoint leads here
		delay = 0
	}
	s.log.Info("shutting down", "active", s.active.Load(), "delay", delay.String(), "grace", s.options.ShutdownGrace.String())
	select {
	case <-s.after(delay):
	case err := <-failed: // nothing more can arrive
		s.log.Warn("the listener failed", "error", err.Error())
	}
	return s.finish(h, s.options.ShutdownGrace-delay, func() { cut(errShutdown) })
}

// finish waits until the running requests have ended and cuts them off when their time is over.
func (s *Server) finish(h *http.Server, left time.Duration, cut func()) error {
	finishing, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	err := h.Shutdown(finishing)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s.log.Warn("grace period is over", "active", s.active.Load())
	cut()
	ending, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := h.Shutdown(ending); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return h.Close()
}
