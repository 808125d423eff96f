package limit

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	_ "embed" // the scripts
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// lease is how long a request stays counted whose replica has died. Living replicas renew theirs with each beat.
	lease = 30 * time.Second
	// silence is how long a replica may say nothing before the others no longer count it.
	silence = 15 * time.Second
)

//go:embed script.lua
var takeSource string

//go:embed beat.lua
var beatSource string

//go:embed renew.lua
var renewSource string

// Redis says where the shared limits are kept.
type Redis struct {
	Address  string // host:port
	Username string
	// Password is asked for each connection, so that it can change; nil for none.
	Password func() (string, error)
	DB       int
	TLS      *tls.Config // nil for none
	// Prefix begins the name of every key in Redis.
	Prefix string
	// Timeout is how long a connection, and then an answer, may take.
	Timeout time.Duration
}

// remote keeps accounts in Redis.
type remote struct {
	client            *redis.Client
	prefix, name      string
	take, pulse, keep *redis.Script
}

// quiet keeps the client from writing to standard error beside the log: every failure comes back as an error anyway.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// dial makes a store without connecting. name is this replica's.
func dial(r Redis, name string) *remote {
	redis.SetLogger(quiet{})
	o := &redis.Options{
		Addr: r.Address, DB: r.DB, TLSConfig: r.TLS,
		DialTimeout: r.Timeout, ReadTimeout: r.Timeout, WriteTimeout: r.Timeout, PoolTimeout: r.Timeout,
		// A second try is the background loop's task: a request rather uses this replica's share.
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		// Nothing that Redis below version 7, and its relatives, do not know.
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			if r.Password == nil {
				return r.Username, "", nil
			}
			password, err := r.Password()
			return r.Username, password, err
		},
	}
	return &remote{
		client: redis.NewClient(o), prefix: r.Prefix, name: name,
		take: redis.NewScript(takeSource), pulse: redis.NewScript(beatSource), keep: redis.NewScript(renewSource),
	}
}

// keys are an identity's names in Redis. They hold a digest, never a key or who it belongs to; the braces keep both in one
// slot of a cluster.
func (r *remote) keys(key string) (buckets, underway string) {
	digest := sha256.Sum256([]byte("gptoss limit\x00" + key))
	name := r.prefix + "{" + hex.EncodeToString(digest[:16]) + "}"
	return name + ":use", name + ":now"
}

// kinds are what the script's first answer stands for.
var kinds = []Kind{"", Concurrency, Requests, Tokens}

func (r *remote) decide(ctx context.Context, key string, s shape, q take) (verdict, error) {
	buckets, underway := r.keys(key)
	got, err := r.take.Run(ctx, r.client, []string{buckets, underway},
		s.requests, s.requestsPerSecond, s.tokens, s.tokensPerSecond, s.concurrent,
		q.requests, q.tokens, q.needed, q.enter, q.leave, lease.Milliseconds()).Int64Slice()
	if err != nil {
		return verdict{}, fmt.Errorf("limits in redis: %w", err)
	}
	if len(got) != 4 || got[0] < 0 || int(got[0]) >= len(kinds) {
		return verdict{}, errors.New("limits in redis: the script's answer makes no sense")
	}
	return verdict{
		refused: kinds[got[0]], requests: float64(got[1]) / 1000, tokens: float64(got[2]),
		wait: time.Duration(min(max(got[3], 0), int64(24*time.Hour/time.Microsecond))) * time.Microsecond,
	}, nil
}

func (r *remote) beat(ctx context.Context, underway map[string][]string) (int, error) {
	for key, names := range underway {
		_, set := r.keys(key)
		arguments := []any{lease.Milliseconds()}
		for _, n := range names {
			arguments = append(arguments, n)
		}
		if err := r.keep.Run(ctx, r.client, []string{set}, arguments...).Err(); err != nil {
			return 0, fmt.Errorf("limits in redis: %w", err)
		}
	}
	n, err := r.pulse.Run(ctx, r.client, []string{r.prefix + "replicas"}, r.name, silence.Milliseconds()).Int()
	if err != nil {
		return 0, fmt.Errorf("limits in redis: %w", err)
	}
	// What decides must work too, or else requests would find that out one by one.
	if _, err := r.decide(ctx, "probe", shape{requests: 1, requestsPerSecond: 1}, take{requests: 1}); err != nil {
		return 0, err
	}
	return max(n, 1), nil
}

func (r *remote) close() error { return r.client.Close() }
