package drain

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Connections knows which connections are open, and which of them are busy. Its methods may be called from any goroutine.
type Connections struct {
	mu    sync.Mutex
	busy  map[net.Conn]bool // false for those that wait for a request
	moved chan struct{}     // something has changed
}

// New watches nothing yet.
func New() *Connections {
	return &Connections{busy: map[net.Conn]bool{}, moved: make(chan struct{}, 1)}
}

// Watch is for http.Server.ConnState.
func (c *Connections) Watch(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle: // some open a connection to have it, and ask nothing for long
		c.busy[conn] = false
	case http.StateActive:
		c.busy[conn] = true
	case http.StateHijacked, http.StateClosed:
		delete(c.busy, conn)
	}
	select {
	case c.moved <- struct{}{}:
	default: // Wait will look anyway
	}
}

// Wait returns when every connection is closed, or when none was busy for the given time, or when ctx ends.
func (c *Connections) Wait(ctx context.Context, quiet time.Duration, after func(time.Duration) <-chan time.Time) {
	for {
		open, busy := c.count()
		if open == 0 {
			return
		}
		var silence <-chan time.Time // a busy connection says itself when it is idle
		if busy == 0 {
			silence = after(quiet)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.moved:
		case <-silence:
			return
		}
	}
}

func (c *Connections) count() (open, busy int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.busy {
		if b {
			busy++
		}
	}
	return len(c.busy), busy
}
