package metricsapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// farewell is how long requests may take to end when the server stops.
const farewell = 5 * time.Second

// Server serves the API on every replica. It is a Runnable of the manager.
type Server struct {
	// Address to listen on, if Listener is nil.
	Address  string
	Listener net.Listener

	API    *API
	Guard  *Guard
	Keeper *Keeper

	// Cache is what the API reads from. It is told at once what will be asked for; it may be nil.
	Cache cache.Cache
}

// NeedLeaderElection reports that the server needs no lead: were the leader the only one, each change of it would leave
// all autoscalers without metrics.
func (*Server) NeedLeaderElection() bool { return false }

// Start serves until the context ends.
func (s *Server) Start(ctx context.Context) error {
	logger := ctrl.LoggerFrom(ctx).WithName("metricsapi")
	listener := s.Listener
	if listener == nil {
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.Address); err != nil {
			return fmt.Errorf("metricsapi: %w", err)
		}
	}
	go s.Keeper.Follow(ctx)
	s.Guard.Start(ctx)
	if err := s.fill(ctx); err != nil {
		return err
	}
	server := &http.Server{
		Handler:           s.API.Handler(s.Guard),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		// Whoever fails a handshake, as any port scan does, is no error of ours.
		ErrorLog:    slog.NewLogLogger(logr.ToSlogHandler(logger.V(1)), slog.LevelInfo),
		BaseContext: func(net.Listener) context.Context { return ctrl.LoggerInto(context.WithoutCancel(ctx), logger) },
	}
	secured := tls.NewListener(listener, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		ClientAuth:     tls.RequestClientCert, // the guard verifies it, by authorities that may change
		GetCertificate: s.Keeper.Certificate,
	})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(secured) }()
	logger.Info("serving the custom metrics API", "address", listener.Addr().String())
	select {
	case err := <-ended:
		return fmt.Errorf("metricsapi: serve: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := server.Shutdown(last); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("metricsapi: stop: %w", err)
	}
	return nil
}

// fill begins to follow what the API reads, so that the first question need not wait for it.
func (s *Server) fill(ctx context.Context) error {
	if s.Cache == nil {
		return nil
	}
	for _, kind := range []client.Object{&corev1.Pod{}, &v1alpha1.GptOssModel{}} {
		if _, err := s.Cache.GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("metricsapi: follow %T: %w", kind, err)
		}
	}
	return nil
}
