package pull

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// maxRetryAfter is the longest wait that a server can ask for; beyond it the user should know at once.
const maxRetryAfter = 10 * time.Minute

var (
	// errChanged means that a URL serves another file than the one that was begun.
	errChanged = errors.New("the file changed on the server")
	// errStalled is the cause with which the watch ends a request that brings nothing.
	errStalled = errors.New("stalled")
	// errInterrupted is a cancelled context in words.
	errInterrupted = errors.New("interrupted")
)

// Kinds of failures, for errors.Is. None of them passes by itself; an error of no kind may.
var (
	ErrRefused  = errors.New("pull: refused")   // a token is missing, or is not good enough
	ErrNotFound = errors.New("pull: not found") // no such repository, revision or file, or no model among its files
	ErrMismatch = errors.New("pull: mismatch")  // what came is not what was announced
	ErrFull     = errors.New("pull: no space")  // the target has no room
)

// kindError is an error of a kind.
type kindError struct {
	error
	kind error
}

func (k kindError) Is(target error) bool { return target == k.kind }

func (k kindError) Unwrap() error { return k.error }

// kindf makes an error of a kind.
func kindf(kind error, format string, args ...any) error {
	return kindError{fmt.Errorf(format, args...), kind}
}

// passing is an error that may be gone at the next try, no earlier than after.
type passing struct {
	error
	after time.Duration
}

func (p passing) Unwrap() error { return p.error }

func isPassing(err error) bool {
	_, ok := errors.AsType[passing](err)
	return ok
}

func passingf(format string, args ...any) error { return passing{error: fmt.Errorf(format, args...)} }

// statusFailure puts a response that is neither 200 nor 206 into a sentence; about names the thing asked for.
func (c *client) statusFailure(r *http.Response, about string) error {
	host := r.Request.URL.Host
	switch r.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after := retryAfter(r.Header, c.clock.Now())
		if after > maxRetryAfter {
			return fmt.Errorf("%s asks to come back in %s (HTTP %d)", host, after.Round(time.Second), r.StatusCode)
		}
		return passing{fmt.Errorf("%s is busy (HTTP %d)", host, r.StatusCode), after}
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return passingf("%s failed (HTTP %d)", host, r.StatusCode)
	case http.StatusProxyAuthRequired:
		return errors.New("the proxy asks for a user and a password (HTTP 407): put them into HTTPS_PROXY")
	}
	if c.repo != "" && sameOrigin(r.Request.URL, c.endpoint) {
		return c.hubFailure(r, about)
	}
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return kindf(ErrRefused, "%s refuses %s (HTTP %d): it needs a token (%s), or the signed URL has expired", host, about, r.StatusCode, c.urlTokenHint)
	case http.StatusNotFound, http.StatusGone:
		return kindf(ErrNotFound, "%s has no %s (HTTP %d)", host, about, r.StatusCode)
	}
	return fmt.Errorf("%s answers HTTP %d for %s", host, r.StatusCode, about)
}

// hubFailure tells apart what a Hub answers with 401, 403 and 404; X-Error-Code is what its own client goes by.
func (c *client) hubFailure(r *http.Response, about string) error {
	host, code := r.Request.URL.Host, r.Header.Get("X-Error-Code")
	switch {
	case code == "GatedRepo", r.StatusCode == http.StatusForbidden:
		return kindf(ErrRefused, "%s may not be read (HTTP %d): it may be gated; accept its licence at %s/%s and set %s to a token of that account",
			c.repo, r.StatusCode, c.endpoint, c.repo, c.tokenHint)
	case code == "RevisionNotFound":
		return kindf(ErrNotFound, "%s has no such revision (HTTP %d): %s", c.repo, r.StatusCode, about)
	case code == "EntryNotFound":
		return kindf(ErrNotFound, "%s has no %s (HTTP %d)", c.repo, about, r.StatusCode)
	case r.StatusCode == http.StatusUnauthorized && c.token != "" && code != "RepoNotFound":
		return kindf(ErrRefused, "%s does not accept the token (HTTP 401): it is wrong or has expired", host)
	case r.StatusCode == http.StatusUnauthorized, code == "RepoNotFound":
		return kindf(ErrNotFound, "%s has no repository %s, or it is private (HTTP %d): check the name, or set %s to a token that may read it",
			host, c.repo, r.StatusCode, c.tokenHint)
	case r.StatusCode == http.StatusNotFound:
		return kindf(ErrNotFound, "%s has no %s of %s (HTTP 404)", host, about, c.repo)
	}
	return fmt.Errorf("%s answers HTTP %d for %s", host, r.StatusCode, about)
}

// netFailure puts an error of net/http into a sentence without the URL, whose query may hold a signature.
func netFailure(ctx context.Context, err error, host string, reached bool) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errStalled) {
		return cause
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
		if u, bad := url.Parse(wrapped.URL); bad == nil && u.Host != "" {
			host = u.Host // where redirects led to
		}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return passingf("the proxy does not answer: %w", op.Err)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound && !reached { // once it was reached, it is the resolver that fails
			return fmt.Errorf("there is no host %s (DNS): check the name, and the proxy if one is needed", dns.Name)
		}
		return passingf("cannot look up %s (DNS): %s", dns.Name, dns.Err)
	}
	if tlsError(err) {
		return fmt.Errorf("cannot trust %s (TLS): %w; where a proxy signs with an authority of its own, name that in SSL_CERT_FILE", host, err)
	}
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return passingf("%s sends nothing", host)
	case errors.Is(err, errRedirect):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return passingf("%s broke off", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return passingf("%s does not accept connections", host)
	}
	return passingf("%s: %w", host, err)
}

func tlsError(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// diskFailure puts an error of writing into a sentence.
func diskFailure(name string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota) {
		return kindf(ErrFull, "no space is left on the disk for %s", name)
	}
	return fmt.Errorf("write %s: %w", name, err)
}
