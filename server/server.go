// Package server answers the OpenAI API over HTTP with a model that somebody else runs.
//
// A [Server] is born without a model and listens at once: health says "unavailable" and everything else is refused with
// 503 until [Server.SetModel]. Handlers return errors and one place (routes.go) turns them into the error body. A chat
// completion takes one path whether it streams or not (run.go and package answer): token ids in, deltas out; the difference is only
// what is done with a delta. Prompts, completions and keys are never logged.
package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gptoss/gptoss-operator/engine"
	"github.com/gptoss/gptoss-operator/engine/harmony"
	"github.com/gptoss/gptoss-operator/server/access"
	"github.com/gptoss/gptoss-operator/server/audit"
	"github.com/gptoss/gptoss-operator/server/certificate"
	"github.com/gptoss/gptoss-operator/server/cors"
	"github.com/gptoss/gptoss-operator/server/limit"
	"github.com/gptoss/gptoss-operator/server/metric"
	"github.com/gptoss/gptoss-operator/server/options"
	"github.com/gptoss/gptoss-operator/server/responses"
	"github.com/gptoss/gptoss-operator/server/structure"
	"github.com/gptoss/gptoss-operator/server/ticket"
	"github.com/gptoss/gptoss-operator/server/trace"
)

// Generator runs prompts; *engine.Engine is one.
type Generator interface {
	Submit(ctx context.Context, r engine.Request) (*engine.Stream, error)
	Stats() engine.Stats
}

// Encoder turns conversations into token ids and token ids into deltas; *harmony.Encoding is one.
type Encoder interface {
	Render(c harmony.Conversation) ([]int32, error)
	StopTokens() []int32
	NewParser(functions ...string) *harmony.Parser
}

// Vocabulary knows what tokens stand for; *tokenizer.Tokenizer is one.
type Vocabulary interface {
	TokenBytes(id int32) []byte
	IsSpecial(id int32) bool
	// Size is one more than the highest id.
	Size() int
	// Append adds the tokens of ordinary text, Special finds a control token by its name.
	Append(ids []int32, text string) []int32
	Special(name string) (int32, bool)
}

// Model is a loaded model.
type Model struct {
	Generator Generator
	Encoder   Encoder
	// Vocabulary spells tokens for log probabilities and reads raw prompts, which are refused where it is nil.
	Vocabulary Vocabulary
	// Structure holds answers to a form; requests for one are refused where it is nil.
	Structure        *structure.Compiler
	ContextLength    int // tokens of prompt and answer together
	ActiveParameters int64
	TotalParameters  int64
	Created          time.Time
}

// Config is what a Server is made of; Now and NewID have defaults.
type Config struct {
	Options options.Options
	Version string
	Logger  *slog.Logger
	// Aliases are model ids that are accepted beside Options.ModelName.
	Aliases []string
	// Now is the clock.
	Now func() time.Time
	// Stdout is where --audit-log=stdout leads.
	Stdout io.Writer
	// NewID makes an id that begins with prefix and never comes twice.
	NewID func(prefix string) string
}

// Server is the HTTP side of gptoss-server.
type Server struct {
	options   options.Options
	version   string
	log       *slog.Logger
	aliases   []string
	now       func() time.Time
	newID     func(prefix string) string
	gate      *access.Gate
	limiter   *limit.Limiter
	tickets   *ticket.Box
	metrics   *metric.Set
	model     atomic.Pointer[Model]
	responses *responses.API
	// leaving is true from the moment when the process was asked to end.
	leaving atomic.Bool
	// after is the clock of the shutdown delay.
	after    func(time.Duration) <-chan time.Time
	tracer   *trace.Tracer     // nil without an endpoint
	audit    *audit.Log        // nil without a destination
	origins  cors.Policy       // pages that may call
	pair     *certificate.Pair // nil without TLS
	concerns []func() string   // of health
	closing  func() error      // close, the first time
	// active counts the completions that were accepted and have not ended, running or waiting.
	active atomic.Int64
}

// New makes a server without a model. It fails when a file of keys or certificates cannot be read.
func New(c Config) (*Server, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = randomID
	}
	tickets, err := ticket.Load(c.Options.TicketKeyFile, c.Now)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: c.Options, version: c.Version, log: c.Logger, aliases: c.Aliases, now: c.Now, newID: c.NewID,
		after: time.After, tickets: tickets,
	}
	s.metrics = metric.New(metric.Source{
		Model: s.options.ModelName(), Version: s.version, Stats: s.stats, Active: s.active.Load,
		Degraded: func() bool { status, _ := s.status(s.now()); return status != stateHealthy },
	})
	s.responses, s.closing = s.newResponses(), sync.OnceValue(s.close)
	if s.gate, err = s.newGate(); err != nil {
		return nil, err
	}
	if err := s.equip(c); err != nil {
		return nil, err
	}
	if s.limiter, err = s.newLimiter(); err != nil {
		return nil, err
	}
	s.metrics.Register(slices.Concat(s.gate.Collectors(), s.limiter.Collectors())...)
	s.Concern(func() string { return strings.Join(slices.Concat(s.gate.Degraded(), s.limiter.Degraded()), " ") })
	return s, nil
}

// equip opens what was asked for beside the API itself.
func (s *Server) equip(c Config) (err error) {
	o := c.Options
	s.origins = cors.New(o.CORSOrigins)
	if o.TLSCert != "" {
		if s.pair, err = certificate.Load(o.TLSCert, o.TLSKey, s.now, s.certificateChanged); err != nil {
			return err
		}
	}
	if s.tracer, err = trace.Open(context.Background(), trace.Config{Endpoint: o.OTLPEndpoint, Model: o.ModelName(), Version: c.Version, Logger: s.log}); err != nil {
		return err
	}
	if o.AuditLog != "" {
		s.audit, err = audit.Open(audit.Config{
			To: o.AuditLog, MaxBytes: o.AuditMaxSize, Files: o.AuditFiles, Stdout: c.Stdout, Logger: s.log, Dropped: s.metrics.AuditDropped.Inc,
		})
		if err != nil {
			return err
		}
		s.Concern(func() string {
			if s.audit.Failing() {
				return "The audit log cannot be written."
			}
			return ""
		})
		s.audit.Record(audit.Record{Time: s.now().UTC(), Kind: audit.KindStarted, Detail: "version " + s.version})
	}
	return nil
}

func (s *Server) certificateChanged(err error) {
	if err != nil {
		s.log.Warn("the certificate cannot be used; the last one stays", "error", err.Error())
		return
	}
	s.log.Info("the certificate changed")
	s.audit.Record(audit.Record{Time: s.now().UTC(), Kind: audit.KindCertificateReloaded})
}

// Close ends what works beside requests, once. Serve does so in the end; who uses Handler instead does it after the last
// request.
func (s *Server) Close() error { return s.closing() }

func (s *Server) close() error {
	limits := s.limiter.Close()
	s.audit.Record(audit.Record{Time: s.now().UTC(), Kind: audit.KindStopped})
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := s.tracer.Close(ctx); err != nil {
		s.log.Warn("the last traces are lost", "error", err.Error())
	}
	return errors.Join(limits, s.audit.Close())
}

// SetModel makes the server ready.
func (s *Server) SetModel(m *Model) {
	w := *m
	if _, ok := m.Generator.(watched); !ok {
		w.Generator = watched{m.Generator}
	}
	s.model.Store(&w)
}

// Handler returns the whole HTTP API.
func (s *Server) Handler() http.Handler {
	mux, _ := s.routes()
	return s.observe(s.origins.Wrap(s.recoverPanics(mux), s.pair != nil))
}

// fingerprint names the model and the program that runs it.
func (s *Server) fingerprint(m *Model) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d", s.version, s.options.ModelName(), m.TotalParameters, m.ContextLength))
	return fmt.Sprintf("fp_%x", digest[:5])
}

// randomID has 130 random bits after the prefix.
func randomID(prefix string) string { return prefix + rand.Text() }

// errShutdown is the cause with which requests that outlive the grace period are cancelled.
var errShutdown = errors.New("the server is shutting down")
