package pull

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	readSize  = 256 << 10
	saveEvery = 5 * time.Second
	// bigStep is how much must have come for failures to be counted from one again; a server that breaks off after
	// every few bytes would otherwise be asked for ever.
	bigStep = 1 << 20
)

// pool moves the bytes of several files over a fixed number of connections.
type pool struct {
	client *client
	meter  *meter
	parts  []*part // in the order in which they are begun
	mu     sync.Mutex
	turn   *sync.Cond // something changed that next looks at
}

// run fetches and verifies all parts, and leaves each in a state to go on from. It returns the first error.
func (p *pool) run(ctx context.Context, parallel int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.turn = sync.NewCond(&p.mu)
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.turn.Broadcast()
	})()
	var work, saver sync.WaitGroup
	for range parallel {
		work.Go(func() {
			for {
				part, piece, ok := p.next(ctx, &work, cancel)
				if !ok {
					return
				}
				if err := p.fetch(ctx, part, piece); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	saving, stopSaving := context.WithCancel(ctx)
	saver.Go(func() {
		if err := p.saveStates(saving); err != nil {
			cancel(err)
		}
	})
	work.Wait()
	stopSaving()
	saver.Wait()
	err := context.Cause(ctx)
	for _, part := range p.parts {
		err = errors.Join(err, part.save())
	}
	return err
}

// next waits for a piece that can be fetched now; false means that there will be none.
func (p *pool) next(ctx context.Context, work *sync.WaitGroup, cancel context.CancelCauseFunc) (*part, int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ctx.Err() == nil {
		waiting := false
		for _, part := range p.parts {
			first := part.begin()
			if first {
				if err := part.start(); err != nil {
					cancel(err)
					return nil, 0, false
				}
				work.Go(func() {
					if err := p.verify(ctx, part); err != nil {
						cancel(err)
					}
				})
			}
			piece, left := part.claim(first)
			if piece >= 0 {
				p.meter.on(part.path)
				return part, piece, true
			}
			waiting = waiting || left
		}
		if !waiting {
			return nil, 0, false
		}
		p.turn.Wait()
	}
	return nil, 0, false
}

// begin reports whether the caller is the first on this part.
func (p *part) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.begun
	p.begun = true
	return first
}

// claim gives out the next unfinished piece, -1 when there is none to be had now; left says that some may be later.
// Until the first request is answered only its worker has a piece: it may turn out that there are no ranges.
func (p *part) claim(first bool) (piece int, left bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.state.Done {
		if p.claimed[i] || p.state.finished(i) {
			continue
		}
		if !first && !p.opened {
			return -1, true
		}
		p.claimed[i] = true
		return i, true
	}
	return -1, false
}

// open lets other workers join.
func (p *pool) open(part *part) {
	part.mu.Lock()
	part.opened = true
	part.mu.Unlock()
	p.mu.Lock()
	p.turn.Broadcast()
	p.mu.Unlock()
}

// fetch brings one piece, in as many requests as it takes.
func (p *pool) fetch(ctx context.Context, part *part, piece int) error {
	err := p.client.retry(ctx, part.path, func() (bool, error) {
		before := part.total()
		err := p.attempt(ctx, part, piece)
		return part.total()-before >= bigStep, err
	})
	p.open(part) // when the first request failed for good, nobody is left waiting for it
	return err
}

// attempt sends one request for what is missing of a piece and takes what comes.
func (p *pool) attempt(ctx context.Context, part *part, piece int) error {
	s, _ := part.snapshot()
	if piece >= len(s.Done) {
		piece = 0 // the file was begun anew as one piece
	}
	lo, hi := s.span(piece)
	lo += s.Done[piece]
	if lo == hi {
		return nil
	}
	span := ""
	if lo > 0 || hi != s.Size {
		span = fmt.Sprintf("%d-%d", lo, hi-1)
	}
	if s.Size < 0 && lo > 0 { // without a length there is nothing to resume by
		p.meter.add(-part.restart())
		lo, span = 0, ""
	}
	response, w, err := p.request(ctx, part, span)
	if err != nil {
		return err
	}
	defer w.stop()
	defer response.Body.Close()
	from, to, err := p.accept(part, response, lo, hi, len(s.Done))
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusOK {
		piece = 0 // the whole file comes
	}
	p.open(part)
	if err := p.copy(part, piece, response, w, from, to); err != nil {
		return err
	}
	if to < hi { // a server may send less than a range, but not for ever
		return passingf("%s sends bytes %d-%d of %s when asked for %d-%d", response.Request.URL.Host, from, to-1, part.path, lo, hi-1)
	}
	return nil
}

// request asks the place that the source redirected to last time; where that has expired, the next try asks the source.
func (p *pool) request(ctx context.Context, part *part, span string) (*http.Response, *watch, error) {
	part.mu.Lock()
	location := part.location
	part.mu.Unlock()
	u := part.url
	if location != "" {
		if known, err := url.Parse(location); err == nil {
			u = known
		}
	}
	response, w, err := p.client.get(ctx, u, span, part.path)
	part.mu.Lock()
	defer part.mu.Unlock()
	if err != nil {
		part.location = ""
		if _, again := errors.AsType[passing](err); location != "" && !again && ctx.Err() == nil {
			err = passing{error: err}
		}
		return nil, nil, err
	}
	if final := response.Request.URL; !sameOrigin(final, part.url.String()) {
		part.location = final.String()
	}
	return response, w, nil
}

// accept holds the head of the response to what was asked for and returns the bytes that will come.
func (p *pool) accept(part *part, r *http.Response, lo, hi int64, pieces int) (from, to int64, err error) {
	host := r.Request.URL.Host
	if etag := r.Header.Get("ETag"); part.etag != "" && etag != "" && etag != part.etag {
		return 0, 0, errChanged
	}
	switch r.StatusCode {
	case http.StatusOK:
		if part.size >= 0 && r.ContentLength >= 0 && r.ContentLength != part.size {
			return 0, 0, p.lie(part, "%s announces %d bytes for %s, which should have %d", host, r.ContentLength, part.path, part.size)
		}
		if lo == 0 && hi == part.size {
			return lo, hi, nil
		}
		// The server ignores ranges. Only the first worker may go over to one stream: others still write their pieces.
		part.mu.Lock()
		alone := !part.opened || pieces == 1
		part.mu.Unlock()
		if !alone {
			return 0, 0, passingf("%s sends the whole of %s when asked for a range", host, part.path)
		}
		p.meter.add(-part.restart())
		return 0, part.size, nil
	case http.StatusPartialContent:
		span, err := parseContentRange(r.Header.Get("Content-Range"))
		if err != nil {
			return 0, 0, passingf("%s: %w for %s", host, err, part.path)
		}
		if part.size >= 0 && span.total >= 0 && span.total != part.size {
			return 0, 0, p.lie(part, "%s announces %d bytes for %s, which should have %d", host, span.total, part.path, part.size)
		}
		length := span.last - span.first + 1
		if span.first != lo || span.last >= hi || r.ContentLength >= 0 && r.ContentLength != length {
			return 0, 0, passingf("%s sends bytes %d-%d (length %d) of %s when asked for %d-%d", host, span.first, span.last, r.ContentLength, part.path, lo, hi-1)
		}
		return lo, span.last + 1, nil
	}
	return 0, 0, p.lie(part, "%s says that %s ends before byte %d, although it should have %d", host, part.path, lo, part.size)
}

// lie is a wrong length: at a URL the file was replaced; a repository's file cannot change, so it may be one bad server.
func (p *pool) lie(part *part, format string, args ...any) error {
	if part.etag != "" || p.client.repo == "" {
		return errChanged
	}
	return passingf(format, args...)
}

// copy writes the body to its place. to is -1 when only the end of the body tells the length.
func (p *pool) copy(part *part, piece int, r *http.Response, w *watch, from, to int64) error {
	buffer := make([]byte, readSize)
	begun := from
	for from != to {
		want := buffer
		if to >= 0 {
			want = buffer[:min(readSize, to-from)]
		}
		n, err := r.Body.Read(want)
		if n > 0 {
			w.beat()
			if _, err := part.file.WriteAt(want[:n], from); err != nil {
				return diskFailure(part.path, err)
			}
			from += int64(n)
			part.advance(piece, int64(n))
			p.meter.add(int64(n))
			p.meter.moved(int64(n))
		}
		switch {
		case err == io.EOF && to < 0:
			part.end()
			return nil
		case err == io.EOF && from != to:
			return passingf("%s broke off %s after %d of %d bytes", r.Request.URL.Host, part.path, from-begun, to-begun)
		case err != nil && err != io.EOF:
			return netFailure(w.ctx, err, r.Request.URL.Host, true)
		}
	}
	if r.ContentLength >= 0 {
		return nil // net/http ends the body there
	}
	if n, _ := io.ReadFull(r.Body, buffer[:1]); n > 0 {
		p.meter.add(begun - from)
		part.undo(piece, from-begun)
		return passingf("%s sends more bytes of %s than it announced", r.Request.URL.Host, part.path)
	}
	return nil
}

// verify follows the front of a part, so that the checksum is there soon after the last byte, and judges it.
func (p *pool) verify(ctx context.Context, part *part) error {
	s, _ := part.snapshot()
	if s.SHA256 != "" {
		return part.close() // done by an earlier run
	}
	sum, blob, err := part.digest(ctx)
	if err != nil {
		return err
	}
	s, _ = part.snapshot()
	if err := part.judge(sum, blob, s.Size); err != nil {
		return errors.Join(err, part.discard())
	}
	if err := part.file.Sync(); err != nil {
		return diskFailure(part.path, err)
	}
	info, err := part.file.Stat()
	if err != nil {
		return diskFailure(part.path, err)
	}
	part.mu.Lock()
	part.state.SHA256, part.state.Modified, part.dirty = sum, info.ModTime().UnixNano(), true
	part.mu.Unlock()
	return errors.Join(part.save(), part.close())
}

// digest reads the file as far as it has come, and from the beginning after a restart, until it is whole.
func (p *part) digest(ctx context.Context) (sum, blob string, err error) {
	var sha, git hash.Hash
	buffer := make([]byte, readSize)
	offset, seen := int64(0), -1
	for {
		s, generation := p.snapshot()
		if generation != seen {
			sha, git, offset, seen = sha256.New(), sha1.New(), 0, generation
			fmt.Fprintf(git, "blob %d\x00", s.Size) // https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
		}
		front := s.front()
		switch {
		case offset < front:
			n, err := p.file.ReadAt(buffer[:min(readSize, front-offset)], offset)
			if err != nil && (err != io.EOF || n == 0) {
				return "", "", fmt.Errorf("read %s: %w", p.path, err)
			}
			_, _ = sha.Write(buffer[:n]) // a hash never fails
			if p.gitOID != "" {
				_, _ = git.Write(buffer[:n])
			}
			offset += int64(n)
		case offset == s.Size:
			return hex.EncodeToString(sha.Sum(nil)), hex.EncodeToString(git.Sum(nil)), nil
		default:
			select {
			case <-p.grown:
			case <-ctx.Done():
				return "", "", context.Cause(ctx)
			}
		}
	}
}

// judge compares the checksums with the announced ones.
func (r remote) judge(sum, blob string, size int64) error {
	switch {
	case r.sha256 != "" && sum != r.sha256:
		return kindf(ErrMismatch, "%s is not what was announced: expected sha256 %s, found %s; it was removed", r.path, r.sha256, sum)
	case r.gitOID != "" && blob != r.gitOID:
		return kindf(ErrMismatch, "%s is not what was announced: expected git blob %s, found %s; it was removed", r.path, r.gitOID, blob)
	case r.size >= 0 && size != r.size:
		return kindf(ErrMismatch, "%s is not what was announced: expected %d bytes, found %d; it was removed", r.path, r.size, size)
	}
	return nil
}

func (p *pool) saveStates(ctx context.Context) error {
	ticks, stop := p.client.clock.Tick(saveEvery)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
		for _, part := range p.parts {
			if err := part.save(); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
