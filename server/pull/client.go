package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	maxRedirects = 10
	// maxPage bounds one JSON answer; a page of the Hub holds 1000 entries of about 200 bytes.
	maxPage = 16 << 20
)

var errRedirect = errors.New("redirect refused")

// clock is the time as the package sees it.
type clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
	// Tick returns a channel that gets a value each d until stop is called.
	Tick(d time.Duration) (ticks <-chan time.Time, stop func())
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (wallClock) Tick(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}

// client sends requests and repeats those that may succeed later.
type client struct {
	http     *http.Client
	clock    clock
	jitter   func() float64 // in [0,1)
	retries  int            // failures in a row without progress before it gives up
	stall    time.Duration
	repo     string // empty for a plain URL; decides how refusals are read
	endpoint string
	token    Token
	// What sentences tell to set, for a repository and for a URL.
	tokenHint, urlTokenHint string
	notice                  func(about string, err error, wait time.Duration)

	mu        sync.Mutex
	notBefore map[string]time.Time // by host, from Retry-After
	reached   map[string]bool      // hosts that answered once
	watched   map[*watch]struct{}
}

func newClient(o Options, src source) *client {
	origin := o.TokenOrigin
	if src.repo != "" || origin == "" {
		origin = o.Endpoint
	}
	transport := &http.Transport{
		Proxy: o.Proxy,
		// HTTP/2 would put all ranges on one TCP connection, whose window then bounds the speed of all.
		Protocols:           new(http.Protocols),
		MaxIdleConnsPerHost: o.Parallel,
		TLSHandshakeTimeout: 30 * time.Second,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // lengths and ranges count stored bytes
	}
	transport.Protocols.SetHTTP1(true)
	return &client{
		http: &http.Client{
			Transport:     bearer{origin: origin, token: o.Token, next: transport},
			CheckRedirect: checkRedirect,
		},
		clock: o.clock, jitter: o.jitter, retries: o.Retries, stall: o.StallTimeout,
		repo: src.repo, endpoint: o.Endpoint, token: o.Token,
		tokenHint: cmp.Or(o.TokenHint, "HF_TOKEN (or --token-file)"), urlTokenHint: cmp.Or(o.TokenHint, "--token-file"),
		notice:    func(string, error, time.Duration) {},
		notBefore: map[string]time.Time{}, reached: map[string]bool{}, watched: map[*watch]struct{}{},
	}
}

// bearer adds the token to requests for its origin only, whatever redirects lead elsewhere.
type bearer struct {
	origin string
	token  Token
	next   http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("Referer") // may hold the signature of a URL
	if b.token != "" && sameOrigin(r.URL, b.origin) {
		r.Header.Set("Authorization", "Bearer "+string(b.token))
	}
	return b.next.RoundTrip(r)
}

// sameOrigin compares scheme, host and port.
func sameOrigin(u *url.URL, origin string) bool {
	o, err := url.Parse(origin)
	if err != nil {
		return false
	}
	port := func(u *url.URL) string {
		return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return u.Scheme == o.Scheme && strings.EqualFold(u.Hostname(), o.Hostname()) && port(u) == port(o)
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("%w: %s leads through more than %d", errRedirect, via[0].URL.Host, maxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return fmt.Errorf("%w: %s goes over from https to %s", errRedirect, via[len(via)-1].URL.Host, r.URL.Scheme)
	}
	return nil
}

// get sends one GET. The response is 200, 206 or 416; anything else is an error in words. The watch that comes with it
// must be fed while the body is read, and stopped.
func (c *client) get(ctx context.Context, u *url.URL, span, about string) (*http.Response, *watch, error) {
	if err := c.awaitTurn(ctx, u.Host); err != nil {
		return nil, nil, err
	}
	w := c.watch(ctx)
	r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		w.stop()
		return nil, nil, fmt.Errorf("cannot ask %s for %s", u.Host, about)
	}
	r.Header.Set("User-Agent", "gptoss-server")
	r.Header.Set("Accept-Encoding", "identity")
	if span != "" {
		r.Header.Set("Range", "bytes="+span)
	}
	response, err := c.http.Do(r)
	if err != nil {
		defer w.stop()
		return nil, nil, netFailure(w.ctx, err, u.Host, c.wasReached(u.Host))
	}
	w.beat()
	c.mu.Lock()
	c.reached[u.Host] = true
	c.mu.Unlock()
	switch response.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		if coding := response.Header.Get("Content-Encoding"); coding == "" || coding == "identity" {
			return response, w, nil
		}
		err = fmt.Errorf("%s sends %s compressed, although it was asked not to", response.Request.URL.Host, about)
	default:
		err = c.statusFailure(response, about)
		switch response.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
			if response.Request.Response != nil && !sameOrigin(response.Request.URL, c.endpoint) {
				err = passing{error: err} // the address that the source gave out may have expired
			}
		}
		if p, ok := errors.AsType[passing](err); ok && p.after > 0 {
			c.holdOff(u.Host, p.after)
		}
	}
	_ = response.Body.Close()
	w.stop()
	return nil, nil, err
}

// page gets one JSON document in full.
func (c *client) page(ctx context.Context, u *url.URL, about string) (data []byte, header http.Header, err error) {
	err = c.retry(ctx, about, func() (bool, error) {
		response, w, err := c.get(ctx, u, "", about)
		if err != nil {
			return false, err
		}
		defer w.stop()
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return false, fmt.Errorf("%s answers HTTP %d for %s", u.Host, response.StatusCode, about)
		}
		header = response.Header
		data, err = io.ReadAll(io.LimitReader(&watchedReader{response.Body, w}, maxPage+1))
		if err != nil {
			return false, netFailure(w.ctx, err, u.Host, true)
		}
		if len(data) > maxPage {
			return false, fmt.Errorf("%s sends more than %d bytes for %s", u.Host, maxPage, about)
		}
		return true, nil
	})
	return data, header, err
}

// retry calls attempt until it succeeds, fails for good, or has failed too often in a row without progress.
func (c *client) retry(ctx context.Context, about string, attempt func() (progress bool, err error)) error {
	for failures := 0; ; {
		progress, err := attempt()
		if err == nil {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		p, ok := errors.AsType[passing](err)
		if !ok {
			return err
		}
		if progress {
			failures = 0
		}
		if failures++; failures > c.retries {
			return fmt.Errorf("%w; gave up on %s after %d tries", err, about, failures)
		}
		backoff := min(firstBackoff<<min(failures-1, 10), maxBackoff)
		wait := max(p.after, backoff/2+time.Duration(c.jitter()*float64(backoff/2)))
		c.notice(about, err, wait)
		if err := c.clock.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (c *client) wasReached(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reached[host]
}

// holdOff keeps all connections from a host that asked for a pause.
func (c *client) holdOff(host string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := c.clock.Now().Add(d); until.After(c.notBefore[host]) {
		c.notBefore[host] = until
	}
}

func (c *client) awaitTurn(ctx context.Context, host string) error {
	c.mu.Lock()
	wait := c.notBefore[host].Sub(c.clock.Now())
	c.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	return c.clock.Sleep(ctx, wait)
}

// watch notices that a request brings nothing any more.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	client *client
	last   atomic.Int64 // unix nanoseconds
}

func (c *client) watch(ctx context.Context) *watch {
	w := &watch{client: c}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.beat()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched[w] = struct{}{}
	return w
}

func (w *watch) beat() { w.last.Store(w.client.clock.Now().UnixNano()) }

func (w *watch) stop() {
	w.client.mu.Lock()
	delete(w.client.watched, w)
	w.client.mu.Unlock()
	w.cancel(nil)
}

// endStalled cancels the requests that have brought nothing for the stall timeout.
func (c *client) endStalled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	oldest := c.clock.Now().Add(-c.stall).UnixNano()
	for w := range c.watched {
		if w.last.Load() <= oldest {
			w.cancel(errStalled)
		}
	}
}

// watchedReader feeds the watch with every byte that comes.
type watchedReader struct {
	io.Reader
	watch *watch
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.watch.beat()
	}
	return n, err
}

// retryAfter reads Retry-After in both its forms, and the draft RateLimit header that the Hub sends: `"api";r=0;t=55`.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		if limit := h.Get("RateLimit"); strings.Contains(limit, ";r=0;") {
			_, text, _ = strings.Cut(limit, ";t=")
			text, _, _ = strings.Cut(text, ";")
		}
	}
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
