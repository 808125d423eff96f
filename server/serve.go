package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gptoss/gptoss-operator/server/drain"
)

const (
	headerTimeout  = 10 * time.Second // a client that dribbles its header holds a connection, nothing else
	idleTimeout    = 2 * time.Minute  // longer than the keep-alive of the usual proxies (Nginx 60 s, AWS 60 s)
	maxHeaderBytes = 64 << 10
	// endTimeout is what requests get to write their last event after they were cut off, and Shutdown to see them end.
	endTimeout = 3 * time.Second
	// lingerTime is for how long nobody may have asked anything after the delay before idle connections are closed. A client
	// that goes on at once has been told by then, and one that was silent for longer seldom speaks in that very moment.
	lingerTime = time.Second
)

// Serve answers on a listener until ctx ends, and then leaves in steps:
//
//   - For the shutdown delay everything goes on, but health is unavailable and every answer closes its connection. Load
//     balancers need that long to see it, and clients with a connection of their own learn of it without an error.
//   - Then no connection is accepted any more, and running requests may finish until the grace period, counted from the
//     beginning, is over. A connection whose last answer began before all this is not closed behind it: its client would
//     send the next request into the void. It stays for lingerTime, and what comes on it is answered, with the word to close.
//   - What is still running then ends with an error event.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errShutdown)
	open := drain.New()
	h := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         open.Watch,
	}
	failed := make(chan error, 1)
	go func() {
		if s.pair == nil {
			failed <- h.Serve(l)
			return
		}
		h.TLSConfig = s.pair.Config()
		failed <- h.ServeTLS(l, "", "")
	}()
	select {
	case err := <-failed:
		return errors.Join(err, s.Close())
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
	err := l.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, s.finish(h, open, s.options.ShutdownGrace-delay, func() { cut(errShutdown) }), s.Close())
}

// finish waits until the running requests have ended and cuts them off when their time is over.
func (s *Server) finish(h *http.Server, open *drain.Connections, left time.Duration, cut func()) error {
	finishing, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	open.Wait(finishing, lingerTime, s.after)
	err := shutdown(finishing, h)
	s.responses.Close(errShutdown) // nobody can come back for them any more
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s.log.Warn("grace period is over", "active", s.active.Load())
	cut()
	ending, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := shutdown(ending, h); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return h.Close()
}

// shutdown does not mind that the listener is closed: h may not have noticed yet.
func shutdown(ctx context.Context, h *http.Server) error {
	err := h.Shutdown(ctx)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
