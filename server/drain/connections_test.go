package drain

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestWait plays connections in a bubble, where time passes when everybody waits, and expects Wait to end then.
func TestWait(t *testing.T) {
	conns := make([]net.Conn, 3)
	for i := range conns {
		conns[i] = &net.TCPConn{}
	}
	cases := map[string]struct {
		play func(c *Connections)
		want time.Duration
	}{
		"nobody is connected": {func(*Connections) {}, 0},
		"all have left": {func(c *Connections) {
			c.Watch(conns[0], http.StateNew)
			c.Watch(conns[0], http.StateActive)
			c.Watch(conns[0], http.StateClosed)
		}, 0},
		"one never asked anything": {func(c *Connections) { c.Watch(conns[0], http.StateNew) }, time.Second},
		"one is busy, then idle, and asks again": {func(c *Connections) {
			c.Watch(conns[0], http.StateActive)
			c.Watch(conns[1], http.StateIdle)
			go func() {
				<-time.After(3 * time.Second)
				c.Watch(conns[0], http.StateIdle)
				<-time.After(500 * time.Millisecond)
				c.Watch(conns[0], http.StateActive)
				c.Watch(conns[0], http.StateIdle)
			}()
		}, 4500 * time.Millisecond},
		"one leaves when it is told to": {func(c *Connections) {
			c.Watch(conns[0], http.StateActive)
			go func() {
				<-time.After(3 * time.Second)
				c.Watch(conns[0], http.StateClosed)
			}()
		}, 3 * time.Second},
		"one goes on for longer than there is time": {func(c *Connections) {
			c.Watch(conns[0], http.StateActive)
			c.Watch(conns[1], http.StateHijacked)
		}, 20 * time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New()
				tc.play(c)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				start := time.Now()
				c.Wait(ctx, time.Second, time.After)
				if got := time.Since(start); got != tc.want {
					t.Errorf("waited for %v, want %v", got, tc.want)
				}
			})
		})
	}
}
